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


"""The layout: where a destination places a guest."""

from collections.abc import Mapping
import dataclasses
import types

from nova_arm_migrate.numa.cpuset import LIMIT
from nova_arm_migrate.numa.errors import LayoutError

#: Bound for vCPU, cell and iothread numbers; QEMU's virt machine has at most
#: 512 vCPUs.
GUEST_LIMIT = 4096

#: libvirt's ``virDomainNumatuneMemMode``.
MEMORY_MODES = frozenset({'strict', 'preferred', 'interleave', 'restrictive'})

#: libvirt's ``virProcessSchedPolicy``; the first two have a priority.
REALTIME_POLICIES = frozenset({'fifo', 'rr'})
POLICIES = REALTIME_POLICIES | {'batch', 'idle'}


def _numbers(path: str, numbers: frozenset[int]) -> frozenset[int]:
    numbers = frozenset(numbers)
    if not numbers:
        raise LayoutError(path, 'is empty')
    for number in numbers:
        _number(path, number, LIMIT)
    return numbers


def _number(path: str, number: int, limit: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool):
        raise LayoutError(path, 'is not a number')
    if not 0 <= number < limit:
        raise LayoutError(path, f'{number} is out of range')


def _pins(
    path: str, pins: Mapping[int, frozenset[int]]
) -> Mapping[int, frozenset[int]]:
    checked = {}
    for number in sorted(pins):
        _number(path, number, GUEST_LIMIT)
        checked[number] = _numbers(f'{path}[{number}]', pins[number])
    return types.MappingProxyType(checked)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One NUMA cell of the guest.

    :ivar id: the cell's number in the guest's ``<numa>``
    :ivar nodes: the host's nodes that provide its memory
    :ivar mode: libvirt's memory mode
    :ivar page_kib: size of a huge page in KiB; None for the host's base pages
    """

    id: int
    nodes: frozenset[int]
    mode: str = 'strict'
    page_kib: int | None = None

    def __post_init__(self) -> None:
        _number('layout.cells', self.id, GUEST_LIMIT)
        path = f'layout.cells[{self.id}]'
        object.__setattr__(
            self, 'nodes', _numbers(f'{path}.nodes', self.nodes)
        )
        if self.mode not in MEMORY_MODES:
            raise LayoutError(f'{path}.mode', 'is not a memory mode')
        if self.page_kib is not None:
            _number(f'{path}.page_kib', self.page_kib, 1 << 40)
            if self.page_kib.bit_count() != 1:
                raise LayoutError(
                    f'{path}.page_kib', f'{self.page_kib} is not a page size'
                )


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """How the host schedules the realtime vCPUs.

    :ivar vcpus: the realtime mask
    :ivar priority: 1 to 99 with fifo and rr, 0 with the other policies
    """

    vcpus: frozenset[int]
    policy: str
    priority: int = 0

    def __post_init__(self) -> None:
        path = 'layout.scheduler'
        object.__setattr__(
            self, 'vcpus', _numbers(f'{path}.vcpus', self.vcpus)
        )
        if self.policy not in POLICIES:
            raise LayoutError(f'{path}.policy', 'is not a policy')
        _number(f'{path}.priority', self.priority, 100)
        if bool(self.priority) != (self.policy in REALTIME_POLICIES):
            raise LayoutError(
                f'{path}.priority',
                f'{self.priority} is not possible with {self.policy}',
            )


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a guest is to be placed on one host.

    Exhaustive: settings absent here are removed from the XML. CPU and node
    numbers are the host's.

    :ivar vcpus: the CPUs on which each vCPU may run; empty for a guest
        without pins
    :ivar emulator: the CPUs of QEMU's other threads; None for no pin
    :ivar iothreads: the CPUs of each iothread; an iothread that is absent
        here uses the emulator's CPUs
    :ivar cells: the guest's cells; empty for a guest without NUMA cells
    :ivar shared: the CPUs of a guest without pins (``<vcpu cpuset=>``); None
        for no restriction
    """

    vcpus: Mapping[int, frozenset[int]] = dataclasses.field(
        default_factory=dict
    )
    emulator: frozenset[int] | None = None
    iothreads: Mapping[int, frozenset[int]] = dataclasses.field(
        default_factory=dict
    )
    cells: tuple[Cell, ...] = ()
    shared: frozenset[int] | None = None
    scheduler: Scheduler | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, 'vcpus', _pins('layout.vcpus', self.vcpus))
        put(self, 'iothreads', _pins('layout.iothreads', self.iothreads))
        for name in ('emulator', 'shared'):
            numbers = getattr(self, name)
            if numbers is not None:
                put(self, name, _numbers(f'layout.{name}', numbers))
        put(self, 'cells', tuple(sorted(self.cells, key=lambda cell: cell.id)))
        if len({cell.id for cell in self.cells}) != len(self.cells):
            raise LayoutError('layout.cells', 'has a cell twice')
        if self.scheduler is not None and not (
            self.scheduler.vcpus <= set(self.vcpus)
        ):
            raise LayoutError(
                'layout.scheduler.vcpus', 'has a vCPU that is not pinned'
            )

    def iothread(self, number: int) -> frozenset[int] | None:
        """Return the CPUs of one iothread; None for no pin."""
        return self.iothreads.get(number, self.emulator)

    @property
    def nodes(self) -> frozenset[int]:
        """All nodes that provide memory for the guest."""
        return frozenset().union(*(cell.nodes for cell in self.cells))

    @property
    def cpus(self) -> frozenset[int]:
        """All CPUs on which any thread of the guest may run."""
        return frozenset().union(
            *self.vcpus.values(),
            *self.iothreads.values(),
            self.emulator or (),
            self.shared or (),
        )

    @property
    def dedicated(self) -> Mapping[int, int]:
        """The CPU of each vCPU that is pinned to a single CPU.

        Nova writes a dedicated CPU that way. A vCPU that floats over a node
        is pinned to all shared CPUs of the node.
        """
        return {
            vcpu: min(cpus)
            for vcpu, cpus in self.vcpus.items()
            if len(cpus) == 1
        }
