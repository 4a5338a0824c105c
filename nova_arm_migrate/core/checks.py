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

"""Checks of everything that KVM accepts or does not see.

Each function checks one thing that a guest depends on, and that KVM does not
check when QEMU writes the vCPU's registers (`rules`). Most findings are
hazards: neither KVM nor QEMU refuses the guest. QEMU does refuse a guest
whose memory, page size, GIC or RAM blocks do not fit: those findings block.
"""

from collections.abc import Callable

from nova_arm_migrate.core import gic
from nova_arm_migrate.core import memmap
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import MAY_USE
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.incoming import knows_switch
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.tables import check_field_name
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tables.features import ID_AA64PFR1_EL1
from nova_arm_migrate.core.tables.qemu import SWITCHES_WITH_FEATURE
from nova_arm_migrate.core.tables.special import PMCR_EL0
from nova_arm_migrate.core.tables.special import PMCR_N

_Check = Callable[[Guest, Host], Finding | None]

#: All checks, in the order of the findings: the name that findings and
#: overrides have, and the function that checks it.
_CHECKS: list[tuple[str, _Check]] = []


def _check(name: str) -> Callable[[_Check], _Check]:
    """Declare a function as the check with this name."""

    def declare(function: _Check) -> _Check:
        _CHECKS.append((name, function))
        return function

    return declare


_DCZID_DZP = 1 << 4

_SME = REGISTERS[ID_AA64PFR1_EL1].field('SME')

#: The bits of an SVE register that QEMU migrates.
_SVE_MIGRATED_BITS = 1024


def run_checks(guest: Guest, host: Host) -> list[Finding]:
    """Return the findings of all checks.

    :param host: as a vCPU with the guest's features sees it
    """
    found = [
        finding for _, check in _CHECKS if (finding := check(guest, host))
    ]
    return found + gic.find_gic(guest, host)


def _unknown(name: str, guest: object, host: Host, attribute: str) -> Finding:
    if guest is None:
        return Finding(
            Cause.GUEST_NOT_RECORDED,
            Severity.UNKNOWN,
            name,
            detail="the guest's value is not recorded",
        )
    return Finding(
        Cause.NOT_RECORDED,
        Severity.UNKNOWN,
        name,
        detail=host.why_absent(attribute),
    )


@_check('PMCR_EL0.N')
def _counters(guest: Guest, host: Host) -> Finding | None:
    """PMCR_EL0.N: set_pmcr() drops missing counters without an error."""
    if host.reg_list is not None and PMCR_EL0 not in host.reg_list:
        # The list of registers has its own finding.
        return None
    has = PMCR_N.of(guest.values.read(PMCR_EL0))
    limit = PMCR_N.of(host.values.read(PMCR_EL0))
    if not host.values or has <= limit:
        return None
    return Finding(
        Cause.COUNTERS,
        Severity.HAZARD,
        'PMCR_EL0',
        'N',
        has,
        limit,
        Rule.LOWER_SAFE.value,
    )


@_check('SVE_LENGTHS')
def _sve_lengths(guest: Guest, host: Host) -> Finding | None:
    """SVE vector lengths: the same ones, up to the guest's longest.

    ZCR_EL1.LEN selects the longest length that exists and is not above it. An
    additional length in between therefore changes what the guest gets, as a
    missing one does.
    """
    if guest.sve_lengths is None or host.sve_lengths is None:
        if not guest.values.read(ID_AA64PFR0_EL1) >> 32 & 0xF:
            return None
        return _unknown('SVE_LENGTHS', guest.sve_lengths, host, 'sve_lengths')
    if not guest.sve_lengths or _has_them(host, guest.sve_lengths):
        return None
    return Finding(
        Cause.SVE_LENGTHS,
        Severity.HAZARD,
        'SVE_LENGTHS',
        guest=_list(guest.sve_lengths),
        host=_list(host.sve_lengths),
        rule='SAME_UP_TO_LONGEST',
    )


def _has_them(host: Host, lengths: tuple[int, ...]) -> bool:
    return lengths == tuple(
        bits for bits in host.sve_lengths or () if bits <= lengths[-1]
    )


