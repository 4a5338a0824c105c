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

"""Cells with one form for people and another one for programs."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from cliff import columns

from nova_arm_migrate.cli.fleets import first_of


class Names(columns.FormattableColumn[Sequence[Any]]):
    """Names or numbers: people see the first ones and the number of others."""

    def human_readable(self) -> str:
        """Return the first names."""
        return first_of(self._value)

    def machine_readable(self) -> list[Any]:
        """Return all names."""
        return list(self._value)


class Age(columns.FormattableColumn[float | None]):
    """A time in seconds: people see the largest unit."""

    def human_readable(self) -> str:
        """Return the time with its unit."""
        if self._value is None:
            return ''
        seconds = int(self._value)
        for unit, size in (('d', 86400), ('h', 3600), ('min', 60)):
            if seconds >= 2 * size:
                return f'{seconds // size} {unit}'
        return f'{seconds} s'

    def machine_readable(self) -> int | None:
        """Return whole seconds."""
        return None if self._value is None else int(self._value)

    def __lt__(self, other: object) -> bool:
        """Whether the time is shorter; hosts without a time come last."""
        if not isinstance(other, Age):
            return NotImplemented
        return _order(self._value) < _order(other._value)


def _order(age: float | None) -> float:
    return float('inf') if age is None else age


class Shown(columns.FormattableColumn[Any]):
    """A value for programs, with a function that makes a text for people."""

    def __init__(self, value: Any, text: Callable[[], str]) -> None:
        super().__init__(value)
        self._text = text

    def human_readable(self) -> str:
        """Return the text."""
        return self._text()

    def machine_readable(self) -> Any:
        """Return the value."""
        return self._value
