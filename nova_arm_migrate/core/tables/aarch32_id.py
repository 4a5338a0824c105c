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

"""The AArch32 ID registers, as AArch64 state sees them.

Field positions: Arm ARM (DDI 0487), D24.2. Rules: ``ftr_id_*``,
``ftr_mvfr*`` and ``ftr_generic_32bits`` in
``arch/arm64/kernel/cpufeature.c`` of Linux 7.3, with the exceptions of
``set_id_dfr0_el1`` in ``arch/arm64/kvm/sys_regs.c``. The kernel
treats ID_ISAR6_EL1.CLRBHB as reserved and shows guests 0 there.
"""

from nova_arm_migrate.core.registers import higher
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import lower
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import same
from nova_arm_migrate.core.registers import signed
from nova_arm_migrate.core.registers import sysreg

AARCH32_ID_REGISTERS = (
    Register(
        'ID_PFR0_EL1',
        sysreg(3, 0, 0, 1, 0),
        (
            same('RAS', 28),
            lower('DIT', 24),
            same('AMU', 20),
            lower('CSV2', 16),
            lower('State3', 12),
            lower('State2', 8),
            lower('State1', 4),
            lower('State0', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_PFR1_EL1',
        sysreg(3, 0, 0, 1, 1),
        (
            lower('GIC', 28),
            lower('Virt_frac', 24),
            lower('Sec_frac', 20),
            lower('GenTimer', 16),
            lower('Virtualization', 12),
            lower('MProgMod', 8),
            lower('Security', 4),
            lower('ProgMod', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_DFR0_EL1',
        sysreg(3, 0, 0, 1, 2),
        (
            same('TraceFilt', 28),
            lower('PerfMon', 24, least=3, or_zero=True, as_zero=15),
            lower('MProfDbg', 20),
            lower('MMapTrc', 16),
            lower('CopTrc', 12),
            lower('MMapDbg', 8),
            lower('CopSDbg', 4),
            lower('CopDbg', 0, least=6),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_AFR0_EL1',
        sysreg(3, 0, 0, 1, 3),
        (
            same('IMPDEF3', 12),
            same('IMPDEF2', 8),
            same('IMPDEF1', 4),
            same('IMPDEF0', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_MMFR0_EL1',
        sysreg(3, 0, 0, 1, 4),
        (
            signed('InnerShr', 28),
            lower('FCSE', 24),
            lower('AuxReg', 20),
            lower('TCM', 16),
            lower('ShareLvl', 12),
            signed('OuterShr', 8),
            lower('PMSA', 4),
            lower('VMSA', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_MMFR1_EL1',
        sysreg(3, 0, 0, 1, 5),
        (
            lower('BPred', 28),
            lower('L1TstCln', 24),
            lower('L1Uni', 20),
            lower('L1Hvd', 16),
            lower('L1UniSW', 12),
            lower('L1HvdSW', 8),
            lower('L1UniVA', 4),
            lower('L1HvdVA', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_MMFR2_EL1',
        sysreg(3, 0, 0, 1, 6),
        (
            lower('HWAccFlg', 28),
            lower('WFIStall', 24),
            lower('MemBarr', 20),
            lower('UniTLB', 16),
            lower('HvdTLB', 12),
            lower('L1HvdRng', 8),
            lower('L1HvdBG', 4),
            lower('L1HvdFG', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_MMFR3_EL1',
        sysreg(3, 0, 0, 1, 7),
        (
            lower('Supersec', 28),
            lower('CMemSz', 24),
            lower('CohWalk', 20),
            lower('PAN', 16),
            lower('MaintBcst', 12),
            lower('BPMaint', 8),
            lower('CMaintSW', 4),
            lower('CMaintVA', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_ISAR0_EL1',
        sysreg(3, 0, 0, 2, 0),
        (
            lower('Divide', 24),
            lower('Debug', 20),
            lower('Coproc', 16),
            lower('CmpBranch', 12),
            lower('BitField', 8),
            lower('BitCount', 4),
            lower('Swap', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_ISAR1_EL1',
        sysreg(3, 0, 0, 2, 1),
        (
            lower('Jazelle', 28),
            lower('Interwork', 24),
            lower('Immediate', 20),
            lower('IfThen', 16),
            lower('Extend', 12),
            lower('Except_AR', 8),
            lower('Except', 4),
            lower('Endian', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_ISAR2_EL1',
        sysreg(3, 0, 0, 2, 2),
        (
            lower('Reversal', 28),
            lower('PSR_AR', 24),
            lower('MultU', 20),
            lower('MultS', 16),
            lower('Mult', 12),
            lower('MultiAccessInt', 8),
            lower('MemHint', 4),
            lower('LoadStore', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_ISAR3_EL1',
        sysreg(3, 0, 0, 2, 3),
        (
            lower('T32EE', 28),
            lower('TrueNOP', 24),
            lower('T32Copy', 20),
            lower('TabBranch', 16),
            lower('SynchPrim', 12),
            lower('SVC', 8),
            lower('SIMD', 4),
            lower('Saturate', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_ISAR4_EL1',
        sysreg(3, 0, 0, 2, 4),
        (
            lower('SWP_frac', 28),
            lower('PSR_M', 24),
            lower('SynchPrim_frac', 20),
            lower('Barrier', 16),
            lower('SMC', 12),
            lower('Writeback', 8),
            lower('WithShifts', 4),
            lower('Unpriv', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_ISAR5_EL1',
        sysreg(3, 0, 0, 2, 5),
        (
            same('VCMA', 28),
            lower('RDM', 24),
            lower('CRC32', 16),
            lower('SHA2', 12),
            lower('SHA1', 8),
            lower('AES', 4),
            lower('SEVL', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_MMFR4_EL1',
        sysreg(3, 0, 0, 2, 6),
        (
            lower('EVT', 28),
            lower('CCIDX', 24),
            lower('LSM', 20),
            lower('HPDS', 16),
            lower('CnP', 12),
            lower('XNX', 8),
            lower('AC2', 4),
            higher('SpecSEI', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_ISAR6_EL1',
        sysreg(3, 0, 0, 2, 7),
        (
            same('CLRBHB', 28),
            lower('I8MM', 24),
            lower('BF16', 20),
            lower('SPECRES', 16),
            lower('SB', 12),
            lower('FHM', 8),
            lower('DP', 4),
            lower('JSCVT', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'MVFR0_EL1',
        sysreg(3, 0, 0, 3, 0),
        (
            lower('FPRound', 28),
            lower('FPShVec', 24),
            lower('FPSqrt', 20),
            lower('FPDivide', 16),
            lower('FPTrap', 12),
            lower('FPDP', 8),
            lower('FPSP', 4),
            lower('SIMDReg', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'MVFR1_EL1',
        sysreg(3, 0, 0, 3, 1),
        (
            lower('SIMDFMAC', 28),
            lower('FPHP', 24),
            lower('SIMDHP', 20),
            lower('SIMDSP', 16),
            lower('SIMDInt', 12),
            lower('SIMDLS', 8),
            lower('FPDNaN', 4),
            lower('FPFtZ', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'MVFR2_EL1',
        sysreg(3, 0, 0, 3, 2),
        (
            lower('FPMisc', 4),
            lower('SIMDMisc', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_PFR2_EL1',
        sysreg(3, 0, 0, 3, 4),
        (
            same('RAS_frac', 8),
            lower('SSBS', 4),
            lower('CSV3', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_DFR1_EL1',
        sysreg(3, 0, 0, 3, 5),
        (
            same('HPMN0', 4),
            signed('MTPMU', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
    Register(
        'ID_MMFR5_EL1',
        sysreg(3, 0, 0, 3, 6),
        (
            same('nTLBPA', 4),
            lower('ETS', 0),
        ),
        Judge.FEATURES_32BIT,
    ),
)

AARCH32_ID_CODES = frozenset(
    register.code for register in AARCH32_ID_REGISTERS
)
