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

"""Hosts recorded in the lab, with the outcomes that were measured there.

The profiles are from tests/fixtures/profiles: real KVM on emulated CPUs. The
outcomes are those of real live migrations between such hosts.
"""

import dataclasses
import pathlib
from unittest import mock

from nova_arm_migrate.core import checks
from nova_arm_migrate.core import rules
from nova_arm_migrate.core.record import load_host
from tests.functional import base

PROFILES = pathlib.Path(__file__).parents[1] / 'fixtures' / 'profiles'

#: Source, destination, and what prevents the move; None if nothing does.
MEASURED = (
    ('neoverse-n1-no-pmu-linux-6.12', 'neoverse-n1-linux-6.12', None),
    (
        'neoverse-n1-linux-6.12',
        'neoverse-n1-no-pmu-linux-6.12',
        'ID_AA64DFR0_EL1.PMUVer',
    ),
    ('neoverse-v1-linux-6.12', 'neoverse-v1-no-sve-linux-6.12', 'SVE'),
    ('neoverse-v1-no-sve-linux-6.12', 'neoverse-v1-linux-6.12', 'SVE'),
    ('neoverse-v1-no-sve256-linux-6.12', 'neoverse-v1-linux-6.12', None),
    # libvirt reports success here, and processes in the guest are killed.
    (
        'neoverse-v1-linux-6.12',
        'neoverse-v1-no-sve256-linux-6.12',
        'SVE_LENGTHS',
    ),
    ('neoverse-n1-linux-6.1', 'neoverse-n1-linux-6.12', None),
    ('neoverse-n1-linux-6.12', 'neoverse-n1-linux-7.2', None),
    ('neoverse-n1-linux-7.2', 'neoverse-n1-linux-6.12', ''),
    ('neoverse-n1-linux-6.12', 'neoverse-n1-linux-6.1', ''),
    ('cortex-a76-linux-6.12', 'neoverse-n1-linux-6.12', 'MIDR_EL1'),
)


class TestRecordedHosts(base.ArmServersTestBase):
    def start(self, *profiles: str) -> list[str]:
        """Start a compute on each. :returns: their host names"""
        names = [profile.replace('.', '-') for profile in profiles]
        for name, profile in zip(names, profiles):
            if name not in self.computes:
                self.host(
                    name, load_host((PROFILES / f'{profile}.json').read_text())
                )
        return names

    def test_as_measured(self) -> None:
        for source, destination, in_the_way in MEASURED:
            with self.subTest(source, to=destination):
                start, end = self.start(source, destination)
                server = self.boot(start)
                if in_the_way is None:
                    self.assertEqual(end, self.migrate(server, end))
                else:
                    self.refused(server, end, in_the_way)
                self._delete_server(server)

    def test_a_guest_started_without_sve(self) -> None:
        self.flags(
            cpu_mode='host-passthrough',
            group='libvirt',
            cpu_model_extra_flags=['-sve'],
        )
        names = self.start(
            'neoverse-v1-linux-7.2', 'neoverse-v1-no-sve-linux-7.2'
        )
        server = self.boot(names[0])
        self.assertEqual({'sve'}, self.record(server).disabled)
        for name in reversed(names):
            self.assertEqual(name, self.migrate(server, name))

    def test_a_rule_that_accepts_everything_is_noticed(self) -> None:
        """The simulated QEMU refuses by its own rules."""
        start, end = self.start(
            'cortex-a76-linux-6.12', 'neoverse-n1-linux-6.12'
        )
        server = self.boot(start)
        with mock.patch.dict(
            rules.JUDGES, dict.fromkeys(rules.JUDGES, lambda *args: [])
        ):
            self.assertEqual(start, self.migrate(server, end, state='failed'))
        (refusal,) = self.arm.hosts[end].connection.refusals
        self.assertIn('MIDR_EL1: EINVAL', refusal)

    def test_a_driver_that_sees_no_hazards_is_noticed(self) -> None:
        """Differences in no register: QEMU refuses, or the guest breaks."""
        start, end = self.start(
            'neoverse-v1-linux-6.12', 'neoverse-v1-no-sve256-linux-6.12'
        )
        without = dataclasses.replace(
            self.arm.hosts[start].machine.host, capabilities=()
        )
        self.host('without', without)
        with mock.patch.object(checks, '_CHECKS', ()):
            server = self.boot(start)
            self.assertEqual(
                start, self.migrate(server, 'without', state='failed')
            )
            self.assertEqual(
                end,
                self.migrate(
                    server, end, broken=['SVE vector lengths: others here']
                ),
            )
        self.assertEqual(
            [('pvtime: unknown RAM block',)],
            self.arm.hosts['without'].connection.refusals,
        )
