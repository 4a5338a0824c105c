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

"""A map from register codes that can be compared and hashed."""

from collections.abc import ItemsView
from collections.abc import Iterator
from collections.abc import KeysView
from collections.abc import Mapping
from typing import Generic
from typing import TypeVar

T = TypeVar('T')


class ByCode(Mapping[int, T], Generic[T]):
    """An immutable, hashable map from register code.

    Two maps are equal if they have the same class and the same items.
    """

    __slots__ = ('_hash', '_items')

    def __init__(self, items: Mapping[int, T]) -> None:
        self._items = dict(sorted(items.items()))
        self._hash: int | None = None

    def __getitem__(self, code: int) -> T:
        return self._items[code]

    def __iter__(self) -> Iterator[int]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    # The dict's own views: those of Mapping call __getitem__ for each item.

    def keys(self) -> KeysView[int]:
        """Return the codes, ascending."""
        return self._items.keys()

    def items(self) -> ItemsView[int, T]:
        """Return the codes, ascending, each with its item."""
        return self._items.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, type(self)):
            return self._items == other._items
        return NotImplemented

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(tuple(self._items.items()))
        return self._hash

    def __repr__(self) -> str:
        inner = ', '.join(
            f'{code:#x}: {item:#x}'
            if isinstance(item, int)
            else f'{code:#x}: {item}'
            for code, item in self._items.items()
        )
        return f'{type(self).__name__}({{{inner}}})'
