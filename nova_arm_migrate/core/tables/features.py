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

"""The registers and bits that belong to a vCPU feature.

Sources, Linux 7.3, ``arch/arm64/kvm/sys_regs.c``: ``ptrauth_visibility``,
``sve_visibility``, ``id_visibility``, ``pmu_visibility``,
``__kvm_read_sanitised_id_reg``, ``sanitise_id_aa64pfr0_el1``,
``sanitise_id_aa64dfr0_el1``, ``read_sanitised_id_dfr0_el1``. No released
kernel gives guests SME; its registers and bits are from the Arm ARM
(FEAT_SME).
"""

import dataclasses

from nova_arm_migrate.core.registers import sysreg

ID_AA64PFR0_EL1 = sysreg(3, 0, 0, 4, 0)
ID_AA64PFR1_EL1 = sysreg(3, 0, 0, 4, 1)
ID_AA64PFR2_EL1 = sysreg(3, 0, 0, 4, 2)
ID_AA64ZFR0_EL1 = sysreg(3, 0, 0, 4, 4)
ID_AA64SMFR0_EL1 = sysreg(3, 0, 0, 4, 5)
ID_AA64DFR0_EL1 = sysreg(3, 0, 0, 5, 0)
ID_AA64ISAR1_EL1 = sysreg(3, 0, 0, 6, 1)
ID_AA64ISAR2_EL1 = sysreg(3, 0, 0, 6, 2)
ID_PFR1_EL1 = sysreg(3, 0, 0, 1, 1)
ID_DFR0_EL1 = sysreg(3, 0, 0, 1, 2)
CTR_EL0 = sysreg(3, 3, 0, 0, 1)


#: Registers that depend on the machine's GIC (kvm_vgic_finalize_idregs).
GIC_REGISTERS = (ID_PFR1_EL1, ID_AA64PFR0_EL1, ID_AA64PFR2_EL1)


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """A vCPU feature that ``-cpu host,NAME=off`` switches off.

    :ivar bits: the bits that read as 0 without the feature, by register code
    :ivar registers: codes that KVM does not list without the feature
    """

    name: str
    bits: dict[int, int]
    registers: frozenset[int]


_PAUTH_KEYS = frozenset(
    sysreg(3, 0, 2, crm, op2)
    for crm, op2s in ((1, range(4)), (2, range(4)), (3, range(2)))
    for op2 in op2s
)

_PMU_REGISTERS = frozenset(
    [sysreg(3, 3, 9, crm, op2) for crm in (12, 13, 14) for op2 in range(8)]
    # PMINTENSET_EL1, PMINTENCLR_EL1; PMMIR_EL1 since Linux 7.3
    + [sysreg(3, 0, 9, 14, op2) for op2 in (1, 2, 6)]
    + [sysreg(3, 3, 14, crm, op2) for crm in range(8, 16) for op2 in range(8)]
)

#: SMPRI_EL1, SMCR_EL1, SMIDR_EL1, SVCR, TPIDR2_EL0
_SME_REGISTERS = frozenset(
    {
        sysreg(3, 0, 1, 2, 4),
        sysreg(3, 0, 1, 2, 6),
        sysreg(3, 1, 0, 0, 6),
        sysreg(3, 3, 4, 2, 2),
        sysreg(3, 3, 13, 0, 5),
    }
)

#: By the name of QEMU's CPU property, which is also libvirt's feature name.
FEATURES = {
    feature.name: feature
    for feature in (
        Feature(
            'pauth',
            {
                # APA, API, GPA, GPI; APA3, GPA3
                ID_AA64ISAR1_EL1: 0xFF000FF0,
                ID_AA64ISAR2_EL1: 0x0000FF00,
            },
            _PAUTH_KEYS,
        ),
        Feature(
            'pmu',
            {
                ID_AA64DFR0_EL1: 0xF00,  # PMUVer
                ID_DFR0_EL1: 0xF000000,  # PerfMon
            },
            _PMU_REGISTERS,
        ),
        Feature(
            'sve',
            {
                ID_AA64PFR0_EL1: 0xF00000000,
                ID_AA64ZFR0_EL1: 0xFFFFFFFFFFFFFFFF,
            },
            frozenset({sysreg(3, 0, 1, 2, 0)}),
        ),  # ZCR_EL1
        Feature(
            'sme',
            {
                ID_AA64PFR1_EL1: 0xF000000,
                ID_AA64SMFR0_EL1: 0xFFFFFFFFFFFFFFFF,
            },
            _SME_REGISTERS,
        ),
    )
}

#: Vector lengths in bits that QEMU's properties sve128 ... sve2048 name.
SVE_LENGTHS = tuple(range(128, 2049, 128))
SVE_LENGTH_PROPERTIES = {f'sve{bits}': bits for bits in SVE_LENGTHS}
