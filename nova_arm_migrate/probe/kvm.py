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


"""The part of KVM's interface that a scratch vCPU needs.

Sources: ``include/uapi/linux/kvm.h``, ``arch/arm64/include/uapi/asm/kvm.h``
and ``Documentation/virt/kvm/api.rst`` of Linux. A scratch VM has no memory
and its vCPU never runs. It needs a few pages of the host for milliseconds.
"""

import array
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
import errno
import os
import struct

from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.probe.descriptor import Descriptor
from nova_arm_migrate.probe.descriptor import failed
from nova_arm_migrate.probe.descriptor import KVM_HAS_DEVICE_ATTR
from nova_arm_migrate.probe.descriptor import KVM_SET_DEVICE_ATTR
from nova_arm_migrate.probe.descriptor import retried
from nova_arm_migrate.probe.errors import KvmFailed
from nova_arm_migrate.probe.errors import NoKvm
from nova_arm_migrate.probe.errors import NoPermission
from nova_arm_migrate.probe.vgic import GIC_DEVICES
from nova_arm_migrate.probe.vgic import VgicDevice

DEVICE = '/dev/kvm'
API_VERSION = 12

KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01
KVM_CHECK_EXTENSION = 0xAE03
KVM_CREATE_VCPU = 0xAE41
KVM_ARM_VCPU_INIT = 0x4020AEAE
KVM_ARM_PREFERRED_TARGET = 0x8020AEAF
KVM_ARM_VCPU_FINALIZE = 0x4004AEC2
KVM_ARM_GET_REG_WRITABLE_MASKS = 0x8040AEB6
KVM_GET_ONE_REG = 0x4010AEAB
KVM_SET_ONE_REG = 0x4010AEAC
KVM_GET_REG_LIST = 0xC008AEB0
KVM_CREATE_DEVICE = 0xC00CAEE0
KVM_ENABLE_CAP = 0x4068AEA3

KVM_CAP_ARM_PMU_V3 = 126
KVM_CAP_ARM_VM_IPA_SIZE = 165
KVM_CAP_ARM_SVE = 170
KVM_CAP_ARM_PTRAUTH_ADDRESS = 171
KVM_CAP_ARM_PTRAUTH_GENERIC = 172
KVM_CAP_ARM_NISV_TO_USER = 177
KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES = 230
KVM_CAP_ARM_WRITABLE_IMP_ID_REGS = 239

#: IPA bits of a VM if KVM does not report them (KVM_CAP_ARM_VM_IPA_SIZE is 0).
DEFAULT_IPA_BITS = 40

KVM_CREATE_DEVICE_TEST = 1

KVM_ARM_VCPU_PSCI_0_2 = 2
#: Bits of KVM_ARM_VCPU_INIT by the name of QEMU's property. QEMU sets both
#: bits of pointer authentication, or none.
FEATURE_BITS = {'pmu': (3,), 'sve': (4,), 'pauth': (5, 6)}
#: The capability that each of those bits needs.
FEATURE_CAPABILITIES = {
    'pmu': (KVM_CAP_ARM_PMU_V3,),
    'sve': (KVM_CAP_ARM_SVE,),
    'pauth': (KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC),
}
_FINALIZE_SVE = 4
# arch/arm64/include/uapi/asm/kvm.h: attributes of a vCPU.
VCPU_PMU = 0
VCPU_PMU_IRQ = 0
VCPU_PMU_INIT = 1
VCPU_PVTIME = 2
#: The PMU's interrupt in the virt machine: PPI 7. PPIs start at 16.
PMU_IRQ = 23

KVM_REG_ARM64_SVE_VLS = 0x606000000015FFFF
_SVE_VLS_WORDS = 8

#: Room for the list of a vCPU's registers. This is more than any kernel lists
#: today (270 without SVE, 320 with it).
_REGISTERS = 1024

