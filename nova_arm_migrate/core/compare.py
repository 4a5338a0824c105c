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

"""The comparison: may this guest move to that host?"""

from collections.abc import Iterable

from nova_arm_migrate.core.hazards import find_hazards
from nova_arm_migrate.core.incoming import Fate
from nova_arm_migrate.core.incoming import fate_of
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.sentences import Cause
from nova_arm_migrate.core.tables.aarch32_id import AARCH32_ID_CODES
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.vcpu import offered_cached
from nova_arm_migrate.core.vcpu import with_gic
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import report
from nova_arm_migrate.core.verdict import Severity

_DEFAULT = Options()


def compare(guest: Guest, host: Host, options: Options = _DEFAULT) -> Report:
    """Judge whether ``host`` takes ``guest``, with all findings.

    Directional: a guest may fit a host whose own guests don't fit back. The
    rule is KVM's for each register that QEMU would write there, QEMU's for
    registers that the host lacks, and ours for what neither refuses.

    :param guest: what the guest has, from where it started
    :param host: the destination, as recorded there
    :returns: never raises on well-formed profiles; what can't be judged is
        a finding of severity UNKNOWN
    """
    seen = offered_cached(host, guest.disabled) if guest.disabled else host
    findings = _registers(guest, seen)
    findings += _cores(host)
    findings += _missing(guest, seen)
    findings += find_hazards(guest, seen)
    if guest.inferred:
        findings.append(Finding(Cause.INFERRED, Severity.NOTE, "RECORD"))
    return report(findings, options)


def _registers(guest: Guest, host: Host) -> list[Finding]:
    """Every value that QEMU would write, by the check KVM makes on it."""
    if not guest.values:
        return [_not_recorded("REGISTERS", "the guest's registers are not"
                              " recorded")]
    if not host.values:
        return [_not_recorded("REGISTERS", host.why_absent("values"))]
    findings: list[Finding] = []
    listed = host.listed
    limits = host.values
    values = with_gic(guest.values, guest.gic)
    differ = values.items() - limits.items()
    for code, value in sorted(differ, key=_aarch64_first):
        if listed is None or code in listed:
            register = REGISTERS.get(code) or register_of(code)
            findings += JUDGES[register.judge](register, value, host)
    for code in _cleared(guest, limits.keys() - values.keys()):
        register = REGISTERS.get(code) or register_of(code)
        findings += JUDGES[register.judge](register, 0, host)
    return findings


def _aarch64_first(item: tuple[int, int]) -> tuple[bool, int]:
    """Have an operator read PMUVer before its AArch32 copy, PerfMon."""
    code, _ = item
    return code in AARCH32_ID_CODES, code


def _cleared(guest: Guest, codes: Iterable[int]) -> Iterable[int]:
    """Codes of registers that are 0 in the guest but not on the host.

    A register that the guest does not have at all keeps the destination's
    value and is not among them.
    """
    if guest.listed is None:
        return ()
    return sorted(code for code in codes
                  if code in guest.listed and keeps_value(code))


def _cores(host: Host) -> list[Finding]:
    """Hosts with several kinds of cores: which one will the guest see?"""
    midrs = sorted({core.midr for core in host.cores})
    if len(midrs) < 2:
        return []
    detail = ", ".join(f"{midr:#x}" for midr in midrs)
    return [Finding(Cause.SEVERAL_CORES, Severity.UNKNOWN, "MIDR_EL1",
                    detail=detail)]


def _missing(guest: Guest, host: Host) -> list[Finding]:
    """Registers that the guest has and the destination lacks."""
    if guest.listed is None or host.listed is None:
        why = "the guest's register list is not recorded" \
            if guest.listed is None else host.why_absent("listed")
        return [_not_recorded("REGISTER_LIST", why)]
    missing = guest.listed - host.listed
    findings = []
    for feature in FEATURES.values():
        gone = sorted(missing & feature.registers)
        if gone:
            more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
            findings.append(Finding(
                Cause.MISSING, Severity.BLOCKS, register_of(gone[0]).name,
                rule="PRESENT", code=gone[0],
                detail=f"{more} of vCPU feature {feature.name}"))
            missing -= feature.registers
    findings += [
        Finding(*_LACKING[fate_of(code, guest, host.listed, host.qemu)],
                register_of(code).name, rule="PRESENT", code=code)
        for code in sorted(missing)]
    return findings


_LACKING = {
    Fate.FAILS: (Cause.MISSING, Severity.BLOCKS),
    Fate.UNKNOWN: (Cause.MAY_BE_DROPPED, Severity.UNKNOWN),
    Fate.DROPPED: (Cause.DROPPED, Severity.NOTE),
}


def _not_recorded(name: str, why: str) -> Finding:
    return Finding(Cause.NOT_RECORDED, Severity.UNKNOWN, name, detail=why)
