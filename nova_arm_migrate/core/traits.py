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

"""A host's Placement traits, from its profile.

A trait says what a *guest* gets on the host. All traits but two therefore come
from the registers that KVM shows a guest, not from the host's own HWCAPs,
which also name what KVM hides. The two exceptions are the event stream and the
emulation of ID registers: the kernel provides them, and no register shows
them.
"""

import re
from typing import NamedTuple

from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.cores import CORES
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.tables.aarch64_id import AARCH64_ID_REGISTERS

#: The prefix of our own traits, which os-traits does not have.
CUSTOM_PREFIX = 'CUSTOM_ARM64_'
STANDARD_PREFIX = 'HW_CPU_AARCH64_'

_HWCAP_EVTSTRM = 1 << 2
_HWCAP_CPUID = 1 << 11


class _Needs(NamedTuple):
    """A trait, and the least value of a field that sets it."""

    trait: str
    register: str
    field: str
    least: int


#: Which value of a field has which name: Arm ARM, D24.2, and
#: arm64_elf_hwcaps in arch/arm64/kernel/cpufeature.c.
_STANDARD = (
    _Needs('FP', 'ID_AA64PFR0_EL1', 'FP', 0),
    _Needs('FPHP', 'ID_AA64PFR0_EL1', 'FP', 1),
    _Needs('ASIMD', 'ID_AA64PFR0_EL1', 'AdvSIMD', 0),
    _Needs('ASIMDHP', 'ID_AA64PFR0_EL1', 'AdvSIMD', 1),
    _Needs('SVE', 'ID_AA64PFR0_EL1', 'SVE', 1),
    _Needs('AES', 'ID_AA64ISAR0_EL1', 'AES', 1),
    _Needs('PMULL', 'ID_AA64ISAR0_EL1', 'AES', 2),
    _Needs('SHA1', 'ID_AA64ISAR0_EL1', 'SHA1', 1),
    _Needs('SHA2', 'ID_AA64ISAR0_EL1', 'SHA2', 1),
    _Needs('SHA512', 'ID_AA64ISAR0_EL1', 'SHA2', 2),
    _Needs('CRC32', 'ID_AA64ISAR0_EL1', 'CRC32', 1),
    _Needs('ATOMICS', 'ID_AA64ISAR0_EL1', 'ATOMIC', 2),
    _Needs('ASIMDRDM', 'ID_AA64ISAR0_EL1', 'RDM', 1),
    _Needs('SHA3', 'ID_AA64ISAR0_EL1', 'SHA3', 1),
    _Needs('SM3', 'ID_AA64ISAR0_EL1', 'SM3', 1),
    _Needs('SM4', 'ID_AA64ISAR0_EL1', 'SM4', 1),
    _Needs('ASIMDDP', 'ID_AA64ISAR0_EL1', 'DP', 1),
    _Needs('DCPOP', 'ID_AA64ISAR1_EL1', 'DPB', 1),
    _Needs('JSCVT', 'ID_AA64ISAR1_EL1', 'JSCVT', 1),
    _Needs('FCMA', 'ID_AA64ISAR1_EL1', 'FCMA', 1),
    _Needs('LRCPC', 'ID_AA64ISAR1_EL1', 'LRCPC', 1),
)

_CUSTOM = (
    _Needs('DCPODP', 'ID_AA64ISAR1_EL1', 'DPB', 2),
    _Needs('ILRCPC', 'ID_AA64ISAR1_EL1', 'LRCPC', 2),
    _Needs('FRINT', 'ID_AA64ISAR1_EL1', 'FRINTTS', 1),
    _Needs('SB', 'ID_AA64ISAR1_EL1', 'SB', 1),
    _Needs('BF16', 'ID_AA64ISAR1_EL1', 'BF16', 1),
    _Needs('DGH', 'ID_AA64ISAR1_EL1', 'DGH', 1),
    _Needs('I8MM', 'ID_AA64ISAR1_EL1', 'I8MM', 1),
    _Needs('ASIMDFHM', 'ID_AA64ISAR0_EL1', 'FHM', 1),
    _Needs('FLAGM', 'ID_AA64ISAR0_EL1', 'TS', 1),
    _Needs('FLAGM2', 'ID_AA64ISAR0_EL1', 'TS', 2),
    _Needs('RNG', 'ID_AA64ISAR0_EL1', 'RNDR', 1),
    _Needs('WFXT', 'ID_AA64ISAR2_EL1', 'WFxT', 2),
    _Needs('RPRES', 'ID_AA64ISAR2_EL1', 'RPRES', 1),
    _Needs('MOPS', 'ID_AA64ISAR2_EL1', 'MOPS', 1),
    _Needs('CSSC', 'ID_AA64ISAR2_EL1', 'CSSC', 1),
    _Needs('DIT', 'ID_AA64PFR0_EL1', 'DIT', 1),
    _Needs('EL0_32BIT', 'ID_AA64PFR0_EL1', 'EL0', 2),
    _Needs('BTI', 'ID_AA64PFR1_EL1', 'BT', 1),
    _Needs('SSBS', 'ID_AA64PFR1_EL1', 'SSBS', 1),
    _Needs('USCAT', 'ID_AA64MMFR2_EL1', 'AT', 1),
    _Needs('ECV', 'ID_AA64MMFR0_EL1', 'ECV', 1),
    _Needs('AFP', 'ID_AA64MMFR1_EL1', 'AFP', 1),
    _Needs('SVE2', 'ID_AA64ZFR0_EL1', 'SVEver', 1),
    _Needs('SVE2P1', 'ID_AA64ZFR0_EL1', 'SVEver', 2),
    _Needs('SVEAES', 'ID_AA64ZFR0_EL1', 'AES', 1),
    _Needs('SVEBITPERM', 'ID_AA64ZFR0_EL1', 'BitPerm', 1),
    _Needs('SVEBF16', 'ID_AA64ZFR0_EL1', 'BF16', 1),
    _Needs('SVEI8MM', 'ID_AA64ZFR0_EL1', 'I8MM', 1),
)

