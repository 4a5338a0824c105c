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

"""The architecture's names for values.

Fields: Arm ARM (DDI 0487), D24.2; only those with more values than "not
implemented" (0) and "implemented" (1). Firmware levels: KVM's
``Documentation/virt/kvm/arm/fw-pseudo-registers.rst``. The GIC's interface:
Arm GIC architecture specification (IHI 0069), 12.2.
"""

from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.cores import CORES

_GRANULE = {-1: 'not supported', 0: 'supported', 1: '52-bit addresses'}
_GRANULE16 = {0: 'not supported', 1: 'supported', 2: '52-bit addresses'}
_STAGE2 = {
    0: 'as stage 1',
    1: 'not supported',
    2: 'supported',
    3: '52-bit addresses',
}
_PAUTH = {
    0: 'not implemented',
    1: 'PAuth',
    2: 'EPAC',
    3: 'PAuth2',
    4: 'FPAC',
    5: 'FPACCOMBINE',
}
_LEVEL = {0: 'affected, not mitigated', 1: 'mitigated', 2: 'not affected'}
_PMU = {
    0: 'none',
    1: 'PMUv3',
    4: 'PMUv3p1',
    5: 'PMUv3p4',
    6: 'PMUv3p5',
    7: 'PMUv3p7',
    8: 'PMUv3p8',
    9: 'PMUv3p9',
    15: 'implementation defined',
}
_EXCEPTION_LEVEL = {
    0: 'not implemented',
    1: 'AArch64 only',
    2: 'AArch64 and AArch32',
}
_SIMD = {-1: 'not implemented', 0: 'implemented', 1: 'half precision too'}