#: The Feature ID space: op0 3, op1 {0, 1, 3}, CRn 0, CRm 0-7, op2 0-7
#: (KVM_ARM_FEATURE_ID_RANGE).
_FEATURE_ID_RANGE = 0
_FEATURE_ID_OP1 = (0, 1, 3)
_FEATURE_ID_SIZE = 3 * 8 * 8


class _Asked(Descriptor):
    """A descriptor that supports KVM_CHECK_EXTENSION."""

    def capability(self, number: int) -> int:
        """Return KVM_CHECK_EXTENSION of a KVM_CAP_ number; 0 or more."""
        return max(
            0, self._call('KVM_CHECK_EXTENSION', KVM_CHECK_EXTENSION, number)
        )


class Kvm(_Asked):
    """An open ``/dev/kvm``.

    :raises NoKvm: if there is no such device, or its API has another version
    :raises NoPermission: if the user may not open it
    """

    def __init__(self, device: str = DEVICE) -> None:
        try:
            super().__init__(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        except PermissionError:
            raise NoPermission(device) from None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
                raise NoKvm(device, os.strerror(error.errno)) from None
            raise failed(f'open {device}', error) from None
        try:
            version = self._call('KVM_GET_API_VERSION', KVM_GET_API_VERSION)
            if version != API_VERSION:
                raise NoKvm(
                    device,
                    f"KVM's API has version {version}, not {API_VERSION}",
                )
        except BaseException:
            self.close()
            raise

    def features(self) -> frozenset[str]:
        """Return the vCPU features that the host has."""
        return frozenset(
            name
            for name, numbers in FEATURE_CAPABILITIES.items()
            if all(self.capability(number) for number in numbers)
        )

    def ipa_bits(self) -> int:
        """Return the largest size of guest physical addresses, in bits."""
        return self.capability(KVM_CAP_ARM_VM_IPA_SIZE) or DEFAULT_IPA_BITS

    def scratch_vm(self, ipa_bits: int) -> 'ScratchVM':
        """Return a new virtual machine.

        :raises KvmFailed: if KVM creates none
        """
        # 0 is the default size; kernels before 4.20 accept only that.
        kind = 0 if ipa_bits == DEFAULT_IPA_BITS else ipa_bits
        return ScratchVM(self._call('KVM_CREATE_VM', KVM_CREATE_VM, kind))


class ScratchVM(_Asked):
    """A virtual machine without memory."""

    def gic_versions(self) -> tuple[int, ...]:
        """Return the GIC versions that KVM emulates, ascending."""
        return tuple(
            version
            for version, kind in GIC_DEVICES.items()
            if self._emulates(kind)
        )

    def _emulates(self, kind: int) -> bool:
        """Ask with KVM_CREATE_DEVICE_TEST, which creates no device."""
        request = bytearray(
            struct.pack('=III', kind, 0, KVM_CREATE_DEVICE_TEST)
        )
        try:
            retried(self._descriptor, KVM_CREATE_DEVICE, request)
        except OSError:
            return False
        return True

    def turn_on_as_qemu(self) -> None:
        """Enable what QEMU's ``kvm_arch_init`` enables for every machine.

        QEMU continues if KVM refuses it.
        """
        self._turn_on(KVM_CAP_ARM_NISV_TO_USER)

    def let_write_implementation(self) -> None:
        """Make MIDR_EL1, REVIDR_EL1 and AIDR_EL1 writable, before any vCPU.

        KVM before 6.15 can't, and then refuses other values.
        """
        self._turn_on(KVM_CAP_ARM_WRITABLE_IMP_ID_REGS)

    def _turn_on(self, number: int) -> None:
        """Enable a capability; nothing happens if KVM refuses it."""
        if self.capability(number):
            try:
                self._call(
                    'KVM_ENABLE_CAP',
                    KVM_ENABLE_CAP,
                    bytearray(struct.pack('=I100x', number)),
                )
            except KvmFailed:
                return

    def vgic(self, version: int) -> VgicDevice:
        """Return an interrupt controller for the machine and its vCPU.

        :param version: one of `gic_versions`
        :raises KvmFailed: if KVM creates none
        """
        request = bytearray(struct.pack('=III', GIC_DEVICES[version], 0, 0))
        self._call('KVM_CREATE_DEVICE', KVM_CREATE_DEVICE, request)
        device = VgicDevice(struct.unpack('=III', request)[1], version)
        try:
            device.set_up()
        except BaseException:
            device.close()
            raise
        return device

    def writable_masks(self) -> dict[int, int] | None:
        """Return the writable bits by register code, without zeros.

        :returns: None if the kernel does not report them (before 6.7)
        :raises KvmFailed: if it has the capability and the call fails
        """
        ranges = self.capability(KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES)
        if not ranges & 1 << _FEATURE_ID_RANGE:
            return None
        masks = array.array('Q', bytes(8 * _FEATURE_ID_SIZE))
        self._call(
            'KVM_ARM_GET_REG_WRITABLE_MASKS',
            KVM_ARM_GET_REG_WRITABLE_MASKS,
            bytearray(
                struct.pack(
                    '=QI52x', masks.buffer_info()[0], _FEATURE_ID_RANGE
                )
            ),
        )
        return {
            sysreg(
                3, _FEATURE_ID_OP1[index >> 6], 0, index >> 3 & 7, index & 7
            ): mask
            for index, mask in enumerate(masks)
            if mask
        }

    def scratch_vcpu(
        self, features: frozenset[str], sve_off: Collection[int] = ()
    ) -> 'ScratchVCPU':
        """Return the first vCPU of the machine.

        :param features: names from FEATURE_BITS
        :param sve_off: vector lengths to switch off, in bits. The shortest
            one that KVM has also switches off all longer lengths
        :raises KvmFailed: if KVM creates none
        """
        target = bytearray(32)
        self._call(
            'KVM_ARM_PREFERRED_TARGET', KVM_ARM_PREFERRED_TARGET, target
        )
        vcpu = ScratchVCPU(self._call('KVM_CREATE_VCPU', KVM_CREATE_VCPU))
        try:
            vcpu.initialise(target, features, sve_off)
        except BaseException:
            vcpu.close()
            raise
        return vcpu


class ScratchVCPU(Descriptor):
    """A vCPU that never runs."""

    sve_lengths: tuple[int, ...] = ()

    def initialise(
        self,
        target: bytearray,
        features: frozenset[str],
        sve_off: Collection[int],
    ) -> None:
        """Set the features, as QEMU's ``kvm_arch_init_vcpu`` does.

        :param target: struct kvm_vcpu_init of KVM_ARM_PREFERRED_TARGET
        :param sve_off: as for `ScratchVM.scratch_vcpu`
        :raises KvmFailed: if KVM refuses them
        """
        bits = 1 << KVM_ARM_VCPU_PSCI_0_2
        for name in features:
            for bit in FEATURE_BITS[name]:
                bits |= 1 << bit
        struct.pack_into('=I', target, 4, bits)
        self._call('KVM_ARM_VCPU_INIT', KVM_ARM_VCPU_INIT, target)
        if 'sve' in features:
            self.sve_lengths = self._read_lengths()
            cut = [bits for bits in self.sve_lengths if bits in sve_off]
            if cut:
                self._keep_lengths(
                    [bits for bits in self.sve_lengths if bits < min(cut)]
                )
                self.sve_lengths = self._read_lengths()
            self._call(
                'KVM_ARM_VCPU_FINALIZE',
                KVM_ARM_VCPU_FINALIZE,
                bytearray(struct.pack('=i', _FINALIZE_SVE)),
            )

    def start_pmu(self) -> None:
        """Set the PMU's interrupt, like ``kvm_arm_pmu_set_irq`` and ``_init``.

        The machine must have its GIC.

        :raises KvmFailed: if KVM refuses it
        """
        irq = array.array('i', [PMU_IRQ])
        self._attribute(
            "the PMU's interrupt",
            KVM_SET_DEVICE_ATTR,
            VCPU_PMU,
            VCPU_PMU_IRQ,
            irq.buffer_info()[0],
        )
        self._attribute(
            'initialising the PMU',
            KVM_SET_DEVICE_ATTR,
            VCPU_PMU,
            VCPU_PMU_INIT,
        )

    def has_steal_time(self) -> bool:
        """Whether QEMU could give the vCPU a steal time page.

        QEMU aborts if KVM has the capability but not this attribute.
        """
        try:
            self._attribute(
                'KVM_HAS_DEVICE_ATTR', KVM_HAS_DEVICE_ATTR, VCPU_PVTIME, 0
            )
        except KvmFailed:
            return False
        return True

    def _one_reg(self, register: int, buffer: 'array.array[int]') -> bytearray:
        return bytearray(struct.pack('=QQ', register, buffer.buffer_info()[0]))

    def _read_lengths(self) -> tuple[int, ...]:
        words = array.array('Q', bytes(8 * _SVE_VLS_WORDS))
        self._call(
            'KVM_GET_ONE_REG of KVM_REG_ARM64_SVE_VLS',
            KVM_GET_ONE_REG,
            self._one_reg(KVM_REG_ARM64_SVE_VLS, words),
        )
        # Bit n stands for n + 1 quadwords of 128 bits.
        return tuple(
            128 * (64 * place + bit + 1)
            for place, word in enumerate(words)
            for bit in range(64)
            if word >> bit & 1
        )

    def _keep_lengths(self, lengths: Iterable[int]) -> None:
        words = array.array('Q', bytes(8 * _SVE_VLS_WORDS))
        for bits in lengths:
            place, bit = divmod(bits // 128 - 1, 64)
            words[place] |= 1 << bit
        self._call(
            'KVM_SET_ONE_REG of KVM_REG_ARM64_SVE_VLS',
            KVM_SET_ONE_REG,
            self._one_reg(KVM_REG_ARM64_SVE_VLS, words),
        )

    def register_list(self) -> tuple[int, ...]:
        """Return the ids of all registers, ascending as in QEMU.

        :raises KvmFailed: if KVM does not return it
        """
        room = _REGISTERS
        while True:
            ids = array.array('Q', bytes(8 * (room + 1)))
            ids[0] = room
            try:
                retried(self._descriptor, KVM_GET_REG_LIST, ids)
                break
            except OSError as error:
                # With E2BIG KVM returns the needed number.
                if error.errno != errno.E2BIG or ids[0] <= room:
                    raise failed('KVM_GET_REG_LIST', error) from None
                room = ids[0]
        return tuple(sorted(ids[1 : ids[0] + 1]))

    def read(self, register: int) -> int:
        """Return the value of a register of at most 64 bits.

        :param register: its KVM id
        :raises KvmFailed: if KVM does not return it
        """
        value = array.array('Q', [0])
        self._call(
            f'KVM_GET_ONE_REG of {register:#x}',
            KVM_GET_ONE_REG,
            self._one_reg(register, value),
        )
        return value[0]

    def write(self, register: int, value: int) -> int:
        """Write a register of at most 64 bits.

        :param register: its KVM id
        :returns: 0, or the errno of KVM's refusal
        """
        buffer = array.array('Q', [value])
        try:
            retried(
                self._descriptor,
                KVM_SET_ONE_REG,
                self._one_reg(register, buffer),
            )
        except OSError as error:
            return error.errno or errno.EINVAL
        return 0

    def writer(self, register: int) -> Callable[[int], int]:
        """Return a faster `write` for many writes to one register."""
        buffer = array.array('Q', [0])
        request = self._one_reg(register, buffer)

        def write(value: int) -> int:
            buffer[0] = value
            try:
                retried(self._descriptor, KVM_SET_ONE_REG, request)
            except OSError as error:
                return error.errno or errno.EINVAL
            return 0

        return write
