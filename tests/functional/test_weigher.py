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

"""The weigher, in the real scheduler beside Nova's own weighers."""

from tests.functional import base
from tests.unit.core import synthetic as s

HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)
NOVAS = 'nova.scheduler.weights.all_weighers'
OURS = 'nova_arm_migrate.weighers.ArmMigratabilityWeigher'


class TestWeigher(base.ArmServersTestBase):
    weighers = (NOVAS, OURS)

    def setUp(self) -> None:
        self.flags(
            weight_classes=list(self.weighers),
            # Not a random one of the best.
            host_subset_size=1,
            shuffle_best_same_weighed_hosts=False,
            group='filter_scheduler',
        )
        super().setUp()
        for name, profile in (
            ('host-a', HOST),
            ('host-b', HOST),
            ('host-c', LESSER),
        ):
            self.host(name, profile)

    def test_a_guest_starts_where_it_can_leave(self) -> None:
        server = self.boot()
        self.assertEqual('host-c', server['OS-EXT-SRV-ATTR:host'])
        # Its guests can move to both others.
        self.assertEqual('host-a', self.migrate(server, 'host-a'))
        self.assertEqual('host-c', self.migrate(server, 'host-c'))

    def test_a_negative_multiplier_keeps_these_hosts_free(self) -> None:
        self.flags(
            arm_migratability_weight_multiplier=-1.0, group='arm_migrate'
        )
        server = self.boot()
        self.assertNotEqual('host-c', server['OS-EXT-SRV-ATTR:host'])
