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

"""Guests that cannot go back to where they came from by live migration.

A guest can gain something on its way that the hosts behind it lack: registers,
longer SVE vectors, a larger address space. What it has is in its own record;
where it came from is in Nova's table of migrations.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from nova import context as nova_context
from nova import objects

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.baseline import versions
from nova_arm_migrate.nova.conf import Settings
from nova_arm_migrate.nova.precheck import judgement
from nova_arm_migrate.nova.records import instance_state
from nova_arm_migrate.nova.records.domain import Domain
from nova_arm_migrate.nova.scheduler import filter_events
from nova_arm_migrate.nova.scheduler import host_cache

#: Migrations that are read of each cell, the newest first. There are not more
#: guests than that to read.
MOST = 5000
#: Instances that are read at a time.
_PAGE = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Stuck:
    """A guest that cannot go back.

    :ivar uuid: of the guest
    :ivar here: the compute on which it is
    :ivar back: one from which it came, and that would refuse it
    :ivar reason: why, in one line
    :ivar stays: whether every other host of the cell would refuse it too
    """

    uuid: str
    here: str
    back: str
    reason: str
    stays: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What was found in all cells.

    :ivar judged: how many guests have moved, and were judged
    :ivar stuck: those that cannot go back
    :ivar cut: the names of cells that have more migrations than `MOST`
    """

    judged: int
    stuck: tuple[Stuck, ...]
    cut: tuple[str, ...]

    def line(self) -> str:
        """Return what was found, in one line, bounded."""
        some = (
            f' (only the newest {MOST} live migrations of'
            f' {", ".join(self.cut)} were looked at)'
            if self.cut
            else ''
        )
        if not self.judged:
            return f'No guest with a record has live-migrated{some}.'
        if not self.stuck:
            return (
                'All guests with a record that have live-migrated can go'
                f' back: {self.judged}{some}.'
            )
        told, count = filter_events.group(
            (f'{one.uuid} ({one.here} to {one.back})' for one in self.stuck),
            (one.reason for one in self.stuck),
        )
        staying = sum(one.stays for one in self.stuck)
        return (
            f'{count} of {self.judged} guests with a record that have'
            f' live-migrated{some} cannot go back to a host that they came'
            f' from, and {staying} can move to no other host: {told}'
        )


def look(settings: Settings) -> Found:
    """Judge the guests of all cells that have live-migrated.

    Guests without a record, or on a compute without one, are left out: other
    checks report these.

    :raises Exception: whatever the databases raise
    """
    objects.register_all()
    context = nova_context.get_admin_context()
    judged, stuck, cut = 0, [], []
    for cell in objects.CellMappingList.get_all(context):
        if cell.is_cell0():
            continue
        with nova_context.target_cell(context, cell) as cell_context:
            came_from, all_read = _came_from(cell_context)
            if not all_read:
                cut.append(cell.name or cell.uuid)
            hosts = _hosts(cell_context)
            for instance in _instances(cell_context, list(came_from)):
                leaving = _leaving(instance, hosts)
                if leaving is None:
                    continue
                judged += 1
                found = _stuck(
                    instance,
                    leaving,
                    came_from[instance.uuid],
                    hosts,
                    settings,
                )
                if found is not None:
                    stuck.append(found)
    return Found(judged, tuple(stuck), tuple(cut))


def _came_from(context: Any) -> tuple[dict[str, list[str]], bool]:
    """Return the hosts that each guest has left, the newest first.

    :returns: the hosts by the guest's UUID, and whether all were read
    """
    found = objects.MigrationList.get_by_filters(
        context,
        {'migration_type': 'live-migration', 'status': 'completed'},
        sort_keys=['created_at', 'id'],
        sort_dirs=['desc', 'desc'],
        limit=MOST + 1,
    )
    left: dict[str, list[str]] = {}
    for migration in list(found)[:MOST]:
        hosts = left.setdefault(migration.instance_uuid, [])
        if migration.source_compute not in hosts:
            hosts.append(migration.source_compute)
    return left, len(found) <= MOST


def _hosts(context: Any) -> dict[str, Host]:
    """Return the records of a cell's computes; equal ones are one object."""
    nodes = objects.ComputeNodeList.get_all(context)
    infos = host_cache.HostCache().read_all(node.cpu_info for node in nodes)
    return {
        node.host: info.host
        for node, info in zip(nodes, infos, strict=True)
        if isinstance(info.host, Host)
    }


def _instances(context: Any, uuids: list[str]) -> Iterator[Any]:
    for first in range(0, len(uuids), _PAGE):
        yield from objects.InstanceList.get_by_filters(
            context,
            {'deleted': False, 'uuid': uuids[first : first + _PAGE]},
            expected_attrs=['vcpu_model'],
        )


def _leaving(
    instance: Any, hosts: Mapping[str, Host]
) -> judgement.MigratingGuest | None:
    """Return a guest as it would leave its host; None if it is not known."""
    here = hosts.get(instance.host)
    record = instance_state.recorded(instance)
    if (
        here is None
        or not isinstance(record, Guest)
        or instance.vm_state in versions.NO_QEMU
    ):
        return None
    # The domain matters only for a guest without a record.
    return judgement.migrating_guest(record, here, Domain())


def _stuck(
    instance: Any,
    leaving: judgement.MigratingGuest,
    left: Iterable[str],
    hosts: Mapping[str, Host],
    settings: Settings,
) -> Stuck | None:
    """Return the newest host behind a guest that would refuse it, if any."""
    for back in left:
        if back == instance.host or back not in hosts:
            continue
        reason = judgement.expected_refusal(leaving, hosts[back], settings)
        if reason is not None:
            return Stuck(
                instance.uuid,
                instance.host,
                back,
                reason,
                _stays(
                    leaving,
                    {
                        host
                        for name, host in hosts.items()
                        if name != instance.host
                    },
                    settings,
                ),
            )
    return None


def _stays(
    leaving: judgement.MigratingGuest,
    others: Collection[Host],
    settings: Settings,
) -> bool:
    return all(
        judgement.expected_refusal(leaving, host, settings) is not None
        for host in others
    )
