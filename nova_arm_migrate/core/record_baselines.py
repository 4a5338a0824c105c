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


"""How records name guest CPU baselines: name, version and digest."""

import dataclasses
import re
from typing import Any

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.record_forms import ascending
from nova_arm_migrate.core.record_forms import Form
from nova_arm_migrate.core.record_forms import MOST_ITEMS

_NAME = re.compile(r'[A-Za-z0-9._-]{1,64}')
_ID = re.compile(_NAME.pattern + r'/[1-9][0-9]{0,6}')
_DIGEST = re.compile(r'[0-9a-f]{16}')


def is_name(text: str) -> bool:
    """Whether a text can be the name of a baseline."""
    return _NAME.fullmatch(text) is not None


@dataclasses.dataclass(frozen=True)
class BaselineName(Form[str]):
    """The name of a baseline: a word."""

    def dump(self, value: str) -> str:
        return value

    def load(self, key: str, given: Any) -> str:
        return forms.match(key, given, _NAME)


@dataclasses.dataclass(frozen=True)
class BaselineId(Form[str]):
    """A baseline's name and version: ``pool-1/2``."""

    def dump(self, value: str) -> str:
        return value

    def load(self, key: str, given: Any) -> str:
        return forms.match(key, given, _ID)


@dataclasses.dataclass(frozen=True)
class BaselineIds(Form[frozenset[str]]):
    """Baselines by name and version, ascending."""

    def dump(self, value: frozenset[str]) -> list[str]:
        return sorted(value)

    def load(self, key: str, given: Any) -> frozenset[str]:
        return frozenset(
            ascending(
                key,
                [
                    forms.match(key, item, _ID)
                    for item in forms.list_of(key, given, MOST_ITEMS)
                ],
            )
        )

    def show(self, value: frozenset[str]) -> str:
        return ', '.join(sorted(value)) or 'none'


@dataclasses.dataclass(frozen=True)
class Digest(Form[str]):
    """`CpuBaseline.digest`: 16 hexadecimal digits."""

    def dump(self, value: str) -> str:
        return value

    def load(self, key: str, given: Any) -> str:
        return forms.match(key, given, _DIGEST)


@dataclasses.dataclass(frozen=True)
class Digests(Form[tuple[tuple[str, str], ...]]):
    """Digests of baselines, by name and version."""

    def dump(self, value: tuple[tuple[str, str], ...]) -> dict[str, str]:
        return dict(sorted(value))

    def load(self, key: str, given: Any) -> tuple[tuple[str, str], ...]:
        return tuple(
            sorted(
                (
                    forms.match(key, name, _ID),
                    forms.match(key, digest, _DIGEST),
                )
                for name, digest in forms.object_of(
                    key, given, MOST_ITEMS
                ).items()
            )
        )
