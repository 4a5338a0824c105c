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
"""A fleet from files: ``pool``, ``what-if`` and ``matrix``."""

import json
import pathlib
from typing import Any

from nova_arm_migrate.osc.pool import ListPool
from nova_arm_migrate.osc.pool import ShowPool
from nova_arm_migrate.osc.what_if import WhatIf
from tests.unit.cli import base
from tests.unit.osc import base as osc_base

LAB = pathlib.Path(__file__).parents[2] / 'fixtures' / 'lab'
TRIXIE = str(LAB / 'neoverse-n1_trixie.json')
FORKY = str(LAB / 'neoverse-n1_forky.json')
A72 = str(LAB / 'cortex-a72_trixie.json')
HOSTS = (TRIXIE, FORKY, A72)


class FleetTestCase(base.CommandTestCase):
    def json(self, *arguments: str) -> Any:
        code, out, err = self.run_command(*arguments, '-f', 'json')
        self.assertEqual((0, ''), (code, err))
        return json.loads(out)

    def table(self, *arguments: str) -> str:
        code, out, err = self.run_command(*arguments)
        self.assertEqual((0, ''), (code, err))
        return out


class TestPool(FleetTestCase):
    def test_the_pools(self) -> None:
        rows = self.json('pool', 'list', *HOSTS)
        self.assertEqual(
            [['cortex-a72_trixie'], ['neoverse-n1_forky']],
            [row['Names'] for row in rows[:2]],
        )
        self.assertEqual([[], [], [2]], [row['One Way To'] for row in rows])
        head, first, *_ = self.table('pool', 'list', *HOSTS).splitlines()
        self.assertEqual(
            ['Pool', 'Hosts', 'Profiles', 'Core', 'One', 'Way', 'To', 'Names'],
            head.split(),
        )
        self.assertIn('cortex-a72_trixie', first)

    def test_people_see_the_first_names(self) -> None:
        text = pathlib.Path(TRIXIE).read_text()
        paths = [self.file(f'{place}.json', text) for place in range(8)]
        self.assertIn(
            '0, 1, 2, 3, 4 and 3 more', self.table('pool', 'list', *paths)
        )

    def test_one_pool(self) -> None:
        shown = self.json('pool', 'show', 'neoverse-n1_trixie', *HOSTS)
        self.assertEqual(shown, self.json('pool', 'show', '3', *HOSTS))
        self.assertEqual([2], shown['one_way_to'])
        self.assertEqual([], shown['apart'][0]['to'])
        self.assertIn('PSCI_VERSION', shown['apart'][0]['from'])
        printed = self.table('pool', 'show', '3', *HOSTS)
        self.assertIn('\nswitch_off     -\n', printed)
        self.assertIn('  from 2: PSCI_VERSION', printed)

    def test_no_such_pool(self) -> None:
        for name in ('4', '0', 'x\x1b', 'x' * 5000):
            line = self.assert_refused('pool', 'show', name, *HOSTS)
            self.assertIn('no pool ', line)
            self.assertLess(len(line), 400)

    def test_options_of_the_comparison(self) -> None:
        rows = self.json(
            'pool', 'list', TRIXIE, FORKY, '--override', 'PSCI_VERSION'
        )
        self.assertEqual([2], [row['Hosts'] for row in rows])
        self.assert_refused('pool', 'list', TRIXIE, '--override', 'X')

    def test_bad_records(self) -> None:
        bad = self.file('bad.json', '{')
        for words in (('pool', 'list'), ('pool', 'show', '1'), ('matrix',)):
            self.assertIn('bad.json', self.assert_refused(*words, TRIXIE, bad))
        self.assert_refused('pool', 'list')
        self.assert_refused('pool')

    def test_equal_names_of_files(self) -> None:
        (self.directory / 'more').mkdir()
        text = pathlib.Path(TRIXIE).read_text()
        paths = [self.file('a.json', text), self.file('more/a.json', text)]
        (row,) = self.json('pool', 'list', *paths)
        self.assertEqual(sorted(['a', paths[1]]), sorted(row['Names']))


class TestWhatIf(FleetTestCase):
    def test_a_newer_kernel(self) -> None:
        rows = self.json(
            *('what-if', '--host', 'neoverse-n1_trixie', '--profile', FORKY),
            *HOSTS,
        )
        moved = {name: row for row in rows for name in row['Names']}
        self.assertEqual(
            (3, 1, True, 1, 1),
            tuple(
                moved['neoverse-n1_trixie'][column]
                for column in (
                    *('Before', 'After', 'Changed'),
                    *('Destinations Before', 'Destinations After'),
                )
            ),
        )
        self.assertFalse(moved['cortex-a72_trixie']['Changed'])

    def test_a_new_host(self) -> None:
        printed = self.table(
            'what-if', '--host', 'new', '--profile', FORKY, TRIXIE
        )
        self.assertRegex(printed, r'\n- +2 +True +1 +- +0 +new')

    def test_bad_input(self) -> None:
        bad = self.file('bad.json', '{')
        words = ('what-if', '--host', 'a', '--profile')
        self.assertIn('bad.json', self.assert_refused(*words, bad, TRIXIE))
        self.assertIn('bad.json', self.assert_refused(*words, TRIXIE, bad))
        self.assert_refused('what-if', '--host', 'a', TRIXIE)


class TestMatrix(FleetTestCase):
    def test_the_matrix(self) -> None:
        self.assertIn('x PSCI_VERSION', self.table('matrix', *HOSTS))
        self.assertEqual(3, len(self.json('matrix', *HOSTS)['cells']))

    def test_a_page(self) -> None:
        path = self.directory / 'fleet.html'
        self.table('matrix', *HOSTS, '--output', str(path))
        text = path.read_text()
        self.assertTrue(text.startswith('<!DOCTYPE html>'))
        self.assertIn('"command":"nova-arm-migrate compare"', text)

    def test_bad_output(self) -> None:
        for target in ('a.txt', '/nowhere/a.html'):
            self.assertIn(
                '--output',
                self.assert_refused('matrix', *HOSTS, '--output', target),
            )


class Cloud(osc_base.CommandTestCase):
    """Runs the commands of osc on the same hosts."""

    def runTest(self) -> None:
        """Only so that there can be an instance."""


class TestSameAsOpenstack(FleetTestCase):
    """The same hosts in a cloud give the same JSON."""

    def setUp(self) -> None:
        super().setUp()
        self.cloud = Cloud()
        self.cloud.api = osc_base.Api()
        self.cloud.api.hypervisors = [
            osc_base.hypervisor(
                pathlib.Path(path).stem,
                cpu_info={
                    'arch': 'aarch64',
                    'arm_migrate': json.loads(pathlib.Path(path).read_text()),
                },
            )
            for path in HOSTS
        ]

    def same(self, command: type[Any], words: list[str], *more: str) -> None:
        self.assertEqual(
            self.cloud.json(command, *more), self.json(*words, *more, *HOSTS)
        )

    def test_each_verb(self) -> None:
        self.same(ListPool, ['pool', 'list'])
        self.same(ShowPool, ['pool', 'show'], '2')
        self.same(
            *(WhatIf, ['what-if']),
            *('--host', 'neoverse-n1_trixie', '--profile', FORKY),
        )
