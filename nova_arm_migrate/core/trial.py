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

"""The trial's word on a report.

Writing a guest's registers to a scratch vCPU of the destination is exactly
what QEMU will do there, so what KVM answers outranks the static rule, in
both directions. What a trial can't see (`hazards`) stays as it was.
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


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """The result of a trial.

    :ivar ran: whether the trial was done; if not, the other attributes have
        no meaning
    :ivar why_not: the reason in one line; empty if the trial was done
    :ivar refused: (register code, name of the errno), in the order of the
        writes; each would fail the load in QEMU
    :ivar missing: codes of registers that the guest has and this host has
        not, and that the QEMU here does not drop; each would fail the load
    :ivar unjudged: missing ones that the QEMU here may drop or not: its
        version is not known, or what that one does
    :ivar written: how many registers were written, refused ones included
    """

    ran: bool = True
    why_not: str = ''
    refused: tuple[tuple[int, str], ...] = ()
    missing: tuple[int, ...] = ()
    unjudged: tuple[int, ...] = ()
    written: int = 0

    @property
    def accepted(self) -> bool | None:
        """Whether QEMU would load the guest here; None if not known."""
        if not self.ran:
            return None
        if self.refused or self.missing:
            return False
        return None if self.unjudged else True


@dataclasses.dataclass(frozen=True, slots=True)
class Disagreement:
    """The rule and the trial differ on a register.

    :ivar register: its name
    :ivar static: what the rule says; trial: what KVM did
    """

    register: str
    static: str
    trial: str


def before_trial(static: Report, options: Options = Options()) -> Report:
    """Return what is left of a report when a trial settles what it can.

    Where the verdict of what is left is not COMPATIBLE, no trial makes it
    so, but for one that contradicts the rule.

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


def with_trial(
    static: Report,
    guest: Guest,
    *,
    refused: Mapping[int, str] | None = None,
    missing: Collection[int] = (),
    unjudged: Collection[int] = (),
    options: Options = Options(),
    host: Host | None = None,
) -> tuple[Report, tuple[Disagreement, ...]]:
    """Return the report with the trial's answers, and where they differ.

    :param static: what `compare` said
    :param refused: register code to the name of the errno
    :param missing: codes of registers that the guest has, the destination
        has not, and QEMU does not drop
    :param unjudged: codes on which the trial can't say
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
            # What the rule could not judge, or only noted, KVM has refused.
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
    return report(findings, options), tuple(differ.values())


def _of(finding: Finding, codes: list[int]) -> Finding:
    """Return a finding as it is of some of its registers only."""
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
