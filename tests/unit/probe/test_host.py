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
import os

import fixtures

from nova_arm_migrate.core.guest_view import guest_seen
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.probe import errors
from nova_arm_migrate.probe import host as host_module
from nova_arm_migrate.probe.host import disagreements
from tests.present import present
from tests.unit.probe import base


class TestProfile(base.ProbeTestCase):
    def test_recorded_hosts_come_out_as_they_were(self) -> None:
        for name in base.recorded_names():
            recorded = base.recorded(name)
            kernel = self.play(recorded)
            kernel.hardware = base.HIDDEN.get(name, {})
            host = self.probe(recorded).host()
            if recorded.tried is None:
                self.assertIsNotNone(host.tried)
                host = dataclasses.replace(
                    host,
                    tried=None,
                    vgics=None,
                    hypercalls=None,
                    own_caches=None,
                )
            self.assertEqual(recorded, host, name)

    def test_same_bytes_twice_and_at_most_4_kib(self) -> None:
        for name in (base.V1_612, base.MAX_72, base.N1_61):
            recorded = base.recorded(name)
            self.play(recorded)
            probe = self.probe(recorded)
            text = dump_host(probe.host())
            self.assertEqual(text, dump_host(probe.host()))
            self.assertLessEqual(len(text), 4096)

    def test_writable_fields_are_tried_where_the_kernel_does_not_tell(
        self,
    ) -> None:
        recorded = base.recorded(base.N1_61)
        self.assertEqual(0, recorded.capability('SUPPORTED_REG_MASK_RANGES'))
        kernel = self.play(recorded)
        host = self.probe(recorded).host()
        # CSV2 and CSV3 of ID_AA64PFR0_EL1.
        self.assertEqual({0xC020: 0xFF << 56}, dict(present(host.writable)))
        self.assertEqual(1, kernel.calls.count('create_vm'))
        self.assertNotIn('writable_masks', kernel.calls)

    def test_a_field_that_is_0_is_not_tried(self) -> None:
        recorded = base.recorded(base.N1_61)
        values = {
            code: value
            for code, value in recorded.values.items()
            if code != 0xC020
        }
        self.play(
            dataclasses.replace(
                recorded, values=Values(values), writable=Values()
            )
        )
        host = self.probe(recorded).host()
        self.assertEqual(Values(), host.writable)

    def test_several_kinds_of_cores(self) -> None:
        little = Core(0x410FD034, 0, None, '0-1')
        big = Core(0x410FD082, 0, None, '2,4-5')
        recorded = dataclasses.replace(
            base.recorded(base.N1_61), cores=(little, big)
        )
        self.play(recorded)
        cpus = os.sched_getaffinity(0)
        self.assertEqual((little, big), self.probe(recorded).host().cores)
        self.assertEqual(cpus, os.sched_getaffinity(0))

    def test_the_thread_stays_on_the_first_kind_of_core(self) -> None:
        pinned = []
        self.useFixture(
            fixtures.MonkeyPatch(
                'os.sched_getaffinity', lambda pid: {0, 1, 2, 3}
            )
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'os.sched_setaffinity', lambda pid, cpus: pinned.append(cpus)
            )
        )
        cores = (Core(1, 0, None, '0-1'), Core(2, 0, None, '2-3'))
        with host_module.steady(cores):
            self.assertEqual([{0, 1}], pinned)
        self.assertEqual([{0, 1}, {0, 1, 2, 3}], pinned)

    def test_a_thread_that_may_not_go_there_stays(self) -> None:
        self.useFixture(
            fixtures.MonkeyPatch('os.sched_getaffinity', lambda pid: {7})
        )
        cores = (Core(1, 0, None, '0-1'), Core(2, 0, None, '2-3'))
        with host_module.steady(cores):
            pass

    def test_a_refused_affinity_is_an_error_of_the_probe(self) -> None:
        def refuse(pid: int, cpus: Iterable[int]) -> None:
            raise OSError(errno.EPERM, 'Operation not permitted')

        self.useFixture(
            fixtures.MonkeyPatch('os.sched_getaffinity', lambda pid: {0})
        )
        self.useFixture(fixtures.MonkeyPatch('os.sched_setaffinity', refuse))
        cores = (Core(1, 0, None, '0'), Core(2, 0, None, '1'))
        with self.assertRaises(errors.KvmFailed):
            with host_module.steady(cores):
                self.fail('not reached')

    def test_no_ctypes_is_said(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)

        def read(instruction: int) -> None:
            raise errors.ProbeError('this Python has no ctypes')

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_arm_migrate.probe.user_registers.read', read
            )
        )
        host = self.probe(recorded).host()
        self.assertIsNone(host.cntfrq)
        self.assertIsNone(host.dczid)
        self.assertEqual({'cntfrq', 'dczid'}, set(dict(host.absent)))
        self.assertEqual(
            'this Python has no ctypes', host.why_absent('cntfrq')
        )

    def test_timer_frequency_of_the_device_tree(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)

        def read(instruction: int) -> None:
            raise errors.ProbeError('this Python has no ctypes')

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_arm_migrate.probe.user_registers.read', read
            )
        )
        file = self.root / 'sys/firmware/devicetree/base/timer/clock-frequency'
        file.parent.mkdir(parents=True)
        file.write_bytes((24000000).to_bytes(4, 'big'))
        self.assertEqual(24000000, self.probe(recorded).host().cntfrq)

    def test_unreadable_parts_are_absent_with_the_reason(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)
        (self.root / 'proc/self/auxv').unlink()
        (self.root / 'proc/sys/kernel/osrelease').write_text('tomorrow\n')
        host = self.probe(recorded).host()
        self.assertIsNone(host.page_size)
        self.assertIsNone(host.hwcap)
        self.assertIsNone(host.kernel)
        self.assertIn('No such file', host.why_absent('hwcap'))
        self.assertIn('no version', host.why_absent('kernel'))
        self.assertEqual(recorded.values, host.values)


