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

"""The bits that userspace can write on the newest kernel in the lab.

They are ``KVM_ARM_GET_REG_WRITABLE_MASKS`` of Linux 7.2, the union over the
lab's hosts. Only remedies use them: whether a field is writable on a host is
in the host's own record.
"""

from nova_arm_migrate.core.registers import sysreg

#: (major, minor) of that kernel.
KERNEL = (7, 2)

#: The writable bits by register code.
WRITABLE = {
    sysreg(3, 0, 0, 4, 0): 0xFFFF00F0FF00FFFF,  # ID_AA64PFR0_EL1
    sysreg(3, 0, 0, 4, 1): 0x0F00000F0000F0FF,  # ID_AA64PFR1_EL1
    sysreg(3, 0, 0, 4, 2): 0x0000000F0000FFF0,  # ID_AA64PFR2_EL1
    sysreg(3, 0, 0, 4, 4): 0x0FFFFF0F0FFFF0FF,  # ID_AA64ZFR0_EL1
    sysreg(3, 0, 0, 4, 7): 0x00000000FC0080FF,  # ID_AA64FPFR0_EL1
    sysreg(3, 0, 0, 5, 0): 0x000000F000F00F0F,  # ID_AA64DFR0_EL1
    sysreg(3, 0, 0, 6, 0): 0xFFFFFFFFF0FFFFF0,  # ID_AA64ISAR0_EL1
    sysreg(3, 0, 0, 6, 1): 0xFFFFFFFF00FFF00F,  # ID_AA64ISAR1_EL1
    sysreg(3, 0, 0, 6, 2): 0xFFFFFFFFFFFF00FF,  # ID_AA64ISAR2_EL1
    sysreg(3, 0, 0, 6, 3): 0x00000000FF0F00F0,  # ID_AA64ISAR3_EL1
    sysreg(3, 0, 0, 7, 0): 0xFF00FFFFFFFFFF0F,  # ID_AA64MMFR0_EL1
    sysreg(3, 0, 0, 7, 1): 0xFFFFFFFF0FFFF00F,  # ID_AA64MMFR1_EL1
    sysreg(3, 0, 0, 7, 2): 0xF0FF000FF00FFFFF,  # ID_AA64MMFR2_EL1
    sysreg(3, 0, 0, 7, 3): 0x00000000000F0FFF,  # ID_AA64MMFR3_EL1
    sysreg(3, 0, 0, 7, 4): 0x0000000000F00000,  # ID_AA64MMFR4_EL1
    sysreg(3, 3, 0, 0, 1): 0x00000000300FC00F,  # CTR_EL0
} | {
    # The AArch32 ID registers, from ID_PFR0_EL1 to ID_MMFR5_EL1.
    sysreg(3, 0, 0, crm, op2): 0xFFFFFFFF
    for crm, op2s in (
        (1, (0, 1, 2, 4, 5, 6, 7)),
        (2, range(8)),
        (3, (0, 1, 2, 4, 6)),
    )
    for op2 in op2s
}
