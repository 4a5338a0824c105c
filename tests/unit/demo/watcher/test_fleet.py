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

import unittest

from demo.watcher import fleet
from demo.watcher import trials
from nova_arm_migrate.core import pools
from nova_arm_migrate.core import record


class TestFleet(unittest.TestCase):
    def test_three_pools_of_two_hosts(self) -> None:
        found = pools.fleet(
            (name, record.dump_host(host))
            for name, host in fleet.profiles().items()
        )
        self.assertEqual(
            [('n1-a', 'n1-b'), ('nosve-a', 'nosve-b'), ('v1-a', 'v1-b')],
            sorted(tuple(sorted(pool.names)) for pool in found.pools),
        )

    def test_each_busy_host_has_more_load_than_its_neighbour(self) -> None:
        load = dict.fromkeys(fleet.HOSTS, 0.0)
        for guest in fleet.GUESTS:
            load[guest.host] += guest.cpu
        for host in trials.BUSY:
            self.assertGreater(load[host], load[f'{host[:-1]}b'])
