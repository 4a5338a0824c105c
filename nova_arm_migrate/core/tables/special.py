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

"""Registers with a rule of their own.

Sources, Linux 7.3: ``set_imp_id_reg``, ``set_clidr``, ``set_ccsidr``,
``set_pmcr``, ``set_pmmir`` in ``arch/arm64/kvm/sys_regs.c``;
``kvm_arm_set_fw_reg`` in ``arch/arm64/kvm/hypercalls.c`` and
``Documentation/virt/kvm/arm/fw-pseudo-registers.rst``.
"""

from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import ccsidr
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import firmware
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import sysreg

MIDR_EL1 = sysreg(3, 0, 0, 0, 0)
REVIDR_EL1 = sysreg(3, 0, 0, 0, 6)
AIDR_EL1 = sysreg(3, 1, 0, 0, 7)
CLIDR_EL1 = sysreg(3, 1, 0, 0, 1)
PMCR_EL0 = sysreg(3, 3, 9, 12, 0)
PMMIR_EL1 = sysreg(3, 0, 9, 14, 6)
VENDOR_HYP_BMAP_2 = bitmap(3)
#: Unlike the other bitmaps, it starts as 0 and not as all bits that KVM offers
#: (kvm_arm_init_hypercalls). Linux 6.15 added it with these two bits.
VENDOR_HYP_BMAP_2_BITS = 0b11

PSCI_0_2 = 0x2
PSCI_1_0 = 0x10000

WORKAROUND_NOT_REQUIRED = 2
WORKAROUND_2 = firmware(2)
WORKAROUND_2_LEVEL = Field('LEVEL', 0)
WORKAROUND_2_ENABLED = Field('ENABLED', 4, 1)
WORKAROUND_2_AVAIL = 2
WORKAROUND_2_NOT_REQUIRED = 3

#: CSSELR_MAX in arch/arm64/kvm/sys_regs.c: two for each of seven levels.
CCSIDR_COUNT = 14
ALL_CCSIDR = frozenset(ccsidr(n) for n in range(CCSIDR_COUNT))

PMCR_N = Field('N', 11, 5)
CCSIDR_LINE_SIZE = Field('LineSize', 0, 3)
CLIDR_LOUIS = Field('LoUIS', 21, 3)
CLIDR_LOC = Field('LoC', 24, 3)
CLIDR_LOUU = Field('LoUU', 27, 3)
#: CLIDR_EL1[63:47] are reserved.
CLIDR_RES0 = 0xFFFF800000000000

IMPLEMENTATION_REGISTERS = (
    Register(
        'MIDR_EL1',
        MIDR_EL1,
        (
            Field('Implementer', 24, 8),
            Field('Variant', 20),
            Field('Architecture', 16),
            Field('PartNum', 4, 12),
            Field('Revision', 0),
        ),
        Judge.IMPLEMENTATION,
    ),
    Register('REVIDR_EL1', REVIDR_EL1, (), Judge.IMPLEMENTATION),
    Register('AIDR_EL1', AIDR_EL1, (), Judge.IMPLEMENTATION),
)

CACHE_REGISTERS = (
    Register(
        'CLIDR_EL1',
        CLIDR_EL1,
        (CLIDR_LOUIS, CLIDR_LOC, CLIDR_LOUU),
        Judge.CLIDR,
    ),
    *tuple(
        Register(
            f'CCSIDR_EL1[{n}]', ccsidr(n), (CCSIDR_LINE_SIZE,), Judge.CCSIDR
        )
        for n in range(CCSIDR_COUNT)
    ),
)

COUNTER_REGISTERS = (
    Register('PMCR_EL0', PMCR_EL0, (PMCR_N,), Judge.COUNTERS),
    # KVM shows only the field SLOTS; it is 0 unless the VMM asks for more.
    Register('PMMIR_EL1', PMMIR_EL1, (), Judge.SLOTS),
)

FIRMWARE_REGISTERS = (
    Register('PSCI_VERSION', firmware(0), (), Judge.PSCI_VERSION),
    Register('SMCCC_ARCH_WORKAROUND_1', firmware(1), (), Judge.LEVEL),
    Register(
        'SMCCC_ARCH_WORKAROUND_2',
        WORKAROUND_2,
        (
            WORKAROUND_2_LEVEL,
            WORKAROUND_2_ENABLED,
        ),
        Judge.LEVEL_WORKAROUND_2,
    ),
    Register('SMCCC_ARCH_WORKAROUND_3', firmware(3), (), Judge.LEVEL),
    Register('STD_BMAP', bitmap(0), (), Judge.BITMAP),
    Register('STD_HYP_BMAP', bitmap(1), (), Judge.BITMAP),
    Register('VENDOR_HYP_BMAP', bitmap(2), (), Judge.BITMAP),
    Register('VENDOR_HYP_BMAP_2', VENDOR_HYP_BMAP_2, (), Judge.BITMAP),
)
