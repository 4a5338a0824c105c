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


"""Check that a host can now provide what a layout needs."""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses

from lxml import etree

from nova_arm_migrate.numa import cpuset
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.layout import Layout


@dataclasses.dataclass(frozen=True)
class Node:
    """One NUMA node of the host.

    :ivar memory_kib: 0 for a node that has only CPUs or devices
    :ivar free_pages: the number of free huge pages by page size in KiB; None
        if the host does not report it
    """

    cpus: frozenset[int]
    memory_kib: int
    free_pages: Mapping[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class HostNuma:
    """The NUMA resources of a host.

    :ivar online: CPUs; None if the host does not report them
    :ivar nodes: by number; there may be gaps between the numbers
    :ivar held: the dedicated CPUs of running domains, by domain name
    """

    online: frozenset[int] | None
    nodes: Mapping[int, Node]
    held: Mapping[str, frozenset[int]] = dataclasses.field(
        default_factory=dict
    )


@dataclasses.dataclass(frozen=True)
class Fault:
    """A reason why a layout is not possible on a host.

    :ivar path: of the element in the domain XML
    :ivar sentence: one line
    """

    path: str
    sentence: str

    def __str__(self) -> str:
        return f'{self.path}: {self.sentence}'


def cell_memory_kib(domain: etree._Element) -> dict[int, int]:
    """KiB of memory by guest cell.

    :raises DomainXmlError: if an element is not a size
    """
    return {
        position
        if cell.get('id') is None
        else parse.integer(cell, 'id'): parse.kib(cell, 'memory')
        for position, cell in enumerate(domain.iterfind('cpu/numa/cell'))
    }


def faults(
    layout: Layout, host: HostNuma, memory_kib: Mapping[int, int]
) -> tuple[Fault, ...]:
    """Return everything that a layout needs and the host does not have.

    :param memory_kib: by guest cell
    """
    return (
        *_cpu_faults(layout, host),
        *_memory_faults(layout, host),
        *_page_faults(layout, host, memory_kib),
    )


def shared_cores(
    layout: Layout, held: Mapping[str, frozenset[int]]
) -> tuple[Fault, ...]:
    """Return the vCPUs whose dedicated CPU is dedicated to another guest."""
    return tuple(
        Fault(
            f'/domain/cputune/vcpupin[@vcpu={vcpu}]',
            f'CPU {cpu} is also held by {name}',
        )
        for vcpu, cpu in layout.dedicated.items()
        for name, cpus in sorted(held.items())
        if cpu in cpus
    )


def _cpu_faults(layout: Layout, host: HostNuma) -> Iterator[Fault]:
    if host.online is not None:
        for path, cpus in _pinned(layout):
            missing = cpus - host.online
            if missing:
                yield Fault(
                    path, f'CPU {cpuset.format(missing)} is not online'
                )
    yield from shared_cores(layout, host.held)


def _pinned(layout: Layout) -> Iterator[tuple[str, frozenset[int]]]:
    for vcpu, cpus in layout.vcpus.items():
        yield f'/domain/cputune/vcpupin[@vcpu={vcpu}]', cpus
    if layout.emulator is not None:
        yield '/domain/cputune/emulatorpin', layout.emulator
    for number, cpus in layout.iothreads.items():
        yield f'/domain/cputune/iothreadpin[@iothread={number}]', cpus
    if layout.shared is not None:
        yield '/domain/vcpu/@cpuset', layout.shared


def _memory_faults(layout: Layout, host: HostNuma) -> Iterator[Fault]:
    for cell in layout.cells:
        path = f'/domain/numatune/memnode[@cellid={cell.id}]'
        for number in sorted(cell.nodes):
            node = host.nodes.get(number)
            if node is None:
                yield Fault(path, f'there is no node {number}')
            elif not node.memory_kib:
                yield Fault(path, f'node {number} has no memory')


def _page_faults(
    layout: Layout, host: HostNuma, memory_kib: Mapping[int, int]
) -> Iterator[Fault]:
    """Yield pools that are too small; cells may share one pool.

    A cell over several nodes is compared with the sum of their pools.
    """
    taken: dict[tuple[frozenset[int], int], int] = {}
    for cell in layout.cells:
        size = cell.page_kib
        if size is None:
            continue
        path = '/domain/memoryBacking/hugepages/page'
        pools = [
            node.free_pages
            for number, node in host.nodes.items()
            if number in cell.nodes
        ]
        known = [pool for pool in pools if pool is not None]
        if len(known) < len(pools) or not known:
            continue
        where = cpuset.format(cell.nodes)
        if not any(size in pool for pool in known):
            yield Fault(path, f'node {where} has no pages of {size} KiB')
            continue
        memory = memory_kib.get(cell.id, 0)
        if memory % size:
            yield Fault(
                path,
                f'cell {cell.id} has {memory} KiB, which is not a'
                f' multiple of its page size, {size} KiB',
            )
        key = cell.nodes, size
        taken[key] = taken.get(key, 0) + -(-memory // size)
        free = sum(pool.get(size, 0) for pool in known)
        if taken[key] > free:
            yield Fault(
                path,
                f'node {where} has {free} free pages of {size}'
                f' KiB, the guest needs {taken[key]}',
            )
