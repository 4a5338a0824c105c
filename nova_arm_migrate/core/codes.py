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

"""Sets of register codes as text: ascending runs."""

from collections.abc import Iterable
import re

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.errors import ProfileError

#: The most registers that a record may have.
MOST_REGISTERS = 2048
_RUN = re.compile(r'(0|[1-9a-f][0-9a-f]{0,6})(?:\+([1-9a-f][0-9a-f]{0,2}))?')


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return numbers as ascending runs: (first, last) of each run."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def dump_codes(codes: Iterable[int]) -> str:
    """Return a set of codes as ascending runs: ``8004+3 c000 140000+3``."""
    return ' '.join(
        f'{a:x}' if a == b else f'{a:x}+{b - a:x}' for a, b in runs(codes)
    )


def load_codes(key: str, text: str) -> frozenset[int]:
    """Return the codes of a text that `dump_codes` wrote.

    :param key: the name of the text in the error
    :raises ProfileError: if it is not such a text
    """
    codes: set[int] = set()
    last = -2
    for run in text.split(' ') if text else ():
        match = _RUN.fullmatch(run)
        if match is None:
            raise ProfileError(
                f'{key}: {forms.quote(run)} is not a run of codes'
            )
        start = int(match[1], 16)
        if start < last + 2:
            raise ProfileError(f'{key}: not in ascending runs')
        last = start + int(match[2] or '0', 16)
        if last > forms.CODE:
            raise ProfileError(f'{key}: {forms.quote(run)} is too large')
        codes.update(range(start, last + 1))
        if len(codes) > MOST_REGISTERS:
            raise ProfileError(f'{key}: more than {MOST_REGISTERS} codes')
    return frozenset(codes)
