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

"""Compare a guest with a host: can the guest move there?"""

from collections.abc import Iterable
from typing import NamedTuple

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.checks import run_checks
from nova_arm_migrate.core.checks import switches
from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.cpu_baseline import with_implementation
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Pair
from nova_arm_migrate.core.finding import paired
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.incoming import LoadResult
from nova_arm_migrate.core.incoming import missing_register_result
from nova_arm_migrate.core.incoming import tolerated
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.registers import COPROC_BITMAP
from nova_arm_migrate.core.registers import COPROC_DEMUX
from nova_arm_migrate.core.registers import COPROC_FIRMWARE
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables.aarch32_id import AARCH32_ID_CODES
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.values import several_kinds
from nova_arm_migrate.core.vcpu import gic_doubts
from nova_arm_migrate.core.vcpu import with_features_off_cached
from nova_arm_migrate.core.vcpu import with_own_gic
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import report

_DEFAULT = Options()


def compare(guest: Guest, host: Host, options: Options = _DEFAULT) -> Report:
    """Judge whether ``host`` accepts ``guest``, with all findings.

    The comparison has a direction: a guest may be able to move to a host whose
    own guests cannot move back. KVM's rule judges each register that QEMU
    would write there. QEMU's rule judges registers that the host lacks. Our
    own rules judge what neither refuses.

    :param guest: what the guest has since its start
    :param host: the destination's record
    :returns: the report. What can't be judged is a finding of severity
        UNKNOWN. Well-formed profiles never raise an exception
    """
    guest = with_own_gic(guest)
    findings = []
    if guest.baseline is not None:
        findings += _baseline(guest, guest.baseline, host)
        host = with_implementation(host, guest.values)
    else:
        findings += switches(guest, host)
    seen = (
        with_features_off_cached(host, guest.disabled)
        if guest.disabled
        else host
    )
    findings += _registers(guest, seen)
    findings += _cores(guest, host)
    findings += _missing(guest, seen, options)
    findings += run_checks(guest, seen)
    if guest.inferred:
        findings.append(Finding(Cause.INFERRED, Severity.NOTE, 'RECORD'))
    return report(paired(findings, Pair(guest, seen)), options)


def _baseline(guest: Guest, identity: str, host: Host) -> list[Finding]:
    """Compare name, version and contents of a guest's baseline.

    The destination's nova-compute would start QEMU without the baseline, or
    with another one, and the guest gets that when it resets itself.
    """
    has, offered = guest.baseline_digest, host.baseline_digest(identity)
    if identity in host.baselines and (has is None or offered is None):
        return [
            Finding(
                Cause.BASELINE_UNKNOWN,
                Severity.UNKNOWN,
                'BASELINE',
                guest=identity,
                host='one of that name',
                detail='the guest' if has is None else 'the destination',
            )
        ]
    if identity in host.baselines and has == offered:
        return []
    return [
        Finding(
            Cause.BASELINE,
            Severity.BLOCKS,
            'BASELINE',
            guest=identity,
            host='another one'
            if identity in host.baselines
            else ', '.join(sorted(host.baselines)) or 'none',
            rule='AMONG',
        )
    ]


def _registers(guest: Guest, host: Host) -> list[Finding]:
    """Check every value that QEMU would write, as KVM checks it."""
    if not guest.values:
        return [
            Finding(
                Cause.GUEST_NOT_RECORDED,
                Severity.UNKNOWN,
                'REGISTERS',
                detail="the guest's registers are not recorded",
            )
        ]
    if not host.values:
        return [_not_recorded('REGISTERS', host.why_absent('values'))]
    findings: list[Finding] = []
    reg_list = host.reg_list
    limits = host.values
    differ = guest.values.items() - limits.items()
    for code, value in sorted(differ, key=_aarch64_first):
        if reg_list is None or code in reg_list:
            register = REGISTERS.get(code) or register_of(code)
            findings += JUDGES[register.judge](register, value, host)
    for code in _cleared(guest, limits.keys() - guest.values.keys()):
        register = REGISTERS.get(code) or register_of(code)
        findings += JUDGES[register.judge](register, 0, host)
    for code, field, other in gic_doubts(guest):
        findings = _in_doubt(findings, guest, host, code, field, other)
    return findings


def _in_doubt(
    findings: list[Finding],
    guest: Guest,
    host: Host,
    code: int,
    field: Field,
    other: int,
) -> list[Finding]:
    """Make a refused field unknown if the guest may have another value.

    :param other: the value that the guest may have instead
    """
    register, value = register_of(code), guest.values.read(code)
    limit = host.values.read(code)
    instead = field.into(value, other)
    takes_other = instead == limit or not any(
        finding.field == field.name
        for finding in JUDGES[register.judge](register, instead, host)
    )
    return [
        finding._replace(cause=Cause.GIC_FIELD, severity=Severity.UNKNOWN)
        if takes_other and finding.code == code and finding.field == field.name
        else finding
        for finding in findings
    ]


