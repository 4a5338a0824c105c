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

"""Which implementation a guest may see on hosts with different cores.

A guest's kernel protects itself by what MIDR_EL1 and REVIDR_EL1 say
(``tables.implementations``). On hosts with different cores it sees one
implementation and runs on others. `choose` picks the one whose protections
are enough for all: the most errata, the longest loop against Spectre-BHB, and
no allow list that another core is not on.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import NamedTuple

from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables.implementations import ALLOWED
from nova_arm_migrate.core.tables.implementations import Cores
from nova_arm_migrate.core.tables.implementations import ERRATA
from nova_arm_migrate.core.tables.implementations import Listed
from nova_arm_migrate.core.tables.implementations import LOOP_COUNTS
from nova_arm_migrate.core.tables.implementations import NO_LOOP
from nova_arm_migrate.core.tables.implementations import Shown
from nova_arm_migrate.core.values import Values

#: Two values of MIDR_EL1, ascending: the pair that an operator acknowledges.
MidrPair = tuple[int, int]


class Implementation(NamedTuple):
    """The registers that name an implementation: MIDR, REVIDR, AIDR."""

    midr: int
    revidr: int
    aidr: int

    @property
    def name(self) -> str:
        """The core's name and revision: ``Neoverse-V1 r1p1``."""
        return core_name(self.midr)

    def __str__(self) -> str:
        return f'{self.midr:#x}/{self.revidr:#x}/{self.aidr:#x}'


class Difference(NamedTuple):
    """What a guest's kernel does not know of a core on which it may run.

    :ivar shown: the implementation that the guest sees
    :ivar other: the core that differs from it
    :ivar name: of the list in the kernel, or ``BHB``
    :ivar sentence: for people
    """

    shown: Implementation
    other: Implementation
    name: str
    sentence: str

    @property
    def allowed(self) -> bool:
        """Whether it is about an allow list. Nobody can accept that."""
        return self.name in _ALLOW_NAMES

    @property
    def pair(self) -> MidrPair:
        """The pair of cores, as an operator acknowledges it."""
        low, high = sorted((self.shown.midr, self.other.midr))
        return low, high


class Choice(NamedTuple):
    """The implementation that a guest sees.

    :ivar implementation: None if each is on an allow list that another one
        is not on
    :ivar differences: what the guest's kernel would not know of the others;
        if there is no implementation, why there is none
    """

    implementation: Implementation | None
    differences: tuple[Difference, ...]


def implementation_of(values: Values) -> Implementation:
    """Return the implementation that a vCPU with these values shows."""
    return Implementation(
        values.read(special.MIDR_EL1),
        values.read(special.REVIDR_EL1),
        values.read(special.AIDR_EL1),
    )


def choose(
    implementations: Iterable[Implementation],
    values: Values,
    candidates: Iterable[Implementation] | None = None,
) -> Choice:
    """Return the implementation that guests can be shown on all cores.

    The result does not depend on the order.

    :param implementations: at least one
    :param values: the registers that the guest sees: some lists matter only
        with a field, and some fields make a list superfluous
    :param candidates: those that a guest can see; None means all
    """
    all_of_them = sorted(set(implementations))
    choices = [
        Choice(one, tuple(differences(one, all_of_them, values)))
        for one in sorted(set(candidates or all_of_them))
    ]
    safe = [
        choice
        for choice in choices
        if not any(found.allowed for found in choice.differences)
    ]
    if not safe:
        return Choice(
            None,
            tuple(
                found
                for choice in choices
                for found in choice.differences
                if found.allowed
            ),
        )
    return min(
        safe,
        key=lambda choice: (
            len(choice.differences),
            -_loops(choice.implementation, values),
        ),
    )


def differences(
    shown: Implementation,
    implementations: Iterable[Implementation],
    values: Values,
) -> list[Difference]:
    """Return what a guest that sees one implementation does not know.

    :param shown: what it sees
    :param implementations: on which it may run
    """
    found = []
    for other in sorted(set(implementations) - {shown}):
        found += [
            Difference(
                shown,
                other,
                one.name,
                f'{other.name} needs the workaround for {one.about}'
                f' ({one.source}); a guest that sees {shown.name} does not'
                ' have it.',
            )
            for one in ERRATA
            if _matters(one, values)
            and _is_in(other, one.cores)
            and not _is_in(shown, one.cores)
        ]
        most, least = _loops(other, values), _loops(shown, values)
        if most > least:
            found.append(
                Difference(
                    shown,
                    other,
                    'BHB',
                    f'{other.name} needs {most} loops against Spectre-BHB'
                    f' (spectre_bhb_loop_affected); a guest that sees'
                    f' {shown.name} makes {least}.',
                )
            )
        found += [
            Difference(
                shown,
                other,
                one.name,
                f'{shown.name} is on the list {one.source}: {one.about}.'
                f' {other.name} is not on it.',
            )
            for one in ALLOWED
            if _matters(one, values)
            and _is_in(shown, one.cores)
            and not _is_in(other, one.cores)
        ]
    return found


def targets(
    implementations: Sequence[Implementation], values: Values
) -> tuple[Implementation, ...]:
    """Return the implementations that a guest's kernel can be told.

    A kernel that is told of several takes an allow list for all of them as
    soon as one is on it. Such a one is left out if another one is not on the
    list. With fewer than two there is nothing to tell.
    """
    told = tuple(
        one
        for one in sorted(set(implementations))
        if not any(
            found.allowed
            for found in differences(one, implementations, values)
        )
    )
    return told if len(told) > 1 else ()


_ALLOW_NAMES = frozenset(one.name for one in ALLOWED)


def _loops(one: Implementation | None, values: Values) -> int:
    if one is None or any(_is_shown(field, values) for field in NO_LOOP):
        return 0
    for count, cores in LOOP_COUNTS:
        if _is_in(one, cores):
            return count
    return 0


def _is_in(one: Implementation, cores: Iterable[Cores]) -> bool:
    return any(range_.has(one.midr, one.revidr) for range_ in cores)


def _matters(one: Listed, values: Values) -> bool:
    return (one.needs is None or _is_shown(one.needs, values)) and not any(
        _is_shown(field, values) for field in one.unless
    )


def _is_shown(shown: Shown, values: Values) -> bool:
    field: Field = REGISTERS[shown.code].field(shown.field)
    return field.of(values.read(shown.code)) >= shown.least
