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


"""A layout against a host, and a guest that runs against its layout."""

from collections.abc import Iterable
import dataclasses
import unittest

from nova_arm_migrate.numa import cpuset
from nova_arm_migrate.numa import hostcheck
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa import procfs
from nova_arm_migrate.numa import proof
from nova_arm_migrate.numa.domain import layout_of
from nova_arm_migrate.numa.hostcheck import HostNuma
from nova_arm_migrate.numa.hostcheck import Node
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import Layout
from tests.unit.numa import domains

#: Sparse numbers, a node without memory and one without CPUs.
HOST = HostNuma(
    online=frozenset({0, 1, 16, 17}),
    nodes={
        0: Node(frozenset({0, 1}), 1 << 20, {64: 0, 2048: 64}),
        3: Node(frozenset({16, 17}), 0, {2048: 0}),
        8: Node(frozenset(), 1 << 20, {2048: 32}),
    },
)


class TestHost(unittest.TestCase):
    def faults(
        self,
        layout: Layout,
        host: hostcheck.HostNuma = HOST,
        memory: Iterable[int] = (65536, 65536),
    ) -> list[str]:
        return [
            str(fault)
            for fault in hostcheck.faults(
                layout, host, dict(enumerate(memory))
            )
        ]

    def test_a_layout_that_fits(self) -> None:
        self.assertEqual(
            [],
            self.faults(
                Layout(
                    vcpus={0: frozenset({0}), 1: frozenset({16})},
                    emulator=frozenset({1}),
                    shared=frozenset({0}),
                    iothreads={1: frozenset({17})},
                    cells=(
                        Cell(0, frozenset({0}), page_kib=2048),
                        Cell(1, frozenset({8}), page_kib=2048),
                    ),
                )
            ),
        )

    def test_cpus_that_are_not_online(self) -> None:
        offline = frozenset({1, 2, 3})
        self.assertEqual(
            [
                f'{path}: CPU 2-3 is not online'
                for path in (
                    '/domain/cputune/vcpupin[@vcpu=0]',
                    '/domain/cputune/emulatorpin',
                    '/domain/cputune/iothreadpin[@iothread=1]',
                    '/domain/vcpu/@cpuset',
                )
            ],
            self.faults(
                Layout(
                    vcpus={0: offline},
                    emulator=offline,
                    iothreads={1: offline},
                    shared=offline,
                )
            ),
        )

    def test_cpus_that_another_guest_has(self) -> None:
        host = dataclasses.replace(
            HOST, held={'two': frozenset({16}), 'one': frozenset({0})}
        )
        self.assertEqual(
            ['/domain/cputune/vcpupin[@vcpu=0]: CPU 0 is also held by one'],
            self.faults(
                Layout(vcpus={0: frozenset({0}), 1: frozenset({16, 17})}), host
            ),
        )

    def test_nodes(self) -> None:
        self.assertEqual(
            [
                '/domain/numatune/memnode[@cellid=0]: there is no node 1',
                '/domain/numatune/memnode[@cellid=1]: node 3 has no memory',
            ],
            self.faults(
                Layout(
                    cells=(Cell(0, frozenset({0, 1})), Cell(1, frozenset({3})))
                )
            ),
        )

    def test_pages(self) -> None:
        path = '/domain/memoryBacking/hugepages/page'
        for words, cells, memory in (
            (
                'node 0 has no pages of 1048576 KiB',
                [Cell(0, frozenset({0}), page_kib=1 << 20)],
                [1 << 20],
            ),
            (
                'node 8 has 32 free pages of 2048 KiB, the guest needs 33',
                [Cell(0, frozenset({8}), page_kib=2048)],
                [67584],
            ),
            (
                'node 0 has 64 free pages of 2048 KiB, the guest needs 80',
                [
                    Cell(0, frozenset({0}), page_kib=2048),
                    Cell(1, frozenset({0}), page_kib=2048),
                ],
                [81920, 81920],
            ),
            (
                'node 0,8 has 96 free pages of 2048 KiB, the guest needs 97',
                [Cell(0, frozenset({0, 8}), page_kib=2048)],
                [198656],
            ),
            (
                'cell 0 has 65537 KiB, which is not a multiple of its page'
                ' size, 2048 KiB',
                [Cell(0, frozenset({0}), page_kib=2048)],
                [65537],
            ),
        ):
            with self.subTest(words):
                self.assertEqual(
                    [f'{path}: {words}'],
                    self.faults(Layout(cells=tuple(cells)), memory=memory),
                )

    def test_what_the_host_could_not_say_is_no_fault(self) -> None:
        host = HostNuma(None, {0: Node(frozenset(), 1)})
        self.assertEqual(
            [],
            self.faults(
                Layout(
                    vcpus={0: frozenset({99})},
                    cells=(Cell(0, frozenset({0}), page_kib=2048),),
                ),
                host,
            ),
        )

    def test_memory_of_cells(self) -> None:
        self.assertEqual(
            {0: 65536, 1: 65536},
            hostcheck.cell_memory_kib(
                parse.parse_domain(domains.read('two-cells-hugepages'))
            ),
        )
        self.assertEqual(
            {0: 4096},
            hostcheck.cell_memory_kib(
                parse.parse_domain(
                    "<domain><cpu><numa><cell memory='4'"
                    " unit='MiB'/></numa></cpu></domain>"
                )
            ),
        )


