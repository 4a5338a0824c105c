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


"""Layouts: what can be said, and the form they travel in."""

import json
import unittest

from nova_arm_migrate.numa import cpuset
from nova_arm_migrate.numa import wire
from nova_arm_migrate.numa.errors import LayoutError
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.layout import Scheduler

ONE = frozenset({1})


class TestLayout(unittest.TestCase):
    def test_bad_values(self) -> None:
        for path, make in (
            ('layout.vcpus[0]', lambda: Layout(vcpus={0: frozenset()})),
            ('layout.vcpus[0]', lambda: Layout(vcpus={0: frozenset({-1})})),
            ('layout.vcpus[0]', lambda: Layout(vcpus={0: frozenset({True})})),
            ('layout.vcpus', lambda: Layout(vcpus={4096: ONE})),
            (
                'layout.iothreads[1]',
                lambda: Layout(iothreads={1: frozenset({1 << 20})}),
            ),
            ('layout.emulator', lambda: Layout(emulator=frozenset())),
            ('layout.shared', lambda: Layout(shared=frozenset())),
            (
                'layout.cells',
                lambda: Layout(cells=(Cell(0, ONE), Cell(0, ONE))),
            ),
            ('layout.cells', lambda: Cell(-1, ONE)),
            ('layout.cells[0].nodes', lambda: Cell(0, frozenset())),
            ('layout.cells[0].mode', lambda: Cell(0, ONE, 'lax')),
            ('layout.cells[0].page_kib', lambda: Cell(0, ONE, page_kib=3)),
            ('layout.cells[0].page_kib', lambda: Cell(0, ONE, page_kib=0)),
            (
                'layout.scheduler.vcpus',
                lambda: Scheduler(frozenset(), 'fifo', 1),
            ),
            ('layout.scheduler.policy', lambda: Scheduler(ONE, 'best')),
            ('layout.scheduler.priority', lambda: Scheduler(ONE, 'fifo')),
            ('layout.scheduler.priority', lambda: Scheduler(ONE, 'batch', 4)),
            ('layout.scheduler.priority', lambda: Scheduler(ONE, 'fifo', 100)),
            (
                'layout.scheduler.vcpus',
                lambda: Layout(
                    vcpus={0: ONE}, scheduler=Scheduler(ONE, 'rr', 1)
                ),
            ),
        ):
            with self.subTest(path), self.assertRaises(LayoutError) as e:
                make()
            self.assertEqual(path, e.exception.path)

    def test_what_follows_from_it(self) -> None:
        layout = Layout(
            vcpus={0: ONE, 1: frozenset({2, 3})},
            emulator=frozenset({4}),
            iothreads={2: frozenset({5})},
            cells=(Cell(1, frozenset({7})), Cell(0, frozenset({8}))),
        )
        self.assertEqual([0, 1], [cell.id for cell in layout.cells])
        self.assertEqual(frozenset({7, 8}), layout.nodes)
        self.assertEqual(frozenset({1, 2, 3, 4, 5}), layout.cpus)
        self.assertEqual({0: 1}, layout.dedicated)
        self.assertEqual(frozenset({4}), layout.iothread(1))
        self.assertEqual(frozenset({5}), layout.iothread(2))


class TestCpuset(unittest.TestCase):
    def test_forms(self) -> None:
        for text, numbers in (
            ('', set()),
            ('0', {0}),
            ('0-2,5', {0, 1, 2, 5}),
            (' 3 , 1 ', {1, 3}),
            ('0-3,^1-2', {0, 3}),
        ):
            self.assertEqual(numbers, cpuset.parse(text))

    def test_written_as_libvirt_does(self) -> None:
        for text in ('', '0', '0-1', '0,2', '1-3,7,9-10'):
            self.assertEqual(text, cpuset.format(cpuset.parse(text)))

    def test_others(self) -> None:
        for text in ('a', '1-', '-1', '2-1', '0-99999', '1,,2', '1.5'):
            with self.subTest(text), self.assertRaises(ValueError):
                cpuset.parse(text)


class TestWire(unittest.TestCase):
    def test_damaged(self) -> None:
        good = json.loads(wire.dump(Layout()))
        for path, change in (
            ('layout.version', {'version': 2}),
            ('layout.version', {'version': None}),
            ('layout.version', {'version': 1.0}),
            ('layout.version', {'version': True}),
            ('layout.vcpus', {'vcpus': {}}),
            ('layout.vcpus', {'vcpus': [[0]]}),
            ('layout.vcpus', {'vcpus': [['0', '1']]}),
            ('layout.vcpus', {'vcpus': [[True, '1']]}),
            ('layout.vcpus', {'vcpus': [[0, '1'], [0, '1']]}),
            ('layout.vcpus[0]', {'vcpus': [[0, 1]]}),
            ('layout.vcpus[0]', {'vcpus': [[0, 'x']]}),
            ('layout.emulator', {'emulator': 3}),
            ('layout.cells', {'cells': [[0, '1', 1, None]]}),
            (
                'layout.cells[0].page_kib',
                {'cells': [[0, '1', 'strict', 'huge']]},
            ),
            ('layout.cells', {'cells': [['x', '1', 'strict', None]]}),
            ('layout.scheduler', {'scheduler': 'fifo'}),
            ('layout.scheduler', {'scheduler': ['1', 1, 1]}),
            (
                'layout.scheduler.priority',
                {'scheduler': ['1', 'fifo', 'high']},
            ),
        ):
            with self.subTest(change), self.assertRaises(LayoutError) as e:
                wire.load(json.dumps(good | change))
            self.assertEqual(path, e.exception.path)

    def test_not_a_record(self) -> None:
        for text in (
            '',
            '[]',
            '[' * 100000,
            'x' * (wire.LIMIT + 1),
            '{"version":1,"vcpus":[],"vcpus":[]}',
        ):
            with self.assertRaisesRegex(LayoutError, '^layout: '):
                wire.load(text)
