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


import array
import errno
import os

import fixtures

from nova_arm_migrate.probe import descriptor
from nova_arm_migrate.probe import errors
from nova_arm_migrate.probe import kvm
from tests.present import present
from tests.unit.probe import base
from tests.unit.probe.fake_kvm import CORE_REGISTER


class TestNumbers(base.ProbeTestCase):
    def test_requests_are_what_the_kernel_headers_say(self) -> None:
        """Source: _IO, _IOR, _IOW, _IOWR of <asm-generic/ioctl.h>."""

        def number(direction: int, nr: int, size: int) -> int:
            return direction << 30 | size << 16 | 0xAE << 8 | nr

        write, read = 1, 2
        self.assertEqual(number(write, 0xAE, 32), kvm.KVM_ARM_VCPU_INIT)
        self.assertEqual(number(read, 0xAF, 32), kvm.KVM_ARM_PREFERRED_TARGET)
        self.assertEqual(number(write, 0xAB, 16), kvm.KVM_GET_ONE_REG)
        self.assertEqual(number(write, 0xAC, 16), kvm.KVM_SET_ONE_REG)
        self.assertEqual(number(read | write, 0xB0, 8), kvm.KVM_GET_REG_LIST)
        self.assertEqual(
            number(read, 0xB6, 64), kvm.KVM_ARM_GET_REG_WRITABLE_MASKS
        )
        self.assertEqual(number(write, 0xC2, 4), kvm.KVM_ARM_VCPU_FINALIZE)
        self.assertEqual(number(read | write, 0xE0, 12), kvm.KVM_CREATE_DEVICE)
        self.assertEqual(number(write, 0xA3, 104), kvm.KVM_ENABLE_CAP)
        self.assertEqual(
            number(write, 0xE1, 24), descriptor.KVM_SET_DEVICE_ATTR
        )
        self.assertEqual(
            number(write, 0xE2, 24), descriptor.KVM_GET_DEVICE_ATTR
        )
        self.assertEqual(
            number(write, 0xE3, 24), descriptor.KVM_HAS_DEVICE_ATTR
        )


class TestOpening(base.ProbeTestCase):
    def _fails(self, number: int) -> errors.ProbeError:
        def refuse(path: str, flags: int) -> None:
            raise OSError(number, os.strerror(number))

        self.useFixture(fixtures.MonkeyPatch('os.open', refuse))
        return self.assertRaises(errors.ProbeError, kvm.Kvm)

    def test_no_device(self) -> None:
        for number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            error = self._fails(number)
            self.assertIsInstance(error, errors.NoKvm)
            self.assertIn('/dev/kvm', str(error))

    def test_no_permission_names_the_group(self) -> None:
        error = self._fails(errno.EACCES)
        self.assertIsInstance(error, errors.NoPermission)
        self.assertIn('group kvm', str(error))

    def test_out_of_descriptors_is_not_a_missing_device(self) -> None:
        error = self._fails(errno.EMFILE)
        self.assertIsInstance(error, errors.KvmFailed)
        self.assertIn('EMFILE', str(error))

    def test_another_version_of_the_interface(self) -> None:
        kernel = self.play(base.recorded(base.V1_612))
        kernel.version = 13
        before = base.open_descriptors()
        error = self.assertRaises(errors.NoKvm, kvm.Kvm, os.devnull)
        self.assertIn('version 13', str(error))
        self.assertEqual(before, base.open_descriptors())

    def test_every_error_is_one_line(self) -> None:
        for error in (
            errors.NotArm64('x86\n64'),
            errors.NoPermission('d'),
            errors.NoKvm('d', 'r'),
            errors.KvmFailed('KVM_CREATE_VM', 12, 'ENOMEM'),
        ):
            self.assertNotIn('\n', str(error))


