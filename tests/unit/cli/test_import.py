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


import json
import pathlib

from nova_arm_migrate.core.dump import host_of_dump
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from tests.unit.cli import base

SILICON = pathlib.Path(__file__).parents[2] / 'fixtures' / 'silicon'
V2_618 = SILICON / 'neoverse-v2-linux-6.18.json'


class TestImport(base.CommandTestCase):
    def test_standard_output(self) -> None:
        code, out, err = self.run_command('import', str(V2_618))
        self.assertEqual((0, ''), (code, err))
        self.assertEqual(
            dump_host(host_of_dump(V2_618.read_text())) + '\n', out
        )

    def test_a_file_with_masks(self) -> None:
        target = self.directory / 'host.json'
        self.assertEqual(
            (0, '', ''),
            self.run_command(
                'import',
                str(V2_618),
                '--masks',
                base.MAX_72,
                '-o',
                str(target),
            ),
        )
        made = load_host(target.read_text().strip())
        self.assertTrue(made.writable)
        # It is a record like any other.
        self.assertEqual(
            1, self.run_command('compare', str(target), base.MAX_72)[0]
        )

    def test_table_says_what_is_borrowed_and_absent(self) -> None:
        code, out, _ = self.run_command(
            'import', str(V2_618), '--masks', base.MAX_72, '-f', 'table'
        )
        self.assertEqual(0, code)
        plain = ' '.join(out.split())
        self.assertIn('MIDR_EL1 0x410fd4f1', plain)
        self.assertNotIn('capabilities none', plain)
        self.assertIn(
            "writable bits: masks of another host's record, Linux 7.2.12",
            plain,
        )
        self.assertIn('registers: CNTVCT_EL0, CNTPCT_EL0 added', plain)
        self.assertIn('not in a dump of registers', plain)

    def test_bad_input(self) -> None:
        dump = json.loads(V2_618.read_text())
        dump['registers']['midr'] = '0x1'
        for arguments, words in (
            (('/nowhere.json',), 'No such file'),
            ((self.file('a.json', '{}'),), 'registers: missing'),
            ((self.file('b.json', json.dumps(dump)),), "'midr'"),
            ((self.file('c.json', b'\xff'),), 'not a dump of registers'),
            ((self.file('d.json', ' ' * 300_000),), 'longer than'),
            ((base.MAX_72,), 'registers: missing'),
            ((str(V2_618), '--masks', str(V2_618)), 'schema'),
            ((str(V2_618), '-o', '/nowhere/x'), 'No such file'),
            ((), 'required'),
        ):
            self.assertIn(words, self.assert_refused('import', *arguments))
