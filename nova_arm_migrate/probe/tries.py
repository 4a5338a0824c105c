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


"""Write values to a scratch vCPU, to find where KVM differs from the tables.

KVM lets a vCPU that has never run set a value back. So one vCPU is enough: one
field is changed at a time, and the vCPU is restored at the end. Each try is a
call of KVM. To save calls, fields that the kernel reports as writable are not
tried.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses

from nova_arm_migrate.core.field_rules import expects
from nova_arm_migrate.core.guest_view import GuestView
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import COPROC_BITMAP
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tried import Answer
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import WIDEST
from nova_arm_migrate.probe import kvm

_ID_REGISTERS = (Judge.FEATURES, Judge.FEATURES_32BIT)
#: KVM shows these fields for the machine's GIC, but checks them against the
#: host's GIC (kvm_vgic_finalize_idregs).
_OF_THE_GIC = ('GIC', 'GCIE')
#: CLIDR_EL1: a cache of the seventh level. CCSIDR_EL1: a bit of the number of
#: ways. set_clidr() and set_ccsidr() check neither.
_CLIDR_CTYPE7 = 1 << 18
_CCSIDR_WAYS = 1 << 3


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """KVM's answers.

    :ivar writable: as `Host.writable`; found by tries if the kernel does not
        report it
    :ivar tried: as `Host.tried`
    :ivar hypercalls: as `Host.hypercalls`
    :ivar own_caches: as `Host.own_caches`
    """

    writable: Values
    tried: Tried
    hypercalls: Values
    own_caches: bool | None


def answers(
    vcpu: kvm.ScratchVCPU, seen: GuestView, masks: dict[int, int] | None
) -> Answers:
    """Try the fields of ID registers, caches and hypercall bitmaps.

    :param vcpu: new; it is restored before this returns
    :param seen: what the vCPU shows
    :param masks: the bits that the kernel reports as writable; None if it
        does not report them
    :raises KvmFailed: if KVM does not return a value that it has accepted
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
    """Return the values of a field that need a call of KVM.

    No values, if the kernel reports the field as writable and all known
    kernels check it by its type only. A few values for a field of the
    registers for 32-bit code, if the kernel reports nothing: these double the
    number of fields. All values otherwise.
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
    """Yield the registers to try; for 32-bit code only if it is supported.

    Otherwise KVM ignores writes to them (``aa32_id_visibility``).
    """
    has_32bit = seen.values.read(ID_AA64PFR0_EL1) & 0xF == 2
    for code in sorted(seen.reg_list):
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
    """Write values of a field; the rest of the register is the host's."""
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
    """Whether KVM accepts and keeps a value other than the host's."""
    return answer.accepted & ~answer.ignored != 1 << field.raw(limit)


def _is_expected(
    field: Field, raws: Sequence[int], answer: Answer, limit: int, mask: int
) -> bool:
    """Whether KVM did what the tables predict."""
    if answer.ignored & ~_as_zero(field):
        return False
    return all(
        expects(field, field.into(limit, raw), limit, mask)
        is bool(answer.accepted >> raw & 1)
        for raw in raws
    )


def _as_zero(field: Field) -> int:
    """Return the bit of the value that KVM, by the tables, treats as 0."""
    return 0 if field.as_zero is None else 1 << field.as_zero


def _hypercalls(vcpu: kvm.ScratchVCPU, seen: GuestView) -> dict[int, int]:
    """Return all bits of each hypercall bitmap that KVM accepts.

    A bitmap is included only if KVM accepts more bits than it shows. Each
    kernel accepts all bits up to a limit, without gaps
    (KVM_ARM_SMCCC_STD_FEATURES and the like).
    """
    found = {}
    for code in sorted(seen.reg_list):
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
    """Whether KVM accepts another description of the caches.

    :returns: None if KVM shows no description
    """
    changes = [
        (code, bit)
        for code, bit in (
            (special.CLIDR_EL1, _CLIDR_CTYPE7),
            (special.CACHE_REGISTERS[1].code, _CCSIDR_WAYS),
        )
        if code in seen.reg_list
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