@_check('SVE_LENGTHS')
def _visited_vectors(guest: Guest, host: Host) -> Finding | None:
    """Longer SVE vectors of a visited host: the guest may use them.

    If it rebooted from inside there, it now uses them; Nova cannot tell
    (`vcpu.longer_vectors`).
    """
    lengths = guest.sve_visited
    if not lengths:
        return None
    if host.sve_lengths is not None and not _has_them(host, lengths):
        return Finding(
            Cause.VISITED_VECTORS,
            Severity.UNKNOWN,
            'SVE_LENGTHS',
            guest=f'{MAY_USE}{_list(lengths)}',
            host=_list(host.sve_lengths),
            rule='SAME_UP_TO_LONGEST',
        )
    if lengths[-1] > _SVE_MIGRATED_BITS:
        return Finding(
            Cause.VISITED_WIDE_VECTORS,
            Severity.UNKNOWN,
            'SVE_LENGTHS',
            guest=f'{MAY_USE}{lengths[-1]}',
            host=_SVE_MIGRATED_BITS,
            rule='AT_MOST',
        )
    return None


@_check('SVE_LENGTHS')
def _wide_vectors(guest: Guest, host: Host) -> Finding | None:
    """SVE above 1024 bits: QEMU migrates only 1024 bits of a Z register.

    QEMU, ``target/arm/machine.c``, ``vmstate_zreg_hi_reg``: a register has
    ``2 * ARM_MAX_VQ`` doublewords; QEMU sends the first two, and then
    ``ARM_MAX_VQ - 2`` more. Seen in the lab with QEMU 11, between equal hosts:
    a program used 2048 bits while the guest moved, and found them changed.
    """
    if guest.sve_lengths and guest.sve_lengths[-1] > _SVE_MIGRATED_BITS:
        return Finding(
            Cause.WIDE_VECTORS,
            Severity.HAZARD,
            'SVE_LENGTHS',
            guest=guest.sve_lengths[-1],
            host=_SVE_MIGRATED_BITS,
            rule='AT_MOST',
        )
    return None


@_check('SME_LENGTHS')
def _sme(guest: Guest, host: Host) -> Finding | None:
    """SME: streaming vector lengths and ZA, which no record has.

    No released KVM gives guests SME, and no released QEMU migrates ZA and
    ZT0. There is no rule yet to judge them by.
    """
    if not _SME.of(guest.values.read(ID_AA64PFR1_EL1)):
        return None
    return Finding(
        Cause.SME,
        Severity.UNKNOWN,
        'SME_LENGTHS',
        detail='the guest has SME, whose vector lengths and registers (ZA,'
        ' ZT0) are not recorded',
    )


def _list(numbers: tuple[int, ...]) -> str:
    return ','.join(str(number) for number in numbers) or 'none'


@_check('CNTFRQ_EL0')
def _timer(guest: Guest, host: Host) -> Finding | None:
    """CNTFRQ_EL0: the guest reads the value of the hardware."""
    if guest.cntfrq is None or host.cntfrq is None:
        return _unknown('CNTFRQ_EL0', guest.cntfrq, host, 'cntfrq')
    if guest.cntfrq == host.cntfrq:
        return None
    return Finding(
        Cause.TIMER,
        Severity.HAZARD,
        'CNTFRQ_EL0',
        guest=guest.cntfrq,
        host=host.cntfrq,
        rule='EQUAL',
    )


@_check('DCZID_EL0')
def _cache_zero(guest: Guest, host: Host) -> Finding | None:
    """DCZID_EL0: the block size of DC ZVA. DZP forbids DC ZVA."""
    if guest.dczid is None or host.dczid is None:
        return _unknown('DCZID_EL0', guest.dczid, host, 'dczid')
    if guest.dczid == host.dczid or guest.dczid & _DCZID_DZP:
        return None
    return Finding(
        Cause.CACHE_ZERO,
        Severity.HAZARD,
        'DCZID_EL0',
        guest=guest.dczid,
        host=host.dczid,
        rule='EQUAL',
    )


@_check('IPA_BITS')
def _addresses(guest: Guest, host: Host) -> Finding | None:
    """IPA size: the guest's memory and its device windows must fit.

    QEMU leaves out windows that do not fit, on the guest's first host and on
    the destination (`memmap`). The destination must have the windows that the
    guest has. More windows do no harm.
    """
    memory = guest.memory or 0
    needed = memmap.map_bits(memory, guest.ipa_bits)
    if host.ipa_bits is None:
        return _unknown('IPA_BITS', needed, host, 'ipa_bits')
    cause, severity = Cause.WINDOWS, Severity.HAZARD
    if guest.memory is None:
        if host.ipa_bits >= (guest.ipa_bits or needed):
            return None
        if host.ipa_bits >= needed:
            cause, severity = Cause.MEMORY_UNKNOWN, Severity.NOTE
    elif host.ipa_bits < memmap.memory_bits(memory):
        cause, severity = Cause.MEMORY, Severity.BLOCKS
        needed = memmap.memory_bits(memory)
    elif host.ipa_bits >= needed:
        return None
    return Finding(
        cause,
        severity,
        'IPA_BITS',
        guest=needed,
        host=host.ipa_bits,
        rule='LOWER_SAFE',
    )


