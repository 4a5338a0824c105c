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

"""The forms that attributes have in a record, and as text for people.

Each value has one form only, and what could be read in two ways is refused.
Every error is a `ProfileError` that names the key.
"""

import abc
import dataclasses
import re
from typing import Any
from typing import Generic
from typing import TypeVar

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.codes import dump_codes
from nova_arm_migrate.core.codes import load_codes
from nova_arm_migrate.core.codes import MOST_REGISTERS
from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.tables.features import SVE_LENGTHS
from nova_arm_migrate.core.values import Core
from nova_arm_migrate.core.values import Values

_T = TypeVar('_T')

#: The most items of a list or an object, unless they are registers.
MOST_ITEMS = 64
_NAME = re.compile(r'[A-Za-z0-9_]{1,40}')
_TEXT = re.compile(r'[\x20-\x7e]{0,120}')
_CPUS = re.compile(r'[0-9,\-]{1,400}')


class Form(abc.ABC, Generic[_T]):
    """How a value is written in a record, and how people read it."""

    @abc.abstractmethod
    def dump(self, value: _T) -> Any:
        """Return a value in its JSON form."""

    @abc.abstractmethod
    def load(self, key: str, given: Any) -> _T:
        """Return the value of decoded JSON, which is not trusted.

        :param key: the name of the value in the error
        :raises ProfileError: if it is in another form, or out of bounds
        """

    def show(self, value: _T) -> str:
        """Return a value as people read it."""
        return str(value)


@dataclasses.dataclass(frozen=True)
class Number(Form[int]):
    """A number within bounds.

    :ivar base: the base in which people read it: 10 or 16
    """

    least: int
    most: int
    unit: str = ''
    base: int = 10

    def dump(self, value: int) -> int:
        return value

    def load(self, key: str, given: Any) -> int:
        if type(given) is not int or not self.least <= given <= self.most:
            raise ProfileError(
                f'{key}: {forms.quote(given)} is not a number from'
                f' {self.least} to {self.most}'
            )
        return given

    def show(self, value: int) -> str:
        text = f'{value:#x}' if self.base == 16 else f'{value}'
        return f'{text} {self.unit}'.strip()


@dataclasses.dataclass(frozen=True)
class Numbers(Form[tuple[int, ...]]):
    """Numbers within bounds, ascending."""

    least: int
    most: int
    unit: str = ''

    def dump(self, value: tuple[int, ...]) -> tuple[int, ...]:
        return value

    def load(self, key: str, given: Any) -> tuple[int, ...]:
        number = Number(self.least, self.most)
        return ascending(
            key,
            [
                number.load(key, item)
                for item in forms.list_of(key, given, MOST_ITEMS)
            ],
        )

    def show(self, value: tuple[int, ...]) -> str:
        if not value:
            return 'none'
        return f'{", ".join(map(str, value))} {self.unit}'.strip()


@dataclasses.dataclass(frozen=True)
class VectorLengths(Numbers):
    """Lengths of SVE vectors, in bits."""

    least: int = SVE_LENGTHS[0]
    most: int = SVE_LENGTHS[-1]
    unit: str = 'bits'

    def load(self, key: str, given: Any) -> tuple[int, ...]:
        lengths = super().load(key, given)
        if any(bits not in SVE_LENGTHS for bits in lengths):
            raise ProfileError(f'{key}: a length is not a multiple of 128')
        return lengths


@dataclasses.dataclass(frozen=True)
class PageSize(Number):
    """The size of a base page, in bytes."""

    least: int = 0
    most: int = forms.U32

    def load(self, key: str, given: Any) -> int:
        return forms.page_size(key, super().load(key, given))

    def show(self, value: int) -> str:
        return forms.size(value)


@dataclasses.dataclass(frozen=True)
class HugePageSizes(Numbers):
    """The sizes of huge pages, in bytes."""

    least: int = 4096
    most: int = 1 << 48

    def load(self, key: str, given: Any) -> tuple[int, ...]:
        return forms.huge_page_sizes(key, super().load(key, given))

    def show(self, value: tuple[int, ...]) -> str:
        return ', '.join(map(forms.size, value)) or 'none'


@dataclasses.dataclass(frozen=True)
class Hexadecimals(Form[tuple[int, ...]]):
    """Words, in the kernel's order."""

    def dump(self, value: tuple[int, ...]) -> list[str]:
        return [f'{word:x}' for word in value]

    def load(self, key: str, given: Any) -> tuple[int, ...]:
        return tuple(
            forms.unhex(key, item)
            for item in forms.list_of(key, given, MOST_ITEMS)
        )

    def show(self, value: tuple[int, ...]) -> str:
        return ', '.join(f'{word:#x}' for word in value)


@dataclasses.dataclass(frozen=True)
class Text(Form[str]):
    """A line of printable ASCII."""

    def dump(self, value: str) -> str:
        return value

    def load(self, key: str, given: Any) -> str:
        if type(given) is not str:
            raise ProfileError(f'{key}: {forms.quote(given)} is not a text')
        return forms.match(key, given, _TEXT)


@dataclasses.dataclass(frozen=True)
class Flag(Form[bool]):
    """True or false."""

    def dump(self, value: bool) -> bool:
        return value

    def load(self, key: str, given: Any) -> bool:
        if type(given) is not bool:
            raise ProfileError(
                f'{key}: {forms.quote(given)} is not true or false'
            )
        return given


