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

"""Guests of a cloud that a hard reboot gives another baseline.

The records of guests and hosts are in Nova's databases, and in no answer of
its API. So this is a part of ``nova-arm-migrate-status``, not of the openstack
client.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import functools
from typing import Any

from nova import context as nova_context
from nova import objects

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.baseline import choice
from nova_arm_migrate.nova.baseline import versions
from nova_arm_migrate.nova.scheduler import host_cache
from nova_arm_migrate.nova.scheduler import offers

#: Instances that are read at a time.
_PAGE = 500
#: Computes that are named in one query.
_COMPUTES = 200
#: Instances that are read in all, if nobody asks for more. Each costs about a
#: millisecond of CPU time.
MOST = 20_000
_NOT_OFFERED = 'not offered'
_HEAD = ('SERVER', 'COMPUTE', 'HAS', 'GETS')


class Reading:
    """How much of the databases was read.

    :ivar most: instances to read; 0 for all
    :ivar read: how many were read
    :ivar there: how many there are on computes with a record
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.read = self.there = 0

    @property
    def room(self) -> int:
        """How many more to read in one page."""
        return min(_PAGE, self.most - self.read) if self.most else _PAGE

    @property
    def note(self) -> str:
        """What was left out, in a few words; empty if nothing was."""
        if self.read >= self.there:
            return ''
        return f'only {self.read} of {self.there} servers were read'


def changes(
    pool: str, reading: Reading | None = None
) -> Iterator[versions.Change]:
    """Yield the guests of all cells that a hard reboot changes, or loses.

    Only instances on computes with a record are read.

    :param pool: the option ``baseline``
    :param reading: how much to read, and what was read; None reads all
    :raises Exception: whatever the databases raise
    """
    objects.register_all()
    context = nova_context.get_admin_context()
    reading = reading or Reading(0)
    for cell in objects.CellMappingList.get_all(context):
        if cell.is_cell0():
            continue
        with nova_context.target_cell(context, cell) as cell_context:
            nodes = objects.ComputeNodeList.get_all(cell_context)
            hosts = {
                node.host: info.host
                for node in nodes
                for info in [host_cache.read(node.cpu_info or '')]
                if isinstance(info.host, Host)
            }
            for instance in _instances(cell_context, sorted(hosts), reading):
                host = hosts[instance.host]
                # A compute may have another value of the option than this
                # file. If this file has none, the guest keeps its baseline.
                wanted = choice.wanted(
                    instance, pool or versions.has(instance)
                )
                found = versions.change(
                    instance,
                    wanted,
                    host.baselines,
                    functools.partial(_has_changed, host),
                )
                if found is not None:
                    yield found


def _has_changed(host: Host, record: Guest) -> bool:
    """Whether a host has changed the file of a guest's version.

    Not known, and so not told here, if a record is of an earlier version: the
    log of nova-compute names those guests.
    """
    return offers.differ(
        record.baseline_digest, host.baseline_digest(record.baseline)
    )


def _instances(
    context: Any, hosts: Sequence[str], reading: Reading
) -> Iterator[Any]:
    """Yield the instances of computes, in pages, up to the limit."""
    for first in range(0, len(hosts), _COMPUTES):
        named = hosts[first : first + _COMPUTES]
        reading.there += objects.InstanceList.get_count_by_hosts(
            context, named
        )
        marker = None
        while reading.room:
            room = reading.room
            page = objects.InstanceList.get_by_filters(
                context,
                {'deleted': False, 'host': named},
                expected_attrs=['flavor', 'system_metadata', 'vcpu_model'],
                limit=room,
                marker=marker,
            )
            reading.read += len(page)
            yield from page
            if len(page) < room:
                break
            marker = page[-1].uuid


def summary(found: Iterable[versions.Change]) -> str:
    """Return how many guests change and how, in one line; empty for none."""
    counts: dict[tuple[str, str], int] = {}
    for one in found:
        key = one.has, one.gets
        counts[key] = counts.get(key, 0) + 1
    return '; '.join(
        f'{number} guests have {has} and get {gets}'
        if gets
        else f'{number} guests have {has}, which their compute does not offer'
        for (has, gets), number in sorted(counts.items())
    )


def table(found: Iterable[versions.Change]) -> Iterator[str]:
    """Yield the lines of a table, one for each guest, with a head."""
    rows: list[Sequence[str]] = [_HEAD]
    rows += [
        (one.uuid, one.host, one.has, one.gets or _NOT_OFFERED)
        for one in sorted(found)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield '  '.join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
