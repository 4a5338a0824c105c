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
import pathlib
import textwrap

from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from tests.unit.cli import base

PAGE = pathlib.Path(__file__).parents[3] / 'doc/source/reference/cli.rst'


class TestLabels(base.CommandTestCase):
    def test_a_line_for_each(self) -> None:
        code, out, err = self.run_command('labels', base.N1_61)
        self.assertEqual((0, ''), (code, err))
        lines = out.splitlines()
        self.assertEqual(sorted(lines), lines)
        self.assertIn('cpu-feature.node.kubevirt.io/atomics=true', lines)
        self.assertIn(
            'host-model-cpu.node.kubevirt.io/Neoverse-N1=true', lines
        )

    def test_the_documentation_has_its_output(self) -> None:
        _, out, _ = self.run_command(
            'labels', str(base.PROFILES / 'neoverse-n1-linux-6.12.json')
        )
        printed = textwrap.indent(out, '   ')
        self.assertIn(
            '   $ nova-arm-migrate labels neoverse-n1-linux-6.12.json\n'
            f'{printed}   $ kubectl annotate',
            PAGE.read_text(),
        )

    def test_a_patch_of_the_node(self) -> None:
        code, out, _ = self.run_command('labels', base.V1_612, '-f', 'json')
        self.assertEqual(0, code)
        found = json.loads(out)['metadata']['labels']
        self.assertEqual('true', found['cpu-feature.node.kubevirt.io/sve'])

    def test_a_record_without_registers(self) -> None:
        with open(base.V1_612) as file:
            host = load_host(file.read().strip())
        path = self.file(
            'host.json',
            dump_host(
                dataclasses.replace(
                    host,
                    values=Values(),
                    absent=(('values', 'no /dev/kvm'),),
                )
            ),
        )
        line = self.assert_refused('labels', path)
        self.assertIn('the record has no registers: no /dev/kvm', line)

    def test_no_record(self) -> None:
        self.assert_refused('labels', self.file('x.json', '{}'))
        self.assert_refused('labels', '/nonexistent')
