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

"""What a guest's kernel decides by MIDR_EL1 and REVIDR_EL1.

Source: Linux 7.3-rc7, ``arch/arm64/kernel/cpu_errata.c``, ``proton-pack.c``
and ``cpufeature.c``; each entry names its symbol. A kernel that knows the
target implementations of its machine (Linux 6.15 and newer, if the machine
tells them) looks for all of them in a list, and any match counts
(``is_midr_in_range``). Other kernels look for MIDR_EL1 only.

Left out is what only a hypervisor acts on: 834220, 30115, 1165522, 1319367,
1530923, 1463225, 2077057, ThunderX2 219 (TVM), Spectre-v3a, Oryon's CNTVOFF,
Apple's PMU and GIC, and what the kernel's command line switches on (4311569).
AC03_CPU_38 and AC04_CPU_23 concern a hypervisor too, and are kept because a
guest may be one.
"""

from typing import NamedTuple

from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.tables.features import CTR_EL0
from nova_arm_migrate.core.tables.features import ID_AA64DFR0_EL1
from nova_arm_migrate.core.tables.features import ID_AA64ISAR2_EL1
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tables.features import ID_AA64PFR1_EL1

_MMFR1 = sysreg(3, 0, 0, 7, 1)
_MMFR2 = sysreg(3, 0, 0, 7, 2)

_ARM, _BROADCOM, _CAVIUM, _FUJITSU = 0x41, 0x42, 0x43, 0x46
_HISILICON, _NVIDIA, _QUALCOMM, _MICROSOFT = 0x48, 0x4E, 0x51, 0x6D
_AMPERE = 0xC0


class Cores(NamedTuple):
    """Implementations with one part number, in a range of revisions.

    :ivar oldest: (variant, revision), the first that is meant; newest: the
        last one. ``MIDR_RANGE`` in ``cputype.h``
    :ivar fixed: (variant, revision, bits of REVIDR_EL1): one of these bits
        says that the erratum is fixed. ``MIDR_FIXED``
    :ivar parts: the bits of the part number that are compared
    """

    implementer: int
    part: int
    oldest: tuple[int, int] = (0, 0)
    newest: tuple[int, int] = (0xF, 0xF)
    fixed: tuple[int, int, int] | None = None
    parts: int = 0xFFF

    def has(self, midr: int, revidr: int) -> bool:
        """Whether an implementation is one of these."""
        revision = (midr >> 20 & 0xF, midr & 0xF)
        if (
            midr >> 24 & 0xFF != self.implementer
            or midr >> 4 & self.parts != self.part
            or not self.oldest <= revision <= self.newest
        ):
            return False
        return self.fixed is None or not (
            revision == self.fixed[:2] and revidr & self.fixed[2]
        )


class Shown(NamedTuple):
    """A field that a guest's kernel reads besides MIDR_EL1."""

    code: int
    field: str
    least: int


class Listed(NamedTuple):
    """A list of implementations in a kernel, and what it is for.

    :ivar name: the kernel's name for the workaround, or of the list
    :ivar about: for people: an erratum's number, or what the list says
    :ivar source: the symbol with the list
    :ivar needs: the list does not matter unless a field is at least this
    :ivar unless: the list does not matter if a field is at least this
    """

    name: str
    about: str
    source: str
    cores: tuple[Cores, ...]
    needs: Shown | None = None
    unless: tuple[Shown, ...] = ()


def _arm(*parts: int) -> tuple[Cores, ...]:
    return tuple(Cores(_ARM, part) for part in parts)


_A35, _A53, _A55, _A57, _A72, _A73 = 0xD04, 0xD03, 0xD05, 0xD07, 0xD08, 0xD09
_A76, _N1, _A77, _A76AE = 0xD0B, 0xD0C, 0xD0D, 0xD0E
_V1, _A78, _A78AE, _X1, _A510, _A710 = 0xD40, 0xD41, 0xD42, 0xD44, 0xD46, 0xD47
_X2, _N2, _A78C, _X1C, _A715, _X3 = 0xD48, 0xD49, 0xD4B, 0xD4C, 0xD4D, 0xD4E
_V2, _A520, _A720, _X4, _V3AE, _V3 = 0xD4F, 0xD80, 0xD81, 0xD82, 0xD83, 0xD84
_X925, _A725, _A520AE, _A720AE = 0xD85, 0xD87, 0xD88, 0xD89
_C1_NANO, _C1_PRO, _C1_ULTRA, _N3 = 0xD8A, 0xD8B, 0xD8C, 0xD8E
_C1_PREMIUM = 0xD90

