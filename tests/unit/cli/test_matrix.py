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


import dataclasses
import importlib.util
import json
import os
import pathlib
import stat
import struct
import sys
from unittest import mock

import testtools

from nova_arm_migrate.cli import picture
from nova_arm_migrate.core.matrix import Matrix
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from tests.unit.cli import base

LAB = pathlib.Path(__file__).parents[2] / 'fixtures' / 'lab'
TRIXIE = str(LAB / 'neoverse-n1_trixie.json')
FORKY = str(LAB / 'neoverse-n1_forky.json')
A72 = str(LAB / 'cortex-a72_trixie.json')


class TestMatrix(base.CommandTestCase):
    def test_table(self) -> None:
        code, out, err = self.run_command(
            'baseline', '--matrix', TRIXIE, FORKY, A72
        )
        self.assertEqual((1, ''), (code, err))
        self.assertIn(
            '  1 2 3\n'
            '1 + x x  pool 2: neoverse-n1_forky (1 host)\n'
            '2 + + x  pool 3: neoverse-n1_trixie (1 host)\n'
            '3 x x +  pool 1: cortex-a72_trixie (1 host)\n',
            out,
        )
        self.assertIn('  1 to 2: x PSCI_VERSION\n', out)
        self.assertIn('  3 to 1-2: x MIDR_EL1', out)

    def test_hosts_of_one_kind_are_one_row(self) -> None:
        text = pathlib.Path(TRIXIE).read_text()
        paths = [self.file(f'{place}.json', text) for place in range(12)]
        code, out, _ = self.run_command('baseline', '--matrix', *paths)
        self.assertEqual(0, code)
        self.assertIn('1 +  pool 1: 0 (12 hosts)\n', out)
        self.assertIn('First field that prevents a move\n  nothing\n', out)

    def test_columns_of_two_digits(self) -> None:
        with open(base.V1_612) as file:
            host = load_host(file.read().strip())
        paths = [
            self.file(
                f'{hz:02}.json',
                dump_host(dataclasses.replace(host, cntfrq=hz)),
            )
            for hz in range(10, 21)
        ]
        _, out, _ = self.run_command('baseline', '--matrix', *paths)
        self.assertIn(
            '\n                     1 1\n'
            '   1 2 3 4 5 6 7 8 9 0 1\n'
            ' 1 + ! ! ! !',
            out,
        )
        self.assertIn('  2 to 1, 3-11: ! CNTFRQ_EL0\n', out)

    def test_json(self) -> None:
        _code, out, _ = self.run_command(
            'baseline', '--matrix', TRIXIE, FORKY, '-f', 'json'
        )
        result = json.loads(out)
        self.assertEqual(
            [
                {'hosts': ['neoverse-n1_forky'], 'pool': 0},
                {'hosts': ['neoverse-n1_trixie'], 'pool': 1},
            ],
            result['profiles'],
        )
        refused = result['cells'][0][1]
        self.assertEqual(
            ('incompatible', 'incompatible', 'PSCI_VERSION'),
            (
                refused['verdict'],
                refused['mark'],
                refused['first']['register'],
            ),
        )
        self.assertIsNone(result['cells'][0][0]['first'])

    def test_damaged_record(self) -> None:
        bad = self.file('bad.json', '{')
        self.assertIn(
            'bad.json',
            self.assert_refused('baseline', '--matrix', TRIXIE, bad),
        )


