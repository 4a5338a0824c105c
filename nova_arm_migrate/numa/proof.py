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


"""Compare a migrated guest with its layout."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import enum

from nova_arm_migrate.numa import cpuset
from nova_arm_migrate.numa import procfs
from nova_arm_migrate.numa.layout import Layout


class Part(enum.Enum):
    """The part of a guest that has a place on the host."""

    VCPU = 'vCPU'
    EMULATOR = 'emulator'
    IOTHREAD = 'iothread'
    MEMORY = 'memory of cell'
    PAGES = 'pages of cell'


#: Parts that libvirt can move while the guest runs.
PINS = frozenset({Part.VCPU, Part.EMULATOR, Part.IOTHREAD})


@dataclasses.dataclass(frozen=True)
class Live:
    """The placement of a running guest, as one source reports it.

    :ivar source: ``libvirt`` or ``/proc``
    :ivar vcpus: CPUs by vCPU; a missing vCPU was not reported
    :ivar nodes: the nodes of the memory, by guest cell
    :ivar page_kib: the page sizes, by guest cell
    """

    source: str
    vcpus: Mapping[int, frozenset[int]] = dataclasses.field(
        default_factory=dict
    )
    emulator: frozenset[int] | None = None
    iothreads: Mapping[int, frozenset[int]] = dataclasses.field(
        default_factory=dict
    )
    nodes: Mapping[int, frozenset[int]] = dataclasses.field(
        default_factory=dict
    )
    page_kib: Mapping[int, frozenset[int]] = dataclasses.field(
        default_factory=dict
    )


@dataclasses.dataclass(frozen=True)
class Difference:
    """A part that is not placed as in the layout.

    :ivar number: of the vCPU, iothread or cell; None for the emulator
    """

    part: Part
    number: int | None
    wanted: frozenset[int]
    found: frozenset[int]
    source: str

    def __str__(self) -> str:
        unit = {Part.MEMORY: 'node', Part.PAGES: 'KiB'}.get(self.part, 'CPU')
        name = self.part.value + (
            '' if self.number is None else f' {self.number}'
        )
        return (
            f'{name}: {unit} {cpuset.format(self.wanted)} wanted,'
            f' {cpuset.format(self.found) or "none"} found'
            f' ({self.source})'
        )


def differences(layout: Layout, live: Live) -> tuple[Difference, ...]:
    """Return all differences between a guest and its layout.

    Only parts that the layout sets and the source reports are compared.
    """
    return (*_pins(layout, live), *_memory(layout, live))


def _pins(layout: Layout, live: Live) -> Iterator[Difference]:
    for vcpu, wanted in layout.vcpus.items():
        found = live.vcpus.get(vcpu)
        if found is not None and found != wanted:
            yield Difference(Part.VCPU, vcpu, wanted, found, live.source)
    if None not in (layout.emulator, live.emulator) and (
        layout.emulator != live.emulator
    ):
        assert layout.emulator is not None and live.emulator is not None
        yield Difference(
            Part.EMULATOR, None, layout.emulator, live.emulator, live.source
        )
    for number, found in live.iothreads.items():
        cpus = layout.iothread(number)
        if cpus is not None and found != cpus:
            yield Difference(Part.IOTHREAD, number, cpus, found, live.source)


def _memory(layout: Layout, live: Live) -> Iterator[Difference]:
    for cell in layout.cells:
        nodes = live.nodes.get(cell.id)
        if nodes is not None and not nodes <= cell.nodes:
            yield Difference(
                Part.MEMORY, cell.id, cell.nodes, nodes, live.source
            )
        sizes = live.page_kib.get(cell.id)
        if (
            cell.page_kib is not None
            and sizes is not None
            and (sizes != {cell.page_kib})
        ):
            yield Difference(
                Part.PAGES,
                cell.id,
                frozenset({cell.page_kib}),
                sizes,
                live.source,
            )


def live_of_layout(layout: Layout) -> Live:
    """Return libvirt's view of a running domain, read as a layout."""
    return Live(
        'libvirt',
        layout.vcpus,
        layout.emulator,
        layout.iothreads,
        {cell.id: cell.nodes for cell in layout.cells},
        {
            cell.id: frozenset({cell.page_kib})
            for cell in layout.cells
            if cell.page_kib is not None
        },
    )


def live_of_process(
    pid: int,
    threads: Mapping[int, procfs.Thread],
    mappings: Iterable[procfs.Mapping] = (),
    memory_kib: Mapping[int, int] | None = None,
) -> Live:
    """Return the kernel's view of a running QEMU.

    :param threads: by thread id
    :param mappings: of its memory; empty if they could not be read
    :param memory_kib: by guest cell. Identifies, by its size, the RAM of a
        cell that has no file. Nothing is reported for such cells if two have
        the same size
    """
    vcpus, iothreads, emulator = {}, {}, None
    for tid, thread in threads.items():
        if thread.vcpu is not None:
            vcpus[thread.vcpu] = thread.cpus
        elif thread.iothread is not None:
            iothreads[thread.iothread] = thread.cpus
        elif tid == pid:
            emulator = thread.cpus
    sizes = list((memory_kib or {}).values())
    by_size = {
        kib: cell
        for cell, kib in (memory_kib or {}).items()
        if sizes.count(kib) == 1
    }
    nodes: dict[int, set[int]] = {}
    page_kib: dict[int, set[int]] = {}
    for mapping in mappings:
        cell = mapping.ram
        if mapping.file is None and mapping.kib is not None:
            cell = by_size.get(mapping.kib)
        if cell is not None:
            nodes.setdefault(cell, set()).update(mapping.pages)
            page_kib.setdefault(cell, set()).add(mapping.page_kib)
    return Live(
        '/proc',
        vcpus,
        emulator,
        iothreads,
        {cell: frozenset(found) for cell, found in nodes.items()},
        {cell: frozenset(found) for cell, found in page_kib.items()},
    )