_BRAHMA_B53 = Cores(_BROADCOM, 0x100)
_VULCAN = Cores(_BROADCOM, 0x516)
_THUNDERX2 = Cores(_CAVIUM, 0x0AF)
_TSV110 = Cores(_HISILICON, 0xD01)
_HIP09 = Cores(_HISILICON, 0xD02)
_CARMEL = Cores(_NVIDIA, 0x004)
_OLYMPUS = Cores(_NVIDIA, 0x010)
_COBALT_100 = Cores(_MICROSOFT, 0xD49)
_AMPERE1 = Cores(_AMPERE, 0xAC3)
_AMPERE1A = Cores(_AMPERE, 0xAC4)
_KRYO_2XX_GOLD = Cores(_QUALCOMM, 0x800)
_KRYO_2XX_SILVER = Cores(_QUALCOMM, 0x801)
_KRYO_3XX_SILVER = Cores(_QUALCOMM, 0x803)
_KRYO_4XX_GOLD = Cores(_QUALCOMM, 0x804)
_KRYO_4XX_SILVER = Cores(_QUALCOMM, 0x805)
_KRYO = Cores(_QUALCOMM, 0x200, parts=0xF00)  # is_kryo_midr
_FALKOR_V1_R0P0 = Cores(_QUALCOMM, 0x800, (0, 0), (0, 0))

#: Times that the branchy loop runs against Spectre-BHB. The kernel takes the
#: first list with a match, and the lists are in that order.
#: Source: ``spectre_bhb_loop_affected`` in ``proton-pack.c``.
LOOP_COUNTS: tuple[tuple[int, tuple[Cores, ...]], ...] = (
    (132, _arm(_X3, _V2)),
    (38, _arm(_A715, _A720, _A720AE)),
    (
        32,
        (
            *_arm(_A78, _A78AE, _A78C, _X1, _X1C, _A710, _X2, _N2, _V1),
            _TSV110,
        ),
    ),
    (24, (*_arm(_A76, _A76AE, _A77, _N1), _KRYO_4XX_GOLD, _HIP09)),
    (11, (_AMPERE1,)),
    (8, _arm(_A72, _A57)),
)

_CSV2P3 = Shown(ID_AA64PFR0_EL1, 'CSV2', 3)

#: The loop does not run if the guest sees one of these: ``supports_csv2p3``,
#: ``supports_clearbhb``, ``supports_ecbhb``.
NO_LOOP = (
    _CSV2P3,
    Shown(ID_AA64ISAR2_EL1, 'CLRBHB', 1),
    Shown(_MMFR1, 'ECBHB', 1),
)

_TRBE = Shown(ID_AA64DFR0_EL1, 'TraceBuffer', 1)

