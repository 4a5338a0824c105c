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

import fixtures
from oslo_config import generator
import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / 'etc/nova-arm-migrate'


class SampleConfigTest(testtools.TestCase):
    def test_sample_is_what_the_options_give(self) -> None:
        """If not: ``tox -e genconfig``."""
        written = (
            pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'sample'
        )
        generator.main(
            [
                '--config-file',
                str(SAMPLES / 'config-generator.conf'),
                '--output-file',
                str(written),
            ]
        )
        self.assertEqual(
            written.read_text(),
            (SAMPLES / 'arm_migrate.conf.sample').read_text(),
        )
