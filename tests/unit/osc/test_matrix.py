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

import pathlib
from unittest import mock

from nova_arm_migrate.cli import picture
from nova_arm_migrate.osc import matrix
from nova_arm_migrate.osc.matrix import ShowMatrix
from nova_arm_migrate.osc.what_if import WhatIf
from tests.unit.osc import base


class MatrixTestCase(base.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api.hypervisors = [
            base.hypervisor('v1-a', base.V1),
            base.hypervisor('v1-b', base.V1),
            base.hypervisor('plain', base.V1_NO_SVE),
        ]


class TestMatrix(MatrixTestCase):
    def test_marks_in_a_table(self) -> None:
        printed = self.run_command(ShowMatrix)
        first, second = printed.splitlines()[3:5]
        self.assertEqual(
            ['1', 'v1-a (2 hosts)', '1', '+', 'x'],
            [cell.strip() for cell in first.split('|')[1:-1]],
        )
        self.assertEqual(
            ['2', 'plain (1 host)', '2', 'x', '+'],
            [cell.strip() for cell in second.split('|')[1:-1]],
        )

    def test_programs_get_the_field(self) -> None:
        first, _ = self.json(ShowMatrix)
        self.assertEqual(['v1-a', 'v1-b'], first['Hosts'])
        self.assertEqual('compatible', first['1'])
        self.assertTrue(first['2'].startswith('incompatible: '), first)
        self.assertEqual(first['2'], self.csv(ShowMatrix)[0]['2'])

    def test_a_page(self) -> None:
        """It needs no matplotlib."""
        path = self.directory / 'fleet.html'
        with mock.patch.dict('sys.modules', {'matplotlib.figure': None}):
            self.run_command(ShowMatrix, '--output', str(path))
        text = path.read_text()
        self.assertTrue(text.startswith('<!DOCTYPE html>'))
        self.assertIn('"names":["v1-a","v1-b"]', text)
        self.assertIn('"command":"openstack arm64 compare"', text)

    def test_host_by_host(self) -> None:
        rows = self.json(ShowMatrix, '--by', 'host')
        self.assertEqual(
            ['v1-a', 'v1-b', 'plain'], [row['Hosts'] for row in rows]
        )
        self.assertEqual(
            ('compatible', 'compatible'), (rows[0]['2'], rows[1]['1'])
        )

    def test_one_line_for_each_cell(self) -> None:
        rows = self.json(ShowMatrix, '--long', '--by', 'host')
        self.assertEqual(9, len(rows))
        (one,) = (
            row
            for row in rows
            if (row['Source'], row['Destination']) == ('v1-a', 'plain')
        )
        self.assertEqual('incompatible', one['Verdict'])
        self.assertNotEqual('', one['Field'])

    def test_too_many_hosts(self) -> None:
        with mock.patch.object(matrix, 'MOST_HOSTS', 2):
            self.assertIn(
                '3 hosts are too many',
                self.refused(ShowMatrix, '--by', 'host'),
            )

    def test_a_picture(self) -> None:
        path = str(self.directory / 'a.svg')
        self.run_command(ShowMatrix, '--output', path)
        self.assertIn('<svg', pathlib.Path(path).read_text())

    def test_a_picture_with_other_suffix(self) -> None:
        self.assertEqual(
            '--output: a.txt: the suffix must be one of .html, .png, .svg,'
            ' .pdf',
            self.refused(ShowMatrix, '--output', 'a.txt'),
        )
        self.assertEqual([], self.api.asked)

    def test_a_picture_of_the_first_rows(self) -> None:
        with mock.patch.object(picture, 'MOST', 1):
            self.run_command(
                ShowMatrix, '--output', str(self.directory / 'a.svg')
            )
        self.assertIn('the first 1 of 2 rows', self.log.output)


class TestWhatIf(MatrixTestCase):
    def test_a_host_joins_another_pool(self) -> None:
        moved, stay = self.json(
            WhatIf, '--host', 'plain', '--profile', self.profile(base.V1)
        )[::-1]
        self.assertEqual(
            {
                'Before': 2,
                'After': 1,
                'Changed': True,
                'Hosts': 1,
                'Destinations Before': 0,
                'Destinations After': 2,
                'Names': ['plain'],
            },
            moved,
        )
        self.assertEqual(
            (1, 1, True, 2, 1, 2),
            tuple(stay.values())[:6],
        )

    def test_a_new_host(self) -> None:
        rows = self.json(
            WhatIf, '--host', 'new', '--profile', self.profile(base.N1)
        )
        (new,) = (row for row in rows if row['Names'] == ['new'])
        self.assertEqual((None, True), (new['Before'], new['Changed']))
        others = [row for row in rows if row is not new]
        self.assertEqual([False, False], [row['Changed'] for row in others])

    def test_several_hosts_by_either_name(self) -> None:
        rows = self.json(
            WhatIf,
            '--host',
            'v1-a.example.org',
            '--host',
            'v1-b',
            '--profile',
            self.profile(base.V1_NO_SVE),
        )
        self.assertEqual({1}, {row['After'] for row in rows})
        self.assertEqual(3, sum(row['Hosts'] for row in rows))

    def test_a_damaged_profile(self) -> None:
        path = self.file('a.json', '[]')
        self.assertIn(
            'record is not a JSON object',
            self.refused(WhatIf, '--host', 'x', '--profile', path),
        )
        self.assertEqual([], self.api.asked)
