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

from nova_arm_migrate.core.vcpu import with_features_off
from tests.functional import base
from tests.unit.core import synthetic as s

HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)
OTHER_CORE = s.host({s.MIDR: s.NEOVERSE_N1})
#: Another kernel on the same machine: more registers, all fields as before.
NEWER = s.host(reg_list=s.LISTED | {s.TCR2}, kernel='7.2.1')


class TestMigration(base.ArmServersTestBase):
    def test_to_a_host_that_takes_the_guest(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', HOST)
        server = self.boot('host-a')
        self.assertEqual('host-b', self.migrate(server, 'host-b'))
        self.assertEqual([], self.arm.hosts['host-b'].connection.refusals)

    def test_refused_with_the_field_in_the_events(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', LESSER)
        server = self.boot('host-a')
        self.refused(
            server,
            'host-b',
            'arm64: ID_AA64ISAR0_EL1.TS:'
            ' guest 1 (FlagM), host-b 0 (not implemented)',
        )

    def test_refused_where_the_host_was_forced(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', OTHER_CORE)
        server = self.boot('host-a')
        # With 2.30 to 2.67 the scheduler, and all its filters, are bypassed.
        self.api.microversion = '2.67'
        self.migrate(server, 'host-b', state='error', force=True)
        self.api.microversion = 'latest'
        (event,) = self.events(server)
        self.assertIn('arm64: MIDR_EL1', event['details'])
        self.assertEqual('ACTIVE', self.api.get_server(server['id'])['status'])

    def test_the_next_host_is_tried(self) -> None:
        self.host('host-a', HOST)
        for name in ('host-b', 'host-c', 'host-d'):
            self.host(name, OTHER_CORE)
        self.host('host-e', HOST)
        server = self.boot('host-a')
        self.assertEqual('host-e', self.migrate(server))
        # Nova finishes the last event of a name, by its second. Among several
        # events in one second, any one may get the details.
        *refused, taken = self.prechecks()
        self.assertEqual('accept', taken[1]['action'])
        for host, outcome in refused:
            self.assertNotIn(host, ('host-a', 'host-e'))
            self.assertEqual('refuse', outcome['action'])
            self.assertEqual('MIDR_EL1', outcome['findings'][0]['register'])

    def test_no_host_is_left(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', OTHER_CORE)
        self.host('host-c', LESSER)
        server = self.boot('host-a')
        self.assertEqual('host-a', self.migrate(server, state='error'))
        details = ' '.join(
            event['details'] or '' for event in self.events(server)
        )
        self.assertRegex(details, 'arm64: (MIDR_EL1|ID_AA64ISAR0_EL1.TS):')
        self.assertEqual(
            {('host-b', 'refuse'), ('host-c', 'refuse')},
            {(host, outcome['action']) for host, outcome in self.prechecks()},
        )

    def test_to_a_newer_host_and_back(self) -> None:
        self.host('old', LESSER)
        self.host('new', HOST)
        server = self.boot('old')
        before = self.record(server)
        self.assertEqual('new', self.migrate(server, 'new'))
        self.assertEqual(before, self.record(server))
        self.assertEqual('old', self.migrate(server, 'old'))
        self.assertEqual(before, self.record(server))
        self.assertEqual(before.values, self.seen(server).values)

    def test_a_restart_on_the_newer_host_bars_the_way_back(self) -> None:
        for kind in ('HARD', 'SOFT'):
            with self.subTest(kind):
                self.host(f'old-{kind}', LESSER)
                self.host(f'new-{kind}', HOST)
                server = self.boot(f'old-{kind}')
                self.migrate(server, f'new-{kind}')
                self._reboot_server(server, hard=kind == 'HARD')
                self.shows_its_record(server)
                self.refused(server, f'old-{kind}', 'ID_AA64ISAR0_EL1.TS')

    def test_registers_that_a_newer_kernel_adds_bar_the_way_back(self) -> None:
        self.host('old', HOST)
        self.host('new', NEWER)
        server = self.boot('old')
        self.migrate(server, 'new')
        # QEMU sends the registers that its host lists, so it now sends one
        # that the old kernel does not have.
        self.refused(server, 'old', 'arm64: TCR2_EL1')
        self.assertEqual([], self.arm.hosts['old'].connection.refusals)

    def test_registers_gained_on_the_way_stay(self) -> None:
        self.host('old', HOST)
        self.host('new', NEWER)
        self.host('third', NEWER)
        server = self.boot('old')
        self.assertNotIn(s.TCR2, self.record(server).reg_list)
        self.migrate(server, 'new')
        self.migrate(server, 'third')
        self.assertIn(s.TCR2, self.record(server).reg_list)
        self.shows_its_record(server)

    def test_a_guest_without_the_feature_that_is_in_the_way(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', s.with_field(HOST, 'ID_AA64DFR0_EL1.PMUVer', 1))
        self.host('host-c', with_features_off(HOST, frozenset({'pmu'})))
        with_pmu = self.boot('host-a')
        self.refused(with_pmu, 'host-b', 'PM')
        without = self.boot('host-a', extra_specs={'hw:pmu': 'false'})
        self.assertIn('pmu', self.record(without).disabled)
        self.refused(without, 'host-c', 'PMU: guest off, host-c none')
        self.assertEqual('host-b', self.migrate(without, 'host-b'))

    def test_many_findings_fit_the_event(self) -> None:
        name = 'host-b.' + '.'.join(['rack'] * 35)
        self.host('host-a', HOST)
        worse = HOST
        for field in ('TS', 'SHA3', 'SM4', 'DP', 'FHM'):
            worse = s.with_field(worse, f'ID_AA64ISAR0_EL1.{field}', 0)
        self.host(name, worse)
        server = self.boot('host-a')
        self.migrate(server, name, state='error')
        (event,) = self.events(server)
        self.assertLessEqual(len(event['details'].encode()), 255)
        self.assertRegex(
            event['details'],
            r'guest 1 \(\w+\), host-b 0 \('
            r'not implemented\) \(\+\d more\)$',
        )
