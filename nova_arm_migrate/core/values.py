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

"""What profiles consist of: the values of registers, and cores."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from nova_arm_migrate.core.frozen import ByCode


class Values(ByCode[int]):
    """The values of registers by code."""

    __slots__ = ()

    def __init__(self, items: Mapping[int, int] | None = None) -> None:
        super().__init__(items or {})

    def read(self, code: int) -> int:
        """Return a register's value, 0 if there is none."""
        return self._items.get(code, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Core:
    """The cores of a host that share one implementation.

    :ivar midr: MIDR_EL1
    :ivar revidr: REVIDR_EL1, None if the kernel does not show it
    :ivar aidr: AIDR_EL1, None if the kernel does not show it
    :ivar cpus: which CPUs, as the kernel writes lists: ``0-3,8``
    """

    midr: int
    revidr: int | None
    aidr: int | None
    cpus: str


def several_kinds(cores: Iterable[Core]) -> bool:
    """Whether cores differ in what a guest sees of their implementation.

    A number that the kernel does not show (None) counts as equal to all.
    """
    return any(
        len({number for number in numbers if number is not None}) > 1
        for numbers in (
            [core.midr for core in cores],
            [core.revidr for core in cores],
            [core.aidr for core in cores],
        )
    )