#: Names from `_names`, without CUSTOM_PREFIX, except those of known cores.
_NUMBERED = re.compile(
    r'PAUTH|PMU|MTE|WRITABLE_ID_REGISTERS|SVE_\d+|GICV\d+|PAGE_\d+K'
    r'|MIDR_[0-9A-F]{8,16}|BASELINE_[0-9A-Z_]+_[0-9]+'
    r'|CORE_(?:[A-Z]+|IMPLEMENTER_0X[0-9A-F]{2})_PART_0X[0-9A-F]{3}'
)

_NOT_IN_A_NAME = re.compile(r'[^A-Z0-9]+')
_REGISTERS = {register.name: register for register in AARCH64_ID_REGISTERS}


def host_traits(host: Host) -> frozenset[str]:
    """Return the traits of a host, those of os-traits and our own.

    A host whose registers could not be read has none of the traits that come
    from registers.
    """
    traits = set()
    if host.values:
        traits |= {
            STANDARD_PREFIX + n.trait for n in _STANDARD if _holds(n, host)
        }
        traits |= {CUSTOM_PREFIX + n.trait for n in _CUSTOM if _holds(n, host)}
    hwcap = host.hwcap[0] if host.hwcap else 0
    if hwcap & _HWCAP_EVTSTRM:
        traits.add(f'{STANDARD_PREFIX}EVTSTRM')
    if hwcap & _HWCAP_CPUID:
        traits.add(f'{STANDARD_PREFIX}CPUID')
    traits |= {CUSTOM_PREFIX + name for name in _names(host)}
    return frozenset(traits)


def is_generated(trait: str) -> bool:
    """Whether `host_traits` can return this trait for some host.

    We never remove other traits, which include an operator's own.
    """
    if trait.startswith(STANDARD_PREFIX):
        return trait.removeprefix(STANDARD_PREFIX) in _STANDARD_NAMES
    name = trait.removeprefix(CUSTOM_PREFIX)
    return trait.startswith(CUSTOM_PREFIX) and (
        name in _CUSTOM_NAMES or _NUMBERED.fullmatch(name) is not None
    )


def is_feature(trait: str) -> bool:
    """Whether a trait of `host_traits` says what a guest's CPU can do.

    The others name the core, the GIC, the page size and baselines.
    """
    name = trait.removeprefix(STANDARD_PREFIX).removeprefix(CUSTOM_PREFIX)
    return name in _FEATURES or _LENGTH.fullmatch(name) is not None


def _holds(needs: _Needs, host: Host) -> bool:
    register = _REGISTERS[needs.register]
    field: Field = register.field(needs.field)
    return field.of(host.values.read(register.code)) >= needs.least


def _names(host: Host) -> set[str]:
    """Our own traits that have a number or a model in their name."""
    names = {feature.upper() for feature in host.features & {'pauth', 'pmu'}}
    names |= {f'SVE_{bits}' for bits in host.sve_lengths or ()}
    names |= {f'GICV{version}' for version in host.gic or ()}
    if host.page_size:
        names.add(f'PAGE_{host.page_size >> 10}K')
    if host.capability('MTE'):
        names.add('MTE')
    if host.writable:
        names.add('WRITABLE_ID_REGISTERS')
    for baseline in host.baselines:
        names.add('BASELINE_' + _NOT_IN_A_NAME.sub('_', baseline.upper()))
    for midr in {core.midr for core in host.cores}:
        names.add(_core(core_name(midr).rsplit(' ', 1)[0]))
        names.add(f'MIDR_{midr:08X}')
    return names


def _core(model: str) -> str:
    return 'CORE_' + _NOT_IN_A_NAME.sub('_', model.upper()).strip('_')


_STANDARD_NAMES = {needs.trait for needs in _STANDARD} | {'EVTSTRM', 'CPUID'}
_CUSTOM_NAMES = {needs.trait for needs in _CUSTOM} | {
    _core(model) for model in CORES.values()
}
_FEATURES = {needs.trait for needs in (*_STANDARD, *_CUSTOM)} | {
    'EVTSTRM',
    'CPUID',
    'MTE',
    'PAUTH',
    'PMU',
}
_LENGTH = re.compile(r'SVE_\d+')
