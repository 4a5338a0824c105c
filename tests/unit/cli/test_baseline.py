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
import json
from typing import Any

from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import guest_from
from nova_arm_migrate.core.record import load_host
from tests.present import present
from tests.unit.cli import base


class TestBaseline(base.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        with open(base.V1_612) as file:
            self.host = load_host(file.read().strip())

    def host_file(self, name: str, **changes: Any) -> str:
        return self.file(
            f'{name}.json',
            dump_host(dataclasses.replace(self.host, **changes)),
        )

    def test_hosts_of_one_kind(self) -> None:
        paths = [self.host_file(name) for name in 'abc']
        code, out, err = self.run_command('baseline', *paths, '-f', 'json')
        self.assertEqual((0, ''), (code, err))
        result = json.loads(out)
        self.assertEqual([['a', 'b', 'c']], result['pools'])
        self.assertEqual([], result['conflicts'])
        self.assertEqual(
            self.host.values, guest_from(result['baseline']).values
        )

    def test_hosts_of_two_kinds(self) -> None:
        code, out, _ = self.run_command(
            'baseline', base.V1_612, base.N1_61, '-f', 'json'
        )
        self.assertEqual(1, code)
        result = json.loads(out)
        self.assertEqual(2, len(result['pools']))
        self.assertIn(
            ('neoverse-n1-linux-6.1', 'MIDR_EL1'),
            {(c['destination'], c['register']) for c in result['conflicts']},
        )

    def test_unknown_is_3(self) -> None:
        path = self.host_file('a', dczid=None)
        code, _, _ = self.run_command('baseline', path)
        self.assertEqual(3, code)

    def test_table(self) -> None:
        first = self.host_file('first')
        code, out, _ = self.run_command('baseline', first, base.N1_61)
        self.assertEqual(1, code)
        self.assertIn('  switch off  pauth, sve\n', out)
        self.assertIn('\nneoverse-n1-linux-6.1:\n ', out)
        self.assertIn('  1   first\n', out)
        self.assertIn('  2   neoverse-n1-linux-6.1\n', out)

    def test_one_way(self) -> None:
        newer = self.host_file(
            'newer', reg_list=present(self.host.reg_list) | {0xC3A1}
        )
        older = self.host_file('older')
        code, out, _ = self.run_command('baseline', newer, older)
        self.assertEqual(0, code)
        self.assertIn('older (one way to pool 1)', out)
        self.assertIn(
            'Conflicts: why hosts refuse even the baseline\n  none', out
        )

    def test_hosts_whose_files_have_one_name(self) -> None:
        (self.directory / 'other').mkdir()
        paths = [self.host_file('a'), self.host_file('other/a')]
        _, out, _ = self.run_command('baseline', *paths, '-f', 'json')
        self.assertEqual([['a', paths[1]]], json.loads(out)['pools'])

    def test_bad_input(self) -> None:
        bad = self.file('bad.json', '{}')
        self.assertIn(
            'bad.json', self.assert_refused('baseline', base.V1_612, bad)
        )
        self.assert_refused('baseline')
        self.assert_refused('baseline', '/nowhere')
