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

"""The verdict, and the findings that it follows from."""

from collections.abc import Iterable
import dataclasses
import enum
from typing import Any

from nova_arm_migrate.core.finding import Finding as Finding
from nova_arm_migrate.core.finding import Severity as Severity
from nova_arm_migrate.core.messages import sentence


class Verdict(enum.Enum):
    """Whether the destination accepts the guest."""

    COMPATIBLE = 'compatible'
    INCOMPATIBLE = 'incompatible'
    UNKNOWN = 'unknown'


_ORDER = {severity: place for place, severity in enumerate(Severity)}


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The settings of the comparison.

    :ivar hazards_block: silent hazards count as refusals
    :ivar overrides: ``REGISTER.FIELD`` or ``REGISTER``: findings on these
        become notes
    """

    hazards_block: bool = True
    overrides: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """A verdict and all findings, the most severe first."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def decisive(self) -> tuple[Finding, ...]:
        """The findings that decided the verdict."""
        if self.verdict is Verdict.COMPATIBLE:
            return ()
        if self.verdict is Verdict.UNKNOWN:
            return tuple(
                f for f in self.findings if f.severity is Severity.UNKNOWN
            )
        blocking = tuple(
            f for f in self.findings if f.severity is Severity.BLOCKS
        )
        return blocking or tuple(
            f for f in self.findings if f.severity is Severity.HAZARD
        )

    def summary(self, host: str) -> str:
        """One line: the first decisive finding, and how many more.

        :param host: the destination's name
        """
        return f'arm64: {self.reason(host) or self.verdict.value}'

    def reason(self, host: str) -> str:
        """What `summary` says, without the prefix; empty if compatible."""
        decisive = self.decisive
        if not decisive:
            return ''
        more = f' (+{len(decisive) - 1} more)' if len(decisive) > 1 else ''
        unknown = 'unknown: ' if self.verdict is Verdict.UNKNOWN else ''
        return f'{unknown}{decisive[0].brief(host)}{more}'

    def to_dict(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            'verdict': self.verdict.value,
            'findings': [
                f.to_dict() | {'sentence': sentence(f)} for f in self.findings
            ],
        }


def report(
    findings: Iterable[Finding], options: Options = Options()
) -> Report:
    """Apply the overrides to findings, and return the report on them."""
    found = list(findings)
    if options.overrides:
        found = [_override(f, options.overrides) for f in found]
    found.sort(key=lambda f: _ORDER[f.severity])
    severities = {f.severity for f in found}
    if Severity.BLOCKS in severities or (
        options.hazards_block and Severity.HAZARD in severities
    ):
        verdict = Verdict.INCOMPATIBLE
    elif Severity.UNKNOWN in severities:
        verdict = Verdict.UNKNOWN
    else:
        verdict = Verdict.COMPATIBLE
    return Report(verdict, tuple(found))


def _override(finding: Finding, overrides: frozenset[str]) -> Finding:
    if finding.severity is not Severity.NOTE and (
        finding.name in overrides or finding.register in overrides
    ):
        return finding._replace(severity=Severity.NOTE, overridden=True)
    return finding
