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

"""KVM's rule for the fields of an ID register."""

import functools

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.tried import Answer
from nova_arm_migrate.core.tried import answer_on
from nova_arm_migrate.core.vcpu import has_32bit_el0

_ALL_BITS = (1 << 64) - 1


def accepts(field: Field, value: int, limit: int) -> bool:
    """Whether KVM accepts a value of a writable field.

    Source: arm64_ftr_safe_value(), kvm_arm64_ftr_safe_value().

    :param value: the guest's, sign extended
    :param limit: the destination's, sign extended
    """
    if value == limit:
        return True
    if _too_low(field, value):
        return False
    match field.rule:
        case Rule.LOWER_SAFE:
            return value <= limit
        case Rule.HIGHER_SAFE:
            return value >= limit
        case Rule.HIGHER_OR_ZERO_SAFE:
            return value == 0 or (limit != 0 and value >= limit)
        case Rule.EXACT:
            return value == field.safe
        case _:
            return False


def _too_low(field: Field, value: int) -> bool:
    """Whether the field has a least value and this one is below it."""
    if not field.least or (field.or_zero and value == 0):
        return False
    return value < field.least


def expects(field: Field, value: int, limit: int, mask: int) -> bool:
    """Whether KVM accepts a field, according to the tables.

    :param value: of the whole register, as the guest has it
    :param limit: of the whole register, as the host has it
    :param mask: the bits of the register that are writable on the host
    """
    has, offers = _taken_for(field, value), field.of(limit)
    return has == offers or (
        field.mask & mask == field.mask and accepts(field, has, offers)
    )


def _taken_for(field: Field, value: int) -> int:
    """The value that KVM reads a field as."""
    has = field.of(value)
    return 0 if has == field.as_zero else has


_REFUSAL = {
    Rule.LOWER_SAFE: Cause.ABOVE,
    Rule.HIGHER_SAFE: Cause.BELOW,
    Rule.HIGHER_OR_ZERO_SAFE: Cause.BELOW,
    Rule.EXACT: Cause.NOT_ALLOWED,
    Rule.EQUAL: Cause.FIXED,
}


def check_features(
    register: Register, value: int, host: Host
) -> list[Finding]:
    """Check an ID register as arm64_check_features() does.

    Only fields that differ are checked: KVM accepts the others under every
    rule. If the masks of the host's kernel are not known, a field that would
    be accepted if it were writable can't be judged. If the probe has tried a
    field on the host, KVM's answer decides, not the tables.
    """
    masks, tried = host.writable, host.tried
    limit = host.values.read(register.code)
    answers = None if tried is None else tried.of(register.code)
    if masks is None:
        return list(
            _refused(
                register,
                value,
                limit,
                None,
                host.why_absent('writable'),
                answers,
            )
        )
    return list(
        _refused(
            register, value, limit, masks.read(register.code), '', answers
        )
    )


@functools.lru_cache(maxsize=4096)
def _refused(
    register: Register,
    value: int,
    limit: int,
    mask: int | None,
    why: str,
    answers: tuple[Answer, ...] | None,
) -> tuple[Finding, ...]:
    """Return the fields of a register's value that a host refuses.

    Cached, because a fleet has few distinct values of each register.

    :param mask: the writable bits, None if they are not known
    :param why: the reason why they are not known
    :param answers: KVM's own answers, None if the probe did not try any
    """
    writable = _ALL_BITS if mask is None else mask
    rest = value ^ limit
    findings = []
    for field in register.fields:
        if not rest & field.mask:
            continue
        rest &= ~field.mask
        has, offers = _taken_for(field, value), field.of(limit)
        settable = field.mask & writable == field.mask
        answer = answer_on(field, answers or ())
        if answer is not None:
            if answer.accepts(field, value):
                continue
        elif expects(field, value, limit, writable):
            if mask is None and has != offers:
                findings.append(
                    Finding(
                        Cause.MASK_UNKNOWN,
                        Severity.UNKNOWN,
                        register.name,
                        field.name,
                        has,
                        offers,
                        field.rule.value,
                        register.code,
                        why,
                    )
                )
            continue
        rule = field.rule if settable else Rule.EQUAL
        cause, severity = _REFUSAL[rule], Severity.BLOCKS
        if _too_low(field, has):
            cause = Cause.NOT_ALLOWED
        elif field.stale and not offers and answers is None:
            cause, severity = Cause.STALE, Severity.UNKNOWN
        elif not settable and has > offers and field.rule is Rule.LOWER_SAFE:
            cause = Cause.ABOVE
        findings.append(
            Finding(
                cause,
                severity,
                register.name,
                field.name,
                has,
                offers,
                rule.value,
                register.code,
            )
        )
    if rest:
        findings.append(
            Finding(
                Cause.RESERVED,
                Severity.BLOCKS,
                register.name,
                '',
                value,
                limit,
                Rule.EQUAL.value,
                register.code,
            )
        )
    return tuple(findings)


def check_features_32bit(
    register: Register, value: int, host: Host
) -> list[Finding]:
    """Check an AArch32 ID register: without 32-bit EL0, writes are ignored.

    Source: aa32_id_visibility(), REG_USER_WI.
    """
    return check_features(register, value, host) if has_32bit_el0(host) else []