class TestScratch(base.ProbeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.recorded = base.recorded(base.MAX_72)
        self.kernel = self.play(self.recorded)
        self.device = kvm.Kvm(os.devnull)
        self.addCleanup(self.device.close)

    def machine(self) -> kvm.ScratchVM:
        machine = self.device.scratch_vm(present(self.recorded.ipa_bits))
        self.addCleanup(machine.close)
        return machine

    def test_capabilities(self) -> None:
        self.assertEqual(self.recorded.features, self.device.features())
        self.assertEqual(52, self.device.ipa_bits())

    def test_a_feature_needs_all_its_capabilities(self) -> None:
        missing = (kvm.KVM_CAP_ARM_PTRAUTH_GENERIC, kvm.KVM_CAP_ARM_SVE)
        self.patch(
            self.kernel,
            '_check_extension',
            lambda descriptor, number: int(number not in missing),
        )
        self.assertEqual({'pmu'}, self.device.features())

    def test_old_kernels_do_not_tell_the_ipa_size(self) -> None:
        self.patch(
            self.kernel, '_check_extension', lambda descriptor, number: 0
        )
        asked = []

        def create_vm(descriptor: int, bits: int) -> int:
            asked.append(bits)
            return os.dup(descriptor)

        self.patch(self.kernel, '_create_vm', create_vm)
        self.assertEqual(40, self.device.ipa_bits())
        self.device.scratch_vm(self.device.ipa_bits()).close()
        self.assertEqual([0], asked)

    def test_negative_answers_count_as_no(self) -> None:
        self.patch(
            self.kernel, '_check_extension', lambda descriptor, number: -22
        )
        self.assertEqual(0, self.device.capability(1))

    def test_masks(self) -> None:
        self.assertEqual(
            dict(present(self.recorded.writable)),
            self.machine().writable_masks(),
        )

    def test_gic_versions(self) -> None:
        self.assertEqual((3,), self.machine().gic_versions())

    def test_interrupted_calls_are_made_again(self) -> None:
        self.kernel.fails = lambda number: errno.EINTR if number % 3 else 0
        self.assertEqual(self.recorded.features, self.device.features())

    def test_registers(self) -> None:
        vcpu = self.machine().scratch_vcpu(self.recorded.features)
        self.addCleanup(vcpu.close)
        ids = vcpu.register_list()
        self.assertEqual(sorted(ids), list(ids))
        self.assertIn(CORE_REGISTER, ids)
        self.assertEqual(len(present(self.recorded.reg_list)) + 2, len(ids))
        self.assertEqual(
            self.recorded.values[0xC000], vcpu.read(0x603000000013C000)
        )

    def test_more_registers_than_expected(self) -> None:
        self.patch(kvm, '_REGISTERS', 3)
        vcpu = self.machine().scratch_vcpu(self.recorded.features)
        self.addCleanup(vcpu.close)
        self.assertEqual(
            len(present(self.recorded.reg_list)) + 2, len(vcpu.register_list())
        )
        self.assertEqual(2, self.kernel.calls.count('reg_list'))

    def test_a_kernel_that_never_has_enough_room(self) -> None:
        def too_many(vcpu: int, argument: bytearray) -> None:
            raise OSError(errno.E2BIG, 'too many')

        vcpu = self.machine().scratch_vcpu(self.recorded.features)
        self.addCleanup(vcpu.close)
        self.patch(self.kernel, '_reg_list', too_many)
        self.assertRaises(errors.KvmFailed, vcpu.register_list)

    def test_a_register_that_does_not_exist(self) -> None:
        vcpu = self.machine().scratch_vcpu(self.recorded.features)
        self.addCleanup(vcpu.close)
        error = self.assertRaises(
            errors.KvmFailed, vcpu.read, 0x603000000013FFFF
        )
        self.assertIn('0x603000000013ffff', str(error))
        self.assertIn('ENOENT', str(error))
        self.assertEqual(errno.ENOENT, vcpu.write(0x603000000013FFFF, 0))

    def test_a_written_value_stays_in_its_machine_only(self) -> None:
        register = 0x603000000013C020
        value = self.recorded.values[0xC020]
        vcpu = self.machine().scratch_vcpu(self.recorded.features)
        self.addCleanup(vcpu.close)
        self.assertEqual(0, vcpu.write(register, value - (1 << 60)))
        self.assertEqual(value - (1 << 60), vcpu.read(register))
        other = self.machine().scratch_vcpu(self.recorded.features)
        self.addCleanup(other.close)
        self.assertEqual(value, other.read(register))

    def test_closing_twice(self) -> None:
        machine = self.machine()
        before = base.open_descriptors()
        machine.close()
        machine.close()
        self.assertEqual(before - 1, base.open_descriptors())

    def test_a_vcpu_whose_making_is_interrupted_is_closed(self) -> None:
        def interrupted(vcpu: int, argument: bytes) -> None:
            raise KeyboardInterrupt

        machine = self.machine()
        before = base.open_descriptors()
        self.patch(self.kernel, '_vcpu_init', interrupted)
        self.assertRaises(KeyboardInterrupt, machine.scratch_vcpu, frozenset())
        self.assertEqual(before, base.open_descriptors())

    def test_errno_names(self) -> None:
        self.assertEqual('EINVAL', descriptor.errno_name(errno.EINVAL))
        self.assertEqual('4711', descriptor.errno_name(4711))

    def test_arrays_hold_64_bits(self) -> None:
        self.assertEqual(8, array.array('Q').itemsize)
