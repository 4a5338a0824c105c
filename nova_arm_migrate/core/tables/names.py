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

"""Names, for messages, of system registers that the other tables lack.

Most have a guest's state. Two have the names that belong to KVM's numbers, not
to their encodings: KVM "accidentally swapped" them, and that is now part of
its interface (``KVM_REG_ARM_TIMER_CVAL`` and ``_CNT`` in Linux's
``asm/kvm.h``).
"""

from nova_arm_migrate.core.registers import sysreg

REGISTER_NAMES = (
    {
        sysreg(2, 0, 0, 0, 2): 'OSDTRRX_EL1',
        sysreg(2, 0, 0, 2, 0): 'MDCCINT_EL1',
        sysreg(2, 0, 0, 2, 2): 'MDSCR_EL1',
        sysreg(2, 0, 0, 3, 2): 'OSDTRTX_EL1',
        sysreg(2, 0, 1, 1, 4): 'OSLSR_EL1',
        sysreg(2, 4, 0, 7, 0): 'DBGVCR32_EL2',
        sysreg(3, 0, 0, 0, 5): 'MPIDR_EL1',
        sysreg(3, 0, 0, 5, 2): 'ID_AA64DFR2_EL1',
        sysreg(3, 0, 0, 5, 4): 'ID_AA64AFR0_EL1',
        sysreg(3, 0, 0, 5, 5): 'ID_AA64AFR1_EL1',
        sysreg(3, 0, 1, 0, 0): 'SCTLR_EL1',
        sysreg(3, 0, 1, 0, 1): 'ACTLR_EL1',
        sysreg(3, 0, 1, 0, 2): 'CPACR_EL1',
        sysreg(3, 0, 1, 0, 3): 'SCTLR2_EL1',
        sysreg(3, 0, 1, 0, 5): 'RGSR_EL1',
        sysreg(3, 0, 1, 0, 6): 'GCR_EL1',
        sysreg(3, 0, 1, 2, 0): 'ZCR_EL1',
        sysreg(3, 0, 1, 2, 1): 'TRFCR_EL1',
        sysreg(3, 0, 1, 2, 4): 'SMPRI_EL1',
        sysreg(3, 0, 1, 2, 6): 'SMCR_EL1',
        sysreg(3, 0, 2, 0, 0): 'TTBR0_EL1',
        sysreg(3, 0, 2, 0, 1): 'TTBR1_EL1',
        sysreg(3, 0, 2, 0, 2): 'TCR_EL1',
        sysreg(3, 0, 2, 0, 3): 'TCR2_EL1',
        sysreg(3, 0, 2, 1, 0): 'APIAKEYLO_EL1',
        sysreg(3, 0, 2, 1, 1): 'APIAKEYHI_EL1',
        sysreg(3, 0, 2, 1, 2): 'APIBKEYLO_EL1',
        sysreg(3, 0, 2, 1, 3): 'APIBKEYHI_EL1',
        sysreg(3, 0, 2, 2, 0): 'APDAKEYLO_EL1',
        sysreg(3, 0, 2, 2, 1): 'APDAKEYHI_EL1',
        sysreg(3, 0, 2, 2, 2): 'APDBKEYLO_EL1',
        sysreg(3, 0, 2, 2, 3): 'APDBKEYHI_EL1',
        sysreg(3, 0, 2, 3, 0): 'APGAKEYLO_EL1',
        sysreg(3, 0, 2, 3, 1): 'APGAKEYHI_EL1',
        sysreg(3, 0, 2, 5, 0): 'GCSCR_EL1',
        sysreg(3, 0, 2, 5, 1): 'GCSPR_EL1',
        sysreg(3, 0, 2, 5, 2): 'GCSCRE0_EL1',
        sysreg(3, 0, 5, 1, 0): 'AFSR0_EL1',
        sysreg(3, 0, 5, 1, 1): 'AFSR1_EL1',
        sysreg(3, 0, 5, 2, 0): 'ESR_EL1',
        sysreg(3, 0, 5, 6, 0): 'TFSR_EL1',
        sysreg(3, 0, 5, 6, 1): 'TFSRE0_EL1',
        sysreg(3, 0, 6, 0, 0): 'FAR_EL1',
        sysreg(3, 0, 7, 4, 0): 'PAR_EL1',
        sysreg(3, 0, 9, 14, 1): 'PMINTENSET_EL1',
        sysreg(3, 0, 9, 14, 2): 'PMINTENCLR_EL1',
        sysreg(3, 0, 10, 2, 0): 'MAIR_EL1',
        sysreg(3, 0, 10, 2, 1): 'MAIR2_EL1',
        sysreg(3, 0, 10, 2, 2): 'PIRE0_EL1',
        sysreg(3, 0, 10, 2, 3): 'PIR_EL1',
        sysreg(3, 0, 10, 2, 4): 'POR_EL1',
        sysreg(3, 0, 10, 2, 5): 'S2POR_EL1',
        sysreg(3, 0, 10, 3, 0): 'AMAIR_EL1',
        sysreg(3, 0, 10, 3, 1): 'AMAIR2_EL1',
        sysreg(3, 0, 12, 0, 0): 'VBAR_EL1',
        sysreg(3, 0, 12, 1, 1): 'DISR_EL1',
        sysreg(3, 0, 12, 12, 4): 'ICC_CTLR_EL1',
        sysreg(3, 0, 13, 0, 1): 'CONTEXTIDR_EL1',
        sysreg(3, 0, 13, 0, 4): 'TPIDR_EL1',
        sysreg(3, 0, 13, 0, 7): 'SCXTNUM_EL1',
        sysreg(3, 0, 14, 1, 0): 'CNTKCTL_EL1',
        sysreg(3, 2, 0, 0, 0): 'CSSELR_EL1',
        sysreg(3, 3, 2, 5, 1): 'GCSPR_EL0',
        sysreg(3, 3, 4, 2, 2): 'SVCR',
        sysreg(3, 3, 4, 4, 2): 'FPMR',
        sysreg(3, 3, 9, 12, 0): 'PMCR_EL0',
        sysreg(3, 3, 9, 12, 1): 'PMCNTENSET_EL0',
        sysreg(3, 3, 9, 12, 2): 'PMCNTENCLR_EL0',
        sysreg(3, 3, 9, 12, 3): 'PMOVSCLR_EL0',
        sysreg(3, 3, 9, 12, 4): 'PMSWINC_EL0',
        sysreg(3, 3, 9, 12, 5): 'PMSELR_EL0',
        sysreg(3, 3, 9, 12, 6): 'PMCEID0_EL0',
        sysreg(3, 3, 9, 12, 7): 'PMCEID1_EL0',
        sysreg(3, 3, 9, 13, 0): 'PMCCNTR_EL0',
        sysreg(3, 3, 9, 13, 1): 'PMXEVTYPER_EL0',
        sysreg(3, 3, 9, 13, 2): 'PMXEVCNTR_EL0',
        sysreg(3, 3, 9, 14, 0): 'PMUSERENR_EL0',
        sysreg(3, 3, 9, 14, 3): 'PMOVSSET_EL0',
        sysreg(3, 3, 10, 2, 4): 'POR_EL0',
        sysreg(3, 3, 13, 0, 2): 'TPIDR_EL0',
        sysreg(3, 3, 13, 0, 3): 'TPIDRRO_EL0',
        sysreg(3, 3, 13, 0, 5): 'TPIDR2_EL0',
        sysreg(3, 3, 13, 0, 7): 'SCXTNUM_EL0',
        sysreg(3, 3, 14, 0, 1): 'CNTPCT_EL0',
        sysreg(3, 3, 14, 0, 2): 'CNTV_CVAL_EL0',  # KVM_REG_ARM_TIMER_CVAL
        sysreg(3, 3, 14, 2, 1): 'CNTP_CTL_EL0',
        sysreg(3, 3, 14, 2, 2): 'CNTP_CVAL_EL0',
        sysreg(3, 3, 14, 3, 1): 'CNTV_CTL_EL0',
        sysreg(3, 3, 14, 3, 2): 'CNTVCT_EL0',  # KVM_REG_ARM_TIMER_CNT
        sysreg(3, 3, 14, 15, 7): 'PMCCFILTR_EL0',
        sysreg(3, 4, 0, 0, 0): 'VPIDR_EL2',
        sysreg(3, 4, 0, 0, 5): 'VMPIDR_EL2',
        sysreg(3, 4, 1, 0, 0): 'SCTLR_EL2',
        sysreg(3, 4, 1, 0, 1): 'ACTLR_EL2',
        sysreg(3, 4, 1, 0, 3): 'SCTLR2_EL2',
        sysreg(3, 4, 1, 1, 0): 'HCR_EL2',
        sysreg(3, 4, 1, 1, 1): 'MDCR_EL2',
        sysreg(3, 4, 1, 1, 2): 'CPTR_EL2',
        sysreg(3, 4, 1, 1, 3): 'HSTR_EL2',
        sysreg(3, 4, 1, 1, 4): 'HFGRTR_EL2',
        sysreg(3, 4, 1, 1, 5): 'HFGWTR_EL2',
        sysreg(3, 4, 1, 1, 6): 'HFGITR_EL2',
        sysreg(3, 4, 1, 1, 7): 'HACR_EL2',
        sysreg(3, 4, 1, 2, 0): 'ZCR_EL2',
        sysreg(3, 4, 1, 2, 2): 'HCRX_EL2',
        sysreg(3, 4, 1, 5, 0): 'NVHCR_EL2',
        sysreg(3, 4, 2, 0, 0): 'TTBR0_EL2',
        sysreg(3, 4, 2, 0, 1): 'TTBR1_EL2',
        sysreg(3, 4, 2, 0, 2): 'TCR_EL2',
        sysreg(3, 4, 2, 0, 3): 'TCR2_EL2',
        sysreg(3, 4, 2, 1, 0): 'VTTBR_EL2',
        sysreg(3, 4, 2, 1, 2): 'VTCR_EL2',
        sysreg(3, 4, 2, 2, 0): 'VNCR_EL2',
        sysreg(3, 4, 3, 0, 0): 'DACR32_EL2',
        sysreg(3, 4, 3, 1, 0): 'HDFGRTR2_EL2',
        sysreg(3, 4, 3, 1, 1): 'HDFGWTR2_EL2',
        sysreg(3, 4, 3, 1, 2): 'HFGRTR2_EL2',
        sysreg(3, 4, 3, 1, 3): 'HFGWTR2_EL2',
        sysreg(3, 4, 3, 1, 4): 'HDFGRTR_EL2',
        sysreg(3, 4, 3, 1, 5): 'HDFGWTR_EL2',
        sysreg(3, 4, 3, 1, 6): 'HAFGRTR_EL2',
        sysreg(3, 4, 3, 1, 7): 'HFGITR2_EL2',
        sysreg(3, 4, 4, 0, 0): 'SPSR_EL2',
        sysreg(3, 4, 4, 0, 1): 'ELR_EL2',
        sysreg(3, 4, 5, 0, 1): 'IFSR32_EL2',
        sysreg(3, 4, 5, 1, 0): 'AFSR0_EL2',
        sysreg(3, 4, 5, 1, 1): 'AFSR1_EL2',
        sysreg(3, 4, 5, 2, 0): 'ESR_EL2',
        sysreg(3, 4, 5, 2, 3): 'VSESR_EL2',
        sysreg(3, 4, 5, 3, 0): 'FPEXC32_EL2',
        sysreg(3, 4, 6, 0, 0): 'FAR_EL2',
        sysreg(3, 4, 6, 0, 4): 'HPFAR_EL2',
        sysreg(3, 4, 10, 2, 0): 'MAIR_EL2',
        sysreg(3, 4, 10, 2, 2): 'PIRE0_EL2',
        sysreg(3, 4, 10, 2, 3): 'PIR_EL2',
        sysreg(3, 4, 10, 2, 4): 'POR_EL2',
        sysreg(3, 4, 10, 3, 0): 'AMAIR_EL2',
        sysreg(3, 4, 12, 0, 0): 'VBAR_EL2',
        sysreg(3, 4, 12, 0, 1): 'RVBAR_EL2',
        sysreg(3, 4, 12, 1, 1): 'VDISR_EL2',
        sysreg(3, 4, 12, 11, 0): 'ICH_HCR_EL2',
        sysreg(3, 4, 12, 11, 7): 'ICH_VMCR_EL2',
        sysreg(3, 4, 13, 0, 1): 'CONTEXTIDR_EL2',
        sysreg(3, 4, 13, 0, 2): 'TPIDR_EL2',
        sysreg(3, 4, 14, 0, 3): 'CNTVOFF_EL2',
        sysreg(3, 4, 14, 1, 0): 'CNTHCTL_EL2',
        sysreg(3, 4, 14, 2, 1): 'CNTHP_CTL_EL2',
        sysreg(3, 4, 14, 2, 2): 'CNTHP_CVAL_EL2',
        sysreg(3, 4, 14, 3, 1): 'CNTHV_CTL_EL2',
        sysreg(3, 4, 14, 3, 2): 'CNTHV_CVAL_EL2',
        sysreg(3, 6, 4, 1, 0): 'SP_EL2',
    }
    | {
        sysreg(3, 3, 14, crm + n // 8, n % 8): f'{stem}{n}_EL0'
        for n in range(31)
        for crm, stem in ((8, 'PMEVCNTR'), (12, 'PMEVTYPER'))
    }
    | {
        sysreg(3, 4, 12, crm + n // 8, n % 8): f'{stem}{n}_EL2'
        for crm, stem, count in (
            (8, 'ICH_AP0R', 4),
            (9, 'ICH_AP1R', 4),
            (12, 'ICH_LR', 16),
        )
        for n in range(count)
    }
    | {
        sysreg(2, 0, 0, n, op2): f'{stem}{n}_EL1'
        for n in range(16)
        for op2, stem in (
            (4, 'DBGBVR'),
            (5, 'DBGBCR'),
            (6, 'DBGWVR'),
            (7, 'DBGWCR'),
        )
    }
)
