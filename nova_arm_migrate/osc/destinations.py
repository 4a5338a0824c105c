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
"""Where the servers of a host can go: our verdict and Placement's word."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.drain import Leaving
from nova_arm_migrate.core.drain import plan
from nova_arm_migrate.core.drain import Resource
from nova_arm_migrate.core.drain import Room
from nova_arm_migrate.core.moves import alike
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.trial import before_trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.osc.cloud import Cloud
from nova_arm_migrate.osc.columns import Names
from nova_arm_migrate.osc.moving import RUNNING
from nova_arm_migrate.osc.placement import Candidates
from nova_arm_migrate.osc.placement import Placement
from nova_arm_migrate.osc.placement import Request
from nova_arm_migrate.osc.records import CloudHost
from nova_arm_migrate.osc.records import printable
from nova_arm_migrate.osc.subjects import flavor_of
from nova_arm_migrate.osc.subjects import usable

#: What a guest has that its host does not decide: features that are switched
#: off, and its memory.
_Kind = tuple[frozenset[str], int | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server on the host that is to be emptied.

    :ivar shown: as Nova's API shows it
    :ivar hosts: the names of the hosts to which it can go
    :ivar why: why it cannot leave; empty if it can
    """

    shown: Mapping[str, Any]
    hosts: tuple[str, ...] = ()
    why: str = ''

    @property
    def key(self) -> str:
        """Its ID."""
        return printable(self.shown.get('id'))

    @property
    def name(self) -> str:
        """Its name, printable."""
        return printable(self.shown.get('name'))

    @property
    def status(self) -> str:
        """Its status, printable."""
        return printable(self.shown.get('status'))


