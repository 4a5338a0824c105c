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
import pathlib

import testtools

from nova_arm_migrate.core.apart import apart
from nova_arm_migrate.core.pools import EqualHosts
from nova_arm_migrate.core.pools import Pool
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.verdict import Options

PROFILES = pathlib.Path(__file__).parents[2] / 'fixtures' / 'profiles'


def recorded(name: str) -> Host:
    return load_host((PROFILES / f'{name}.json').read_text())


def pool(*hosts: Host) -> Pool:
    return Pool(tuple(EqualHosts(host, ('a',)) for host in hosts))


class TestApart(testtools.TestCase):
    def names(
        self, start: Pool, end: Pool, options: Options = Options()
    ) -> list[str]:
        return [finding.name for finding in apart(start, end, options)]

    def setUp(self) -> None:
        super().setUp()
        self.v1 = recorded('neoverse-v1-linux-6.12')
        self.clock = dataclasses.replace(self.v1, cntfrq=1)

    def test_one_pool(self) -> None:
        self.assertEqual([], self.names(pool(self.v1), pool(self.v1)))

    def test_a_hazard(self) -> None:
        here, there = pool(self.v1), pool(self.clock)
        self.assertEqual(['CNTFRQ_EL0'], self.names(here, there))
        self.assertEqual(
            [], self.names(here, there, Options(hazards_block=False))
        )

    def test_refused_and_hazards_count_together(self) -> None:
        plain = recorded('neoverse-v1-no-sve-linux-6.12')
        found = self.names(
            pool(self.v1), pool(dataclasses.replace(plain, cntfrq=1))
        )
        self.assertIn('ID_AA64PFR0_EL1.SVE', found)
        self.assertIn('CNTFRQ_EL0', found)
        self.assertEqual(len(set(found)), len(found))

    def test_the_nearest_profiles_count(self) -> None:
        plain = recorded('neoverse-v1-no-sve-linux-6.12')
        self.assertEqual(
            ['CNTFRQ_EL0'],
            self.names(pool(plain, self.v1), pool(self.clock)),
        )