class TestRefusals(base.ProbeTestCase):
    def test_not_arm64(self) -> None:
        recorded = base.recorded(base.V1_612)
        kernel = self.play(recorded)
        probe = self.probe(recorded, machine='x86_64')
        self.assertRaises(errors.NotArm64, probe.host)
        self.assertRaises(errors.NotArm64, probe.guest_view, frozenset())
        self.assertEqual([], kernel.calls)

    def test_not_arm64_degraded(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)
        host = self.probe(recorded, machine='x86_64', degraded=True).host()
        self.assertEqual((), host.cores)
        self.assertIsNone(host.reg_list)
        self.assertIn('x86_64', host.why_absent('values'))
        self.assertEqual(recorded.kernel, host.kernel)
        self.assertEqual(recorded.qemu, host.qemu)

    def test_no_kvm(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)
        probe = self.probe(recorded, device=str(self.root / 'kvm'))
        error = self.assertRaises(errors.NoKvm, probe.host)
        self.assertIn('No such file or directory', str(error))
        self.assertIn('modprobe', str(error))

    def test_no_kvm_degraded(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)
        probe = self.probe(
            recorded, device=str(self.root / 'kvm'), degraded=True
        )
        host = probe.host()
        self.assertEqual(recorded.cores, host.cores)
        self.assertIsNone(host.ipa_bits)
        for name in (
            'values',
            'reg_list',
            'writable',
            'sve_lengths',
            'gic',
            'ipa_bits',
            'features',
            'capabilities',
        ):
            self.assertIn('No such file', host.why_absent(name))
        self.assertLessEqual(len(host.why_absent('values')), 120)

    def test_a_failing_ioctl_is_named(self) -> None:
        recorded = base.recorded(base.V1_612)
        kernel = self.play(recorded)
        kernel.fails = lambda number: (
            errno.ENOMEM * (kernel.calls[-1] == 'create_vm')
        )
        error = self.assertRaises(errors.KvmFailed, self.probe(recorded).host)
        self.assertEqual(
            "KVM_CREATE_VM: ENOMEM; see dmesg for KVM's messages", str(error)
        )
        self.assertEqual(errno.ENOMEM, error.errno)


class TestGuestView(base.ProbeTestCase):
    def test_features_that_are_off(self) -> None:
        recorded = base.recorded(base.MAX_72)
        self.play(recorded)
        probe = self.probe(recorded)
        for disabled in (
            (),
            ('pmu',),
            ('sve',),
            ('pauth',),
            ('sve512',),
            ('pmu', 'sve256'),
            ('pauth', 'pmu', 'sve'),
        ):
            view = probe.guest_view(frozenset(disabled))
            self.assertEqual(
                (), disagreements(recorded, frozenset(disabled), view)
            )
            self.assertEqual(
                guest_started_on(
                    recorded,
                    disabled=frozenset(disabled),
                    gic=3,
                    memory=1 << 30,
                ),
                guest_seen(
                    recorded,
                    view,
                    disabled=frozenset(disabled),
                    gic=3,
                    memory=1 << 30,
                ),
            )

    def test_lengths_are_cut_before_the_vcpu_is_final(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)
        probe = self.probe(recorded)
        self.assertEqual((128, 256), probe.guest_view(frozenset()).sve_lengths)
        self.assertEqual(
            (128,), probe.guest_view(frozenset({'sve256'})).sve_lengths
        )

    def test_a_length_that_the_host_lacks_cuts_nothing(self) -> None:
        """As QEMU has it: A64FX has no vectors of 384 bits."""
        recorded = base.recorded('a64fx-linux-7.2')
        self.play(recorded)
        probe = self.probe(recorded)
        for off, left in (
            ('sve384', (128, 256, 512)),
            ('sve256', (128,)),
            ('sve512', (128, 256)),
        ):
            disabled = frozenset({'sve384', off})
            self.assertEqual(left, probe.guest_view(disabled).sve_lengths)
            self.assertEqual(
                left, with_features_off(recorded, disabled).sve_lengths
            )

    def test_without_a_list_of_cores(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)
        (self.root / 'sys/devices/system/cpu/online').unlink()
        view = self.probe(recorded).guest_view(frozenset())
        self.assertEqual(recorded.values, view.values)

    def test_disagreements_are_told(self) -> None:
        recorded = base.recorded(base.V1_612)
        self.play(recorded)
        view = self.probe(recorded).guest_view(frozenset())
        view = dataclasses.replace(
            view,
            values=Values(dict(view.values) | {0xC020: 1}),
            reg_list=view.reg_list - {0xC100} | {0xC3A1},
            sve_lengths=(128,),
        )
        self.assertEqual(
            (
                'ID_AA64PFR0_EL1: KVM 0x1, derived 0x1101000121110112',
                'S3_0_C7_C4_1: KVM has it, derived has not',
                'TTBR0_EL1: derived has it, KVM has not',
                'sve_lengths: KVM (128,), derived (128, 256)',
            ),
            disagreements(recorded, frozenset(), view),
        )
