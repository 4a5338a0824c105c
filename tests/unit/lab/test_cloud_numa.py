# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""What the NUMA run reads off a host and off Nova's database."""

import json
from typing import Any
import unittest

from tests.lab.cloud import numa_look

PROC = """\
M qemu-system-aar 2-3 0 0
T IO_iothread1 2-3 0 0
T worker 0-3 0 0
T CPU_0/KVM 2 0 0
T CPU_1/KVM 3 1 1
ffff0000 bind=static:2 file=/dev/hugepages/x huge dirty=128 N2=128 \
kernelpagesize_kB=2048
ffff1000 bind=static:3 file=/dev/hugepages/y huge dirty=128 N3=128 \
kernelpagesize_kB=2048
ffff2000 bind=static:3 file=/dev/hugepages/z huge kernelpagesize_kB=4096
"""
FOUND = numa_look.Layout(
    {0: frozenset({2}), 1: frozenset({3})},
    frozenset({2, 3}),
    {1: frozenset({2, 3})},
    {1: 1},
    frozenset({2, 3}),
    frozenset({2048}),
)


def nova(*cells: dict[str, Any]) -> str:
    return json.dumps(
        {
            'nova_object.data': {
                'cells': [{'nova_object.data': cell} for cell in cells]
            }
        }
    )


class TestLook(unittest.TestCase):
    def test_what_the_kernel_has(self) -> None:
        self.assertEqual(FOUND, numa_look.live(PROC))
        self.assertEqual(numa_look.Layout(), numa_look.live(''))
        self.assertEqual(
            'vCPUs 0:2 1:3, emulator 2-3, I/O threads 1:2-3, fifo {1: 1}, '
            'nodes 2-3 in pages of 2048 KiB',
            str(FOUND),
        )

    def test_what_nova_has(self) -> None:
        cells = (
            {'id': 2, 'cpu_pinning_raw': {'0': 2}, 'pagesize': 2048},
            {'id': 3, 'cpu_pinning_raw': {'1': 3}, 'pagesize': None},
        )
        wanted = numa_look.claimed(nova(*cells), 2)
        both = frozenset({2, 3})
        self.assertEqual(FOUND.vcpus, wanted.vcpus)
        self.assertEqual({1: both, 2: both}, wanted.iothreads)
        self.assertEqual(both, wanted.emulator)
        self.assertEqual({2}, wanted.nodes)
        self.assertEqual({}, wanted.fifo)
        wanted = numa_look.claimed(nova(*cells), realtime={1: 1})
        self.assertEqual({2}, wanted.emulator)
        self.assertEqual({1: 1}, wanted.fifo)
        self.assertEqual(
            numa_look.Layout(), numa_look.claimed(nova({'id': 0}), 0)
        )

    def test_what_differs(self) -> None:
        self.assertEqual([], numa_look.differences(FOUND, FOUND))
        wanted = numa_look.claimed(
            nova(
                {
                    'id': 2,
                    'cpu_pinning_raw': {'0': 2, '1': 3},
                    'pagesize': 2048,
                }
            ),
            2,
            {1: 1},
        )
        self.assertEqual(
            ['emulator', 'iothreads', 'nodes'],
            numa_look.differences(wanted, FOUND),
        )

    def test_what_a_tracker_has(self) -> None:
        def pages(*used: int) -> list[dict[str, Any]]:
            return [
                {'nova_object.data': {'size_kb': kib, 'used': count}}
                for kib, count in zip((4, 2048), used)
            ]

        self.assertEqual(
            (frozenset({0, 3}), {0: 128, 1: 0}),
            numa_look.tracked(
                nova(
                    {'id': 0, 'pinned_cpus': [0], 'mempages': pages(7, 128)},
                    {'id': 1, 'pinned_cpus': [3], 'mempages': pages(7)},
                )
            ),
        )

    def test_how_long_it_took(self) -> None:
        log = ''.join(
            f'INFO x [-] NUMA layout: {text} s\n'
            for text in (
                'dry run took 1.5',
                'comparison took 2.5',
                'dry run took 0.574',
            )
        )
        self.assertEqual(
            {'dry run': 0.574, 'comparison': 2.5}, numa_look.took(log)
        )
        self.assertEqual(
            5.234,
            numa_look.elapsed(
                'Job type:         Completed\n'
                'Time elapsed:     5234         ms\n'
                'Time elapsed w/o network: 5230 ms\n'
            ),
        )
        self.assertEqual(0, numa_look.elapsed('Job type: None\n'))
