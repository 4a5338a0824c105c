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

"""Synthetic profiles: made up by hand, for the rule's corners.

Real ones, recorded in the lab, are in tests/fixtures/profiles.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import TypeVar

from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import ccsidr
from nova_arm_migrate.core.registers import firmware
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.tables import check_field_name
from nova_arm_migrate.core.tables import REGISTERS

#: A host, or a guest.
Profile = TypeVar('Profile', Host, Guest)

ALL = (1 << 64) - 1
NEOVERSE_N1 = 0x413FD0C1
NEOVERSE_V1 = 0x410FD400

CODES = {register.name: code for code, register in REGISTERS.items()}
MIDR = CODES['MIDR_EL1']
PFR0 = CODES['ID_AA64PFR0_EL1']
PFR1 = CODES['ID_AA64PFR1_EL1']
ISAR0 = CODES['ID_AA64ISAR0_EL1']
ISAR1 = CODES['ID_AA64ISAR1_EL1']
MMFR0 = CODES['ID_AA64MMFR0_EL1']
MMFR1 = CODES['ID_AA64MMFR1_EL1']
DFR0 = CODES['ID_AA64DFR0_EL1']
ZFR0 = CODES['ID_AA64ZFR0_EL1']
DFR0_32 = CODES['ID_DFR0_EL1']
CTR = CODES['CTR_EL0']
CLIDR = CODES['CLIDR_EL1']
PMCR = CODES['PMCR_EL0']
TCR2 = sysreg(3, 0, 2, 0, 3)
APIAKEYLO = sysreg(3, 0, 2, 1, 0)
ZCR = sysreg(3, 0, 1, 2, 0)
SCTLR = sysreg(3, 0, 1, 0, 0)

VALUES = {
    MIDR: NEOVERSE_V1,
    PFR0: 0x1101_0001_1111_1112,  # CSV3 CSV2 DIT SVE RAS GIC, EL0 32 bit
    PFR1: 0x21,  # SSBS 2, BT 1
    ISAR0: 0x1011_1111_0021_2120,
    ISAR1: 0x0011_1110_1121_1052,  # APA 5, GPA 1
    MMFR0: 0x0000_0222_0010_1125,
    DFR0: 0x0000_0000_1030_5406,  # PMUVer 4, DebugVer 6
    DFR0_32: 0x0401_0066,  # PerfMon 4, CopDbg 6
    ZFR0: 0x1_0001_0000_0000,
    CTR: 0x8444_C004,
    CLIDR: 0x0A20_0023,
    PMCR: 0x4103_3000,  # N = 6
    ccsidr(0): 0x2,
    ccsidr(1): 0x2,
    firmware(0): 0x1_0001,
    firmware(1): 2,
    firmware(2): 3,
    firmware(3): 1,
    bitmap(0): 1,
    bitmap(1): 1,
    bitmap(2): 3,
}
LISTED = (
    frozenset(VALUES)
    | {code for code in REGISTERS if code >> 16 == 0}
    | {SCTLR, APIAKEYLO, ZCR}
)
WRITABLE = {
    PFR0: ALL & ~0x00000FFFF0FF0000,  # not AMU MPAM SVE RAS SIMD FP
    PFR1: 0xFF,
    ISAR0: ALL,
    ISAR1: ALL & ~0xFF000FF0,
    MMFR0: ALL & ~0xF0,
    MMFR1: 0xF000000,  # SpecSEI
    DFR0: 0xF_00F0_0F0F,
    DFR0_32: 0xFFFF_FFFF,
    ZFR0: ALL,
    CTR: 0x3FFF_C00F,
}


def host(values: Mapping[int, int] | None = None, /, **changes: Any) -> Host:
    """A synthetic host, changed by register code and by attribute."""
    kept = {
        code: value
        for code, value in (VALUES | dict(values or {})).items()
        if value
    }
    base = Host(
        cores=(Core(kept.get(MIDR, 0), 0, None, '0-63'),),
        values=Values(kept),
        writable=Values(WRITABLE),
        reg_list=LISTED,
        features=frozenset({'pauth', 'pmu', 'sve'}),
        sve_lengths=(128, 256),
        capabilities=(('IPA_SIZE', 48), ('SVE', 1)),
        gic=(2, 3),
        ipa_bits=48,
        page_size=4096,
        huge_page_sizes=(2 << 20, 1 << 30),
        cntfrq=1000000000,
        dczid=4,
        hwcap=(0x804, 1),
        kernel='6.12.41',
        qemu='10.0.2',
        libvirt='11.3.0',
    )
    return dataclasses.replace(base, **changes)


def with_field(host_or_guest: Profile, name: str, value: int) -> Profile:
    """A copy of a profile with ``REGISTER.FIELD`` set."""
    register, field = check_field_name(name).split('.')
    code = CODES[register]
    old = host_or_guest.values.read(code)
    new = REGISTERS[code].field(field).into(old, value)
    kept = dict(host_or_guest.values) | {code: new}
    return dataclasses.replace(
        host_or_guest,
        values=Values({code: value for code, value in kept.items() if value}),
    )
