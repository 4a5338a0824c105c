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

"""Compare the project's tables with kernels.

The newest kernel decides. Different rules of older kernels are reported too,
because the same table is used for hosts with those kernels.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import enum

from nova_arm_migrate.core import registers as ours
from nova_arm_migrate.core.tables import names
from tools.kernel_tables import facts

#: Setters that accept any value, or silently drop unsupported bits: a register
#: with one of these is state of the guest. In OSLSR_EL1 only one bit can
#: differ, and that bit is state.
_TAKE_ANY = frozenset(
    {
        '',
        'set_dbg_wb_reg',
        'set_bvr',
        'set_bcr',
        'set_wvr',
        'set_wcr',
        'arch_timer_set_user',
        'set_pmreg',
        'set_pmu_evcntr',
        'set_wi_reg',
        'set_oslsr_el1',
    }
)


class Kind(enum.Enum):
    """What is wrong with an entry of the tables."""

    MISSING_REGISTER = 'KVM shows it, the tables have no name for it'
    NOT_JUDGED = 'KVM checks a write, the tables treat the register as state'
    MISSING_FIELD = 'the tables have no such field'
    BOUNDS = 'the tables have other bits for it'
    SIGN = 'the tables have the other sign'
    RULE = 'the tables have another rule'
    SAFE = 'the tables have another safe value'
    NAME = 'the tables have another name'
    FUNCTION = "KVM's function is not the one that was read last"
    OLDER = 'an older kernel has another rule than the newest'


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Something that is missing or wrong in the tables.

    :ivar name: ``REGISTER`` or ``REGISTER.FIELD``
    :ivar kernel: the kernel's version
    :ivar theirs: the kernel's value
    :ivar ours: the value of the tables, or of the newest kernel
    """

    name: str
    kind: Kind
    kernel: str
    theirs: str
    ours: str

    def __str__(self) -> str:
        detail = f': {self.theirs}, here {self.ours}' if self.theirs else ''
        return f'{self.name}: {self.kind.value} (Linux {self.kernel}{detail})'


def differences(
    kernels: Sequence[facts.Facts],
    table: Mapping[int, ours.Register],
    read: facts.Facts | None = None,
) -> list[Difference]:
    """Return the faults of the tables, and where kernels differ.

    :param kernels: at least one
    :param table: `core.tables.REGISTERS`
    :param read: the kernel whose functions were read to write the rule
    """
    newest, *others = sorted(
        kernels, key=lambda kernel: kernel.number, reverse=True
    )
    found = list(_against(newest, table))
    if read is not None:
        found += _functions(newest, read)
    told = {difference.name for difference in found}
    for kernel in others:
        more = [
            difference
            for difference in _registers(kernel, table)
            if difference.name not in told
        ]
        told.update(difference.name for difference in more)
        found += [*more, *_older(kernel, newest)]
    return found


def _against(
    kernel: facts.Facts, table: Mapping[int, ours.Register]
) -> Iterator[Difference]:
    yield from _registers(kernel, table)
    for register in kernel.registers:
        entry = table.get(register.code)
        if entry is None or not register.fields:
            continue
        for field in register.fields:
            yield from _field(kernel.version, register, field, entry)


def _functions(newest: facts.Facts, read: facts.Facts) -> Iterator[Difference]:
    """Yield functions that have changed; a person must check the rule.

    `core.registers.Field` (least, or_zero, as_zero, stale) and `core.rules`
    describe what these functions do besides the tables.
    """
    known = dict(read.functions)
    for name, digest in newest.functions:
        if known.pop(name, None) != digest:
            yield Difference(name, Kind.FUNCTION, newest.version, '', '')
    for name in known:
        yield Difference(name, Kind.FUNCTION, newest.version, '', '')


def _registers(
    kernel: facts.Facts, table: Mapping[int, ours.Register]
) -> Iterator[Difference]:
    """Yield registers of any kernel that the tables do not have."""
    for register in kernel.registers:
        code, name = register.code, register.name
        known = table.get(code)
        anonymous = known is None or known.name.startswith('S3_')
        if anonymous and code not in names.REGISTER_NAMES:
            yield Difference(
                name, Kind.MISSING_REGISTER, kernel.version, '', ''
            )
        elif (known is None and register.shown == 'id') or (
            known is None and register.setter not in _TAKE_ANY
        ):
            yield Difference(name, Kind.NOT_JUDGED, kernel.version, '', '')


def _field(
    version: str,
    register: facts.Register,
    field: facts.Field,
    entry: ours.Register,
) -> Iterator[Difference]:
    name = f'{register.name}.{field.name}'
    mask = (1 << field.width) - 1 << field.shift
    own = next((f for f in entry.fields if f.mask == mask), None)
    if own is None:
        over = [f.name for f in entry.fields if f.mask & mask]
        theirs = f'bits {field.shift + field.width - 1}:{field.shift}'
        yield Difference(
            name,
            Kind.BOUNDS if over else Kind.MISSING_FIELD,
            version,
            theirs,
            ', '.join(over) or 'nothing',
        )
        return
    if _plain(own.name) != _plain(field.name):
        yield Difference(name, Kind.NAME, version, field.name, own.name)
    rule = field.rule or ours.Rule.EQUAL.value
    # A hidden register reads 0 and accepts only 0, with any rule.
    if register.shown == 'hidden':
        return
    if own.rule.value != rule:
        yield Difference(name, Kind.RULE, version, rule, own.rule.value)
        return
    if field.rule and own.signed != field.signed:
        yield Difference(
            name, Kind.SIGN, version, _sign(field.signed), _sign(own.signed)
        )
    if own.rule is ours.Rule.EXACT and own.safe != field.safe:
        yield Difference(
            name, Kind.SAFE, version, str(field.safe), str(own.safe)
        )


def _plain(name: str) -> str:
    """Return a name without case: the Arm ARM and the kernel differ in it."""
    return name.lower().replace('_', '')


def _older(kernel: facts.Facts, newest: facts.Facts) -> Iterator[Difference]:
    """Yield fields that two kernels compare by different rules."""
    for register in kernel.registers:
        now = newest.register(register.code)
        fields = {(f.shift, f.width): f for f in now.fields} if now else {}
        for field in register.fields:
            later = fields.get((field.shift, field.width))
            if field.rule and later is None:
                yield Difference(
                    f'{register.name}.{field.name}',
                    Kind.OLDER,
                    kernel.version,
                    described(field),
                    'no such field',
                )
            elif (
                field.rule
                and later is not None
                and later.rule
                and described(field) != described(later)
            ):
                yield Difference(
                    f'{register.name}.{later.name}',
                    Kind.OLDER,
                    kernel.version,
                    described(field),
                    described(later),
                )


def _sign(signed: bool) -> str:
    return 'signed' if signed else 'unsigned'


def described(field: facts.Field) -> str:
    """Return a field's rule in words: ``signed LOWER_SAFE``."""
    words = f'{_sign(True)} {field.rule}' if field.signed else field.rule
    return f'{words} ({field.safe})' if field.rule == 'EXACT' else words
