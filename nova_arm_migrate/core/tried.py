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


"""What KVM answered when a host's probe wrote values to it.

The tables say what KVM's rule is for a field; kernels depart from it. They
take a value that they once showed by mistake, and ignore it
(``set_id_aa64pfr0_el1`` on MPAM), or take one that no CPU has. The probe
writes every value of every field, and a host's record keeps the fields where
KVM did not do what the tables say.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

from nova_arm_migrate.core.frozen import ByCode
from nova_arm_migrate.core.registers import Field

#: Bits of the widest field that is tried: 64 values fit in one word.
WIDEST = 6


class Answer(NamedTuple):
    """KVM's answers to all values of one field, all others as they were.

    :ivar shift: the field's lowest bit; width: in bits
    :ivar accepted: bit n stands for value n: KVM takes it. The value that
        the field has on the host is always among them
    :ivar ignored: likewise: KVM takes it, and shows the host's own value
        afterwards
    """

    shift: int
    width: int
    accepted: int
    ignored: int

    def is_of(self, field: Field) -> bool:
        """Whether the answer is about this field."""
        return self.shift == field.shift and self.width == field.width

    def accepts(self, field: Field, value: int) -> bool:
        """Whether KVM takes the field as a register's value has it."""
        return bool(self.accepted >> field.raw(value) & 1)

    def ignores(self, field: Field, value: int) -> bool:
        """Whether KVM takes the field and shows the host's own instead."""
        return bool(self.ignored >> field.raw(value) & 1)


def answer_on(field: Field, answers: Iterable[Answer]) -> Answer | None:
    """Return the answer about a field, None if there is none."""
    for answer in answers:
        if answer.is_of(field):
            return answer
    return None


class Tried(ByCode[tuple[Answer, ...]]):
    """The answers by register code.

    A field without an answer is one where KVM does what the tables say.
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
        """Return the answers on one register, none if there are none."""
        return self._items.get(code, ())

    def without(self, bits: Mapping[int, int]) -> 'Tried':
        """Return what holds for a vCPU whose limits differ in some bits.

        :param bits: register code to those bits. An answer on a field that
            has one of them was given for another limit
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
    """What KVM's interrupt controller of one version is like on a host.

    :ivar version: of the GIC
    :ivar shown: (register code, value), by code: ID registers of which a
        machine with this GIC shows another value than `Host.values`
    :ivar ctlr: ICC_CTLR_EL1 of a new vCPU; None where there is none
    :ivar distributor: GICD_IIDR; redistributor: GICR_IIDR, None where there
        is none
    :ivar revisions: bit n stands for revision n: what GICD_IIDR.Revision may
        be written as; None if it was not tried
    """

    version: int
    shown: tuple[tuple[int, int], ...] = ()
    ctlr: int | None = None
    distributor: int | None = None
    redistributor: int | None = None
    revisions: int | None = None

    def of_guest(self) -> 'Vgic':
        """Return what a guest's record keeps of its host's GIC."""
        return self._replace(shown=(), revisions=None)
