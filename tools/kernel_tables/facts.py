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

"""One kernel's facts about registers, and their file format.

Facts, not code: names, numbers, and which rule applies. The file has one
tab-separated line for each field, so that the tables can be checked without a
kernel source.
"""

from collections.abc import Iterable
import dataclasses

COLUMNS = (
    'register',
    'code',
    'shown',
    'setter',
    'field',
    'bits',
    'sign',
    'rule',
    'safe',
    'writable',
)
_HEAD = '# Linux '
_FUNCTION = '# function '


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of a register.

    :ivar name: the kernel's name
    :ivar signed: the kernel compares it as two's complement
    :ivar rule: ``LOWER_SAFE`` and the like, after KVM's exceptions; empty for
        a field that is not in the kernel's table of features
    :ivar safe: the table's safe value
    :ivar writable: KVM lets userspace write all its bits
    """

    name: str
    shift: int
    width: int
    signed: bool = False
    rule: str = ''
    safe: int = 0
    writable: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Register:
    """One register that KVM shows to userspace.

    :ivar code: as in the project's tables
    :ivar shown: ``id`` for an identification register, ``hidden`` for one
        that reads 0, ``listed`` for any other that KVM lists, empty for one
        that no guest has
    :ivar setter: the kernel's function for a write, if it has its own
    """

    name: str
    code: int
    shown: str
    setter: str = ''
    fields: tuple[Field, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one kernel.

    :ivar version: ``6.12.117``
    :ivar functions: by name of a function that checks writes, a digest of its
        body, which shows whether the function has changed
    """

    version: str
    registers: tuple[Register, ...]
    functions: tuple[tuple[str, str], ...] = ()

    @property
    def number(self) -> tuple[int, ...]:
        """The version for comparisons; a candidate precedes its release."""
        main, _, candidate = self.version.partition('-rc')
        return (*map(int, main.split('.')), int(candidate or 1 << 16))

    @property
    def series(self) -> str:
        """``6.12`` of ``6.12.117``."""
        return '.'.join(self.version.partition('-')[0].split('.')[:2])

    def register(self, code: int) -> Register | None:
        """Return the register with this code."""
        return next((r for r in self.registers if r.code == code), None)


def dump(facts: Facts) -> str:
    """Return facts as a text of tab-separated values."""
    lines = [
        f'{_HEAD}{facts.version}',
        *(f'{_FUNCTION}{name} {digest}' for name, digest in facts.functions),
        '\t'.join(COLUMNS),
    ]
    for register in facts.registers:
        head = (
            register.name,
            f'{register.code:x}',
            register.shown,
            register.setter,
        )
        if not register.fields:
            lines.append('\t'.join((*head, '', '', '', '', '', '')))
        for field in register.fields:
            top = field.shift + field.width - 1
            lines.append(
                '\t'.join(
                    (
                        *head,
                        field.name,
                        f'{top}:{field.shift}',
                        'signed' if field.signed else '',
                        field.rule,
                        str(field.safe) if field.rule else '',
                        'writable' if field.writable else '',
                    )
                )
            )
    return '\n'.join(lines) + '\n'


def load(text: str) -> Facts:
    """Return the facts of a text that `dump` wrote.

    :raises ValueError: if it is not such a text
    """
    lines = text.splitlines()
    if not lines or not lines[0].startswith(_HEAD):
        raise ValueError('not facts of a kernel')
    functions = []
    rows: dict[tuple[str, str, str, str], list[Field]] = {}
    for line in lines[1:]:
        if line.startswith(_FUNCTION):
            name, digest = line.removeprefix(_FUNCTION).split()
            functions.append((name, digest))
            continue
        if line.startswith(COLUMNS[0]):
            continue
        name, code, shown, setter, *rest = line.split('\t')
        fields = rows.setdefault((name, code, shown, setter), [])
        fields += _fields(rest)
    return Facts(
        lines[0].removeprefix(_HEAD),
        tuple(
            Register(name, int(code, 16), shown, setter, tuple(fields))
            for (name, code, shown, setter), fields in rows.items()
        ),
        tuple(functions),
    )


def _fields(columns: list[str]) -> Iterable[Field]:
    name, bits, sign, rule, safe, writable = columns
    if bits:
        top, _, low = bits.partition(':')
        yield Field(
            name,
            int(low),
            int(top) - int(low) + 1,
            sign == 'signed',
            rule,
            int(safe or 0),
            writable == 'writable',
        )
