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


"""The registers of the interrupt controller that show what the host has.

They are not vCPU registers: KVM gives access through the GIC's own device.
Field positions: Arm GIC architecture specification (IHI 0069), 12.2 and 12.9.
"""

from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import lower
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import same
from nova_arm_migrate.core.registers import sysreg

#: Offsets of 32-bit registers, in the distributor and in a redistributor.
GICD_IIDR = 0x8
GICR_IIDR = 0x4

#: GICD_IIDR.Revision: KVM_VGIC_IMP_REV_*.
REVISION = Field('Revision', 12)

#: The fields that set_gic_ctlr() in arch/arm64/kvm/vgic-sys-reg-v3.c checks,
#: since Linux 4.11. EOImode and CBPR are state of the guest.
ICC_CTLR_EL1 = Register(
    'ICC_CTLR_EL1',
    sysreg(3, 0, 12, 12, 4),
    (
        same('A3V', 15, 1),
        same('SEIS', 14, 1),
        lower('IDbits', 11, width=3),
        lower('PRIbits', 8, width=3),
    ),
)