#: By (register, field), then by value, sign extended: the value's name.
NAMES: dict[tuple[str, str], dict[int, str]] = {
    ('SMCCC_ARCH_WORKAROUND_1', ''): _LEVEL,
    ('SMCCC_ARCH_WORKAROUND_2', ''): {
        0: 'not available',
        1: 'unknown',
        2: 'available',
        3: 'not affected',
    },
    ('SMCCC_ARCH_WORKAROUND_3', ''): _LEVEL,
    ('ID_AA64PFR0_EL1', 'EL0'): _EXCEPTION_LEVEL,
    ('ID_AA64PFR0_EL1', 'EL1'): _EXCEPTION_LEVEL,
    ('ID_AA64PFR0_EL1', 'EL2'): _EXCEPTION_LEVEL,
    ('ID_AA64PFR0_EL1', 'EL3'): _EXCEPTION_LEVEL,
    ('ID_AA64PFR0_EL1', 'FP'): _SIMD,
    ('ID_AA64PFR0_EL1', 'AdvSIMD'): _SIMD,
    ('ID_AA64PFR0_EL1', 'GIC'): {
        0: 'not implemented',
        1: 'GICv3, GICv4',
        3: 'GICv4.1',
    },
    ('ID_AA64PFR0_EL1', 'RAS'): {
        0: 'not implemented',
        1: 'RAS',
        2: 'RASv1p1',
        3: 'RASv2',
    },
    ('ID_AA64PFR0_EL1', 'AMU'): {
        0: 'not implemented',
        1: 'AMUv1',
        2: 'AMUv1p1',
    },
    ('ID_AA64PFR0_EL1', 'CSV2'): {
        0: 'not disclosed',
        1: 'CSV2',
        2: 'CSV2_2',
        3: 'CSV2_3',
    },
    ('ID_AA64PFR1_EL1', 'SSBS'): {0: 'not implemented', 1: 'SSBS', 2: 'SSBS2'},
    ('ID_AA64PFR1_EL1', 'MTE'): {
        0: 'not implemented',
        1: 'MTE',
        2: 'MTE2',
        3: 'MTE3',
    },
    ('ID_AA64PFR1_EL1', 'SME'): {0: 'not implemented', 1: 'SME', 2: 'SME2'},
    ('ID_AA64ZFR0_EL1', 'SVEver'): {
        0: 'SVE',
        1: 'SVE2',
        2: 'SVE2p1',
        3: 'SVE2p2',
    },
    ('ID_AA64DFR0_EL1', 'DebugVer'): {
        6: 'Armv8.0',
        7: 'Armv8.1',
        8: 'Armv8.2',
        9: 'Armv8.4',
        10: 'Armv8.8',
        11: 'Armv8.9',
    },
    ('ID_AA64DFR0_EL1', 'PMUVer'): _PMU,
    ('ID_DFR0_EL1', 'PerfMon'): {
        0: 'none',
        1: 'PMUv1',
        2: 'PMUv2',
        3: 'PMUv3',
        4: 'PMUv3p1',
        5: 'PMUv3p4',
        6: 'PMUv3p5',
        7: 'PMUv3p7',
        8: 'PMUv3p8',
        9: 'PMUv3p9',
        15: 'none',
    },
    ('ID_AA64DFR0_EL1', 'DoubleLock'): {
        -1: 'not implemented',
        0: 'implemented',
    },
    ('ID_AA64ISAR0_EL1', 'AES'): {
        0: 'not implemented',
        1: 'AES',
        2: 'AES and PMULL',
    },
    ('ID_AA64ISAR0_EL1', 'SHA2'): {
        0: 'not implemented',
        1: 'SHA256',
        2: 'SHA256 and SHA512',
    },
    ('ID_AA64ISAR0_EL1', 'ATOMIC'): {
        0: 'not implemented',
        2: 'LSE',
        3: 'LSE128',
    },
    ('ID_AA64ISAR0_EL1', 'TS'): {
        0: 'not implemented',
        1: 'FlagM',
        2: 'FlagM2',
    },
    ('ID_AA64ISAR0_EL1', 'TLB'): {
        0: 'not implemented',
        1: 'TLBIOS',
        2: 'TLBIOS and TLBIRANGE',
    },
    ('ID_AA64ISAR1_EL1', 'DPB'): {0: 'not implemented', 1: 'DPB', 2: 'DPB2'},
    ('ID_AA64ISAR1_EL1', 'APA'): _PAUTH,
    ('ID_AA64ISAR1_EL1', 'API'): _PAUTH,
    ('ID_AA64ISAR2_EL1', 'APA3'): _PAUTH,
    ('ID_AA64ISAR1_EL1', 'LRCPC'): {
        0: 'not implemented',
        1: 'LRCPC',
        2: 'LRCPC2',
        3: 'LRCPC3',
    },
    ('ID_AA64ISAR1_EL1', 'BF16'): {
        0: 'not implemented',
        1: 'BF16',
        2: 'EBF16',
    },
    ('ID_AA64ISAR1_EL1', 'LS64'): {
        0: 'not implemented',
        1: 'LS64',
        2: 'LS64_V',
        3: 'LS64_ACCDATA',
    },
    ('ID_AA64ISAR2_EL1', 'WFxT'): {0: 'not implemented', 2: 'WFxT'},
    ('ID_AA64MMFR0_EL1', 'TGRAN4'): _GRANULE,
    ('ID_AA64MMFR0_EL1', 'TGRAN64'): {-1: 'not supported', 0: 'supported'},
    ('ID_AA64MMFR0_EL1', 'TGRAN16'): _GRANULE16,
    ('ID_AA64MMFR0_EL1', 'TGRAN4_2'): _STAGE2,
    ('ID_AA64MMFR0_EL1', 'TGRAN64_2'): _STAGE2,
    ('ID_AA64MMFR0_EL1', 'TGRAN16_2'): _STAGE2,
    ('ID_AA64MMFR0_EL1', 'PARANGE'): {
        0: '32 bits',
        1: '36 bits',
        2: '40 bits',
        3: '42 bits',
        4: '44 bits',
        5: '48 bits',
        6: '52 bits',
        7: '56 bits',
    },
    ('ID_AA64MMFR0_EL1', 'ASIDBITS'): {0: '8 bits', 2: '16 bits'},
    ('ID_AA64MMFR0_EL1', 'FGT'): {0: 'not implemented', 1: 'FGT', 2: 'FGT2'},
    ('ID_AA64MMFR0_EL1', 'ECV'): {
        0: 'not implemented',
        1: 'ECV',
        2: 'ECV_POFF',
    },
    ('ID_AA64MMFR1_EL1', 'VMIDBits'): {0: '8 bits', 2: '16 bits'},
    ('ID_AA64MMFR1_EL1', 'VH'): {0: 'nVHE', 1: 'VHE'},
    ('ID_AA64MMFR1_EL1', 'HAFDBS'): {
        0: 'not implemented',
        1: 'access flag',
        2: 'and dirty state',
        3: 'and table access flag',
        4: 'and translation hardening',
    },
    ('ID_AA64MMFR1_EL1', 'PAN'): {
        0: 'not implemented',
        1: 'PAN',
        2: 'PAN2',
        3: 'PAN3',
    },
    ('ID_AA64MMFR2_EL1', 'NV'): {0: 'not implemented', 1: 'NV', 2: 'NV2'},
    ('ID_AA64MMFR2_EL1', 'VARange'): {
        0: '48 bits',
        1: '52 bits',
        2: '56 bits',
    },
    ('ICC_CTLR_EL1', 'A3V'): {
        0: 'affinity level 3 is 0',
        1: 'any affinity level 3',
    },
    ('ICC_CTLR_EL1', 'SEIS'): {0: 'not supported', 1: 'supported'},
    ('ICC_CTLR_EL1', 'IDbits'): {0: '16 bits', 1: '24 bits'},
    ('ICC_CTLR_EL1', 'PRIbits'): {n: f'{n + 1} bits' for n in range(8)},
    ('CTR_EL0', 'L1Ip'): {0: 'VPIPT', 1: 'AIVIVT', 2: 'VIPT', 3: 'PIPT'},
    ('CTR_EL0', 'IDC'): {0: 'clean to unification needed', 1: 'not needed'},
    ('CTR_EL0', 'DIC'): {
        0: 'instruction cache invalidation needed',
        1: 'not needed',
    },
}


def value_name(register: str, field: str, value: int) -> str:
    """Return the architecture's name for a value; empty if it has none.

    :param field: empty for a whole register
    :param value: sign extended
    """
    if register == 'MIDR_EL1' and not field:
        known = (value >> 24 & 0xFF, value >> 4 & 0xFFF) in CORES
        return core_name(value) if known else ''
    if register == 'PSCI_VERSION':
        return f'{value >> 16}.{value & 0xFFFF}'
    return NAMES.get((register, field), {}).get(value, '')