@dataclasses.dataclass(frozen=True, slots=True)
class Drain:
    """The plan for a host's servers.

    :ivar steps: the servers that can leave, in order, and where they go
    :ivar staying: the servers that cannot leave
    :ivar migrating: the servers that are on their way already
    """

    steps: tuple[tuple[Server, CloudHost], ...] = ()
    staying: tuple[Server, ...] = ()
    migrating: tuple[Server, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Judged:
    """The verdicts for one kind of guest.

    :ivar accepting: the hosts that accept it, are up and are enabled
    :ivar why: why there is none; empty if there is one
    """

    accepting: frozenset[str]
    why: str


class Destinations:
    """Plans where the servers of a host go; `drain` asks the APIs anew.

    :param hosts: all Arm64 hosts
    :param host: the one that is to be emptied
    """

    def __init__(
        self,
        cloud: Cloud,
        placement: Placement,
        hosts: Sequence[CloudHost],
        host: CloudHost,
        options: Options,
    ) -> None:
        self._cloud = cloud
        self._placement = placement
        self._here = host
        self._options = options
        self._others = [one for one in hosts if one is not host]
        self._by_provider = {one.provider: one for one in self._others}
        self._by_name = {one.name: one for one in self._others}
        self._kinds = {
            id(one.record): alike(one.record.host)
            for one in self._others
            if one.record.host is not None
        }
        self._judged: dict[_Kind, _Judged] = {}
        self._requests: dict[str, Request | None] = {}

    def servers(self) -> list[Server]:
        """Return the servers that are on the host now."""
        return [
            Server(shown)
            for shown in self._cloud.servers_on(self._here.service)
        ]

    def drain(self) -> Drain:
        """Return the plan for what is on the host now.

        :raises CommandError: if the host has servers and no usable record
        """
        leaving: list[Leaving] = []
        found: dict[str, Server] = {}
        migrating, staying = [], []
        candidates: dict[Request, Candidates] = {}
        rooms: dict[tuple[Request, _Kind], tuple[Room, ...]] = {}
        free: dict[Resource, int] = {}
        for server in self.servers():
            task = server.shown.get('OS-EXT-STS:task_state')
            if task == 'migrating':
                migrating.append(server)
                continue
            why = _not_movable(server, task)
            kind = flavor_of(server.shown.get('flavor'))
            judged = self._judge(kind)
            request = self._request(server) if not why else None
            why = why or judged.why
            if not why and request is None:
                why = 'Placement has no allocations for it'
            if why or request is None:
                staying.append(dataclasses.replace(server, why=why))
                continue
            if request not in candidates:
                candidates[request] = self._placement.candidates(request)
                free |= candidates[request].free
            if (request, kind) not in rooms:
                rooms[request, kind] = self._rooms(
                    candidates[request].rooms, judged.accepting
                )
            one = Leaving(server.key, rooms[request, kind])
            leaving.append(one)
            found[one.key] = dataclasses.replace(
                server,
                hosts=one.hosts,
                why=''
                if one.rooms
                else 'Placement has no room for it on the hosts that accept'
                f' it: {_names(judged.accepting)}',
            )
        plans = plan(leaving, free)
        staying += [
            dataclasses.replace(
                found[one.key],
                why=found[one.key].why
                or 'servers before it in the plan take the room on'
                f' {_names(one.hosts)}',
            )
            for one in plans.staying
        ]
        return Drain(
            tuple(
                (found[one.key], self._by_name[room.host])
                for one, room in plans.steps
            ),
            tuple(sorted(staying, key=lambda one: (one.name, one.key))),
            tuple(migrating),
        )

    def _request(self, server: Server) -> Request | None:
        if server.key not in self._requests:
            self._requests[server.key] = self._placement.request(server.shown)
        return self._requests[server.key]

    def _rooms(
        self, rooms: Sequence[Room], accepting: frozenset[str]
    ) -> tuple[Room, ...]:
        """Return the rooms on hosts that accept the guest, by host's name."""
        found = []
        for room in rooms:
            host = self._by_provider.get(room.host)
            if host is not None and host.name in accepting:
                found.append(dataclasses.replace(room, host=host.name))
        return tuple(found)

    def _judge(self, kind: _Kind) -> _Judged:
        known = self._judged.get(kind)
        if known is None:
            known = self._judged[kind] = self._compare(kind)
        return known

    def _compare(self, kind: _Kind) -> _Judged:
        """Compare a guest of this host with all other hosts.

        Findings that a trial on the destination settles are left out, as in
        ``ArmMigrateFilter``: Nova makes the trial before a guest moves.
        """
        off, memory = kind
        guest = guest_started_on(
            usable(self._here), disabled=off, memory=memory
        )
        reports: dict[Host, Report] = {}
        accepting, unusable = set(), []
        refusals: list[tuple[bool, int, str, str]] = []
        for host in self._others:
            if host.record.host is None:
                refusals.append((True, 0, host.name, host.record.why))
                continue
            alike_host = self._kinds[id(host.record)]
            report = reports.get(alike_host)
            if report is None:
                report = before_trial(
                    compare(guest, host.record.host, self._options),
                    self._options,
                )
                reports[alike_host] = report
            if report.verdict is not Verdict.COMPATIBLE:
                refusals.append(
                    (
                        report.verdict is Verdict.UNKNOWN,
                        len(report.decisive),
                        host.name,
                        report.reason(host.name),
                    )
                )
            elif host.state != 'up' or host.status != 'enabled':
                unusable.append(host.name)
            else:
                accepting.add(host.name)
        if accepting:
            why = ''
        elif unusable:
            why = (
                'the hosts that accept it are down or disabled:'
                f' {_names(unusable)}'
            )
        elif refusals:
            _, _, name, reason = min(refusals)
            why = f'no host accepts it; nearest is {name}: {reason}'
        else:
            why = 'there is no other Arm64 host'
        return _Judged(frozenset(accepting), why)


def _not_movable(server: Server, task: object) -> str:
    """Return why a server cannot live-migrate whatever the destination."""
    if task:
        return f'it has a task: {printable(task)}'
    if server.status not in RUNNING:
        return (
            f'it is {server.status}: only running and paused servers'
            ' live-migrate; see openstack server migrate'
        )
    return ''


def _names(names: Sequence[str] | frozenset[str]) -> str:
    return Names(sorted(names)).human_readable()
