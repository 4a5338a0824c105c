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

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.sentences import Cause
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import report
from nova_arm_migrate.core.verdict import Severity


@dataclasses.dataclass(frozen=True, slots=True)
class Disagreement:
    """The rule and the trial differ on a register.

    :ivar register: its name
    :ivar static: what the rule says; trial: what KVM did
    """

    register: str
    static: str
    trial: str


def with_trial(static: Report, guest: Guest, *,
               refused: Mapping[int, str] | None = None,
               missing: Collection[int] = (),
               unjudged: Collection[int] = (),
               options: Options = Options()
               ) -> tuple[Report, tuple[Disagreement, ...]]:
    """Return the report with the trial's answers, and where they differ.

    :param static: what `compare` said
    :param refused: register code to the name of the errno
    :param missing: codes of registers that the guest has, the destination
        has not, and QEMU does not drop
    :param unjudged: codes on which the trial can't say
    :param options: those that ``static`` was made with
    """
    against = dict.fromkeys(missing, "missing") | dict(refused or {})
    findings: list[Finding] = []
    differ: dict[str, Disagreement] = {}
    judged: set[int] = set()
    for finding in static.findings:
        code = finding.code
        if code is None or code in unjudged or finding.overridden:
            findings.append(finding)
        elif code in against:
            judged.update(_found_together(finding, code))
            findings.append(_refused_as_found(finding))
        elif finding.severity is Severity.BLOCKS:
            differ[finding.register] = Disagreement(
                finding.register, finding.cause.value, "accepted")
            findings.append(finding._replace(
                cause=Cause.TRIAL_ACCEPTED, severity=Severity.NOTE,
                detail=finding.cause.value))
        elif finding.severity is Severity.NOTE:
            findings.append(finding)
    for code, why in against.items():
        if code not in judged:
            finding = _refused(code, why, guest)
            differ[finding.register] = Disagreement(
                finding.register, "accepted", why)
            findings.append(finding)
    return report(findings, options), tuple(differ.values())


def _found_together(finding: Finding, code: int) -> Collection[int]:
    """The codes that one finding stands for: a feature's are one finding."""
    if finding.cause is Cause.MISSING:
        return {code}.union(*(feature.registers
                              for feature in FEATURES.values()
                              if code in feature.registers))
    return {code}


def _refused_as_found(finding: Finding) -> Finding:
    """What the rule could not judge, or only noted, KVM has refused."""
    return finding._replace(severity=Severity.BLOCKS)


def _refused(code: int, why: str, guest: Guest) -> Finding:
    name = register_of(code).name
    if why == "missing":
        return Finding(Cause.TRIAL_MISSING, Severity.BLOCKS, name,
                       rule="PRESENT", code=code)
    value: int | None = guest.values.read(code)
    if code == ICC_CTLR_EL1.code:
        value = guest.vgic.ctlr if guest.vgic is not None else None
    return Finding(Cause.TRIAL_REFUSED, Severity.BLOCKS, name, "", value,
                   None, Rule.EQUAL.value, code, why)
