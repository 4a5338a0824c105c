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

"""What differs between two baselines, and what a host gives up for one."""

from collections.abc import Iterator
import enum
from typing import Any
from typing import NamedTuple

from nova_arm_migrate.core.attributes import Attribute
from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.baseline_forms import BASELINE_REGISTERS
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.field_rules import accepts
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables.values import value_name
from nova_arm_migrate.core.vcpu import has_32bit_el0
from nova_arm_migrate.core.vcpu import with_features_off

_BY_FIELD = (Judge.FEATURES, Judge.FEATURES_32BIT)
#: Registers that say nothing of what a guest can do.
_NO_FEATURE = (Judge.CLIDR, Judge.CCSIDR, Judge.IMPLEMENTATION)
#: Parts of a baseline that are not a guest's CPU.
_NOT_COMPARED = frozenset(
    {'name', 'version', 'acknowledged', 'reg_list', 'dropped', 'registers'}
)
#: Attributes of which a guest has more if the number is larger.
_MORE = frozenset({'counters', 'ipa_bits', 'features', 'sve_lengths'})


class Direction(enum.Enum):
    """How a value changes."""

    LOWER = 'lower'
    HIGHER = 'higher'
    OTHER = 'other'


class Change(NamedTuple):
    """One difference.

    :ivar name: ``REGISTER.FIELD``, a register, or a part of the baseline
    :ivar before: the first value, for people
    :ivar after: the second value
    :ivar direction: LOWER if a host that accepts the first value accepts the
        second one too, by KVM's rule for a writable field
    """

    name: str
    before: str
    after: str
    direction: Direction


def diff(before: CpuBaseline, after: CpuBaseline) -> tuple[Change, ...]:
    """Return what differs between the CPUs of two baselines."""
    shown = (
        Change(
            'implementation',
            f'{before.implementation} ({before.implementation.name})',
            f'{after.implementation} ({after.implementation.name})',
            Direction.OTHER,
        ),
    )
    return (
        *(shown if before.implementation != after.implementation else ()),
        *_attributes(before, after),
        *_registers(before.registers, after.registers),
    )


def given_up(baseline: CpuBaseline, host: Host) -> tuple[Change, ...]:
    """Return what guests on a host don't have because of a baseline.

    :param host: a member of the baseline's pool
    """
    found = []
    features = host.features - baseline.features
    if features:
        found.append(
            Change(
                'vCPU features',
                ', '.join(sorted(host.features)),
                ', '.join(sorted(baseline.features)) or 'none',
                Direction.LOWER,
            )
        )
    lengths = host.sve_lengths
    if baseline.sve_lengths and lengths and lengths != baseline.sve_lengths:
        found.append(
            Change(
                'SVE lengths',
                ', '.join(map(str, lengths)),
                ', '.join(map(str, baseline.sve_lengths)),
                Direction.LOWER,
            )
        )
    counters = special.PMCR_N.of(host.values.read(special.PMCR_EL0))
    if baseline.counters is not None and counters > baseline.counters:
        found.append(
            Change(
                'event counters',
                str(counters),
                str(baseline.counters),
                Direction.LOWER,
            )
        )
    seen = with_features_off(host, baseline.disabled)
    return (
        *found,
        *(
            change
            for change in _registers(
                seen.values,
                baseline.registers,
                baseline.has_32bit_el0 and has_32bit_el0(host),
            )
            if change.direction is not Direction.HIGHER
        ),
    )


def _attributes(before: CpuBaseline, after: CpuBaseline) -> Iterator[Change]:
    for one in attributes_of(CpuBaseline):
        old, new = getattr(before, one.name), getattr(after, one.name)
        if one.name in _NOT_COMPARED or old == new:
            continue
        yield Change(
            one.title or one.key,
            _shown(one, old),
            _shown(one, new),
            _direction(one, old, new),
        )


def _shown(one: Attribute, value: Any) -> str:
    if value is None:
        return 'none'
    if one.name == 'implementations':
        return ', '.join(map(str, value)) or 'none'
    return one.form.show(value)


def _direction(one: Attribute, old: Any, new: Any) -> Direction:
    if one.name not in _MORE:
        return Direction.OTHER
    if isinstance(old, int) and isinstance(new, int):
        return Direction.LOWER if new < old else Direction.HIGHER
    has, gets = frozenset(old or ()), frozenset(new or ())
    if gets < has:
        return Direction.LOWER
    return Direction.HIGHER if has < gets else Direction.OTHER


def _registers(
    before: Values, after: Values, with_32bit: bool = True
) -> Iterator[Change]:
    """Yield what differs in registers that a guest reads as features."""
    for code in sorted(BASELINE_REGISTERS.values()):
        register = register_of(code)
        old, new = before.read(code), after.read(code)
        if old == new or (
            register.judge is Judge.FEATURES_32BIT and not with_32bit
        ):
            continue
        if register.judge in _BY_FIELD:
            yield from _fields(register, old, new)
        elif register.judge not in _NO_FEATURE:
            yield Change(
                register.name,
                f'{old:#x}',
                f'{new:#x}',
                _of_register(register, old, new),
            )


def _fields(register: Register, old: int, new: int) -> Iterator[Change]:
    rest = old ^ new
    for field in register.fields:
        if not rest & field.mask:
            continue
        rest &= ~field.mask
        has, gets = field.of(old), field.of(new)
        yield Change(
            f'{register.name}.{field.name}',
            _number(register, field, has),
            _number(register, field, gets),
            Direction.LOWER
            if accepts(field, gets, has)
            else Direction.HIGHER
            if accepts(field, has, gets)
            else Direction.OTHER,
        )
    if rest:
        yield Change(register.name, f'{old:#x}', f'{new:#x}', Direction.OTHER)


def _number(register: Register, field: Field, value: int) -> str:
    name = value_name(register.name, field.name, value)
    number = f'{value & 0xF:#x}' if value < 0 else str(value)
    return f'{number} ({name})' if name else number


def _of_register(register: Register, old: int, new: int) -> Direction:
    if register.judge is Judge.BITMAP:
        if not new & ~old:
            return Direction.LOWER
        return Direction.HIGHER if not old & ~new else Direction.OTHER
    # The rest are numbers: levels of mitigations, and PSCI's version.
    return Direction.LOWER if new < old else Direction.HIGHER
