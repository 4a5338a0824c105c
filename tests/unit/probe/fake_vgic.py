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


"""KVM's interrupt controller in memory, as QEMU uses it.

Written down from ``arch/arm64/kvm/vgic/vgic-kvm-device.c``, ``vgic-init.c``,
``vgic-mmio-v2.c``, ``vgic-mmio-v3.c`` and ``vgic-sys-reg-v3.c`` of Linux 6.12
and 7.2.
"""

import ctypes
import errno
from typing import Any

from simulated import kvm_rule

_REVISION = 0xF000
_REVISIONS = (2, 3)
_PRODUCT = 0x4B00043B
_ICC_CTLR = 0xC664
#: Types of address by version, in KVM_DEV_ARM_VGIC_GRP_ADDR.
_ADDRESSES = {2: (0, 1), 3: (2, 3, 5)}


def _error(number: int) -> OSError:
    return OSError(number, 'vgic')


class FakeVgic:
    """One controller of one machine with one vCPU."""

    def __init__(
        self, version: int, machine: dict[str, Any], interface: int
    ) -> None:
        self.version = version
        self.machine = machine
        self.interface = kvm_rule.Interface(interface)
        self.revision = 3
        self.irqs: int | None = None
        self.initialised = False
        self.addresses: dict[int, int] = {}

    def attribute(
        self, what: str, group: int, attribute: int, address: int
    ) -> int:
        """KVM_SET_, KVM_GET_ and KVM_HAS_DEVICE_ATTR."""
        if group == 3 and what == 'set':
            return self._set_irqs(self._word(address).value)
        if (group, attribute, what) == (4, 0, 'set'):
            if not self.machine['vcpus']:
                raise _error(errno.EBUSY)
            self.initialised = True
            return 0
        if group == 0 and what == 'set':
            return self._set_address(
                attribute, ctypes.c_uint64.from_address(address).value
            )
        if attribute >> 32:
            raise _error(errno.EINVAL)
        if group in (1, 5, 6) and not self.initialised:
            raise _error(errno.EBUSY)
        if (group, attribute) == (1, 8):
            return self._distributor(what, self._word(address))
        if (group, attribute, what, self.version) == (5, 4, 'get', 3):
            self._word(address).value = _PRODUCT
            return 0
        if (group, attribute, self.version) == (6, _ICC_CTLR, 3):
            return self._interface(what, ctypes.c_uint64.from_address(address))
        raise _error(errno.ENXIO)

    @staticmethod
    def _word(address: int) -> ctypes.c_uint32:
        return ctypes.c_uint32.from_address(address)

    def _set_irqs(self, number: int) -> int:
        if not 64 <= number <= 1024 or number & 31:
            raise _error(errno.EINVAL)
        if self.irqs is not None or self.initialised:
            raise _error(errno.EBUSY)
        self.irqs = number
        return 0

    def _set_address(self, kind: int, address: int) -> int:
        if kind not in _ADDRESSES[self.version]:
            raise _error(errno.ENODEV)
        count = address >> 52
        # A region of redistributors has its count in the upper bits.
        if address & 0xFFF or bool(count) != (kind == 5):
            raise _error(errno.EINVAL)
        if kind in self.addresses:
            raise _error(errno.EEXIST)
        self.addresses[kind] = address
        return 0

    def _distributor(self, what: str, word: ctypes.c_uint32) -> int:
        """GICD_IIDR: vgic_mmio_uaccess_write_v3_misc and _v2_misc."""
        iidr = _PRODUCT | self.revision << 12
        if what == 'get':
            word.value = iidr
            return 0
        revision = (word.value & _REVISION) >> 12
        if (word.value ^ iidr) & ~_REVISION or revision not in _REVISIONS:
            raise _error(errno.EINVAL)
        self.revision = revision
        return 0

    def _interface(self, what: str, register: ctypes.c_uint64) -> int:
        if what == 'get':
            register.value = self.interface.value
            return 0
        try:
            self.interface.write(register.value)
        except kvm_rule.Refused:
            raise _error(errno.EINVAL) from None
        return 0
