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
does with values is a simplification (see `FakeKernel._write`): KVM's own
rule is tested in the lab.
"""

import ctypes
import errno
import os
import pathlib
import struct

from nova_arm_migrate.core.registers import code_of
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.vcpu import offered
from nova_arm_migrate.probe.host import CAPABILITIES
from nova_arm_migrate.probe import kvm
from nova_arm_migrate.probe.system import parse_list

CORE_REGISTER = 0x6030000000100000
SVE_REGISTER = 0x6080000000150000
FEATURE_OF_BIT = {3: "pmu", 4: "sve", 5: "pauth", 6: "pauth"}


class FakeKernel:
    """Plays a host's profile.

    :ivar calls: the names of the requests, in their order
    :ivar fails: called with each request's number in the order (from 1);
        returns an errno to fail it with, or 0
    """

    def __init__(self, host, fails=None):
        self.profile = host
        self.calls = []
        self.fails = fails or (lambda number: 0)
        self.version = kvm.API_VERSION
        self.written = []
        self._number = 0
        self._vms = {}
        self._vcpus = {}

    def ioctl(self, descriptor, request, argument=0, mutate=True):
        """Stand for fcntl.ioctl."""
        os.fstat(descriptor)
        self._number += 1
        name = _NAMES[request]
        self.calls.append(name)
        number = self.fails(self._number)
        if number:
            raise OSError(number, os.strerror(number))
        return getattr(self, f"_{name}")(descriptor, argument)

    def _get_api_version(self, descriptor, argument):
        return self.version

    def _check_extension(self, descriptor, number):
        known = {value: name for name, value in CAPABILITIES.items()}
        if number == kvm.KVM_CAP_ARM_VM_IPA_SIZE:
            return self.profile.ipa_bits
        return self.profile.capability(known[number])

    def _create_vm(self, descriptor, ipa_bits):
        if ipa_bits > self.profile.ipa_bits:
            raise OSError(errno.EINVAL, "IPA size")
        new = os.dup(descriptor)
        self._vms[new] = {}
        return new

    def _create_vcpu(self, vm, number):
        new = os.dup(vm)
        self._vcpus[new] = {"vm": self._vms[vm]}
        return new

    def _create_device(self, vm, argument):
        kind, _, flags = struct.unpack("=III", argument)
        if flags != 1 or kind not in (5, 7):
            raise OSError(errno.EINVAL, "device")
        if {5: 2, 7: 3}[kind] not in self.profile.gic:
            raise OSError(errno.ENODEV, "device")
        return 0

    def _preferred_target(self, vm, argument):
        struct.pack_into("=I", argument, 0, 5)
        return 0

    def _writable_masks(self, vm, argument):
        if not self.profile.capability("SUPPORTED_REG_MASK_RANGES"):
            raise OSError(errno.ENOTTY, "no such ioctl")
        address, kind, *reserved = struct.unpack("=QI13I", argument)
        if kind or any(reserved):
            raise OSError(errno.EINVAL, "range")
        masks = (ctypes.c_uint64 * 192).from_address(address)
        for op1 in (0, 1, 3):
            for low in range(64):
                code = sysreg(3, op1, 0, low >> 3, low & 7)
                place = (op1 - (op1 == 3)) << 6 | low
                masks[place] = self.profile.writable.read(code)
        return 0

    def _vcpu_init(self, vcpu, argument):
        target, bits, *rest = struct.unpack("=II6I", argument)
        if target != 5 or any(rest) or not bits & 4:
            raise OSError(errno.EINVAL, "init")
        on = {name for bit, name in FEATURE_OF_BIT.items() if bits >> bit & 1}
        if on - self.profile.features:
            raise OSError(errno.EINVAL, "feature")
        off = self.profile.features - on
        state = self._vcpus[vcpu]
        state["seen"] = offered(self.profile, off)
        state["lengths"] = state["seen"].sve_lengths or ()
        state["final"] = "sve" not in on
        return 0

    def _vcpu_finalize(self, vcpu, argument):
        if struct.unpack("=i", argument) != (4,):
            raise OSError(errno.EINVAL, "finalize")
        self._vcpus[vcpu]["final"] = True
        return 0

    def _reg_list(self, vcpu, argument):
        state = self._vcpus[vcpu]
        if not state["final"]:
            raise OSError(errno.EPERM, "not finalised")
        # KVM does not sort them, and lists CPU state too.
        ids = [CORE_REGISTER, SVE_REGISTER]
        ids += sorted(map(kvm_id, state["seen"].listed), reverse=True)
        room, argument[0] = argument[0], len(ids)
        if room < len(ids):
            raise OSError(errno.E2BIG, "too many")
        for place, register in enumerate(ids):
            argument[place + 1] = register
        return 0

    def _get_one_reg(self, vcpu, argument):
        register, address = struct.unpack("=QQ", argument)
        state = self._vcpus[vcpu]
        if register == kvm.KVM_REG_ARM64_SVE_VLS:
            words = (ctypes.c_uint64 * 8).from_address(address)
            for bits in state["lengths"]:
                place, bit = divmod(bits // 128 - 1, 64)
                words[place] |= 1 << bit
            return 0
        code = self._code(state, register)
        value = state["vm"].get(code, state["seen"].values.read(code))
        ctypes.c_uint64.from_address(address).value = value
        return 0

    def _set_one_reg(self, vcpu, argument):
        register, address = struct.unpack("=QQ", argument)
        state = self._vcpus[vcpu]
        if register == kvm.KVM_REG_ARM64_SVE_VLS:
            words = (ctypes.c_uint64 * 8).from_address(address)
            state["lengths"] = tuple(
                bits for bits in state["lengths"]
                if words[0] >> (bits // 128 - 1) & 1)
            return 0
        code = self._code(state, register)
        value = ctypes.c_uint64.from_address(address).value
        self.written.append((code, value))
        return self._write(state, code, value)

    def _code(self, state, register):
        code = code_of(register)
        if code not in state["seen"].listed or kvm_id(code) != register:
            raise OSError(errno.ENOENT, "no such register")
        return code

    def _write(self, state, code, value):
        """Every four bits may be lowered where the mask has them all."""
        limit = state["seen"].values.read(code)
        mask = self.profile.writable.read(code)
        for shift in range(0, 64, 4):
            has, most = value >> shift & 15, limit >> shift & 15
            if has != most and (mask >> shift & 15 != 15 or has > most):
                raise OSError(errno.EINVAL, "value")
        state["vm"][code] = value
        return 0


_NAMES = {
    kvm.KVM_GET_API_VERSION: "get_api_version",
    kvm.KVM_CREATE_VM: "create_vm",
    kvm.KVM_CHECK_EXTENSION: "check_extension",
    kvm.KVM_CREATE_VCPU: "create_vcpu",
    kvm.KVM_CREATE_DEVICE: "create_device",
    kvm.KVM_ARM_PREFERRED_TARGET: "preferred_target",
    kvm.KVM_ARM_GET_REG_WRITABLE_MASKS: "writable_masks",
    kvm.KVM_ARM_VCPU_INIT: "vcpu_init",
    kvm.KVM_ARM_VCPU_FINALIZE: "vcpu_finalize",
    kvm.KVM_GET_ONE_REG: "get_one_reg",
    kvm.KVM_SET_ONE_REG: "set_one_reg",
    kvm.KVM_GET_REG_LIST: "reg_list",
}


def write_tree(root, host, release_suffix="-arm64"):
    """Write what /proc and /sys of a host say below a directory."""
    root = pathlib.Path(root)
    _write(root, "proc/sys/kernel/osrelease",
           f"{host.kernel}{release_suffix}\n")
    vector = {6: host.page_size, 33: 0xFFFF0000}
    vector.update(zip((16, 26, 29, 30), host.hwcap, strict=False))
    _write(root, "proc/self/auxv", b"".join(
        struct.pack("<QQ", kind, value)
        for kind, value in [*vector.items(), (0, 0)]))
    for size in host.huge_page_sizes:
        _write(root, "sys/kernel/mm/hugepages/"
               f"hugepages-{size >> 10}kB/nr_hugepages", "0\n")
    cpus = sorted(cpu for core in host.cores
                  for cpu in parse_list(core.cpus))
    _write(root, "sys/devices/system/cpu/online",
           ",".join(map(str, cpus)) + "\n")
    for core in host.cores:
        for cpu in parse_list(core.cpus):
            for name in ("midr", "revidr", "aidr"):
                value = getattr(core, name)
                if value is not None:
                    _write(root, f"sys/devices/system/cpu/cpu{cpu}/regs/"
                           f"identification/{name}_el1", f"{value:#018x}\n")


def _write(root, path, content):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    file.write_bytes(content)