@dataclasses.dataclass(frozen=True)
class Names(Form[frozenset[str]]):
    """Names, all of them known, ascending."""

    known: frozenset[str]

    def dump(self, value: frozenset[str]) -> list[str]:
        return sorted(value)

    def load(self, key: str, given: Any) -> frozenset[str]:
        names = frozenset(
            ascending(
                key,
                [
                    forms.match(key, item, _NAME)
                    for item in forms.list_of(key, given, MOST_ITEMS)
                ],
            )
        )
        unknown = sorted(names - self.known)
        if unknown:
            raise ProfileError(
                f'{key}: unknown name {forms.quote(unknown[0])}'
            )
        return names

    def show(self, value: frozenset[str]) -> str:
        return ', '.join(sorted(value)) or 'none'


@dataclasses.dataclass(frozen=True)
class Registers(Form[Values]):
    """Values by register code, both hexadecimal."""

    def dump(self, value: Values) -> dict[str, str]:
        return {f'{code:x}': f'{number:x}' for code, number in value.items()}

    def load(self, key: str, given: Any) -> Values:
        return Values(
            {
                forms.unhex(key, code, forms.CODE): forms.unhex(key, item)
                for code, item in forms.object_of(
                    key, given, MOST_REGISTERS
                ).items()
            }
        )


@dataclasses.dataclass(frozen=True)
class Codes(Form[frozenset[int]]):
    """Codes of registers, as ascending runs: ``8004+3 c000 140000+3``."""

    def dump(self, value: frozenset[int]) -> str:
        return dump_codes(value)

    def load(self, key: str, given: Any) -> frozenset[int]:
        if type(given) is not str:
            raise ProfileError(f'{key}: {forms.quote(given)} is not a text')
        return load_codes(key, given)

    def show(self, value: frozenset[int]) -> str:
        return f'{len(value)} listed'


@dataclasses.dataclass(frozen=True)
class Cores(Form[tuple[Core, ...]]):
    """Kinds of cores: ``[MIDR, REVIDR, AIDR, CPUs]`` each."""

    def dump(self, value: tuple[Core, ...]) -> list[list[str | None]]:
        return [
            [_hex(core.midr), _hex(core.revidr), _hex(core.aidr), core.cpus]
            for core in value
        ]

    def load(self, key: str, given: Any) -> tuple[Core, ...]:
        cores = []
        for item in forms.list_of(key, given, MOST_ITEMS):
            if type(item) is not list or len(item) != 4:
                raise ProfileError(f'{key}: not [MIDR, REVIDR, AIDR, CPUs]')
            midr, revidr, aidr, cpus = item
            cores.append(
                Core(
                    forms.unhex(key, midr),
                    None if revidr is None else forms.unhex(key, revidr),
                    None if aidr is None else forms.unhex(key, aidr),
                    forms.match(key, cpus, _CPUS),
                )
            )
        forms.check_cpus(key, [core.cpus for core in cores])
        return tuple(cores)

    def show(self, value: tuple[Core, ...]) -> str:
        """Return a line for each kind."""
        return '\n'.join(map(self._line, value))

    def _line(self, core: Core) -> str:
        others = ', '.join(
            f'{name} {number:#x}'
            for name, number in (
                ('MIDR', core.midr),
                ('REVIDR', core.revidr),
                ('AIDR', core.aidr),
            )
            if number is not None
        )
        return f'CPUs {core.cpus}: {core_name(core.midr)} ({others})'


@dataclasses.dataclass(frozen=True)
class Capabilities(Form[tuple[tuple[str, int], ...]]):
    """KVM's capabilities: their values by name."""

    def dump(self, value: tuple[tuple[str, int], ...]) -> dict[str, int]:
        return dict(sorted(value))

    def load(self, key: str, given: Any) -> tuple[tuple[str, int], ...]:
        number = Number(0, (1 << 31) - 1)
        return tuple(
            sorted(
                (forms.match(key, name, _NAME), number.load(key, item))
                for name, item in forms.object_of(
                    key, given, MOST_ITEMS
                ).items()
            )
        )

    def show(self, value: tuple[tuple[str, int], ...]) -> str:
        return (
            ', '.join(
                name if number == 1 else f'{name}={number}'
                for name, number in value
            )
            or 'none'
        )


@dataclasses.dataclass(frozen=True)
class Reasons(Form[tuple[tuple[str, str], ...]]):
    """Texts by the name of an attribute.

    :ivar written: the names in the record, for attributes that have another
        name there
    """

    written: tuple[tuple[str, str], ...] = ()

    def dump(self, value: tuple[tuple[str, str], ...]) -> dict[str, str]:
        written = dict(self.written)
        return dict(
            sorted((written.get(name, name), why) for name, why in value)
        )

    def load(self, key: str, given: Any) -> tuple[tuple[str, str], ...]:
        names = {there: name for name, there in self.written}
        reasons = []
        for there, why in forms.object_of(key, given, MOST_ITEMS).items():
            if there in dict(self.written):
                raise ProfileError(
                    f'{key}: {forms.quote(there)} is not allowed here'
                )
            name = forms.match(key, there, _NAME)
            reasons.append(
                (names.get(name, name), forms.match(key, why, _TEXT))
            )
        return tuple(sorted(reasons))


def _hex(value: int | None) -> str | None:
    return None if value is None else f'{value:x}'


def ascending(key: str, items: list[Any]) -> tuple[Any, ...]:
    if items != sorted(set(items)):
        raise ProfileError(f'{key}: not in ascending order')
    return tuple(items)
