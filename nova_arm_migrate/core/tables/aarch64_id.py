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

"""The AArch64 ID registers and CTR_EL0.

Field positions: Arm ARM (DDI 0487), D24.2. Rules: ``ftr_id_aa64*`` and
``ftr_ctr`` in ``arch/arm64/kernel/cpufeature.c`` of Linux 7.3, with the
exceptions of ``kvm_arm64_ftr_safe_value`` (PMUVer, DebugVer) and of the
``set_id_*`` functions in ``arch/arm64/kvm/sys_regs.c`` (least, as_zero,
stale).

``python -m tools.kernel_tables`` compares the tables with kernel sources. They
are equal to Linux 7.3. Linux 6.1, 6.12 and 7.2 have the same rules for the
fields that they compare, except PMUVer and DebugVer, which a guest cannot
change on 6.1. A field that an older kernel lacks is 0 there, and KVM's rule
for it has the same result.

The lab compared the tables with real kernels, in 105,000 writes to each of
four hosts. There is no difference on 6.1 and 7.2. There are 42 and 34
differences on two hosts with 6.12, all of them with ID_AA64PFR0_EL1.EL0 or EL1
written as 0: 6.12 accepts that value, which no CPU has. The tables have the
rule of 7.2. What the probe saw a host's KVM accept (`Host.tried`) takes
precedence.
"""

from nova_arm_migrate.core.registers import exact
from nova_arm_migrate.core.registers import higher
from nova_arm_migrate.core.registers import higher_or_zero
from nova_arm_migrate.core.registers import lower
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import same
from nova_arm_migrate.core.registers import signed
from nova_arm_migrate.core.registers import sysreg

