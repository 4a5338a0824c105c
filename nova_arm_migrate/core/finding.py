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

"""One thing that the comparison found."""

from collections.abc import Iterable
import enum
from typing import Any
from typing import NamedTuple

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.causes import HEXADECIMAL
from nova_arm_migrate.core.causes import LACKING
from nova_arm_migrate.core.causes import SETTLED_BY_TRIAL
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.values import value_name

#: The prefix of a value that the guest uses only if it rebooted from inside.
MAY_USE = 'may use '


class Severity(enum.Enum):
    """What a finding means for the verdict."""

    # Members are singletons; Enum would hash their names, in Python.
    __hash__ = object.__hash__

    #: KVM or QEMU refuses the guest.
    BLOCKS = 'blocks'
    #: KVM and QEMU accept the guest, and the guest breaks.
    HAZARD = 'silent hazard'
    #: What is known is not enough to judge it.
    UNKNOWN = 'unknown'
    #: Information; it does not change the verdict.
    NOTE = 'note'


class Pair(NamedTuple):
    """The two records that were compared; remedies come from both."""

    guest: Guest
    host: Host


class Finding(NamedTuple):
    """One thing that the comparison found.

    :ivar code: the register's code if KVM judges the register, so that a
        trial can decide; None for what a trial can't judge
    :ivar register: its name, or what else was compared: ``PAGE_SIZE``
    :ivar field: the field's name, empty for the whole register
    :ivar guest: the guest's value; host: the destination's limit. A text
        that begins with `MAY_USE` says that the guest may have the value
    :ivar rule: the name of the rule that was applied
    :ivar detail: a part of the sentence that depends on the case
    :ivar overridden: an operator's override made it a note
    :ivar others: codes of more registers that the finding is about
    :ivar pair: the records that were compared; None if the finding does not
        come from a comparison
    """

    cause: Cause
    severity: Severity
    register: str
    field: str = ''
    guest: int | str | None = None
    host: int | str | None = None
    rule: str = ''
    code: int | None = None
    detail: str = ''
    overridden: bool = False
    others: tuple[int, ...] = ()
    pair: Pair | None = None

    @property
    def name(self) -> str:
        """The register and field: ``ID_AA64PFR0_EL1.SVE``."""
        return f'{self.register}.{self.field}' if self.field else self.register

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes of all registers that the finding is about."""
        return () if self.code is None else (self.code, *self.others)

    @property
    def settled_by_trial(self) -> bool:
        """Whether a trial on the destination settles it."""
        return (
            self.severity is Severity.UNKNOWN
            and self.cause in SETTLED_BY_TRIAL
        )

    def shown(self, value: int | str | None) -> str:
        """Return one of the two values as text, with its name if any."""
        if isinstance(value, int):
            name = value_name(self.register, self.field, value)
            if self.cause in HEXADECIMAL:
                number = f'{value:#x}'
            else:
                number = f'{value & 0xF:#x}' if value < 0 else str(value)
            return f'{number} ({name})' if name else number
        return 'unknown' if value is None else str(value)

    @property
    def label(self) -> str:
        """The name, and how many more registers: ``TCR2_EL1 (and 2 more)``."""
        more = f' (and {len(self.others)} more)' if self.others else ''
        return f'{self.name}{more}'

    def brief(self, host: str) -> str:
        """Return a short form: ``ID_AA64PFR0_EL1.SVE: guest 1, host-b 0``."""
        if self.cause is Cause.VISITED_WIDE_VECTORS:
            return (
                f'{self.name}: guest {self.guest}-bit SVE; QEMU migrates only'
                f' {self.host} bits'
            )
        if self.cause in LACKING:
            return f'{self.label}{self.detail}: not on {host}'
        if self.guest is None and self.host is None:
            return f'{self.name}: {self.detail}' if self.detail else self.name
        return (
            f'{self.name}: guest {self.shown(self.guest)},'
            f' {host} {self.shown(self.host)}'
        )

    def to_dict(self) -> dict[str, Any]:
        """The finding as a JSON object, without its sentence."""
        found: dict[str, Any] = {
            'register': self.register,
            'field': self.field or None,
            'guest': self._plain(self.guest),
            'host': self._plain(self.host),
            'rule': self.rule or None,
            'severity': self.severity.value,
            'cause': self.cause.value,
            'overridden': self.overridden,
        }
        if self.others:
            found['registers'] = [
                register_of(code).name for code in self.codes
            ]
        return found

    def _plain(self, value: int | str | None) -> int | str | None:
        """Return a value for JSON: registers as hexadecimal text."""
        return (
            f'{value:#x}'
            if isinstance(value, int) and self.cause in HEXADECIMAL
            else value
        )


def paired(findings: Iterable[Finding], pair: Pair) -> list[Finding]:
    """Return findings with the records that they come from.

    ``_replace`` would take as long as the comparison of a field.
    """
    last = (pair,)
    return [
        tuple.__new__(Finding, finding[:-1] + last) for finding in findings
    ]
