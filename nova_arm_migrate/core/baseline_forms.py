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

"""The forms of a guest CPU baseline's attributes in its file.

The file is for people too: registers have their names, and registers' values
are written with ``0x``. Every error is a `ProfileError` that names the key.
"""

import dataclasses
import re
from typing import Any

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.implementation import Implementation
from nova_arm_migrate.core.implementation import MidrPair
from nova_arm_migrate.core.record_forms import Form
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.values import Values

_HEX = re.compile(r'0x(?:0|[1-9a-f][0-9a-f]{0,15})')
_MOST = 512
#: A pool with more kinds of cores than this is an error.
_MOST_IMPLEMENTATIONS = 64

#: Registers that a baseline has, by name. It has none that hold the state of
#: a running guest, and the number of counters instead of PMCR_EL0.
BASELINE_REGISTERS = {
    register.name: register.code
    for register in REGISTERS.values()
    if register.judge not in (Judge.STATE, Judge.COUNTERS, Judge.SLOTS)
}
_NAMES = {code: name for name, code in BASELINE_REGISTERS.items()}


def _unhex(key: str, value: object, most: int = forms.U64) -> int:
    number = int(forms.match(key, value, _HEX), 16)
    if number > most:
        raise ProfileError(f'{key}: {forms.quote(value)} is too large')
    return number


@dataclasses.dataclass(frozen=True)
class NamedRegisters(Form[Values]):
    """Values of registers by the register's name. What is 0 is left out."""

    def dump(self, value: Values) -> dict[str, str]:
        return {_NAMES[code]: f'{number:#x}' for code, number in value.items()}

    def load(self, key: str, given: Any) -> Values:
        values = {}
        for name, item in forms.object_of(key, given, _MOST).items():
            code = BASELINE_REGISTERS.get(name)
            if code is None:
                raise ProfileError(
                    f'{key}: a baseline has no register {forms.quote(name)}'
                )
            number = _unhex(f'{key}: {name}', item)
            if number:
                values[code] = number
        return Values(values)


@dataclasses.dataclass(frozen=True)
class Implementations(Form[tuple[Implementation, ...]]):
    """Implementations, ascending: ``0x411fd401/0x1/0x0`` each."""

    def dump(self, value: tuple[Implementation, ...]) -> list[str]:
        return [str(one) for one in value]

    def load(self, key: str, given: Any) -> tuple[Implementation, ...]:
        found = []
        for item in forms.list_of(key, given, _MOST_IMPLEMENTATIONS):
            parts = item.split('/') if type(item) is str else ()
            if len(parts) != 3:
                raise ProfileError(
                    f'{key}: {forms.quote(item)} is not MIDR/REVIDR/AIDR'
                )
            midr, revidr, aidr = parts
            found.append(
                Implementation(
                    _unhex(key, midr, forms.U32),
                    _unhex(key, revidr),
                    _unhex(key, aidr),
                )
            )
        if found != sorted(set(found)):
            raise ProfileError(f'{key}: not in ascending order')
        return tuple(found)


def load_pair(key: str, given: object) -> MidrPair:
    """Return a pair of MIDR_EL1 of a text: ``0x410fd4f1,0x411fd401``.

    :raises ProfileError: if it is not such a text
    """
    parts = given.split(',') if type(given) is str else ()
    if len(parts) != 2:
        raise ProfileError(f'{key}: {forms.quote(given)} is not MIDR,MIDR')
    low, high = sorted(_unhex(key, part, forms.U32) for part in parts)
    return low, high


@dataclasses.dataclass(frozen=True)
class MidrPairs(Form[frozenset[MidrPair]]):
    """Pairs of MIDR_EL1: ``0x410fd4f1,0x411fd401`` each."""

    def dump(self, value: frozenset[MidrPair]) -> list[str]:
        return [dump_pair(pair) for pair in sorted(value)]

    def load(self, key: str, given: Any) -> frozenset[MidrPair]:
        return frozenset(
            load_pair(key, item) for item in forms.list_of(key, given, _MOST)
        )


def dump_pair(pair: MidrPair) -> str:
    """Return a pair as `load_pair` reads it."""
    return ','.join(f'{midr:#x}' for midr in pair)