#: Errata: a kernel works around each of them if it finds the core in the list.
#: It is safe to work around an erratum that a core does not have.
ERRATA: tuple[Listed, ...] = (
    Listed(
        'CLEAN_CACHE',
        'errata 826319, 827319, 824069, 819472',
        'workaround_clean_cache',
        (Cores(_ARM, _A53, (0, 0), (0, 2)),),
    ),
    Listed(
        'DEVICE_LOAD_ACQUIRE',
        'erratum 832075',
        'arm64_errata',
        (Cores(_ARM, _A57, (0, 0), (1, 2)),),
    ),
    Listed(
        '843419',
        'erratum 843419',
        'erratum_843419_list',
        (
            Cores(_ARM, _A53, (0, 0), (0, 4), (0, 4, 1 << 8)),
            _BRAHMA_B53._replace(newest=(0, 0)),
        ),
    ),
    Listed(
        '845719',
        'erratum 845719',
        'erratum_845719_list',
        (
            Cores(_ARM, _A53, (0, 0), (0, 4)),
            _BRAHMA_B53._replace(newest=(0, 0)),
            Cores(_QUALCOMM, 0x801, (0xA, 4), (0xA, 4)),
        ),
    ),
    Listed(
        'CAVIUM_23154',
        'errata 23154, 38545',
        'cavium_erratum_23154_cpus',
        tuple(
            Cores(_CAVIUM, part)
            for part in (
                0x0A1,
                0x0A2,
                0x0A3,
                0x0B1,
                0x0B2,
                0x0B3,
                0x0B4,
                0x0B5,
                0x0B6,
            )
        ),
    ),
    Listed(
        'CAVIUM_27456',
        'erratum 27456',
        'cavium_erratum_27456_cpus',
        (
            Cores(_CAVIUM, 0x0A1, (0, 0), (1, 1)),
            Cores(_CAVIUM, 0x0A2, (0, 0), (0, 0)),
        ),
    ),
    Listed(
        'QCOM_FALKOR_E1003',
        'erratum 1003',
        'qcom_erratum_1003_list',
        (_FALKOR_V1_R0P0, _KRYO),
    ),
    Listed(
        'REPEAT_TLBI_SYNC',
        'errata 1009, 1286807, 2441007, 2441009, 4118414',
        'arm64_repeat_tlbi_list',
        (
            _FALKOR_V1_R0P0,
            _KRYO,
            Cores(_QUALCOMM, 0x804, (0xC, 0xE), (0xF, 0xE)),
            Cores(_ARM, _A510, (0, 0), (1, 1)),
            *_arm(_A55, _C1_PREMIUM, _C1_ULTRA, _A76, _A76AE, _A77, _A78),
            *_arm(_A78AE, _A78C, _A710, _X1, _X1C, _X2, _X3, _X4, _X925),
            *_arm(_N1, _N2, _V1, _V2, _V3, _V3AE),
            _OLYMPUS,
            _COBALT_100,
        ),
    ),
    Listed('858921', 'erratum 858921', 'arm64_errata', _arm(_A73)),
    Listed(
        '1418040',
        'erratum 1418040',
        'erratum_1418040_list',
        (
            Cores(_ARM, _A76, (0, 0), (3, 1)),
            Cores(_ARM, _N1, (0, 0), (3, 1)),
            Cores(_QUALCOMM, 0x804, (0xC, 0xE), (0xF, 0xF)),
        ),
    ),
    Listed(
        'CAVIUM_TX2_219_PRFM',
        'erratum 219',
        'tx2_family_cpus',
        (_VULCAN, _THUNDERX2),
    ),
    Listed(
        '1542419',
        'erratum 1542419',
        'has_neoverse_n1_erratum_1542419',
        _arm(_N1),
        needs=Shown(CTR_EL0, 'DIC', 1),
    ),
    Listed(
        '1508412',
        'erratum 1508412',
        'arm64_errata',
        (Cores(_ARM, _A77, (0, 0), (1, 0)),),
    ),
    Listed(
        'DISABLE_CNP',
        'errata of CNP: Carmel, 162100125',
        'cnp_erratum_cpus',
        (_CARMEL, _HIP09),
        needs=Shown(_MMFR2, 'CnP', 1),
    ),
    Listed('NVIDIA_OLYMPUS_1027', 'erratum 1027', 'arm64_errata', (_OLYMPUS,)),
    Listed(
        'TRBE_OVERWRITE_FILL_MODE',
        'errata 2119858, 2139208 (TRBE)',
        'trbe_overwrite_fill_mode_cpus',
        (
            *_arm(_N2, _A710),
            _COBALT_100,
            Cores(_ARM, _X2, (0, 0), (2, 0)),
        ),
    ),
    Listed(
        'TSB_FLUSH_FAILURE',
        'errata 2067961, 2054223 (TRBE)',
        'tsb_flush_fail_cpus',
        (*_arm(_N2, _A710), _COBALT_100),
    ),
    Listed(
        'TRBE_WRITE_OUT_OF_RANGE',
        'errata 2253138, 2224489 (TRBE)',
        'trbe_write_out_of_range_cpus',
        (
            *_arm(_N2, _A710),
            _COBALT_100,
            Cores(_ARM, _X2, (0, 0), (2, 0)),
        ),
    ),
    Listed('2645198', 'erratum 2645198', 'arm64_errata', _arm(_A715)),
    Listed(
        'TRBE_A510',
        'errata 2064142, 2038923, 1902691 (TRBE)',
        'arm64_errata',
        (Cores(_ARM, _A510, (0, 0), (0, 2)),),
        needs=_TRBE,
    ),
    Listed(
        'BROKEN_AMU_CONSTCNT',
        'errata 2457168, 3821522',
        'workaround_amu_constcnt_list',
        (
            Cores(_ARM, _A510, (0, 0), (1, 1)),
            Cores(_ARM, _A725, (0, 0), (0, 2)),
        ),
        needs=Shown(ID_AA64PFR0_EL1, 'AMU', 1),
    ),
    Listed(
        '1742098',
        'erratum 1742098 (AES of 32-bit code)',
        'broken_aarch32_aes',
        (Cores(_ARM, _A57, (0, 1)), *_arm(_A72)),
        needs=Shown(ID_AA64PFR0_EL1, 'EL0', 2),
    ),
    Listed(
        '2658417',
        'erratum 2658417 (BF16)',
        'arm64_errata',
        (Cores(_ARM, _A510, (0, 0), (1, 1), (1, 1, 1 << 25)),),
    ),
    Listed(
        'SPECULATIVE_SSBS',
        'erratum 3194386',
        'erratum_spec_ssbs_list',
        (
            *_arm(_A76, _A77, _A78, _A78C, _A710, _A715, _A720, _A720AE),
            *_arm(_A725, _X1, _X1C, _X2, _X3, _X4, _X925, _N1, _N2, _N3),
            *_arm(_V1, _V2, _V3, _V3AE),
            _COBALT_100,
        ),
    ),
    Listed(
        '4193714',
        'erratum 4193714 (SME)',
        'has_sme_dvmsync_erratum',
        (Cores(_ARM, _C1_PRO, (0, 0), (1, 2), (1, 2, 1)),),
        needs=Shown(ID_AA64PFR1_EL1, 'SME', 1),
    ),
    Listed(
        'SPECULATIVE_UNPRIV_LOAD',
        'errata 2966298, 3117295',
        'erratum_spec_unpriv_load_list',
        (*_arm(_A510), Cores(_ARM, _A520, (0, 0), (0, 1))),
    ),
    Listed(
        'AMPERE_AC03_CPU_38',
        'erratum AC03_CPU_38',
        'erratum_ac03_cpu_38_list',
        (_AMPERE1, _AMPERE1A),
    ),
    Listed(
        'AMPERE_AC04_CPU_23',
        'erratum AC04_CPU_23',
        'erratum_ac04_cpu_23_list',
        (_AMPERE1A,),
    ),
    Listed(
        'BROKEN_DBM',
        'errata 1024718, 2051678',
        'cpu_has_broken_dbm (cpufeature.c)',
        (
            *_arm(_A55),
            Cores(_QUALCOMM, 0x805, (0xD, 0xE), (0xD, 0xE)),
            Cores(_ARM, _A510, (0, 0), (0, 2)),
        ),
        needs=Shown(_MMFR1, 'HAFDBS', 2),
    ),
    Listed(
        'FUJITSU_010001',
        'erratum 010001',
        'MIDR_FUJITSU_ERRATUM_010001 (cputype.h)',
        tuple(
            Cores(_FUJITSU, 0x001, revision, revision)
            for revision in ((0, 0), (1, 0))
        ),
    ),
)

