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


"""Write values to a scratch vCPU, to see where KVM departs from the tables.

A vCPU that has never run lets a value be set back, so all of it is done on
one, a field at a time; it is left as it was. Each try is a call of KVM: the
fields that the kernel says are writable are taken by its word.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses

from nova_arm_migrate.core.guest_view import GuestView
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import COPROC_BITMAP
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.rules import expects
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tried import Answer
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import WIDEST
from nova_arm_migrate.probe import kvm

_ID_REGISTERS = (Judge.FEATURES, Judge.FEATURES_32BIT)
#: Fields that KVM shows as the machine's GIC has them, and judges as the
#: host's (kvm_vgic_finalize_idregs).
_OF_THE_GIC = ('GIC', 'GCIE')
#: Of CLIDR_EL1, a cache of the seventh level; of CCSIDR_EL1, a bit of the
#: number of ways: set_clidr() and set_ccsidr() do not look at either.
_CLIDR_CTYPE7 = 1 << 18
_CCSIDR_WAYS = 1 << 3


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """What KVM answered.

    :ivar writable: as `Host.writable`; found by trying if the kernel does
        not tell; tried, hypercalls, own_caches: as there
    """

    writable: Values
    tried: Tried
    hypercalls: Values
    own_caches: bool | None


def answers(
    vcpu: kvm.ScratchVCPU, seen: GuestView, masks: dict[int, int] | None
) -> Answers:
    """Try the fields of ID registers, caches and hypercall bitmaps.

    :param vcpu: fresh; as it was when this returns
    :param seen: what it shows
    :param masks: what the kernel says is writable, None if it does not
    :raises KvmFailed: if KVM does not show a value that it has taken
    """
    writable = dict(masks or {})
    tried: dict[int, list[Answer]] = {}
    for register in _id_registers(seen):
        limit = seen.values.read(register.code)
        known = None if masks is None else masks.get(register.code, 0)
        asked = [
            (field, raws, _field(vcpu, register, field, limit, raws))
            for field in register.fields
            if (raws := _to_try(register, field, limit, known))
        ]
        if masks is None:
            mask = sum(
                field.mask
                for field, _, answer in asked
                if _is_writable(field, answer, limit)
            )
            if mask:
                writable[register.code] = mask
        mask = writable.get(register.code, 0)
        other = [
            answer
            if raws == _all(field)
            else _field(vcpu, register, field, limit, _all(field))
            for field, raws, answer in asked
            if not _is_expected(field, raws, answer, limit, mask)
        ]
        if other:
            tried[register.code] = other
    return Answers(
        Values(writable),
        Tried(tried),
        Values(_hypercalls(vcpu, seen)),
        _caches(vcpu, seen),
    )


def _all(field: Field) -> range:
    return range(1 << field.width)


def _to_try(
    register: Register, field: Field, limit: int, mask: int | None
) -> Sequence[int]:
    """Return the values of a field that are worth a call of KVM.

    Where the kernel tells that a field is writable, and no kernel is known
    to judge it by more than its type: none. All values of the others; but
    a few of the registers for 32-bit code where the kernel tells nothing,
    which are as many again.
    """
    judged = (
        field.least
        or field.as_zero is not None
        or field.stale
        or field.name in _OF_THE_GIC
    )
    if field.width > WIDEST or (
        mask is not None and field.mask & mask == field.mask and not judged
    ):
        return ()
    if mask is None and register.judge is Judge.FEATURES_32BIT and not judged:
        raw, most = field.raw(limit), (1 << field.width) - 1
        return sorted({0, max(raw - 1, 0), raw, min(raw + 1, most), most})
    return _all(field)


def _id_registers(seen: GuestView) -> Iterator[Register]:
    """The registers to try; those for 32-bit code only where there is any.

    KVM ignores what is written to them without (``aa32_id_visibility``).
    """
    has_32bit = seen.values.read(ID_AA64PFR0_EL1) & 0xF == 2
    for code in sorted(seen.listed):
        register = register_of(code)
        if (
            register.fields
            and register.judge in _ID_REGISTERS
            and (has_32bit or register.judge is Judge.FEATURES)
        ):
            yield register


def _field(
    vcpu: kvm.ScratchVCPU,
    register: Register,
    field: Field,
    limit: int,
    raws: Sequence[int],
) -> Answer:
    """Write values of a field, the rest as the host has it."""
    number = kvm_id(register.code)
    write = vcpu.writer(number)
    accepted, ignored = 1 << field.raw(limit), 0
    changed = False
    for raw in raws:
        value = field.into(limit, raw)
        if value == limit or write(value):
            continue
        accepted |= 1 << raw
        if vcpu.read(number) == value:
            changed = True
        else:
            ignored |= 1 << raw
    if changed:
        write(limit)
    return Answer(field.shift, field.width, accepted, ignored)


def _is_writable(field: Field, answer: Answer, limit: int) -> bool:
    """Whether KVM takes and keeps another value than the host's own."""
    return answer.accepted & ~answer.ignored != 1 << field.raw(limit)


def _is_expected(
    field: Field, raws: Sequence[int], answer: Answer, limit: int, mask: int
) -> bool:
    """Whether KVM did what the tables say of it."""
    if answer.ignored & ~_as_zero(field):
        return False
    return all(
        expects(field, field.into(limit, raw), limit, mask)
        is bool(answer.accepted >> raw & 1)
        for raw in raws
    )


def _as_zero(field: Field) -> int:
    """The bit of the value that the tables know to be taken for 0."""
    return 0 if field.as_zero is None else 1 << field.as_zero


def _hypercalls(vcpu: kvm.ScratchVCPU, seen: GuestView) -> dict[int, int]:
    """Return all bits of each hypercall bitmap that KVM takes.

    Only where they are more than it shows. Each kernel has those up to some
    bit, without gaps (KVM_ARM_SMCCC_STD_FEATURES and the like).
    """
    found = {}
    for code in sorted(seen.listed):
        if code >> 16 != COPROC_BITMAP:
            continue
        shown = seen.values.read(code)
        write = vcpu.writer(kvm_id(code))
        taken = shown
        for bit in range(64):
            if not shown >> bit & 1:
                if write(shown | 1 << bit):
                    break
                taken |= 1 << bit
        if taken != shown:
            write(shown)
            found[code] = taken
    return found


def _caches(vcpu: kvm.ScratchVCPU, seen: GuestView) -> bool | None:
    """Whether KVM takes another description of the caches.

    :returns: None if it shows none
    """
    changes = [
        (code, bit)
        for code, bit in (
            (special.CLIDR_EL1, _CLIDR_CTYPE7),
            (special.CACHE_REGISTERS[1].code, _CCSIDR_WAYS),
        )
        if code in seen.listed
    ]
    return (
        all(
            _takes(vcpu.writer(kvm_id(code)), seen.values.read(code), bit)
            for code, bit in changes
        )
        if changes
        else None
    )


def _takes(write: Callable[[int], int], shown: int, bit: int) -> bool:
    if write(shown ^ bit):
        return False
    write(shown)
    return True
