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

import json

from nova_arm_migrate.osc.pool import ListPool
from nova_arm_migrate.osc.pool import ShowPool
from tests.unit.osc import base


class PoolTestCase(base.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api.hypervisors = [
            base.hypervisor('n1-new', base.N1),
            *(base.hypervisor(f'n1-{number}', base.N1) for number in range(6)),
            base.hypervisor('v1-a', base.V1),
            base.hypervisor('v1-b', base.V1),
            base.hypervisor('v1-c', base.V1_NO_SVE),
        ]


class TestListPool(PoolTestCase):
    def test_the_largest_first(self) -> None:
        rows = self.json(ListPool)
        self.assertEqual([1, 2, 3], [row['Pool'] for row in rows])
        self.assertEqual([7, 2, 1], [row['Hosts'] for row in rows])
        self.assertEqual(['v1-a', 'v1-b'], rows[1]['Names'])
        self.assertEqual([[], [], []], [row['One Way To'] for row in rows])

    def test_people_see_the_first_names(self) -> None:
        printed = self.run_command(ListPool)
        self.assertIn('n1-0, n1-1, n1-2, n1-3, n1-4 and 2 more', printed)

    def test_sorted_by_a_column(self) -> None:
        rows = self.json(ListPool, '--sort-column', 'Hosts')
        self.assertEqual([1, 2, 7], [row['Hosts'] for row in rows])

    def test_an_overridden_field_joins_pools(self) -> None:
        info = {'arm_migrate': json.loads(self.changed(base.V1, cntfrq=1))}
        self.api.hypervisors[-1] = base.hypervisor('v1-c', cpu_info=info)
        self.assertEqual(3, len(self.json(ListPool)))
        rows = self.json(ListPool, '--override', 'CNTFRQ_EL0')
        self.assertEqual([7, 3], [row['Hosts'] for row in rows])

    def test_a_bad_override(self) -> None:
        self.assertIn('--override', self.refused(ListPool, '--override', 'X'))

    def test_hosts_without_record_are_counted(self) -> None:
        self.api.hypervisors.append(base.hypervisor('z'))
        self.assertEqual(3, len(self.json(ListPool)))
        self.assertIn('1 host without a usable record', self.log.output)

    def test_no_record_at_all(self) -> None:
        self.api.hypervisors = [base.hypervisor('z')]
        self.assertIn(
            'none of 1 Arm64 hosts has a record', self.refused(ListPool)
        )
        self.api.hypervisors = []
        self.assertEqual('the cloud has no Arm64 host', self.refused(ListPool))


class TestShowPool(PoolTestCase):
    def test_by_host_or_number(self) -> None:
        by_host = self.json(ShowPool, 'v1-b')
        self.assertEqual(2, by_host['pool'])
        self.assertEqual(['v1-a', 'v1-b'], by_host['hosts'])
        self.assertEqual(by_host, self.json(ShowPool, '2'))

    def test_the_baseline_of_equal_hosts_is_their_guest(self) -> None:
        shown = self.json(ShowPool, '2')
        self.assertEqual(
            base.record(base.V1)['values'], shown['baseline']['values']
        )
        self.assertEqual('', shown['switch_off'])

    def test_what_keeps_pools_apart_in_each_direction(self) -> None:
        shown = self.json(ShowPool, '2')
        nearest = shown['apart'][0]
        self.assertEqual(3, nearest['pool'])
        self.assertIn('ID_AA64PFR0_EL1.SVE', nearest['to'])
        self.assertNotEqual([], nearest['from'])
        self.assertIn('MIDR_EL1', ' '.join(shown['apart'][1]['to']))
        printed = self.run_command(ShowPool, '2')
        self.assertIn('to 3: ', printed)
        self.assertIn('from 3: ', printed)

    def test_no_such_pool(self) -> None:
        for given in ('0', '4', '-', '9' * 5000, 'x', '\u0663'):
            self.assertIn('no pool', self.refused(ShowPool, '--', given))

    def test_the_baseline_as_text(self) -> None:
        printed = self.run_command(ShowPool, '1', '-c', 'baseline')
        self.assertIn('switch off  none', printed)
        self.assertIn('MIDR_EL1', printed)


class TestOneWay(base.CommandTestCase):
    def test_older_to_newer_kernel(self) -> None:
        """PSCI_VERSION of the older kernel is lower: KVM accepts it."""
        lab = base.PROFILES.parent / 'lab'
        self.api.hypervisors = [
            base.hypervisor(
                name,
                cpu_info={
                    'arch': 'aarch64',
                    'arm_migrate': json.loads((lab / file).read_text()),
                },
            )
            for name, file in (
                ('old', 'neoverse-n1_trixie.json'),
                ('new', 'neoverse-n1_forky.json'),
            )
        ]
        old = self.json(ShowPool, 'old')
        new = self.json(ShowPool, 'new')
        self.assertEqual([new['pool']], old['one_way_to'])
        self.assertEqual([old['pool']], new['one_way_from'])
        self.assertEqual([], old['apart'][0]['to'])
        self.assertIn('PSCI_VERSION', old['apart'][0]['from'])
        printed = self.run_command(ShowPool, 'old')
        self.assertIn(f'to {new["pool"]}: nothing', printed)

    def test_people_see_the_nearest_of_many_pools(self) -> None:
        self.api.hypervisors = [
            base.hypervisor(
                f'h{hz}',
                cpu_info={
                    'arm_migrate': json.loads(self.changed(base.V1, cntfrq=hz))
                },
            )
            for hz in range(10, 23)
        ]
        shown = self.json(ShowPool, 'h10')
        self.assertEqual(
            [['CNTFRQ_EL0']] * 12, [one['to'] for one in shown['apart']]
        )
        self.assertIn(
            '2 more pools: see -f json',
            self.run_command(ShowPool, 'h10'),
        )