@_check('IPA_BITS')
def _visited_windows(guest: Guest, host: Host) -> Finding | None:
    """Device windows of a visited host: the guest may use them.

    QEMU makes the memory map when it starts for the incoming guest. It writes
    the tables that describe the map when the guest reboots.
    """
    if guest.memory is None or not guest.ipa_visited or not host.ipa_bits:
        return None
    needed = memmap.map_bits(guest.memory, guest.ipa_visited)
    if host.ipa_bits >= needed or host.ipa_bits < memmap.map_bits(
        guest.memory, guest.ipa_bits
    ):
        return None
    return Finding(
        Cause.VISITED_WINDOWS,
        Severity.UNKNOWN,
        'IPA_BITS',
        guest=f'{MAY_USE}{needed}',
        host=host.ipa_bits,
        rule='LOWER_SAFE',
    )


@_check('PAGE_SIZE')
def _page_size(guest: Guest, host: Host) -> Finding | None:
    """The host's base page size: at least that of the earlier hosts.

    QEMU rounds memory blocks up to pages of its host, and refuses a block
    that is larger than its own (``parse_ramblock`` in ``migration/ram.c``).
    """
    if guest.page_size is None or host.page_size is None:
        return _unknown('PAGE_SIZE', guest.page_size, host, 'page_size')
    if guest.page_size == host.page_size:
        return None
    cause, severity = Cause.SMALLER_PAGES, Severity.BLOCKS
    if guest.page_size < host.page_size:
        cause, severity = Cause.LARGER_PAGES, Severity.NOTE
    return Finding(
        cause,
        severity,
        'PAGE_SIZE',
        guest=guest.page_size,
        host=host.page_size,
        rule='HIGHER_SAFE',
    )


@_check('GIC')
def _gic(guest: Guest, host: Host) -> Finding | None:
    """The guest's GIC: QEMU can't start there without it."""
    if guest.gic is None:
        return None
    if host.gic is None:
        return _unknown('GIC', guest.gic, host, 'gic')
    if guest.gic in host.gic:
        return None
    return Finding(
        Cause.GIC,
        Severity.BLOCKS,
        'GIC',
        guest=guest.gic,
        host=' and '.join(f'GICv{v}' for v in host.gic) or 'none',
        rule='PRESENT',
    )


@_check('STEAL_TIME')
def _steal_time(guest: Guest, host: Host) -> Finding | None:
    """Steal time: QEMU refuses a RAM block that it does not have itself.

    QEMU has the block ``pvtime`` if KVM has steal time, on machines since
    virt-5.2 (``virt_cpu_post_init``, ``kvm_arm_steal_time_finalize``), and
    refuses an unknown block (``parse_ramblock`` in ``migration/ram.c``).
    """
    has = host.steal_time
    if has or guest.steal_time is False:
        return None
    if has is None or guest.steal_time is None:
        return _unknown('STEAL_TIME', guest.steal_time, host, 'capabilities')
    return Finding(
        Cause.STEAL_TIME,
        Severity.BLOCKS,
        'STEAL_TIME',
        guest=1,
        host=0,
        rule='PRESENT',
    )


def switches(guest: Guest, host: Host) -> list[Finding]:
    """Find features that the domain switches off, and QEMU cannot.

    QEMU on the destination then does not know the property, and ends. Seen in
    the lab with QEMU 10.0 and 11.1; QEMU 7.2 took the guest. A guest on a
    baseline is not judged here: a host without the property does not offer
    the baseline (`crossing.refusals`).

    :param host: with all its features
    """
    if not host.values:
        return []
    found = []
    for name in sorted(SWITCHES_WITH_FEATURE & guest.disabled):
        knows = knows_switch(name, host)
        if not knows:
            found.append(
                Finding(
                    Cause.SWITCH if knows is False else Cause.SWITCH_UNKNOWN,
                    Severity.BLOCKS if knows is False else Severity.UNKNOWN,
                    name.upper(),
                    guest='off',
                    host='none',
                    rule='PRESENT',
                )
            )
    return found


#: Names that an override may have besides those of registers and fields.
CHECK_NAMES = (
    frozenset(name for name, _ in _CHECKS)
    | gic.NAMES
    | {'CORES'}
    | {name.upper() for name in SWITCHES_WITH_FEATURE}
)


def check_override(name: str) -> str:
    """Return the name if a finding can have it, for `Options.overrides`.

    :param name: ``REGISTER.FIELD``, ``REGISTER`` or one of CHECK_NAMES
    :raises ValueError: if nothing has that name; the text is one line
    """
    return name if name in CHECK_NAMES else check_field_name(name)