class TestPictureFile(base.CommandTestCase):
    """What becomes of a picture, whoever has drawn it."""

    def setUp(self) -> None:
        super().setUp()
        self.drawn: list[tuple[Matrix, str, str]] = []
        self.target = str(self.directory / 'fleet.png')
        for name, new in (
            ('draw', self.draw),
            ('_need_matplotlib', lambda option: None),
        ):
            patch = mock.patch.object(picture, name, new)
            patch.start()
            self.addCleanup(patch.stop)

    def draw(self, matrix: Matrix, form: str, note: str = '') -> bytes:
        self.drawn.append((matrix, form, note))
        return b'picture'

    def files(self) -> list[str]:
        return sorted(os.listdir(self.directory))

    def test_written_beside_what_is_printed(self) -> None:
        code, out, err = self.run_command(
            'baseline', TRIXIE, FORKY, '--picture', self.target
        )
        self.assertEqual((0, ''), (code, err))
        self.assertTrue(out.startswith('Baseline:'))
        self.assertEqual(b'picture', pathlib.Path(self.target).read_bytes())
        self.assertEqual(['fleet.png'], self.files())
        ((matrix, form, note),) = self.drawn
        self.assertEqual((2, 'png', ''), (len(matrix.cells), form, note))
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual(
            0o666 & ~mask, stat.S_IMODE(os.stat(self.target).st_mode)
        )

    def test_more_rows_than_can_be_read(self) -> None:
        with open(base.V1_612) as file:
            host = load_host(file.read().strip())
        paths = [
            self.file(
                f'{hz}.json', dump_host(dataclasses.replace(host, cntfrq=hz))
            )
            for hz in range(100, 103)
        ]
        with mock.patch.object(picture, 'MOST', 2):
            code, _, err = self.run_command(
                'baseline', *paths, '--picture', self.target
            )
        self.assertEqual(1, code)
        self.assertIn('the first 2 of 3 rows', err)
        ((matrix, _, note),) = self.drawn
        self.assertEqual(2, len(matrix.profiles))
        self.assertIn('the first 2 of 3 rows', note)

    def test_unknown_suffix(self) -> None:
        for name in ('fleet.gif', 'fleet'):
            line = self.assert_refused('baseline', TRIXIE, '--picture', name)
            self.assertIn('.png, .svg, .pdf', line)
        self.assertEqual([], self.drawn)

    def test_damaged_record(self) -> None:
        bad = self.file('bad.json', '{')
        self.assert_refused('baseline', TRIXIE, bad, '--picture', self.target)
        self.assertEqual(['bad.json'], self.files())

    def test_no_such_directory(self) -> None:
        line = self.assert_refused(
            'baseline', TRIXIE, '--picture', '/nowhere/fleet.svg'
        )
        self.assertIn('No such file or directory', line)

    def test_target_that_can_not_be_replaced(self) -> None:
        os.mkdir(self.target)
        self.assert_refused('baseline', TRIXIE, '--picture', self.target)
        self.assertEqual(['fleet.png'], self.files())


class TestWithoutMatplotlib(base.CommandTestCase):
    def test_one_line(self) -> None:
        with mock.patch.dict(
            sys.modules, {'matplotlib': None, 'matplotlib.figure': None}
        ):
            line = self.assert_refused(
                'baseline',
                TRIXIE,
                '--picture',
                str(self.directory / 'fleet.png'),
            )
        self.assertIn('pip install nova-arm-migrate[picture]', line)
        self.assertEqual([], os.listdir(self.directory))


@testtools.skipIf(
    importlib.util.find_spec('matplotlib') is None,
    'matplotlib is not installed',
)
class TestDrawing(base.CommandTestCase):
    def draw(self, name: str, *hosts: str) -> bytes:
        target = self.directory / name
        _, _, err = self.run_command(
            'baseline', *hosts, '--picture', str(target)
        )
        self.assertEqual('', err)
        return target.read_bytes()

    def test_png(self) -> None:
        data = self.draw('fleet.png', TRIXIE, FORKY)
        self.assertEqual(b'\x89PNG\r\n\x1a\n', data[:8])
        small = struct.unpack('>II', data[16:24])
        large = struct.unpack(
            '>II',
            self.draw('fleet.png', *map(str, LAB.glob('neoverse-*.json')))[
                16:24
            ],
        )
        self.assertGreater(large, small)

    def test_same_bytes_each_time(self) -> None:
        for name in ('fleet.svg', 'fleet.pdf'):
            self.assertEqual(
                self.draw(name, TRIXIE, FORKY), self.draw(name, TRIXIE, FORKY)
            )

    def test_svg_has_labels_and_fields(self) -> None:
        # Glyphs are paths; the text stands in a comment beside them.
        text = self.draw('fleet.svg', TRIXIE, FORKY, A72).decode()
        for part in (
            'neoverse-n1_trixie (1 host)',
            'PSCI_VERSION',
            'MIDR_EL1',
            'silent hazard',
            '3 hosts',
        ):
            self.assertIn(part, text)

    def test_names_are_no_formulas(self) -> None:
        text = pathlib.Path(A72).read_text()
        path = self.file('$\\frac{$<x>&.json', text)
        self.draw('fleet.svg', path, TRIXIE)
