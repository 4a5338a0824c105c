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


"""KVM's interrupt controller, set up like QEMU's ``virt`` machine.

Sources: ``Documentation/virt/kvm/devices/arm-vgic.rst`` and
``arm-vgic-v3.rst`` of Linux; ``hw/intc/arm_gicv3_kvm.c``,
``hw/intc/arm_gic_kvm.c`` and ``hw/arm/virt.c`` (``base_memmap``) of QEMU.
"""

import array

from nova_arm_migrate.core.tables import gic
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.probe.descriptor import Descriptor
from nova_arm_migrate.probe.descriptor import KVM_GET_DEVICE_ATTR
from nova_arm_migrate.probe.descriptor import KVM_SET_DEVICE_ATTR
from nova_arm_migrate.probe.errors import KvmFailed

#: KVM_DEV_TYPE_ARM_VGIC_V* by GIC version. Version 5 also has a number, but
#: no QEMU uses it.
GIC_DEVICES = {2: 5, 3: 7}

# arch/arm64/include/uapi/asm/kvm.h: KVM_DEV_ARM_VGIC_GRP_*.
GROUP_ADDRESS = 0
GROUP_DISTRIBUTOR = 1
GROUP_IRQS = 3
GROUP_CONTROL = 4
GROUP_REDISTRIBUTOR = 5
GROUP_INTERFACE = 6
CONTROL_INIT = 0

#: Interrupts of the virt machine: 256, and 32 private to each CPU.
IRQS = 288
_DISTRIBUTOR_BASE = 0x08000000
#: Redistributors of 123 CPUs, region 0 (KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION).
_REDISTRIBUTORS = 0x080A0000 | 123 << 52
_INTERFACE_BASE = 0x08010000
#: By version: (type of address, address).
ADDRESSES = {
    2: ((0, _DISTRIBUTOR_BASE), (1, _INTERFACE_BASE)),
    3: ((2, _DISTRIBUTOR_BASE), (5, _REDISTRIBUTORS)),
}


class VgicDevice(Descriptor):
    """An interrupt controller in a scratch VM that already has its vCPU."""

    def __init__(self, descriptor: int, version: int) -> None:
        super().__init__(descriptor)
        self.version = version

    def set_up(self) -> None:
        """Initialise the GIC in QEMU's order: the addresses come last.

        :raises KvmFailed: if KVM refuses it
        """
        self._set(GROUP_IRQS, 0, array.array('I', [IRQS]))
        self._attribute(
            'initialising the GIC',
            KVM_SET_DEVICE_ATTR,
            GROUP_CONTROL,
            CONTROL_INIT,
        )
        for kind, address in ADDRESSES[self.version]:
            self._set(GROUP_ADDRESS, kind, array.array('Q', [address]))

    def facts(self) -> Vgic:
        """Return the registers of a new controller; try its revisions.

        A value that KVM does not report is None: kernels before 4.11 give no
        access to a GICv3's registers.
        """
        distributor = self._read(GROUP_DISTRIBUTOR, gic.GICD_IIDR, 'I')
        three = self.version == 3
        return Vgic(
            self.version,
            ctlr=self._read(GROUP_INTERFACE, gic.ICC_CTLR_EL1.code, 'Q')
            if three
            else None,
            distributor=distributor,
            redistributor=self._read(GROUP_REDISTRIBUTOR, gic.GICR_IIDR, 'I')
            if three
            else None,
            revisions=self._revisions(distributor),
        )

    def _revisions(self, iidr: int | None) -> int | None:
        """Return the possible GICD_IIDR.Revision; KVM checks only that."""
        if iidr is None:
            return None
        found = 0
        for revision in range(1 << gic.REVISION.width):
            value = gic.REVISION.into(iidr, revision)
            if not self._write(GROUP_DISTRIBUTOR, gic.GICD_IIDR, 'I', value):
                found |= 1 << revision
        self._write(GROUP_DISTRIBUTOR, gic.GICD_IIDR, 'I', iidr)
        return found

    def restore(self, vgic: Vgic) -> tuple[tuple[int, str], ...]:
        """Write the registers that QEMU restores for a guest's controller.

        Writes only what depends on the host; the rest is the state of the
        running guest.

        :returns: (register code, name of the errno) of each refused register
        """
        if vgic.ctlr is None or self.version != 3:
            return ()
        code = gic.ICC_CTLR_EL1.code
        name = self._write(GROUP_INTERFACE, code, 'Q', vgic.ctlr)
        return ((code, name),) if name else ()

    def _set(
        self, group: int, attribute: int, buffer: 'array.array[int]'
    ) -> None:
        self._attribute(
            f'KVM_SET_DEVICE_ATTR {group}.{attribute:#x} of the GIC',
            KVM_SET_DEVICE_ATTR,
            group,
            attribute,
            buffer.buffer_info()[0],
        )

    def _read(self, group: int, attribute: int, size: str) -> int | None:
        buffer = array.array(size, [0])
        try:
            self._attribute(
                'reading the GIC',
                KVM_GET_DEVICE_ATTR,
                group,
                attribute,
                buffer.buffer_info()[0],
            )
        except KvmFailed:
            return None
        return buffer[0]

    def _write(self, group: int, attribute: int, size: str, value: int) -> str:
        """Return the name of the errno; empty if KVM accepts the value."""
        try:
            self._set(group, attribute, array.array(size, [value]))
        except KvmFailed as error:
            return error.reason
        return ''
