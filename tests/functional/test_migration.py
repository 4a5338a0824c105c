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

"""Live migrations between hosts with our driver.

The profiles are synthetic: see tests/unit/core/synthetic.py.
"""

from tests.functional import base
from tests.unit.core import synthetic as s

HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)


class TestMigration(base.ArmServersTestBase):

    def test_to_a_host_that_takes_the_guest(self):
        self.host('host-a', HOST)
        self.host('host-b', HOST)
        server = self.boot('host-a')
        self.assertEqual('host-b', self.migrate(server, 'host-b'))
        self.assertEqual([], self.arm.hosts['host-b'].connection.refusals)

    def test_refused(self):
        self.host('host-a', HOST)
        self.host('host-b', LESSER)
        server = self.boot('host-a')
        self.assertEqual('host-a',
                         self.migrate(server, 'host-b', state='error'))
        (event,) = self.events(server)
        self.assertEqual(
            'Migration pre-check error: arm64: ID_AA64ISAR0_EL1.TS:'
            ' guest 1, host-b 0', event['details'])
