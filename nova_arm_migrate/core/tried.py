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


"""KVM's answers to the values that a host's probe wrote.

The tables have KVM's rule for each field, but some kernels deviate from it.
They accept and ignore a value that they once showed by mistake
(``set_id_aa64pfr0_el1`` on MPAM), or accept a value that no CPU has. The probe
writes every value of every field. A host's record keeps the fields in which
KVM's answers differ from the tables.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

from nova_arm_migrate.core.frozen import ByCode
from nova_arm_migrate.core.registers import Field

#: Width of the widest field that is tried, in bits: 64 values fit in a word.
WIDEST = 6


class Answer(NamedTuple):
    """KVM's answers to all values of one field; other fields are unchanged.

    :ivar shift: the field's lowest bit; width: in bits
    :ivar accepted: bit n is set if KVM accepts the value n. The bit of the
        host's own value is always set
    :ivar ignored: bit n is set if KVM accepts the value n, but shows the
        host's own value afterwards
    """

    shift: int
    width: int
    accepted: int
    ignored: int

    def is_of(self, field: Field) -> bool:
        """Whether the answer is about this field."""
        return self.shift == field.shift and self.width == field.width

    def accepts(self, field: Field, value: int) -> bool:
        """Whether KVM accepts this field of a register's value."""
        return bool(self.accepted >> field.raw(value) & 1)

    def ignores(self, field: Field, value: int) -> bool:
        """Whether KVM accepts the field, but then shows the host's own."""
        return bool(self.ignored >> field.raw(value) & 1)


def answer_on(field: Field, answers: Iterable[Answer]) -> Answer | None:
    """Return the answer about a field, None if there is none."""
    for answer in answers:
        if answer.is_of(field):
            return answer
    return None


class Tried(ByCode[tuple[Answer, ...]]):
    """The answers by register code.

    For a field without an answer, KVM does what the tables say.
    """

    __slots__ = ()

    def __init__(
        self, items: Mapping[int, Iterable[Answer]] | None = None
    ) -> None:
        super().__init__(
            {
                code: tuple(sorted(answers))
                for code, answers in (items or {}).items()
            }
        )

    def of(self, code: int) -> tuple[Answer, ...]:
        """Return the answers on one register; empty if there are none."""
        return self._items.get(code, ())

    def without(self, bits: Mapping[int, int]) -> 'Tried':
        """Return the answers that hold if a vCPU's limits differ in bits.

        :param bits: those bits, by register code. An answer on a field with
            one of them does not hold, because it was for another limit
        """
        if not self._items.keys() & bits.keys():
            return self
        return Tried(
            {
                code: kept
                for code, answers in self._items.items()
                if (
                    kept := [
                        answer
                        for answer in answers
                        if not _mask(answer) & bits.get(code, 0)
                    ]
                )
            }
        )


def _mask(answer: Answer) -> int:
    return (1 << answer.width) - 1 << answer.shift


class Vgic(NamedTuple):
    """KVM's interrupt controller of one version, on a host.

    :ivar version: of the GIC
    :ivar shown: (register code, value), by code: ID registers whose value, on
        a machine with this GIC, differs from `Host.values`
    :ivar ctlr: ICC_CTLR_EL1 of a new vCPU; None if there is none
    :ivar distributor: GICD_IIDR; redistributor: GICR_IIDR; None if there is
        none
    :ivar revisions: bit n is set if revision n can be written to
        GICD_IIDR.Revision; None if it was not tried
    """

    version: int
    shown: tuple[tuple[int, int], ...] = ()
    ctlr: int | None = None
    distributor: int | None = None
    redistributor: int | None = None
    revisions: int | None = None

    def of_guest(self) -> 'Vgic':
        """Return the part of its host's GIC that a guest's record keeps."""
        return self._replace(shown=(), revisions=None)
