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

from nova_arm_migrate.nova.layout import claim_layout
from nova_arm_migrate.numa.layout import Layout
from tests.unit.nova.layout.base import NumaTestCase


class TestClaimedLayout(NumaTestCase):
    def test_a_host_without_numa(self) -> None:
        driver = mock.Mock()
        driver._get_guest_numa_config.return_value = (
            {1, 2},
            None,
            None,
            None,
        )
        self.assertEqual(
            Layout(shared=frozenset({1, 2})),
            claim_layout.claimed_layout(driver, None, None, None),
        )
