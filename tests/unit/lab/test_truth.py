# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

import testtools

from tests.lab import groups
from tests.lab import spec
from tests.lab import truth


def specs(*texts: str) -> list[spec.Spec]:
    return [spec.parse(text) for text in texts]


class PlanTest(testtools.TestCase):
    def test_a_guest_uses_the_host_it_names(self) -> None:
        given = specs('neoverse-v1', 'neoverse-v1/guest:sve=off')
        machines, guests = truth.plan(given)
        self.assertEqual(given[:1], machines)
        self.assertEqual([(given[0], 0), (given[1], 0)], guests)

    def test_a_guest_brings_the_host_it_names(self) -> None:
        given = specs('neoverse-n1', 'neoverse-v1/guest:sve=off')
        machines, guests = truth.plan(given)
        self.assertEqual(specs('neoverse-n1', 'neoverse-v1'), machines)
        self.assertEqual([(given[0], 0), (given[1], 1)], guests)

    def test_a_host_given_twice_is_two_hosts(self) -> None:
        given = specs('neoverse-n1', 'neoverse-n1')
        machines, guests = truth.plan(given)
        self.assertEqual(given, machines)
        self.assertEqual([0, 1], [place for _, place in guests])

    def test_labels_tell_equal_hosts_apart(self) -> None:
        self.assertEqual(
            ['neoverse-n1', 'neoverse-n1 #2', 'a64fx'],
            truth.labels(specs('neoverse-n1', 'neoverse-n1', 'a64fx')),
        )

    def test_a_profile_is_named_after_its_host(self) -> None:
        self.assertEqual(
            'neoverse-v1_sve-off_trixie_gic-2',
            truth.profile_name(spec.parse('neoverse-v1,sve=off+gic=2')),
        )
        self.assertEqual(
            'max_forky',
            truth.profile_name(spec.parse('max@forky/guest:sve=off')),
        )


class GroupsTest(testtools.TestCase):
    def test_every_host_can_be_parsed(self) -> None:
        for group in (*groups.FULL, groups.CI_HOSTS):
            for text in group:
                self.assertEqual(text, str(spec.parse(text)))

    def test_ci_pairs_are_pairs_of_its_hosts(self) -> None:
        machines, _ = truth.plan(specs(*groups.CI_HOSTS))
        self.assertEqual(6, len(machines))
        self.assertEqual(12, len(groups.CI_PAIRS))
        destinations = truth.labels(machines)
        for source, destination in groups.CI_PAIRS:
            self.assertIn(source, groups.CI_HOSTS)
            self.assertIn(destination, destinations)

    def test_the_table_is_large_enough(self) -> None:
        count = 0
        for group in groups.FULL:
            machines, guests = truth.plan(specs(*group))
            count += len(guests) * (len(machines) - 1)
        self.assertGreaterEqual(count, 120)
