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

"""Apply the results of a trial to a report.

A trial writes a guest's registers to a scratch vCPU of the destination, as
QEMU will do there. KVM's answers therefore outrank the static rule, in both
directions. What a trial can't see (`checks`) is not changed.
"""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Pair
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import report
from nova_arm_migrate.core.verdict import Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """The results of writing a guest's registers to a scratch vCPU.

    :ivar ran: whether the writes were made; if not, the attributes below have
        no meaning, except ``why_not``
    :ivar why_not: why they were not made, in one line; empty if they were
    :ivar refused: (register code, name of the errno), in the order of the
        writes; each would fail the load in QEMU
    :ivar missing: codes of registers that the guest has, this host lacks, and
        the QEMU here does not drop; each would fail the load
    :ivar unjudged: codes of missing registers of which it is not known whether
        the QEMU here drops them: QEMU's version is not known, or what this
        version does
    :ivar written: how many registers were written, with the refused ones
    :ivar libvirt: why libvirt here does not take the CPU features that the
        guest's domain switches off, in one line; empty if it takes them, or
        was not asked
    """

    ran: bool = True
    why_not: str = ''
    refused: tuple[tuple[int, str], ...] = ()
    missing: tuple[int, ...] = ()
    unjudged: tuple[int, ...] = ()
    written: int = 0
    libvirt: str = ''

    @property
    def accepted(self) -> bool | None:
        """Whether QEMU would load the guest here; None if not known."""
        if not self.ran:
            return None
        if self.refused or self.missing or self.libvirt:
            return False
        return None if self.unjudged else True


@dataclasses.dataclass(frozen=True, slots=True)
class Disagreement:
    """The rule and the trial differ on a register.

    :ivar register: its name
    :ivar static: the rule's answer; trial: KVM's answer
    """

    register: str
    static: str
    trial: str


def before_trial(static: Report, options: Options = Options()) -> Report:
    """Return the report without the findings that a trial settles.

    If its verdict is not COMPATIBLE, a trial can make it COMPATIBLE only by
    contradicting the rule.

    :param static: what `compare` said
    :param options: those that ``static`` was made with
    """
    return report(
        (
            finding
            for finding in static.findings
            if not finding.settled_by_trial
        ),
        options,
    )


def trial_decides(static: Report, options: Options = Options()) -> bool:
    """Return whether nothing is against the guest but what a trial settles.

    :param static: what `compare` said
    :param options: those that ``static`` was made with
    """
    return (
        static.verdict is Verdict.UNKNOWN
        and before_trial(static, options).verdict is Verdict.COMPATIBLE
    )


def with_trial(
    static: Report,
    guest: Guest,
    *,
    refused: Mapping[int, str] | None = None,
    missing: Collection[int] = (),
    unjudged: Collection[int] = (),
    libvirt: str = '',
    options: Options = Options(),
    host: Host | None = None,
) -> tuple[Report, tuple[Disagreement, ...]]:
    """Return the report with the trial's answers, and the disagreements.

    :param static: what `compare` said
    :param refused: register code to the name of the errno
    :param missing: codes of registers that the guest has, the destination
        lacks, and QEMU does not drop
    :param unjudged: codes of registers that the trial could not judge
    :param libvirt: `Trial.libvirt`
    :param options: those that ``static`` was made with
    :param host: the destination's record, for remedies
    """
    against = dict.fromkeys(missing, 'missing') | dict(refused or {})
    findings: list[Finding] = []
    differ: dict[str, Disagreement] = {}
    judged: set[int] = set()
    for finding in static.findings:
        codes = finding.codes
        if not codes or finding.overridden:
            findings.append(finding)
            continue
        refuses = [code for code in codes if code in against]
        silent = [
            code for code in codes if code in unjudged and code not in against
        ]
        if refuses:
            judged.update(refuses)
            # KVM refuses it, even if the rule made it unknown or a note.
            findings.append(
                _of(finding, refuses)._replace(severity=Severity.BLOCKS)
            )
        if silent:
            findings.append(_of(finding, silent))
        if refuses or silent:
            continue
        if finding.severity is Severity.BLOCKS:
            differ[finding.register] = Disagreement(
                finding.register, finding.cause.value, 'accepted'
            )
            findings.append(
                finding._replace(
                    cause=Cause.TRIAL_ACCEPTED,
                    severity=Severity.NOTE,
                    detail=finding.cause.value,
                )
            )
        elif finding.severity is Severity.NOTE:
            findings.append(finding)
    pair = Pair(guest, host) if host else None
    lacking = [code for code in missing if code not in judged]
    for code, why in against.items():
        if code not in judged:
            differ[register_of(code).name] = Disagreement(
                register_of(code).name, 'accepted', why
            )
            if why != 'missing':
                findings.append(
                    Finding(
                        Cause.TRIAL_REFUSED,
                        Severity.BLOCKS,
                        register_of(code).name,
                        '',
                        _value(code, guest),
                        None,
                        Rule.EQUAL.value,
                        code,
                        why,
                        pair=pair,
                    )
                )
    if lacking:
        findings.append(
            Finding(
                Cause.TRIAL_MISSING,
                Severity.BLOCKS,
                register_of(lacking[0]).name,
                rule='PRESENT',
                code=lacking[0],
                others=tuple(lacking[1:]),
                pair=pair,
            )
        )
    if libvirt:
        findings.append(
            Finding(
                Cause.LIBVIRT,
                Severity.BLOCKS,
                'CPU_FEATURES',
                guest=f'{len(guest.disabled)} switched off',
                host=libvirt,
                rule='PRESENT',
                pair=pair,
            )
        )
    return report(findings, options), tuple(differ.values())


def _of(finding: Finding, codes: list[int]) -> Finding:
    """Return a finding that is about some of its registers only."""
    if len(codes) == len(finding.codes):
        return finding
    return finding._replace(
        register=register_of(codes[0]).name,
        code=codes[0],
        others=tuple(codes[1:]),
    )


def _value(code: int, guest: Guest) -> int | None:
    """The guest's value of a register; None if it is not recorded."""
    if code == ICC_CTLR_EL1.code:
        return None if guest.vgic is None else guest.vgic.ctlr
    return guest.values.read(code)
