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

from unittest import mock

from nova_arm_migrate.cli import formats
from tests.unit.cli import base
from tests.unit.cli.test_import import V2_618


class TestFormats(base.CommandTestCase):
    def test_a_new_format_is_one_entry(self) -> None:
        record, dump = base.V1_612, str(V2_618)
        entry = {'lines': lambda shown: '\n'.join(sorted(shown.data()))}
        with mock.patch.dict(formats.FORMATS, entry):
            for command, key in (
                (('compare', record, record), 'verdict'),
                (('baseline', record), 'pools'),
                (('baseline', '--matrix', record), 'cells'),
                (('import', dump), 'cores'),
            ):
                code, out, err = self.run_command(*command, '-f', 'lines')
                self.assertIn(key, out.split('\n'), err)
                self.assertIn(code, (0, 3))