#: Allow lists: a kernel leaves out a protection, or uses what the registers do
#: not show, if it finds the core in the list. Wrong for every other core.
ALLOWED: tuple[Listed, ...] = (
    Listed(
        'bbml3',
        'block mappings may be changed in use',
        'supports_bbml3_list, supports_bbml2_noabort_list in older kernels'
        ' (cpufeature.c)',
        (
            Cores(_ARM, _X4, (0, 3), (0, 0xF)),
            Cores(_ARM, _V3, (0, 2), (0, 0xF)),
            Cores(_ARM, _V3AE, (0, 2), (0, 0xF)),
            _OLYMPUS,
            _AMPERE1,
            _AMPERE1A,
            *_arm(_A520AE, _A715, _A720AE, _A725, _N3, _C1_NANO, _C1_PRO),
            Cores(_ARM, _C1_ULTRA, (1, 1)),
            Cores(_ARM, _C1_PREMIUM, (1, 1)),
        ),
        unless=(Shown(_MMFR2, 'BBM', 3),),
    ),
    Listed(
        'kpti_safe',
        'no Meltdown',
        'kpti_safe_list (cpufeature.c)',
        (
            _THUNDERX2,
            _VULCAN,
            _BRAHMA_B53,
            *_arm(_A35, _A53, _A55, _A57, _A72, _A73),
            _TSV110,
            _CARMEL,
            _KRYO_2XX_GOLD,
            _KRYO_2XX_SILVER,
            _KRYO_3XX_SILVER,
            _KRYO_4XX_SILVER,
        ),
        unless=(Shown(ID_AA64PFR0_EL1, 'CSV3', 1),),
    ),
    Listed(
        'spectre_v2_safe',
        'no Spectre-v2',
        'spectre_v2_safe_list (proton-pack.c)',
        (
            *_arm(_A35, _A53, _A55),
            _BRAHMA_B53,
            _TSV110,
            _KRYO_2XX_SILVER,
            _KRYO_3XX_SILVER,
            _KRYO_4XX_SILVER,
        ),
        unless=(Shown(ID_AA64PFR0_EL1, 'CSV2', 1),),
    ),
    Listed(
        'spectre_v4_safe',
        'no Spectre-v4',
        'spectre_v4_safe_list (proton-pack.c)',
        (
            *_arm(_A35, _A53, _A55),
            _BRAHMA_B53,
            _KRYO_3XX_SILVER,
            _KRYO_4XX_SILVER,
        ),
    ),
    Listed(
        'spectre_bhb_safe',
        'no Spectre-BHB',
        'spectre_bhb_safe_list (proton-pack.c)',
        (
            *_arm(_A35, _A53, _A55, _A510, _A520),
            _BRAHMA_B53,
            _KRYO_2XX_SILVER,
            _KRYO_3XX_SILVER,
            _KRYO_4XX_SILVER,
        ),
        unless=(_CSV2P3,),
    ),
)
