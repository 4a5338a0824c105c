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

"""The verdict, and the findings it rests on."""

from collections.abc import Iterable
import dataclasses
import enum
from typing import Any
from typing import NamedTuple

from nova_arm_migrate.core import sentences
from nova_arm_migrate.core.sentences import Cause


class Verdict(enum.Enum):
    """Whether the destination takes the guest."""

    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    UNKNOWN = "unknown"


class Severity(enum.Enum):
    """What a finding means for the verdict."""

    # Members are singletons; Enum would hash their names, in Python.
    __hash__ = object.__hash__

    #: KVM or QEMU refuses the guest.
    BLOCKS = "blocks"
    #: Nobody refuses it, and the guest breaks.
    HAZARD = "silent hazard"
    #: It can't be judged from what is known.
    UNKNOWN = "unknown"
    #: Good to know; changes nothing.
    NOTE = "note"


_ORDER = {severity: place for place, severity in enumerate(Severity)}


class Finding(NamedTuple):
    """One thing that the comparison found.

    :ivar code: the register's code where KVM judges it, so that a trial
        can have the last word; None for what a trial can't judge
    :ivar register: its name, or what else was compared: ``PAGE_SIZE``
    :ivar field: the field's name, empty for the whole register
    :ivar guest: the guest's value; host: the destination's limit
    :ivar rule: the name of the rule that was applied
    :ivar detail: what the sentence says besides
    :ivar overridden: an operator's override took its severity away
    """

    cause: Cause
    severity: Severity
    register: str
    field: str = ""
    guest: int | str | None = None
    host: int | str | None = None
    rule: str = ""
    code: int | None = None
    detail: str = ""
    overridden: bool = False

    @property
    def name(self) -> str:
        """The register and field: ``ID_AA64PFR0_EL1.SVE``."""
        return f"{self.register}.{self.field}" if self.field \
            else self.register

    def _shown(self, value: int | str | None) -> str:
        if isinstance(value, int) and self.cause in sentences.HEXADECIMAL:
            return f"{value:#x}"
        return "unknown" if value is None else str(value)

    @property
    def sentence(self) -> str:
        """What was found, the remedy included, for an operator."""
        return sentences.sentence(
            self.cause, name=self.name, guest=self._shown(self.guest),
            host=self._shown(self.host), detail=self.detail)

    def brief(self, host: str) -> str:
        """``ID_AA64PFR0_EL1.SVE: guest 1, host-b 0``."""
        if self.cause in sentences.LACKING:
            return f"{self.name}{self.detail}: not on {host}"
        if self.guest is None and self.host is None:
            return f"{self.name}: {self.detail}" if self.detail \
                else self.name
        return (f"{self.name}: guest {self._shown(self.guest)},"
                f" {host} {self._shown(self.host)}")

    def to_dict(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {
            "register": self.register, "field": self.field or None,
            "guest": _plain(self._shown(self.guest), self.guest),
            "host": _plain(self._shown(self.host), self.host),
            "rule": self.rule or None, "severity": self.severity.value,
            "cause": self.cause.value, "overridden": self.overridden,
            "sentence": self.sentence}


def _plain(shown: str, value: int | str | None) -> int | str | None:
    """Small numbers stay numbers in JSON, registers become hexadecimal."""
    return shown if value is not None and shown.startswith("0x") else value


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What an operator may set about the comparison.

    :ivar hazards_block: silent hazards count as refusals
    :ivar overrides: ``REGISTER.FIELD`` or ``REGISTER``: findings on these
        become notes
    """

    hazards_block: bool = True
    overrides: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """A verdict and all findings, the gravest first."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def decisive(self) -> tuple[Finding, ...]:
        """The findings that made the verdict what it is."""
        if self.verdict is Verdict.COMPATIBLE:
            return ()
        if self.verdict is Verdict.UNKNOWN:
            return tuple(f for f in self.findings
                         if f.severity is Severity.UNKNOWN)
        blocking = tuple(f for f in self.findings
                         if f.severity is Severity.BLOCKS)
        return blocking or tuple(f for f in self.findings
                                 if f.severity is Severity.HAZARD)

    def summary(self, host: str) -> str:
        """One line: the first decisive finding, and how many more.

        :param host: the destination's name
        """
        decisive = self.decisive
        if not decisive:
            return f"arm64: {self.verdict.value}"
        more = f" (+{len(decisive) - 1} more)" if len(decisive) > 1 else ""
        unknown = "unknown: " if self.verdict is Verdict.UNKNOWN else ""
        return f"arm64: {unknown}{decisive[0].brief(host)}{more}"

    def to_dict(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {"verdict": self.verdict.value,
                "findings": [f.to_dict() for f in self.findings]}


def report(findings: Iterable[Finding],
           options: Options = Options()) -> Report:
    """Return the report on findings: overrides applied, verdict drawn."""
    found = list(findings)
    if options.overrides:
        found = [_override(f, options.overrides) for f in found]
    found.sort(key=lambda f: _ORDER[f.severity])
    severities = {f.severity for f in found}
    if Severity.BLOCKS in severities or (
            options.hazards_block and Severity.HAZARD in severities):
        verdict = Verdict.INCOMPATIBLE
    elif Severity.UNKNOWN in severities:
        verdict = Verdict.UNKNOWN
    else:
        verdict = Verdict.COMPATIBLE
    return Report(verdict, tuple(found))


def _override(finding: Finding, overrides: frozenset[str]) -> Finding:
    if finding.severity is not Severity.NOTE and (
            finding.name in overrides or finding.register in overrides):
        return finding._replace(severity=Severity.NOTE, overridden=True)
    return finding
