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


"""A kernel in memory: KVM's ioctls, and a tree of /proc and /sys.

It stands at the system call boundary: `FakeKernel.ioctl` takes the place of
fcntl.ioctl and reads and writes the caller's memory as the kernel does.
Descriptors are real ones, so that a leak shows in /proc/self/fd. What it
does with values is in `simulated.kvm_rule`, which the simulated
QEMU has too, and what with its interrupt controller in `fake_vgic`; both are
held against real kernels by the recorded hosts.
"""

import collections
from collections.abc import Callable
import ctypes
import errno
import os
import pathlib
import struct
from typing import Any

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.registers import code_of
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.probe import descriptor
from nova_arm_migrate.probe import kvm
from nova_arm_migrate.probe.host import CAPABILITIES
from nova_arm_migrate.probe.system import parse_list
from simulated import kvm_rule
from tests.present import present
from tests.unit.probe.fake_vgic import FakeVgic

CORE_REGISTER = 0x6030000000100000
SVE_REGISTER = 0x6080000000150000
FEATURE_OF_BIT = {3: 'pmu', 4: 'sve', 5: 'pauth', 6: 'pauth'}


class FakeKernel:
    """Plays a host's profile.

    :ivar calls: the names of the requests, in their order
    :ivar hardware: register code to what the kernel has of a register of
        which it hides a part from guests
    :ivar interface: ICC_CTLR_EL1 of a new GICv3
    :ivar enabled: numbers of the capabilities that were enabled
    :ivar machines: the last few that were made
    :ivar steal_time: whether a vCPU has KVM_ARM_VCPU_PVTIME_CTRL
    :ivar fails: called with each request's number in the order (from 1);
        returns an errno to fail it with, or 0
    """

    def __init__(
        self, host: Host, fails: Callable[[int], int] | None = None
    ) -> None:
        self.profile = host
        self.calls: list[str] = []
        self.fails = fails or (lambda number: 0)
        self.version = kvm.API_VERSION
        self.written: list[tuple[int, int]] = []
        self.hardware: dict[int, int] = {}
        self.interface = 0x8C00
        self.steal_time = bool(host.capability('STEAL_TIME'))
        self.enabled: list[int] = []
        self.machines: collections.deque[dict[str, Any]] = collections.deque(
            maxlen=8
        )
        self._number = 0
        self._vms: dict[int, dict[str, Any]] = {}
        self._vcpus: dict[int, dict[str, Any]] = {}
        self._vgics: dict[int, FakeVgic] = {}
        for vgic in host.vgics or ():
            self.interface = vgic.ctlr or self.interface

    def ioctl(
        self,
        descriptor: int,
        request: int,
        argument: Any = 0,
        mutate: bool = True,
    ) -> int:
        """Stand for fcntl.ioctl."""
        os.fstat(descriptor)
        self._number += 1
        name = _NAMES[request]
        self.calls.append(name)
        number = self.fails(self._number)
        if number:
            raise OSError(number, os.strerror(number))
        return getattr(self, f'_{name}')(descriptor, argument)

    def _get_api_version(self, descriptor: int, argument: int) -> int:
        return self.version

    def _check_extension(self, descriptor: int, number: int) -> int:
        known = {value: name for name, value in CAPABILITIES.items()}
        if number == kvm.KVM_CAP_ARM_VM_IPA_SIZE:
            return present(self.profile.ipa_bits)
        if number == kvm.KVM_CAP_ARM_NISV_TO_USER:
            return 1
        return self.profile.capability(known[number])

    def _create_vm(self, descriptor: int, ipa_bits: int) -> int:
        if ipa_bits > present(self.profile.ipa_bits):
            raise OSError(errno.EINVAL, 'IPA size')
        machine: dict[str, Any] = {'values': {}, 'vgic': None, 'vcpus': 0}
        self.machines.append(machine)
        return self._give(descriptor, self._vms, machine)

    def _give(self, descriptor: int, table: dict[int, Any], state: Any) -> int:
        """Give out a new descriptor; its number may have had another use."""
        new = os.dup(descriptor)
        tables: tuple[dict[int, Any], ...] = (
            self._vms,
            self._vcpus,
            self._vgics,
        )
        for one in tables:
            one.pop(new, None)
        table[new] = state
        return new

    def _enable_cap(self, vm: int, argument: bytes) -> int:
        number, flags, *rest = struct.unpack('=II4Q64x', argument)
        if vm not in self._vms or flags or any(rest):
            raise OSError(errno.EINVAL, 'capability')
        self.enabled.append(number)
        return 0

    def _create_vcpu(self, vm: int, number: int) -> int:
        self._vms[vm]['vcpus'] += 1
        return self._give(vm, self._vcpus, {'vm': self._vms[vm], 'pmu': None})

    def _create_device(self, vm: int, argument: bytearray) -> int:
        kind, _, flags = struct.unpack('=III', argument)
        if flags > 1 or kind not in (5, 7):
            raise OSError(errno.EINVAL, 'device')
        version = {5: 2, 7: 3}[kind]
        if version not in present(self.profile.gic):
            raise OSError(errno.ENODEV, 'device')
        if flags:
            return 0
        machine = self._vms[vm]
        if machine['vgic'] is not None:
            raise OSError(errno.EEXIST, 'device')
        machine['vgic'] = FakeVgic(version, machine, self.interface)
        struct.pack_into(
            '=I', argument, 4, self._give(vm, self._vgics, machine['vgic'])
        )
        return 0

    def _set_device_attr(self, descriptor: int, argument: bytes) -> int:
        return self._device_attr(descriptor, argument, 'set')

    def _get_device_attr(self, descriptor: int, argument: bytes) -> int:
        return self._device_attr(descriptor, argument, 'get')

    def _has_device_attr(self, descriptor: int, argument: bytes) -> int:
        return self._device_attr(descriptor, argument, 'has')

    def _device_attr(self, descriptor: int, argument: bytes, what: str) -> int:
        _flags, group, attribute, address = struct.unpack('=IIQQ', argument)
        if descriptor in self._vgics:
            return self._vgics[descriptor].attribute(
                what, group, attribute, address
            )
        return self._vcpu_attr(
            self._vcpus[descriptor], what, group, attribute, address
        )

    def _vcpu_attr(
        self,
        state: dict[str, Any],
        what: str,
        group: int,
        attribute: int,
        address: int,
    ) -> int:
        """Source: kvm_arm_pmu_v3_set_attr, kvm_arm_pvtime_has_attr."""
        if group == 2 and attribute == 0 and what == 'has':
            if not self.steal_time:
                raise OSError(errno.ENXIO, 'pvtime')
            return 0
        if group or attribute > 1 or what != 'set':
            raise OSError(errno.ENXIO, 'attribute')
        if 'pmu' not in state['seen'].features:
            raise OSError(errno.ENODEV, 'PMU')
        vgic = state['vm']['vgic']
        if attribute == 0:
            if vgic is None:
                raise OSError(errno.EINVAL, 'no irqchip')
            irq = ctypes.c_int.from_address(address).value
            if not 16 <= irq < 32:
                raise OSError(errno.EINVAL, 'PPI')
            state['pmu'] = irq
            return 0
        if vgic is None or not vgic.initialised:
            raise OSError(errno.ENODEV, 'vgic')
        if state['pmu'] is None:
            raise OSError(errno.ENXIO, 'irq')
        return 0

    def _preferred_target(self, vm: int, argument: bytearray) -> int:
        struct.pack_into('=I', argument, 0, 5)
        return 0

    def _writable_masks(self, vm: int, argument: bytes) -> int:
        if not self.profile.capability('SUPPORTED_REG_MASK_RANGES'):
            raise OSError(errno.ENOTTY, 'no such ioctl')
        address, kind, *reserved = struct.unpack('=QI13I', argument)
        if kind or any(reserved):
            raise OSError(errno.EINVAL, 'range')
        masks = (ctypes.c_uint64 * 192).from_address(address)
        for op1 in (0, 1, 3):
            for low in range(64):
                code = sysreg(3, op1, 0, low >> 3, low & 7)
                place = (op1 - (op1 == 3)) << 6 | low
                masks[place] = present(self.profile.writable).read(code)
        return 0

    def _vcpu_init(self, vcpu: int, argument: bytes) -> int:
        target, bits, *rest = struct.unpack('=II6I', argument)
        if target != 5 or any(rest) or not bits & 4:
            raise OSError(errno.EINVAL, 'init')
        on = {name for bit, name in FEATURE_OF_BIT.items() if bits >> bit & 1}
        if on - self.profile.features:
            raise OSError(errno.EINVAL, 'feature')
        off = self.profile.features - on
        state = self._vcpus[vcpu]
        state['seen'] = with_features_off(self.profile, off)
        state['lengths'] = state['seen'].sve_lengths or ()
        state['final'] = 'sve' not in on
        return 0

    def _vcpu_finalize(self, vcpu: int, argument: bytes) -> int:
        if struct.unpack('=i', argument) != (4,):
            raise OSError(errno.EINVAL, 'finalize')
        self._vcpus[vcpu]['final'] = True
        return 0

    def _reg_list(self, vcpu: int, argument: bytearray) -> int:
        state = self._vcpus[vcpu]
        if not state['final']:
            raise OSError(errno.EPERM, 'not finalised')
        # KVM does not sort them, and lists CPU state too.
        ids = [CORE_REGISTER, SVE_REGISTER]
        ids += sorted(map(kvm_id, state['seen'].reg_list), reverse=True)
        room, argument[0] = argument[0], len(ids)
        if room < len(ids):
            raise OSError(errno.E2BIG, 'too many')
        for place, register in enumerate(ids):
            argument[place + 1] = register
        return 0

    def _get_one_reg(self, vcpu: int, argument: bytes) -> int:
        register, address = struct.unpack('=QQ', argument)
        state = self._vcpus[vcpu]
        if register == kvm.KVM_REG_ARM64_SVE_VLS:
            words = (ctypes.c_uint64 * 8).from_address(address)
            for bits in state['lengths']:
                place, bit = divmod(bits // 128 - 1, 64)
                words[place] |= 1 << bit
            return 0
        code = self._code(state, register)
        value = self._shown(state, code)
        ctypes.c_uint64.from_address(address).value = value
        return 0

    def _set_one_reg(self, vcpu: int, argument: bytes) -> int:
        register, address = struct.unpack('=QQ', argument)
        state = self._vcpus[vcpu]
        if register == kvm.KVM_REG_ARM64_SVE_VLS:
            words = (ctypes.c_uint64 * 8).from_address(address)
            state['lengths'] = tuple(
                bits
                for bits in state['lengths']
                if words[0] >> (bits // 128 - 1) & 1
            )
            return 0
        code = self._code(state, register)
        value = ctypes.c_uint64.from_address(address).value
        self.written.append((code, value))
        return self._write(state, code, value)

    def _code(self, state: dict[str, Any], register: int) -> int:
        code = code_of(register)
        if (
            code not in state['seen'].reg_list
            or kvm_id(present(code)) != register
        ):
            raise OSError(errno.ENOENT, 'no such register')
        return present(code)

    def _shown(self, state: dict[str, Any], code: int) -> int:
        """What the vCPU shows: what was written, or as its GIC has it."""
        machine = state['vm']
        if code in machine['values']:
            return machine['values'][code]
        value = state['seen'].values.read(code)
        if machine['vgic'] is not None:
            value = kvm_rule.finalized(
                code, value, machine['vgic'].version, self._version()
            )
        return value

    def _version(self) -> tuple[int, int]:
        return present(version_of(self.profile.kernel))

    def _write(self, state: dict[str, Any], code: int, value: int) -> int:
        values = state['seen'].values
        limit = values.read(code)
        rule = kvm_rule.Rule(
            self._version(),
            present(self.profile.writable),
            self.hardware,
            kvm_rule.makes_up_caches(present(self.profile.reg_list)),
        )
        try:
            kept = rule.take(
                code, value, limit, self._shown(state, code), values
            )
        except kvm_rule.Refused:
            raise OSError(errno.EINVAL, 'value') from None
        state['vm']['values'][code] = kept
        return 0


_NAMES = {
    kvm.KVM_GET_API_VERSION: 'get_api_version',
    kvm.KVM_CREATE_VM: 'create_vm',
    kvm.KVM_CHECK_EXTENSION: 'check_extension',
    kvm.KVM_CREATE_VCPU: 'create_vcpu',
    kvm.KVM_CREATE_DEVICE: 'create_device',
    kvm.KVM_ENABLE_CAP: 'enable_cap',
    descriptor.KVM_SET_DEVICE_ATTR: 'set_device_attr',
    descriptor.KVM_GET_DEVICE_ATTR: 'get_device_attr',
    descriptor.KVM_HAS_DEVICE_ATTR: 'has_device_attr',
    kvm.KVM_ARM_PREFERRED_TARGET: 'preferred_target',
    kvm.KVM_ARM_GET_REG_WRITABLE_MASKS: 'writable_masks',
    kvm.KVM_ARM_VCPU_INIT: 'vcpu_init',
    kvm.KVM_ARM_VCPU_FINALIZE: 'vcpu_finalize',
    kvm.KVM_GET_ONE_REG: 'get_one_reg',
    kvm.KVM_SET_ONE_REG: 'set_one_reg',
    kvm.KVM_GET_REG_LIST: 'reg_list',
}


def write_tree(
    root: str | pathlib.Path, host: Host, release_suffix: str = '-arm64'
) -> None:
    """Write what /proc and /sys of a host say below a directory."""
    root = pathlib.Path(root)
    _write(
        root, 'proc/sys/kernel/osrelease', f'{host.kernel}{release_suffix}\n'
    )
    vector = {6: host.page_size, 33: 0xFFFF0000}
    vector.update(zip((16, 26, 29, 30), present(host.hwcap), strict=False))
    _write(
        root,
        'proc/self/auxv',
        b''.join(
            struct.pack('<QQ', kind, value)
            for kind, value in [*vector.items(), (0, 0)]
        ),
    )
    for size in present(host.huge_page_sizes):
        _write(
            root,
            f'sys/kernel/mm/hugepages/hugepages-{size >> 10}kB/nr_hugepages',
            '0\n',
        )
    cpus = sorted(cpu for core in host.cores for cpu in parse_list(core.cpus))
    _write(
        root, 'sys/devices/system/cpu/online', ','.join(map(str, cpus)) + '\n'
    )
    for core in host.cores:
        for cpu in parse_list(core.cpus):
            for name in ('midr', 'revidr', 'aidr'):
                value = getattr(core, name)
                if value is not None:
                    _write(
                        root,
                        f'sys/devices/system/cpu/cpu{cpu}/regs/'
                        f'identification/{name}_el1',
                        f'{value:#018x}\n',
                    )


def _write(root: pathlib.Path, path: str, content: str | bytes) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    file.write_bytes(content)