def process(name: str) -> tuple[Layout, proof.Live]:
    """(layout, Live of the kernel) of a recorded guest."""
    tasks, numa_maps, maps = domains.read_proc(name)
    threads = {}
    for line in tasks.splitlines():
        who, _, status = line.partition(' | ')
        tid, _, comm = who.partition(' ')
        threads[int(tid)] = procfs.Thread(comm, procfs.allowed_cpus(status))
    domain = parse.parse_domain(domains.read(name))
    return layout_of(domain), proof.live_of_process(
        min(threads),
        threads,
        procfs.mappings(numa_maps, maps),
        hostcheck.cell_memory_kib(domain),
    )


class TestProof(unittest.TestCase):
    def test_recorded_guests_are_where_their_xml_has_them(self) -> None:
        for name in ('one-cell-pinned', 'two-cells-hugepages'):
            with self.subTest(name):
                layout, live = process(name)
                self.assertEqual((), proof.differences(layout, live))
                self.assertEqual(set(layout.vcpus), set(live.vcpus))
                self.assertEqual(
                    {cell.id for cell in layout.cells}, set(live.nodes)
                )
                self.assertEqual(
                    (), proof.differences(layout, proof.live_of_layout(layout))
                )

    def test_every_part_can_differ(self) -> None:
        layout, live = process('two-cells-hugepages')
        wanted = Layout(
            vcpus=dict(layout.vcpus) | {1: frozenset({0})},
            emulator=frozenset({1}),
            cells=(
                Cell(0, frozenset({1}), page_kib=64),
                dataclasses.replace(layout.cells[1], page_kib=None),
            ),
        )
        self.assertEqual(
            [
                'vCPU 1: CPU 0 wanted, 3 found (/proc)',
                'emulator: CPU 1 wanted, 0,2 found (/proc)',
                'iothread 1: CPU 1 wanted, 0,2 found (/proc)',
                'memory of cell 0: node 1 wanted, 0 found (/proc)',
                'pages of cell 0: KiB 64 wanted, 2048 found (/proc)',
            ],
            [str(found) for found in proof.differences(wanted, live)],
        )

    def test_memory_in_part_elsewhere(self) -> None:
        layout = Layout(cells=(Cell(0, frozenset({0})),))
        (mapping,) = procfs.mappings(
            'ffff0000 bind:0 file=/x/ram-node0.aa huge N0=31 N1=1'
            ' kernelpagesize_kB=2048'
        )
        self.assertEqual(frozenset({0}), mapping.bound)
        (found,) = proof.differences(
            layout, proof.live_of_process(1, {}, [mapping])
        )
        self.assertEqual(frozenset({0, 1}), found.found)

    def test_cells_of_one_size_without_a_file_are_not_guessed(self) -> None:
        (mapping,) = procfs.mappings(
            '0 default N1=1 kernelpagesize_kB=4', '0-1000 rw-p\n'
        )
        self.assertIsNone(mapping.bound)
        live = proof.live_of_process(1, {}, [mapping], {0: 4, 1: 4})
        self.assertEqual({}, live.nodes)
        live = proof.live_of_process(1, {}, [mapping], {0: 4, 1: 8})
        self.assertEqual({0: frozenset({1})}, live.nodes)

    def test_text_of_another_form(self) -> None:
        with self.assertRaises(ValueError):
            procfs.allowed_cpus('Name:\tx\n')
        with self.assertRaises(ValueError):
            list(procfs.mappings('zz default N0=1 kernelpagesize_kB=4'))

    def test_threads(self) -> None:
        for name, vcpu, iothread in (
            ('CPU 63/KVM', 63, None),
            ('IO iothread12', None, 12),
            ('IO mon_iothread', None, None),
            ('worker', None, None),
        ):
            thread = procfs.Thread(name, cpuset.parse('1'))
            self.assertEqual((vcpu, iothread), (thread.vcpu, thread.iothread))