def _aarch64_first(item: tuple[int, int]) -> tuple[bool, int]:
    """Sort key: an operator reads PMUVer before its AArch32 copy, PerfMon."""
    code, _ = item
    return code in AARCH32_ID_CODES, code


def _cleared(guest: Guest, codes: Iterable[int]) -> Iterable[int]:
    """Codes of registers that are 0 in the guest but not on the host.

    A register that the guest does not have keeps the destination's value, and
    is not one of them.
    """
    if guest.reg_list is None:
        return ()
    return sorted(
        code for code in codes if code in guest.reg_list and keeps_value(code)
    )


def _cores(guest: Guest, host: Host) -> list[Finding]:
    """Hosts with several kinds of cores: the guest sees one of them."""
    return [
        Finding(
            Cause.SEVERAL_CORES,
            Severity.UNKNOWN,
            'CORES',
            detail=f'{whose} has several kinds of cores: {_kinds(cores)}',
        )
        for whose, cores in (
            ("The guest's first host", guest.cores),
            ('The destination', host.cores),
        )
        if several_kinds(cores)
    ]


def _kinds(cores: Iterable[Core]) -> str:
    return ', '.join(
        f'{core_name(core.midr)} ({core.midr:#x}'
        + ''.join(
            f', {name} {number:#x}'
            for name, number in (('REVIDR', core.revidr), ('AIDR', core.aidr))
            if number
        )
        + f') on CPUs {core.cpus}'
        for core in cores
    )


def _missing(guest: Guest, host: Host, options: Options) -> list[Finding]:
    """Registers that the guest has and the destination lacks.

    There is one finding for each kind of register, because the registers of a
    kind are added and removed together. A register that an override names has
    its own finding.
    """
    if guest.reg_list is None:
        return [
            Finding(
                Cause.GUEST_NOT_RECORDED,
                Severity.UNKNOWN,
                'REGISTER_LIST',
                detail="the guest's register list is not recorded",
            )
        ]
    if host.reg_list is None:
        return [_not_recorded('REGISTER_LIST', host.why_absent('reg_list'))]
    kinds: dict[_Kind, list[int]] = {}
    for code in sorted(guest.reg_list - host.reg_list):
        kinds.setdefault(_kind(code, guest, host, options), []).append(code)
    return [_lacks(kind, codes, host) for kind, codes in kinds.items()]


class _Kind(NamedTuple):
    """What the missing registers of one finding have in common.

    :ivar result: what QEMU does with them
    :ivar feature: the vCPU feature that they belong to, or empty
    :ivar family: the name of a group that is missing for one reason
    :ivar override: a register's name if an override names it
    """

    result: LoadResult
    feature: str
    family: str
    override: str


_FEATURE_OF = {
    code: feature.name
    for feature in FEATURES.values()
    for code in feature.registers
}


def _kind(code: int, guest: Guest, host: Host, options: Options) -> _Kind:
    override = ''
    if options.overrides:
        name = register_of(code).name
        override = name if name in options.overrides else ''
    feature = _FEATURE_OF.get(code)
    if feature:
        return _Kind(LoadResult.FAILS, feature, '', override)
    result = missing_register_result(
        code, guest, host.reg_list or frozenset(), host.qemu
    )
    family = (
        'tolerated'
        if tolerated(code, guest)
        else _FAMILIES.get(code >> 16, '')
    )
    return _Kind(result, '', family, override)


_LACKING = {
    LoadResult.FAILS: (Cause.MISSING, Severity.BLOCKS),
    LoadResult.UNKNOWN: (Cause.MAY_BE_DROPPED, Severity.UNKNOWN),
    LoadResult.DROPPED: (Cause.DROPPED, Severity.NOTE),
}

_FAMILIES = {
    COPROC_DEMUX: 'caches',
    COPROC_FIRMWARE: 'firmware',
    COPROC_BITMAP: 'firmware',
}


def _lacks(kind: _Kind, codes: list[int], host: Host) -> Finding:
    cause, severity = _LACKING[kind.result]
    if kind.result is LoadResult.UNKNOWN and version_of(host.qemu) is None:
        cause = Cause.QEMU_UNKNOWN
    return Finding(
        cause,
        severity,
        register_of(codes[0]).name,
        rule='PRESENT',
        code=codes[0],
        others=tuple(codes[1:]),
        detail=f' of vCPU feature {kind.feature}' if kind.feature else '',
    )


def _not_recorded(name: str, why: str) -> Finding:
    return Finding(Cause.NOT_RECORDED, Severity.UNKNOWN, name, detail=why)
