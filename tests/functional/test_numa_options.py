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

"""The options for NUMA layouts."""

from nova_arm_migrate.nova.layout import numa_host
from tests.functional import numa_base

CONTIGUOUS = {0: range(4), 1: range(4, 8)}


class TestNumaOptions(numa_base.NumaServersTestBase):
    def test_switched_off_on_all_hosts(self) -> None:
        self.flags(
            cpu_dedicated_set='0-2,4-6', cpu_shared_set='3,7', group='compute'
        )
        self.numa_host('a', CONTIGUOUS)
        self.numa_host('b', CONTIGUOUS)
        server = self.pinned('a')
        self.flags(numa_layout=False, group='arm_migrate')
        self.moves(server, 'b')
        # Nova itself sets the shared CPUs on a pinned guest.
        self.assertEqual({3, 7}, self.layout(server).shared)
        self.assertIn('numa_layout is off', self.stdlog.logger.output)
        self.assertNotIn('dry run took', self.stdlog.logger.output)
        self.flags(numa_layout=True, group='arm_migrate')
        self.moves(server, 'a')
        self.as_claimed(server)
        self.assertIn('NUMA layout: dry run took', self.stdlog.logger.output)

    def test_floating_vcpus_in_one_cluster(self) -> None:
        self.flags(cpu_shared_set='0-7', group='compute')
        pairs = frozenset(frozenset({cpu, cpu + 1}) for cpu in range(0, 8, 2))
        self.stub_out(
            'nova_arm_migrate.nova.layout.numa_host.clusters', lambda: pairs
        )
        self.assertEqual(pairs, numa_host.clusters())
        self.numa_host('a', CONTIGUOUS)
        self.numa_host('b', CONTIGUOUS)
        server = self.pinned('a', hw__cpu_policy='shared', hw__numa_nodes='1')
        self.moves(server, 'b')
        before = self.layout(server).vcpus[0]
        self.assertEqual(4, len(before))
        self.flags(fewest_clusters=True, group='arm_migrate')
        self.moves(server, 'a')
        after = set(self.layout(server).vcpus.values())
        self.assertEqual(1, len(after))
        self.assertLessEqual(after, pairs)
        self.assertIn('after migration: as claimed', self.stdlog.logger.output)