AARCH64_ID_REGISTERS = (
    Register(
        'ID_AA64PFR0_EL1',
        sysreg(3, 0, 0, 4, 0),
        (
            lower('CSV3', 60),
            lower('CSV2', 56),
            same('RME', 52),
            lower('DIT', 48),
            lower('AMU', 44),
            lower('MPAM', 40, stale=True),
            lower('SEL2', 36),
            lower('SVE', 32),
            lower('RAS', 28),
            lower('GIC', 24),
            signed('AdvSIMD', 20),
            signed('FP', 16),
            lower('EL3', 12),
            lower('EL2', 8),
            lower('EL1', 4, least=1),
            lower('EL0', 0, least=1),
        ),
    ),
    Register(
        'ID_AA64PFR1_EL1',
        sysreg(3, 0, 0, 4, 1),
        (
            same('PFAR', 60),
            lower('DF2', 56),
            same('MTEX', 52),
            same('THE', 48),
            lower('GCS', 44),
            signed('MTE_frac', 40),
            same('NMI', 36),
            same('CSV2_frac', 32),
            same('RNDR_trap', 28),
            lower('SME', 24),
            lower('MPAM_frac', 16, stale=True),
            lower('RAS_frac', 12),
            lower('MTE', 8),
            lower('SSBS', 4),
            lower('BT', 0),
        ),
    ),
    Register(
        'ID_AA64PFR2_EL1',
        sysreg(3, 0, 0, 4, 2),
        (
            lower('FPMR', 32),
            same('UINJ', 16),
            lower('GCIE', 12),
            lower('MTEFAR', 8),
            lower('MTESTOREONLY', 4),
            same('MTEPERM', 0),
        ),
    ),
    Register(
        'ID_AA64ZFR0_EL1',
        sysreg(3, 0, 0, 4, 4),
        (
            lower('F64MM', 56),
            lower('F32MM', 52),
            lower('F16MM', 48),
            lower('I8MM', 44),
            lower('SM4', 40),
            lower('SHA3', 32),
            lower('B16B16', 24),
            lower('BF16', 20),
            lower('BitPerm', 16),
            lower('EltPerm', 12),
            lower('AES', 4),
            lower('SVEver', 0),
        ),
    ),
    Register(
        'ID_AA64SMFR0_EL1',
        sysreg(3, 0, 0, 4, 5),
        (
            exact('FA64', 63, 0, width=1),
            exact('LUT6', 61, 0, width=1),
            exact('LUTv2', 60, 0, width=1),
            exact('SMEver', 56, 0),
            exact('I16I64', 52, 0),
            exact('F64F64', 48, 0, width=1),
            exact('I16I32', 44, 0),
            exact('B16B16', 43, 0, width=1),
            exact('F16F16', 42, 0, width=1),
            exact('F8F16', 41, 0, width=1),
            exact('F8F32', 40, 0, width=1),
            exact('I8I32', 36, 0),
            exact('F16F32', 35, 0, width=1),
            exact('B16F32', 34, 0, width=1),
            exact('BI32I32', 33, 0, width=1),
            exact('F32F32', 32, 0, width=1),
            exact('SF8FMA', 30, 0, width=1),
            exact('SF8DP4', 29, 0, width=1),
            exact('SF8DP2', 28, 0, width=1),
            exact('SBitPerm', 25, 0, width=1),
            exact('AES', 24, 0, width=1),
            exact('SFEXPA', 23, 0, width=1),
            exact('STMOP', 16, 0, width=1),
            exact('SMOP4', 0, 0, width=1),
        ),
    ),
    Register(
        'ID_AA64FPFR0_EL1',
        sysreg(3, 0, 0, 4, 7),
        (
            exact('F8CVT', 31, 0, width=1),
            exact('F8FMA', 30, 0, width=1),
            exact('F8DP4', 29, 0, width=1),
            exact('F8DP2', 28, 0, width=1),
            exact('F8MM8', 27, 0, width=1),
            exact('F8MM4', 26, 0, width=1),
            exact('F16MM2', 15, 0, width=1),
            exact('F8E4M3', 1, 0, width=1),
            exact('F8E5M2', 0, 0, width=1),
        ),
    ),
    Register(
        'ID_AA64DFR0_EL1',
        sysreg(3, 0, 0, 5, 0),
        (
            same('HPMN0', 60),
            same('ExtTrcBuff', 56),
            same('BRBE', 52),
            same('MTPMU', 48),
            same('TraceBuffer', 44),
            same('TraceFilt', 40),
            signed('DoubleLock', 36),
            lower('PMSVer', 32),
            lower('CTX_CMPs', 28),
            same('SEBEP', 24),
            lower('WRPs', 20),
            same('PMSS', 16),
            lower('BRPs', 12),
            lower('PMUVer', 8, as_zero=15),
            same('TraceVer', 4),
            lower('DebugVer', 0, least=6),
        ),
    ),
    Register(
        'ID_AA64DFR1_EL1',
        sysreg(3, 0, 0, 5, 1),
        (
            same('ABL_CMPs', 56, 8),
            same('DPFZS', 52),
            same('EBEP', 48),
            same('ITE', 44),
            same('ABLE', 40),
            same('PMICNTR', 36),
            same('SPMU', 32),
            same('CTX_CMPs', 24, 8),
            same('WRPs', 16, 8),
            same('BRPs', 8, 8),
            same('SYSPMUID', 0, 8),
        ),
    ),
    Register(
        'ID_AA64AFR0_EL1',
        sysreg(3, 0, 0, 5, 4),
        (
            same('IMPDEF7', 28),
            same('IMPDEF6', 24),
            same('IMPDEF5', 20),
            same('IMPDEF4', 16),
            same('IMPDEF3', 12),
            same('IMPDEF2', 8),
            same('IMPDEF1', 4),
            same('IMPDEF0', 0),
        ),
    ),
    Register(
        'ID_AA64ISAR0_EL1',
        sysreg(3, 0, 0, 6, 0),
        (
            lower('RNDR', 60),
            lower('TLB', 56),
            lower('TS', 52),
            lower('FHM', 48),
            lower('DP', 44),
            lower('SM4', 40),
            lower('SM3', 36),
            lower('SHA3', 32),
            lower('RDM', 28),
            lower('ATOMIC', 20),
            lower('CRC32', 16),
            lower('SHA2', 12),
            lower('SHA1', 8),
            lower('AES', 4),
        ),
    ),
    Register(
        'ID_AA64ISAR1_EL1',
        sysreg(3, 0, 0, 6, 1),
        (
            lower('LS64', 60),
            lower('XS', 56),
            lower('I8MM', 52),
            lower('DGH', 48),
            lower('BF16', 44),
            lower('SPECRES', 40),
            lower('SB', 36),
            lower('FRINTTS', 32),
            lower('GPI', 28),
            lower('GPA', 24),
            lower('LRCPC', 20),
            lower('FCMA', 16),
            lower('JSCVT', 12),
            exact('API', 8, 0),
            exact('APA', 4, 0),
            lower('DPB', 0),
        ),
    ),
    Register(
        'ID_AA64ISAR2_EL1',
        sysreg(3, 0, 0, 6, 2),
        (
            lower('ATS1A', 60),
            lower('LUT', 56),
            lower('CSSC', 52),
            lower('RPRFM', 48),
            same('PCDPHINT', 44),
            same('PRFMSLC', 40),
            same('SYSINSTR_128', 36),
            same('SYSREG_128', 32),
            lower('CLRBHB', 28),
            same('PAC_frac', 24),
            lower('BC', 20),
            lower('MOPS', 16),
            exact('APA3', 12, 0),
            lower('GPA3', 8),
            lower('RPRES', 4),
            lower('WFxT', 0),
        ),
    ),
    Register(
        'ID_AA64ISAR3_EL1',
        sysreg(3, 0, 0, 6, 3),
        (
            lower('FPRCVT', 28),
            lower('LSUI', 24),
            same('OCCMO', 20),
            lower('LSFE', 16),
            same('PACM', 12),
            same('TLBIW', 8),
            lower('FAMINMAX', 4),
            same('CPA', 0),
        ),
    ),
    Register(
        'ID_AA64MMFR0_EL1',
        sysreg(3, 0, 0, 7, 0),
        (
            lower('ECV', 60),
            lower('FGT', 56),
            lower('EXS', 44),
            exact('TGRAN4_2', 40, 1),
            exact('TGRAN64_2', 36, 1),
            exact('TGRAN16_2', 32, 1),
            signed('TGRAN4', 28),
            signed('TGRAN64', 24),
            lower('TGRAN16', 20),
            lower('BIGENDEL0', 16),
            lower('SNSMEM', 12),
            lower('BIGEND', 8),
            lower('ASIDBITS', 4),
            lower('PARANGE', 0),
        ),
    ),
    Register(
        'ID_AA64MMFR1_EL1',
        sysreg(3, 0, 0, 7, 1),
        (
            lower('ECBHB', 60),
            same('CMOW', 56),
            lower('TIDCP1', 52),
            same('nTLBPA', 48),
            lower('AFP', 44),
            lower('HCX', 40),
            lower('ETS', 36),
            lower('TWED', 32),
            lower('XNX', 28),
            higher('SpecSEI', 24),
            lower('PAN', 20),
            lower('LO', 16),
            lower('HPDS', 12),
            lower('VH', 8),
            lower('VMIDBits', 4),
            lower('HAFDBS', 0),
        ),
    ),
    Register(
        'ID_AA64MMFR2_EL1',
        sysreg(3, 0, 0, 7, 2),
        (
            lower('E0PD', 60),
            lower('EVT', 56),
            lower('BBM', 52),
            lower('TTL', 48),
            lower('FWB', 40),
            lower('IDS', 36),
            lower('AT', 32),
            lower('ST', 28),
            lower('NV', 24, stale=True),
            lower('CCIDX', 20),
            lower('VARange', 16),
            lower('IESB', 12),
            lower('LSM', 8),
            lower('UAO', 4),
            lower('CnP', 0),
        ),
    ),
    Register(
        'ID_AA64MMFR3_EL1',
        sysreg(3, 0, 0, 7, 3),
        (
            same('Spec_FPACC', 60),
            same('ADERR', 56),
            same('SDERR', 52),
            same('ANERR', 44),
            same('SNERR', 40),
            same('D128_2', 36),
            same('D128', 32),
            same('MEC', 28),
            same('AIE', 24),
            same('S2POE', 20),
            lower('S1POE', 16),
            same('S2PIE', 12),
            lower('S1PIE', 8),
            lower('SCTLRX', 4),
            lower('TCRX', 0),
        ),
    ),
    Register(
        'ID_AA64MMFR4_EL1',
        sysreg(3, 0, 0, 7, 4),
        (
            same('MTEFGT', 60),
            same('SCRX', 56),
            same('TEV', 52),
            same('TPS', 48),
            same('SRMASK', 44),
            same('TLBID', 40),
            same('E3DSE', 36),
            same('EAESR', 32),
            same('RMEGDI', 28),
            signed('E2H0', 24),
            lower('NV_frac', 20),
            same('FGWTE3', 16),
            same('HACDBS', 12),
            same('ASID2', 8),
            same('EIESB', 4),
            same('PoPS', 0),
        ),
    ),
    # No kernel gives guests SME yet, but Linux 7.3 has these fields.
    Register(
        'SMIDR_EL1',
        sysreg(3, 1, 0, 0, 6),
        (
            same('NSMC', 56),
            same('HIP', 52),
            same('Affinity2', 32, 20),
            same('Implementer', 24, 8),
            same('Revision', 16, 8),
            same('SMPS', 15, 1),
            same('SH', 13, 2),
            same('Affinity', 0, 12),
        ),
    ),
    Register(
        'CTR_EL0',
        sysreg(3, 3, 0, 0, 1),
        (
            same('TminLine', 32, 6),
            lower('DIC', 29, width=1),
            lower('IDC', 28, width=1),
            higher_or_zero('CWG', 24),
            higher_or_zero('ERG', 20),
            lower('DminLine', 16),
            exact('L1Ip', 14, 2, width=2),
            lower('IminLine', 0),
        ),
    ),
)
