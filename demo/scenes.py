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

"""The scenes of the demonstration, with a check of each result."""

from __future__ import annotations

import collections.abc
import re
import textwrap
import time
import typing as ty

from demo import api as demo_api
from demo import cloud as demo_cloud
from demo import guests
from demo import settings
from demo import terminal
from nova_arm_migrate.core import cores
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.tables.features import ID_AA64PFR1_EL1
from simulated import machine

SVE = 'ID_AA64PFR0_EL1.SVE'
BTI = 'ID_AA64PFR1_EL1.BT'

FLEET: ty.Final = {
    'n1-a': ('neoverse-n1-linux-6.12', 16),
    'n1-b': ('neoverse-n1-linux-6.12', 16),
    'v1-a': ('neoverse-v1-linux-6.12', 8),
    'v1-nosve': ('neoverse-v1-no-sve-linux-6.12', 16),
    'v1-b': ('neoverse-v1-linux-6.12', 8),
    'old': ('neoverse-n2-no-bti-linux-6.12', 16),
    'new': ('neoverse-n2-linux-6.12', 16),
}
"""The hosts: the recorded profile that each of them plays, and its GiB."""


def fleet() -> dict[str, demo_cloud.HostSpec]:
    """Read the fleet's profiles, which this package contains."""
    return {
        name: demo_cloud.HostSpec(
            machine.read_host(settings.PROFILES / f'{recorded}.json'),
            memory_gib,
        )
        for name, (recorded, memory_gib) in FLEET.items()
    }


SAME_CPU = 'web to a host with the same CPU'
NO_SVE = 'db to a host without SVE'
ANYWHERE = 'db wherever it fits'
AND_BACK = 'legacy to a newer host and back'
OLDER = 'fresh from the newer to the older'


