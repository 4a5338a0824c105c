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

"""``baseline --name``, ``baseline check`` and ``baseline diff``."""

import json

from nova_arm_migrate.core import baseline_file
from tests import silicon
from tests.unit.cli import base

LAB = silicon.FIXTURES / 'lab'


def lab(name: str) -> str:
    return str(LAB / f'{name}_forky.json')


V1, N2, N1, A710 = map(
    lab, ('neoverse-v1', 'neoverse-n2', 'neoverse-n1', 'cortex-a710')
)


class TestCpuBaseline(base.CommandTestCase):
    def made(self, name: str, *hosts: str) -> str:
        """Make a baseline's file; return its path."""
        path = str(self.directory / f'{name}.json')
        code, _, err = self.run_command(
            'baseline', '--name', name, '-o', path, *hosts
        )
        self.assertEqual((0, ''), (code, err))
        return path

    def changed(self, path: str, register: str, value: str) -> str:
        """A copy of a baseline's file with one register changed."""
        with open(path) as file:
            record = json.load(file)
        record['registers'][register] = value
        return self.file('changed.json', json.dumps(record))

    def test_made(self) -> None:
        code, out, _ = self.run_command('baseline', '--name', 'a', V1, N2)
        self.assertEqual(0, code)
        self.assertEqual('a', baseline_file.load(out.strip()).name)
        path = str(self.directory / 'a.json')
        code, table, _ = self.run_command(
            'baseline', V1, N2, '--name', 'a', '--version', '3', '-o', path
        )
        self.assertEqual(0, code)
        self.assertIn('  guests see      Neoverse-N2 r0p3 (', table)
        self.assertIn('neoverse-v1_forky gives up:', table)
        with open(path) as file:
            self.assertEqual(3, baseline_file.load(file.read()).version)
        code, out, _ = self.run_command(
            'baseline', V1, N2, '--name', 'a', '-o', path, '-f', 'json'
        )
        gives_up = json.loads(out)['gives_up']['neoverse-n2_forky']
        self.assertIn('ID_AA64PFR1_EL1.BT', {one['field'] for one in gives_up})

    def test_what_forbids_it_and_what_is_possible(self) -> None:
        path = str(self.directory / 'none.json')
        hosts = (V1, N1, N2)
        code, out, _ = self.run_command(
            'baseline', '--name', 'a', '-o', path, *hosts
        )
        self.assertEqual(1, code)
        self.assertIn(
            'The baseline has ID_AA64MMFR2_EL1.FWB = 0, neoverse-v1_forky has'
            ' 1.',
            ' '.join(out.split()),
        )
        self.assertIn('1   neoverse-v1_forky, neoverse-n2_forky\n', out)
        self.assertFalse((self.directory / 'none.json').exists())
        code, out, _ = self.run_command(
            'baseline', '--name', 'a', '-f', 'json', *hosts
        )
        result = json.loads(out)
        self.assertEqual(
            [
                ['neoverse-v1_forky', 'neoverse-n2_forky'],
                ['neoverse-n1_forky'],
            ],
            result['pools'],
        )
        self.assertEqual([False, []], [result['taken'], result['one_way']])

    def test_differences_need_an_acknowledgement(self) -> None:
        a76 = str(LAB / 'cortex-a76_trixie.json')
        with open(N1) as file:
            record = json.load(file)
        record['values']['c000'] = '413fd0c1'
        other = self.file('n1.json', json.dumps(record))
        make = ('baseline', '--name', 'a', other, a76)
        code, out, _ = self.run_command(*make)
        self.assertEqual(1, code)
        self.assertIn('Known differences between the cores:', out)
        (line,) = [one for one in out.split('\n') if '--acknowledge' in one]
        code, out, _ = self.run_command(*make, *line.split())
        self.assertEqual(0, code)
        self.assertTrue(baseline_file.load(out.strip()).acknowledged)
        self.assert_refused(*make, '--acknowledge', 'n1,a76')

    def test_check(self) -> None:
        path = self.made('a', V1, N2)
        self.assertEqual(
            (0, 'baseline a version 1\nneoverse-n2_forky: takes it\n', ''),
            self.run_command('baseline', 'check', path, N2),
        )
        code, out, _ = self.run_command(
            'baseline', 'check', path, V1, N1, '-f', 'json'
        )
        self.assertEqual(1, code)
        result = json.loads(out)
        self.assertEqual(['neoverse-v1_forky'], result['members'])
        self.assertEqual(
            {'neoverse-n1_forky'}, {one['host'] for one in result['refusals']}
        )

    def test_lowered_and_raised_by_hand(self) -> None:
        path = self.made('a', V1, N2)
        # AES 1 in place of 2; RNDR and others stay.
        lowered = self.changed(path, 'ID_AA64ISAR0_EL1', '0x1011111110212110')
        for host in (V1, N2):
            code, _, _ = self.run_command('baseline', 'check', lowered, host)
            self.assertEqual(0, code)
        code, out, _ = self.run_command('baseline', 'diff', path, lowered)
        self.assertEqual(1, code)
        self.assertIn('ID_AA64ISAR0_EL1.AES', out)
        self.assertEqual(1, out.count('\n'))
        # TS 2 in place of 1, as N2 has it and V1 has not.
        raised = self.changed(path, 'ID_AA64ISAR0_EL1', '0x1021111110212120')
        code, out, _ = self.run_command('baseline', 'check', raised, V1)
        self.assertEqual(1, code)
        self.assertIn('ID_AA64ISAR0_EL1.TS = 2', out)

    def test_diff(self) -> None:
        first = self.made('first', V1, N2)
        second = self.made('second', A710, N2)
        self.assertEqual(
            (0, 'no difference\n', ''),
            self.run_command('baseline', 'diff', first, first),
        )
        code, out, _ = self.run_command(
            'baseline', 'diff', first, second, '-f', 'json'
        )
        self.assertEqual(1, code)
        changes = {one['field']: one for one in json.loads(out)['changes']}
        self.assertEqual('lower', changes['CTR_EL0.DIC']['direction'])
        self.assertEqual('higher', changes['vCPU features']['direction'])

    def test_bad_input(self) -> None:
        path = self.made('a', V1, N2)
        bad = self.changed(path, 'NO_SUCH_EL1', '0x1')
        self.assertIn(
            'NO_SUCH_EL1', self.assert_refused('baseline', 'check', bad, V1)
        )
        for arguments in (
            ('check', path),
            ('check', V1, V1),
            ('check', '/nowhere', V1),
            ('diff', path),
            ('diff', path, V1),
            ('diff', path, path, '--name', 'a'),
            ('--name', 'two words', V1),
            ('--name', 'a', '--version', '0', V1),
            ('--name', 'a', '--matrix', V1),
            ('-o', path, V1),
            ('--name', 'a', path),
        ):
            self.assert_refused('baseline', *arguments)
