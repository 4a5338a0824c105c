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

"""Checks that each value in a record has one form only.

Python's ``json`` accepts more than JSON, and takes the last value of a key
that is there twice. The same list of CPUs can be written in many ways. A
record is refused if a value is in another form than the one that this project
writes.
"""

import itertools
import re
from typing import Any

from nova_arm_migrate.core.errors import ProfileError

#: ID_AA64MMFR0_EL1 has fields for these only: TGran4, TGran16, TGran64.
_PAGE_SIZES = (4096, 16384, 65536)

U32 = (1 << 32) - 1
U64 = (1 << 64) - 1
#: The largest register code.
CODE = (1 << 28) - 1
_UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB')
_HEX = re.compile(r'0|[1-9a-f][0-9a-f]{0,15}')
_CPU_RUN = re.compile(r'(0|[1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?')


def size(number: int) -> str:
    """Return a number of bytes in the largest whole unit: ``2 MiB``."""
    unit = 0
    while number and number % 1024 == 0 and unit < len(_UNITS) - 1:
        number //= 1024
        unit += 1
    return f'{number} {_UNITS[unit]}'


def quote(value: object) -> str:
    """Return a value as an error quotes it: short, on one line."""
    return repr(value)[:40]


def match(key: str, value: object, pattern: re.Pattern[str]) -> str:
    """Return a text that matches a pattern.

    :raises ProfileError: if it does not match, or is not a text
    """
    if type(value) is not str or not pattern.fullmatch(value):
        raise ProfileError(f'{key}: {quote(value)} is not allowed here')
    return value


def unhex(key: str, value: object, most: int = U64) -> int:
    """Return the number of a lower-case hexadecimal text.

    :raises ProfileError: if the text is not one, or has leading zeros, or the
        number is too large
    """
    number = int(match(key, value, _HEX), 16)
    if number > most:
        raise ProfileError(f'{key}: {quote(value)} is too large')
    return number


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; the ``object_pairs_hook`` of `json.loads`.

    :raises ProfileError: if a key is there twice
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ProfileError(f'{twice!r:.40}: the record has this key twice')
    return found


def no_constant(name: str) -> None:
    """Refuse NaN and Infinity; the ``parse_constant`` of `json.loads`.

    :raises ValueError: always
    """
    raise ValueError(name)


def list_of(key: str, given: object, most: int) -> list[Any]:
    """Return a JSON list.

    :raises ProfileError: if it is none, or has more than ``most`` items
    """
    if type(given) is not list:
        raise ProfileError(f'{key}: {quote(given)} is not a list')
    if len(given) > most:
        raise ProfileError(f'{key}: more than {most} items')
    return given


def object_of(key: str, given: object, most: int) -> dict[str, Any]:
    """Return a JSON object.

    :raises ProfileError: if it is none, or has more than ``most`` items
    """
    if type(given) is not dict:
        raise ProfileError(f'{key}: {quote(given)} is not an object')
    if len(given) > most:
        raise ProfileError(f'{key}: more than {most} items')
    return given


def page_size(key: str, size: int) -> int:
    """Return the size of a base page.

    :raises ProfileError: if Arm64 has no page of that size
    """
    if size not in _PAGE_SIZES:
        raise ProfileError(f'{key}: {size} bytes is not a page size')
    return size


def huge_page_sizes(key: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of huge pages.

    :raises ProfileError: if one is not a power of two
    """
    for size in sizes:
        if size.bit_count() != 1:
            raise ProfileError(f'{key}: {size} bytes is not a page size')
    return sizes


def check_cpus(key: str, lists: list[str]) -> None:
    """Check the lists of CPUs of a host's kinds of cores.

    :raises ProfileError: if a list is not in the kernel's form, ``0-3,8``, or
        if a CPU is in two lists
    """
    everywhere = []
    for text in lists:
        last = -2
        for run in text.split(','):
            match = _CPU_RUN.fullmatch(run)
            first, end = (
                (int(match[1]), int(match[2] or match[1]))
                if match
                else (-1, -1)
            )
            # Adjacent CPUs are one run; a run has at least two CPUs.
            if (
                first < last + 2
                or (end == first and '-' in run)
                or end < first
            ):
                raise ProfileError(
                    f'{key}: {text!r:.40} is not a list of CPUs'
                )
            last = end
            everywhere.append((first, last))
    everywhere.sort()
    for (_, last), (first, _) in itertools.pairwise(everywhere):
        if first <= last:
            raise ProfileError(f'{key}: CPU {first} is in the lists twice')
