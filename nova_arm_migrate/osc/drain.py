# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""The command that empties a host."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import sys
import time
from typing import Any

from osc_lib import exceptions
from osc_lib.command import command

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.osc.base import API_ERRORS
from nova_arm_migrate.osc.base import api_message
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.columns import Names
from nova_arm_migrate.osc.columns import Shown
from nova_arm_migrate.osc.destinations import Destinations
from nova_arm_migrate.osc.destinations import Drain
from nova_arm_migrate.osc.destinations import Server
from nova_arm_migrate.osc.fleet import host_named
from nova_arm_migrate.osc.moving import Interrupts
from nova_arm_migrate.osc.moving import Mover
from nova_arm_migrate.osc.moving import Outcome
from nova_arm_migrate.osc.moving import Result
from nova_arm_migrate.osc.records import CloudHost

#: Characters of the bar that shows how many servers have moved.
_BAR = 20
_INTERRUPTED = 130
_COLUMNS = ('#', 'Server', 'ID', 'Status', 'Destination', 'Can Go To')
_LEFT = (Result.ARRIVED, Result.GONE)


@dataclasses.dataclass(frozen=True, slots=True)
class _Done:
    """A move that has ended, and what was known before it."""

    server: Server
    destination: str | None
    outcome: Outcome


class DrainHost(Arm64Command, command.Lister):
    """Show whether a host can be emptied now; with --apply, empty it.

    A server may go where two agree: this package's verdict about the guest and
    the host, and Placement's allocation candidates, which say whether the host
    has room. The servers of the plan fit together. The servers with the least
    room leave first. A server that cannot leave is a row with the reason.
    A server may also go to a host whose verdict is unknown, if the trial there
    can decide: Nova makes the trial before the guest moves. Nova's scheduler
    may still refuse a move, for affinity or NUMA for example.

    ``--apply`` live-migrates one server after the other, and asks Placement
    again before each. It stops at a server that does not arrive, and names it
    with Nova's reason. Ctrl-C lets the server in flight arrive, and starts no
    other. To resume, run the command again. It does not disable the host: do
    that first, or new servers may start there.

    The exit code of a plan is 0. That of ``--apply`` is 0 only if no server is
    left on the host, and 130 after Ctrl-C.
    """

    compares = True

    #: Waits for some seconds.
    sleep: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._problem = ''
        self._interrupted = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'host',
            metavar='<host>',
            help='name of the compute host, or of its hypervisor',
        )
        parser.add_argument(
            '--apply',
            action='store_true',
            help='live-migrate the servers, with progress on standard error',
        )
        parser.add_argument(
            '--partial',
            action='store_true',
            help='with --apply: move the servers that can leave, although'
            ' others cannot',
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the table comes before the error.

        :raises osc_lib.exceptions.CommandError: also if the host is not empty
        """
        code = super().run(parsed_args)
        if self._problem and self._interrupted:
            self._say(self._problem)
            return _INTERRUPTED
        if self._problem:
            raise exceptions.CommandError(self._problem)
        return code

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the rows of the plan, or of what was done."""
        options = self.options(parsed_args)
        hosts = self.cloud.hosts()
        host = host_named(hosts, parsed_args.host)
        destinations = Destinations(
            self.cloud, self.placement, hosts, host, options
        )
        if host.status == 'enabled':
            self.log.warning(
                '%s is enabled: new servers may start there (openstack compute'
                ' service set --disable %s nova-compute)',
                host.name,
                host.name,
            )
        if parsed_args.apply:
            return self._apply(destinations, host, parsed_args.partial)
        found = destinations.drain()
        self.log.warning('%s', _conclusion(host, found))
        return _plan_rows(found)

    def _apply(
        self, destinations: Destinations, host: CloudHost, partial: bool
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Move the servers; return what was done and what is left."""
        done: list[_Done] = []
        found = Drain()
        interrupts = Interrupts(self._say)
        try:
            with interrupts:
                found = destinations.drain()
                while not interrupts.count:
                    if not done and found.staying and not partial:
                        self._problem = (
                            f'nothing is moved: {_conclusion(host, found)};'
                            ' --partial moves the others'
                        )
                        return _plan_rows(found)
                    if not found.migrating and not found.steps:
                        break
                    done.append(self._move(host, found, len(done)))
                    if done[-1].outcome.result not in _LEFT:
                        break
                    found = destinations.drain()
                self._problem = _problem(host, done)
                if not self._problem:
                    self._look(host, done, destinations.servers(), found)
        except KeyboardInterrupt:
            self._problem = 'interrupted; nothing is in flight'
        except (CommandError, *API_ERRORS) as error:
            self._problem = f'{api_message(error)}; nothing is in flight'
        self._interrupted = interrupts.count > 0
        return _done_rows(done, found)

    def _move(self, host: CloudHost, found: Drain, before: int) -> _Done:
        """Move the next server, or wait for one that is on its way."""
        waiting = bool(found.migrating)
        server = found.migrating[0] if waiting else found.steps[0][0]
        there = None if waiting else found.steps[0][1]
        total = before + len(found.migrating) + len(found.steps)
        what = (
            f'{_named(server)}: {host.name} -> {there.name if there else "?"}'
        )

        def say(text: str, moved: int = before) -> None:
            bar = f'{"#" * (_BAR * moved // total):-<{_BAR}}'
            self._say(f'[{bar}] {before + 1}/{total} {what}: {text}')

        mover = Mover(self.cloud, say, self.sleep)
        if there is None:
            say('already on its way')
            outcome = mover.watch(str(server.shown['id']), host.service)
        else:
            say('requested')
            outcome = mover.move(server.shown, there.service)
        left = outcome.result in _LEFT
        say(outcome.result.value, before + 1 if left else before)
        return _Done(server, there.name if there else None, outcome)

    def _look(
        self,
        host: CloudHost,
        done: Sequence[_Done],
        left: Sequence[Server],
        found: Drain,
    ) -> None:
        """Say whether the host is empty, from what is on it now."""
        moved = f'{_servers(len(done))} moved'
        if not left:
            self._say(f'{host.name} is empty: {moved}')
            return
        reasons = {one.key: one.why for one in found.staying}
        first = left[0]
        why = reasons.get(first.key)
        self._problem = (
            f'{_servers(len(left))} still on {host.name}, {moved}:'
            f' {_listed(left)}' + (f' ({why})' if why else '')
        )

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _problem(host: CloudHost, done: Sequence[_Done]) -> str:
    """Return what stopped the moves; empty if nothing did."""
    if not done or done[-1].outcome.result in _LEFT:
        return ''
    last = done[-1]
    there = last.destination or 'another host'
    if last.outcome.result is Result.IN_FLIGHT:
        return (
            f'{_named(last.server)} is in flight from {host.name} to {there}'
            f' ({last.outcome.why}); run the command again to wait for it'
        )
    return (
        f'{_named(last.server)} did not arrive on {there}: {last.outcome.why}'
    )


def _conclusion(host: CloudHost, found: Drain) -> str:
    """Return whether a host can be emptied."""
    leaving = len(found.steps) + len(found.migrating)
    if not found.staying:
        if not leaving:
            return f'{host.name} is empty'
        return f'{host.name} can be emptied: {_servers(leaving)} can leave'
    return (
        f'{host.name} cannot be emptied: {_servers(len(found.staying))} cannot'
        f' leave ({_listed(found.staying)}), {leaving} can'
    )


def _plan_rows(
    found: Drain,
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    rows: list[tuple[Any, ...]] = [
        _row(number, server, there.name, server.why)
        for number, (server, there) in enumerate(found.steps, 1)
    ]
    rows += [
        _row(None, server, None, 'it is on its way already')
        for server in found.migrating
    ]
    rows += [_row(None, server, None, server.why) for server in found.staying]
    return (*_COLUMNS, 'Reason'), rows


def _done_rows(
    done: Sequence[_Done], found: Drain
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    rows: list[tuple[Any, ...]] = []
    for number, one in enumerate(done, 1):
        result = one.outcome.result.value
        row = _row(number, one.server, one.destination, result)
        rows.append((*row, one.outcome.why))
    told = {one.server.key for one in done}
    left: list[tuple[Server, str | None]] = [
        (server, there.name) for server, there in found.steps
    ]
    left += [(server, None) for server in (*found.migrating, *found.staying)]
    rows += [
        (*_row(None, server, there, 'not moved'), server.why)
        for server, there in left
        if server.key not in told
    ]
    return (*_COLUMNS, 'Result', 'Reason'), rows


def _row(
    number: int | None, server: Server, there: str | None, last: str
) -> tuple[Any, ...]:
    return (
        Shown(number, lambda: '' if number is None else str(number)),
        server.name,
        server.key,
        server.status,
        Shown(there, lambda: there or ''),
        Names(server.hosts),
        last,
    )


def _named(server: Server) -> str:
    return f'{server.name} ({server.key})'


def _servers(count: int) -> str:
    return f'{count} server{"" if count == 1 else "s"}'


def _listed(servers: Sequence[Server]) -> str:
    return Names([one.name for one in servers]).human_readable()
