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


from collections.abc import Iterable
import dataclasses
import errno
from typing import Any

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tables.qemu import TOLERANT_SINCE
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.probe import errors
from nova_arm_migrate.probe import programs
from nova_arm_migrate.probe.recorded import RecordedHost
from tests.present import present
from tests.unit.probe import base

TCR2 = 0xC103
BMAP2 = bitmap(3)
MIDR = 0xC000
NEW_QEMU = '{}.{}.0'.format(*TOLERANT_SINCE)


class TrialTestCase(base.ProbeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.recorded = base.recorded(base.V1_612)
        self.kernel = self.play(self.recorded)
        self.guest = guest_started_on(self.recorded)

    def trial(self, guest: Guest, **changes: Any) -> Trial:
        """On the real probe, and on its twin: both say the same."""
        trial = self.probe(self.recorded, **changes).trial(guest)
        twin = RecordedHost(
            dataclasses.replace(self.recorded, **changes)
        ).trial(guest)
        self.assertEqual(trial, twin)
        return trial


class TestTrial(TrialTestCase):
    def test_a_guest_of_this_host(self) -> None:
        trial = self.trial(self.guest)
        self.assertEqual((), trial.refused)
        self.assertIs(True, trial.accepted)
        self.assertEqual(
            sum(map(keeps_value, present(self.guest.reg_list))), trial.written
        )

    def test_writes_are_in_qemus_order_and_zeros_are_written(self) -> None:
        self.trial(self.guest)
        codes = [code for code, _ in self.kernel.written]
        self.assertEqual(sorted(codes, key=kvm_id), codes)
        self.assertEqual(
            {code: self.guest.values.read(code) for code in codes},
            dict(self.kernel.written),
        )
        self.assertIn((0xC022, 0), self.kernel.written)

    def test_all_refusals_are_collected(self) -> None:
        values = dict(self.guest.values)
        values[MIDR] += 1
        values[ID_AA64PFR0_EL1] += 1 << 60
        trial = self.trial(
            dataclasses.replace(self.guest, values=Values(values))
        )
        self.assertEqual(
            ((MIDR, 'EINVAL'), (ID_AA64PFR0_EL1, 'EINVAL')), trial.refused
        )
        self.assertIs(False, trial.accepted)

    def test_a_lesser_guest_is_accepted(self) -> None:
        values = dict(self.guest.values)
        values[ID_AA64PFR0_EL1] -= 1 << 60
        trial = self.trial(
            dataclasses.replace(self.guest, values=Values(values))
        )
        self.assertIs(True, trial.accepted)

    def test_the_vcpu_has_the_guests_own_features(self) -> None:
        guest = guest_started_on(
            self.recorded, disabled=frozenset({'sve', 'pmu'})
        )
        trial = self.trial(guest)
        self.assertIs(True, trial.accepted)
        # The same values without the guest's say: QEMU would set both.
        trial = self.trial(dataclasses.replace(guest, disabled=frozenset()))
        self.assertIn((ID_AA64PFR0_EL1, 'EINVAL'), trial.refused)

    def test_a_missing_register(self) -> None:
        guest = dataclasses.replace(
            self.guest, reg_list=present(self.guest.reg_list) | {0xC3A1}
        )
        trial = self.trial(guest)
        self.assertEqual((0xC3A1,), trial.missing)
        self.assertIs(False, trial.accepted)

    def test_a_missing_register_that_qemu_drops(self) -> None:
        self.assertIn(TCR2, present(self.guest.reg_list))
        kernel_lacks = present(self.recorded.reg_list) - {TCR2}
        self.recorded = dataclasses.replace(
            self.recorded, reg_list=kernel_lacks
        )
        self.kernel.profile = self.recorded
        self.assertEqual((TCR2,), self.trial(self.guest).missing)
        trial = self.trial(self.guest, qemu=NEW_QEMU)
        self.assertEqual((), trial.missing)
        self.assertIs(True, trial.accepted)

    def test_one_that_qemu_drops_only_if_it_is_zero(self) -> None:
        guest = dataclasses.replace(
            self.guest, reg_list=present(self.guest.reg_list) | {BMAP2}
        )
        self.assertIs(True, self.trial(guest, qemu=NEW_QEMU).accepted)
        guest = dataclasses.replace(
            guest, values=Values(dict(guest.values) | {BMAP2: 1})
        )
        self.assertEqual((BMAP2,), self.trial(guest, qemu=NEW_QEMU).missing)

    def test_qemus_version_is_not_known(self) -> None:
        def version(commands: Iterable[str]) -> None:
            raise errors.ProbeError('no qemu-system-aarch64 found')

        self.patch(programs, 'version', version)
        guest = dataclasses.replace(
            self.guest, reg_list=present(self.guest.reg_list) | {BMAP2}
        )
        trial = self.trial(guest, qemu=None)
        self.assertEqual((BMAP2,), trial.unjudged)
        self.assertIsNone(trial.accepted)

    def test_qemu_is_not_asked_for_nothing(self) -> None:
        def version(commands: Iterable[str]) -> None:
            self.fail('asked')

        self.patch(programs, 'version', version)
        self.assertIs(
            True,
            self.probe(self.recorded, qemu=None).trial(self.guest).accepted,
        )

    def test_other_errnos_keep_their_name(self) -> None:
        self.kernel.fails = lambda number: (
            errno.EBUSY * (self.kernel.calls[-1] == 'set_one_reg')
        )
        trial = self.probe(self.recorded).trial(self.guest)
        self.assertEqual({'EBUSY'}, {name for _, name in trial.refused})
        self.assertEqual(trial.written, len(trial.refused))


class TestNotMade(TrialTestCase):
    def test_a_guest_without_a_register_list(self) -> None:
        trial = self.trial(Guest(values=self.guest.values))
        self.assertFalse(trial.ran)
        self.assertIn('no list', trial.why_not)
        self.assertIsNone(trial.accepted)

    def test_no_kvm(self) -> None:
        trial = self.probe(self.recorded, device='/nowhere/kvm').trial(
            self.guest
        )
        self.assertFalse(trial.ran)
        self.assertIn('/nowhere/kvm', trial.why_not)

    def test_not_arm64(self) -> None:
        trial = self.probe(self.recorded, machine='x86_64').trial(self.guest)
        self.assertFalse(trial.ran)

    def test_kvm_fails(self) -> None:
        self.kernel.fails = lambda number: errno.ENOMEM
        trial = self.probe(self.recorded).trial(self.guest)
        self.assertFalse(trial.ran)
        self.assertIn('ENOMEM', trial.why_not)


class TestRecordedHost(base.ProbeTestCase):
    def test_host(self) -> None:
        recorded = base.recorded(base.N1_61)
        self.assertIs(recorded, RecordedHost(recorded).host())

    def test_view_is_that_of_the_real_probe(self) -> None:
        for name in (base.V1_612, base.MAX_72, base.N1_61):
            recorded = base.recorded(name)
            self.play(recorded)
            for disabled in ((), ('pmu',), ('sve256',), ('sve', 'pauth')):
                self.assertEqual(
                    self.probe(recorded).guest_view(frozenset(disabled)),
                    RecordedHost(recorded).guest_view(frozenset(disabled)),
                )

    def test_without_registers(self) -> None:
        empty = RecordedHost(Host(absent=(('reg_list', 'no KVM'),)))
        error = self.assertRaises(
            errors.ProbeError, empty.guest_view, frozenset()
        )
        self.assertEqual('no KVM', str(error))
        guest = guest_started_on(base.recorded(base.N1_61))
        self.assertEqual(
            Trial(ran=False, why_not='no KVM'), empty.trial(guest)
        )

    def test_what_the_rule_cannot_judge_is_refused(self) -> None:
        # ID_AA64PFR0_EL1.MPAM may be a stale value of the hardware.
        recorded = base.recorded(base.V1_612)
        guest = guest_started_on(recorded)
        guest = dataclasses.replace(
            guest,
            values=Values(
                dict(guest.values)
                | {ID_AA64PFR0_EL1: guest.values[ID_AA64PFR0_EL1] | 1 << 40}
            ),
        )
        self.assertEqual(
            ((ID_AA64PFR0_EL1, 'EINVAL'),),
            RecordedHost(recorded).trial(guest).refused,
        )