class Story:
    """Shows the scenes one by one.

    :ivar failures: the promises that the scenes did not keep.
    """

    def __init__(
        self,
        cloud: demo_cloud.Cloud,
        shell: terminal.Terminal,
        api: demo_api.Api,
    ) -> None:
        self._cloud = cloud
        self._shell = shell
        self._guests = guests.Guests(shell, api)
        self._table: dict[str, list[str]] = {
            request: []
            for request in (SAME_CPU, NO_SVE, ANYWHERE, AND_BACK, OLDER)
        }
        self.failures: list[str] = []

    def tell(self) -> None:
        """Show everything."""
        self._fleet()
        for scene in (
            self._succeeds,
            self._refused,
            self._picks,
            self._returns,
            self._stock,
            self._stock_workaround,
        ):
            started = time.monotonic()
            try:
                scene()
            except terminal.SceneFailed as failed:
                self.failures.append(f'{scene.__doc__}: {failed}')
                self._shell.say(f'FAILED: {failed}')
            self._shell.say(f'({time.monotonic() - started:.0f} s)')
        self._summary()

    def mend(self) -> None:
        """Go back to the extension, and repair every guest."""
        self._cloud.reconfigure(settings.DRIVER, [settings.FILTER])
        for name in ('db', 'fresh'):
            self._guests.reset(name)

    # With the extension

    def _fleet(self) -> None:
        self._shell.heading('The hosts')
        self._shell.block(
            '\n'.join(
                f'{name:9} {memory_gib:2} GiB  '
                f'{_describe(self._cloud.arm.hosts[name].machine.host)}'
                for name, (_recorded, memory_gib) in FLEET.items()
            )
        )
        self._shell.openstack(
            'compute service list --service nova-compute '
            '-c Binary -c Host -c Status -c State'
        )

    def _succeeds(self) -> None:
        """1. A migration that succeeds"""
        self._heading(self._succeeds)
        self._guests.boot('web', 'n1-a')
        moved = self._guests.migrate('web', 'n1-b')
        self._guests.show('web')
        self._record(SAME_CPU, moved)
        _expect(moved, guests.MOVED, host='n1-b')

    def _refused(self) -> None:
        """2. One that is refused, with the register field named"""
        self._heading(self._refused)
        self._guests.boot('db', 'v1-a')
        self._shell.say(
            'db started on a host with SVE. v1-nosve has the '
            'same core, without SVE.'
        )
        refused = self._guests.migrate('db', 'v1-nosve')
        self._guests.list_events('db')
        self._guests.show_events('db')
        self._guests.show('db')
        self._record(NO_SVE, refused)
        _expect(refused, guests.REFUSED, host='v1-a', reason=SVE)

    def _picks(self) -> None:
        """3. The scheduler picks the only host that fits"""
        self._heading(self._picks)
        self._shell.say(
            'Six other hosts have room for db. Only v1-b can '
            'take it, though most others have more memory free.'
        )
        moved = self._guests.migrate('db')
        self._guests.show('db')
        self._log(f'{settings.FILTER.rpartition(".")[0]} ')
        self._record(ANYWHERE, moved)
        _expect(moved, guests.MOVED, host='v1-b')

    def _returns(self) -> None:
        """4. A guest goes to a newer host and comes back"""
        self._heading(self._returns)
        self._guests.boot('legacy', 'old')
        there = self._guests.migrate('legacy', 'new')
        self._guests.show('legacy')
        _expect(there, guests.MOVED, host='new')
        back = self._guests.migrate('legacy', 'old')
        self._guests.show('legacy')
        self._record(AND_BACK, there, back)
        _expect(back, guests.MOVED, host='old')
        self._shell.say(
            'legacy kept the registers it started with on the '
            'older host, which offers no branch target '
            'identification. A guest that starts on the newer '
            'one has it, and has to stay:'
        )
        self._guests.boot('fresh', 'new')
        refused = self._guests.migrate('fresh', 'old')
        self._guests.show_events('fresh')
        self._record(OLDER, refused)
        _expect(refused, guests.REFUSED, host='new', reason=BTI)

    # Without it

    def _stock(self) -> None:
        """5a. The same requests under the stock driver"""
        self._heading(self._stock)
        self._reconfigure(settings.STOCK_DRIVER)
        moves = self._same_requests()
        self._guests.show_events('web')
        self._guests.show('web')
        for outcome in moves:
            _expect(
                outcome,
                guests.REFUSED,
                reason='does not support reporting CPU model',
            )

    def _stock_workaround(self) -> None:
        """5b. The same, with [workarounds] skip_cpu_compare_on_dest"""
        self._heading(self._stock_workaround)
        self._reconfigure(settings.STOCK_DRIVER, skip_cpu_compare_on_dest=True)
        web, no_sve, anywhere, there, back, older = self._same_requests()
        self._shell.say(
            'The events do not give the user a reason: all are successes.'
        )
        self._guests.show('fresh')
        self._guests.show_events('fresh')
        for outcome in (web, there, back):
            _expect(outcome, guests.MOVED)
        for outcome in (no_sve, anywhere, older):
            _expect(outcome, guests.ERROR)
            if outcome.reasons:
                raise terminal.SceneFailed(
                    f'stock Nova gave a reason: {outcome.reasons}'
                )

    def _same_requests(self) -> list[guests.MigrationResult]:
        """Make the requests of scenes 1 to 4 again."""
        made: list[guests.MigrationResult] = []

        def request(label: str, name: str, *wanted: str) -> None:
            outcomes = []
            for host in wanted:
                outcomes.append(self._guests.migrate(name, host))
                if outcomes[-1].kind != guests.MOVED:
                    break
            self._record(label, *outcomes)
            made.extend(outcomes)

        request(SAME_CPU, 'web', 'n1-a')
        request(NO_SVE, 'db', 'v1-nosve')
        if made[-1].kind == guests.ERROR:
            self._guests.reset('db')
        request(ANYWHERE, 'db', '')
        request(AND_BACK, 'legacy', 'new', 'old')
        request(OLDER, 'fresh', 'old')
        return made

    # How it is shown

    def _heading(self, scene: collections.abc.Callable[[], None]) -> None:
        self._shell.heading(scene.__doc__ or '')

    def _reconfigure(self, driver: str, **workarounds: bool) -> None:
        self._shell.say(
            'nova.conf of the computes and the scheduler, which '
            'are restarted; the guests run on:'
        )
        lines = ['[DEFAULT]', f'compute_driver = {driver}']
        if workarounds:
            lines += [
                '[workarounds]',
                *(f'{name} = {value}' for name, value in workarounds.items()),
            ]
        self._shell.block('\n'.join(lines))
        self._cloud.reconfigure(driver, (), **workarounds)

    def _log(self, word: str) -> None:
        """Show the last line about something in nova.log."""
        with open(self._cloud.log, encoding='utf-8') as log:
            lines = [line for line in log if word in line]
        if lines:
            self._shell.say('The scheduler says in its log:')
            message = lines[-1].partition('] ')[2].strip()
            self._shell.block(
                textwrap.fill(
                    message, terminal.WIDTH - 6, break_on_hyphens=False
                )
            )

    def _record(self, request: str, *outcomes: guests.MigrationResult) -> None:
        self._table[request].append(', '.join(map(_in_short, outcomes)))

    def _summary(self) -> None:
        self._shell.heading('In short')
        rows = [
            ('', 'nova-arm-migrate', 'stock', 'stock, workaround'),
            *((name, *cells) for name, cells in self._table.items()),
        ]
        self._shell.block(
            '\n'.join(
                ''.join(
                    f'{cell:{width}}'
                    for cell, width in zip(row, (35, 30, 10, 20), strict=False)
                ).rstrip()
                for row in rows
            )
        )


def _in_short(outcome: guests.MigrationResult) -> str:
    if outcome.kind == guests.MOVED:
        return f'to {outcome.host}'
    if outcome.kind == guests.ERROR:
        return f'ERROR (to {outcome.tried})'
    field = re.search(
        r'([A-Z][A-Z0-9_]+(\.\w+)?): guest', '; '.join(outcome.reasons)
    )
    return f'refused: {field[1]}' if field else 'refused'


def _describe(host: Host) -> str:
    names = ', '.join(
        dict.fromkeys(cores.core_name(core.midr) for core in host.cores)
    )
    features = sorted(host.features)
    if host.values.get(ID_AA64PFR1_EL1, 0) & 0xF:
        features.insert(0, 'bti')
    return (
        f'{names} with {" ".join(features)}; Linux {host.kernel}, '
        f'QEMU {host.qemu}'
    )


def _expect(
    outcome: guests.MigrationResult,
    kind: str,
    host: str = '',
    reason: str = '',
) -> None:
    """Check an outcome.

    :raises SceneFailed: it is another one.
    """
    reasons = '; '.join(outcome.reasons)
    if (
        outcome.kind != kind
        or (host and outcome.host != host)
        or reason not in reasons
    ):
        raise terminal.SceneFailed(
            f'expected: {kind} {host} {reason}; seen: {outcome.kind} '
            f'{outcome.host} {reasons}'
        )
