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

"""The effect of each option of [arm_migrate]."""

from collections.abc import Callable
from typing import Any
from unittest import mock

from oslo_config import cfg

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.nova import conf
from tests.functional import base
from tests.unit.core import synthetic as s

HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)
OTHER_TIMER = s.host(cntfrq=62500000)
SHORTER_SVE = s.host(sve_lengths=(128,))


class TestOptions(base.ArmServersTestBase):
    def option(self, **options: Any) -> None:
        self.flags(group='arm_migrate', **options)

    def hosts(self, source: Host, destination: Host) -> dict[str, Any]:
        self.host('host-a', source)
        self.host('host-b', destination)
        return self.boot('host-a')

    def test_warn_lets_it_go_and_says_what_it_thinks(self) -> None:
        server = self.hosts(HOST, OTHER_TIMER)
        self.option(enforcement='warn')
        self.assertEqual('host-b', self.migrate(server, 'host-b'))
        ((host, outcome),) = self.prechecks()
        self.assertEqual(
            ('host-b', 'warn', 'incompatible'),
            (host, outcome['action'], outcome['verdict']),
        )
        self.assertEqual('CNTFRQ_EL0', outcome['findings'][0]['register'])

    def test_off_leaves_everything_to_nova(self) -> None:
        server = self.hosts(HOST, HOST)
        self.option(enforcement='off')
        self.assertEqual(
            'host-a', self.migrate(server, 'host-b', state='error')
        )
        (event,) = self.events(server)
        self.assertIn('Unacceptable CPU info', event['details'])
        self.flags(skip_cpu_compare_on_dest=True, group='workarounds')
        self.assertEqual('host-b', self.migrate(server, 'host-b'))
        self.assertEqual([], self.prechecks())
        self.assertTrue(self.has_record(server))

    def test_the_workaround_of_nova_changes_nothing(self) -> None:
        server = self.hosts(HOST, LESSER)
        self.flags(skip_cpu_compare_on_dest=True, group='workarounds')
        self.refused(server, 'host-b', 'arm64: ID_AA64ISAR0_EL1.TS')

    def test_silent_hazards(self) -> None:
        server = self.hosts(HOST, SHORTER_SVE)
        self.refused(
            server, 'host-b', 'arm64: SVE_LENGTHS: guest 128,256, host-b 128'
        )
        self.option(silent_hazards='warn')
        self.assertEqual(
            'host-b',
            self.migrate(
                server, 'host-b', broken=['SVE vector lengths: others here']
            ),
        )
        finding = self.prechecks()[-1][1]['findings'][0]
        self.assertEqual('silent hazard', finding['severity'])

    def test_an_override_is_audited(self) -> None:
        server = self.hosts(HOST, OTHER_TIMER)
        self.refused(server, 'host-b', 'arm64: CNTFRQ_EL0')
        self.option(overrides=['CNTFRQ_EL0', 'CTR_EL0.DIC'])
        for host in ('host-b', 'host-a', 'host-b'):
            self.assertEqual(host, self.migrate(server, host))
        audit = [
            line
            for line in self.stdlog.logger.output.splitlines()
            if '[arm_migrate] overrides permits ' in line
        ]
        # Once for each time it takes effect; on the way back it does not.
        self.assertEqual(2, len(audit), audit)
        self.assertIn('permits CNTFRQ_EL0', audit[0])

    def test_an_override_does_not_stand_against_the_trial(self) -> None:
        server = self.hosts(HOST, LESSER)
        self.option(overrides=['ID_AA64ISAR0_EL1.TS'])
        self.refused(server, 'host-b', 'arm64: ID_AA64ISAR0_EL1')

    def test_a_misspelt_override_stops_the_service(self) -> None:
        self.arm.add('host-a', HOST)
        with mock.patch.object(
            conf,
            'settings',
            autospec=True,
            side_effect=cfg.ConfigFileValueError('no such register'),
        ):
            self.assertRaisesRegex(
                cfg.ConfigFileValueError,
                'no such register',
                self.start_compute,
                'host-a',
                connection=self.arm.hosts['host-a'].connection,
            )


class TestTrial(base.ArmServersTestBase):
    def hosts(
        self, destination: Host, trial: Callable[[Guest], Trial] | None
    ) -> dict[str, Any]:
        self.host('host-a', HOST)
        self.host('host-b', destination)
        # Only the driver is changed: the simulated QEMU still uses the rule.
        self.computes['host-b'].driver._arm.trial = trial
        return self.boot('host-a')

    def test_it_is_made_with_the_guests_registers(self) -> None:
        tried: list[Guest] = []

        def trial(guest: Guest) -> Trial:
            tried.append(guest)
            return Trial(written=1)

        server = self.hosts(HOST, trial)
        self.migrate(server, 'host-b')
        self.assertEqual([self.record(server)], tried)

    def test_kvm_refuses_what_the_rule_lets_pass(self) -> None:
        server = self.hosts(
            HOST, lambda guest: Trial(refused=((s.CTR, 'EINVAL'),), written=1)
        )
        self.migrate(server, 'host-b', state='error')
        (event,) = self.events(server)
        self.assertIn('arm64: CTR_EL0', event['details'])
        (difference,) = self.prechecks()[-1][1]['disagreements']
        self.assertEqual(
            {'register': 'CTR_EL0', 'static': 'accepted', 'trial': 'EINVAL'},
            difference,
        )

    def test_kvm_takes_what_the_rule_refuses(self) -> None:
        server = self.hosts(
            s.host({s.MIDR: s.NEOVERSE_N1}), lambda guest: Trial(written=1)
        )
        # The simulated QEMU uses the rule, and fails the migration midway.
        self.migrate(server, 'host-b', state='failed')
        self.assertEqual('accept', self.prechecks()[-1][1]['action'])
        (difference,) = self.prechecks()[-1][1]['disagreements']
        self.assertEqual(
            ('MIDR_EL1', 'accepted'),
            (difference['register'], difference['trial']),
        )

    def test_without_the_trial_the_rule_decides(self) -> None:
        self.flags(trial=False, group='arm_migrate')
        server = self.hosts(HOST, None)
        self.assertEqual('host-b', self.migrate(server, 'host-b'))

    def test_a_trial_that_can_not_be_made_decides_nothing(self) -> None:
        server = self.hosts(
            HOST,
            lambda guest: Trial(
                ran=False, why_not='no memory for a scratch vCPU'
            ),
        )
        self.assertEqual('host-b', self.migrate(server, 'host-b'))
        self.assertEqual(
            'not run: no memory for a scratch vCPU',
            self.prechecks()[-1][1]['trial'],
        )
