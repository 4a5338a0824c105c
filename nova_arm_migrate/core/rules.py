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

"""KVM's rule: one register's value against one host.

`JUDGES` has one function for each check that KVM makes. Each takes the
register, the guest's value and the host, and returns what KVM would refuse. It
is not called for a value that equals the host's: KVM always accepts that. The
checks of ID registers are in `field_rules`, all others here.
"""

from collections.abc import Callable

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.field_rules import check_features
from nova_arm_migrate.core.field_rules import check_features_32bit
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.tables import aarch64_id
from nova_arm_migrate.core.tables import qemu
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables.features import CTR_EL0

_CTR = next(
    register
    for register in aarch64_id.AARCH64_ID_REGISTERS
    if register.code == CTR_EL0
)
_IDC = _CTR.field('IDC')
#: By CSSELR_EL1.InD: data and unified caches, then instruction caches.
_LEAST_LINE = _CTR.field('DminLine'), _CTR.field('IminLine')
_NO_MASKS = Values()


def _finding(
    cause: Cause,
    register: Register,
    value: int,
    limit: int,
    rule: str = Rule.EQUAL.value,
    severity: Severity = Severity.BLOCKS,
    detail: str = '',
) -> Finding:
    """Return a finding about a whole register."""
    return Finding(
        cause,
        severity,
        register.name,
        '',
        value,
        limit,
        rule,
        register.code,
        detail,
    )


def check_implementation(
    register: Register, value: int, host: Host
) -> list[Finding]:
    """Check MIDR_EL1, REVIDR_EL1, AIDR_EL1 as set_imp_id_reg() does."""
    limit = host.values.read(register.code)
    if _qemu_writes_implementation(host):
        mask = (host.writable or _NO_MASKS).read(register.code)
        if not value & ~mask:
            return []
    detail = 'another revision of the core'
    if register.code == special.MIDR_EL1:
        detail = f'{core_name(value)}, the destination has {core_name(limit)}'
    return [
        _finding(Cause.IMPLEMENTATION, register, value, limit, detail=detail)
    ]


def _qemu_writes_implementation(host: Host) -> bool:
    since = qemu.WRITES_IMPLEMENTATION_IDS_SINCE
    version = version_of(host.qemu)
    return (
        since is not None
        and version is not None
        and version >= since
        and host.capability('WRITABLE_IMP_ID_REGS') > 0
    )


def check_cache(register: Register, value: int, host: Host) -> list[Finding]:
    """Check CLIDR_EL1, CCSIDR_EL1: set_clidr(), set_ccsidr(), Linux 6.3."""
    fine = cache_is_fine(register.code, value, host)
    invented = invents_caches(host)
    if fine and invented:
        return []
    cause, severity = Cause.CACHE, Severity.BLOCKS
    if fine and invented is None:
        cause, severity = Cause.CACHE_UNKNOWN, Severity.UNKNOWN
    return [
        _finding(
            cause,
            register,
            value,
            host.values.read(register.code),
            severity=severity,
        )
    ]


def cache_is_fine(code: int, value: int, host: Host) -> bool:
    """Whether a KVM that invents caches accepts a description of one.

    :param code: of CLIDR_EL1 or of a CCSIDR_EL1
    """
    ctr = host.values.read(CTR_EL0)
    if code == special.CLIDR_EL1:
        coherent = not special.CLIDR_LOC.of(value) or not (
            special.CLIDR_LOUIS.of(value) or special.CLIDR_LOUU.of(value)
        )
        return not value & special.CLIDR_RES0 and bool(
            _IDC.of(ctr) or not coherent
        )
    least = _LEAST_LINE[code & 1].of(ctr)
    # Line sizes: log2 of 16-byte units here, log2 of 4-byte words in CTR.
    return not value >> 32 and (
        special.CCSIDR_LINE_SIZE.of(value) + 4 >= least + 2
    )


def invents_caches(host: Host) -> bool | None:
    """Whether the host's KVM invents caches, and accepts other ones.

    The probe tries it. For a record in which it was not tried, the list of
    registers decides. A KVM that invents caches lists CCSIDR_EL1 for all
    values of CSSELR_EL1 (``write_demux_regids`` since commit 7af0c2534f4c of
    Linux 6.3). A KVM that shows the hardware's caches lists those that exist
    (``is_valid_cache``), which are never all, and accepts no other
    description.

    :returns: None if neither is recorded
    """
    if host.own_caches is not None:
        return host.own_caches
    if host.reg_list is None:
        return None
    return host.reg_list >= special.ALL_CCSIDR


def check_psci_version(
    register: Register, value: int, host: Host
) -> list[Finding]:
    """Check PSCI_VERSION: the destination must support it.

    KVM supports 0.2 and every 1.x up to its default; 0.1 is for vCPUs without
    PSCI_0_2, which QEMU never makes.
    """
    limit = host.values.read(register.code)
    if value == special.PSCI_0_2 or special.PSCI_1_0 <= value < limit:
        return []
    return [
        _finding(
            Cause.PSCI_VERSION,
            register,
            value,
            limit,
            rule=Rule.LOWER_SAFE.value,
        )
    ]


def check_level(register: Register, value: int, host: Host) -> list[Finding]:
    """Check SMCCC_ARCH_WORKAROUND_1 and _3: at most the host's level."""
    limit = host.values.read(register.code)
    return [] if value < limit else _level(register, value, limit)


def check_level_workaround_2(
    register: Register, value: int, host: Host
) -> list[Finding]:
    """Check SMCCC_ARCH_WORKAROUND_2: levels are 0 and 1, and 2 and 3."""
    limit = host.values.read(register.code)
    level = special.WORKAROUND_2_LEVEL.of(value)
    enabled = special.WORKAROUND_2_ENABLED.of(value)
    fine = (
        not value
        & ~(
            special.WORKAROUND_2_LEVEL.mask | special.WORKAROUND_2_ENABLED.mask
        )
        and level <= special.WORKAROUND_2_NOT_REQUIRED
        and (not enabled or level == special.WORKAROUND_2_AVAIL)
        and level >> 1 <= limit >> 1
    )
    return [] if fine else _level(register, value, limit)


def _level(register: Register, value: int, limit: int) -> list[Finding]:
    return [
        _finding(
            Cause.FIRMWARE_LEVEL,
            register,
            value,
            limit,
            rule=Rule.LOWER_SAFE.value,
        )
    ]


def check_bitmap(register: Register, value: int, host: Host) -> list[Finding]:
    """Check a hypercall bitmap: it must have no bit that the host lacks."""
    limit = host.values.read(register.code)
    if host.hypercalls is not None:
        limit |= host.hypercalls.read(register.code)
    elif register.code == special.VENDOR_HYP_BMAP_2:
        limit |= special.VENDOR_HYP_BMAP_2_BITS
    if not value & ~limit:
        return []
    return [
        _finding(Cause.FIRMWARE_BITS, register, value, limit, rule='SUBSET')
    ]


def check_slots(register: Register, value: int, host: Host) -> list[Finding]:
    """Check PMMIR_EL1 as set_pmmir() does, Linux 7.3: 0 or the host's."""
    if not value:
        return []
    return [
        _finding(Cause.FIXED, register, value, host.values.read(register.code))
    ]


def accept_any(register: Register, value: int, host: Host) -> list[Finding]:
    """Accept every value: KVM does not refuse any."""
    return []


Check = Callable[[Register, int, Host], list[Finding]]

JUDGES: dict[Judge, Check] = {
    Judge.FEATURES: check_features,
    Judge.FEATURES_32BIT: check_features_32bit,
    Judge.IMPLEMENTATION: check_implementation,
    Judge.CLIDR: check_cache,
    Judge.CCSIDR: check_cache,
    Judge.PSCI_VERSION: check_psci_version,
    Judge.LEVEL: check_level,
    Judge.LEVEL_WORKAROUND_2: check_level_workaround_2,
    Judge.BITMAP: check_bitmap,
    Judge.SLOTS: check_slots,
    Judge.COUNTERS: accept_any,
    Judge.STATE: accept_any,
}
