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


"""Sets of CPUs and nodes, in the format of libvirt and the kernel."""

from collections.abc import Iterable
import re

from nova_arm_migrate.core.codes import runs

#: Larger than any CPU or node number of Linux (NR_CPUS is at most 8192); a
#: bound for input from other hosts.
LIMIT = 16384

_ITEM = re.compile(r'(\^?)(\d{1,5})(?:-(\d{1,5}))?', re.ASCII)


def parse(text: str) -> frozenset[int]:
    """Read a list like ``0-3,8``, or libvirt's ``0-3,^2`` with an exclusion.

    :raises ValueError: if it is not such a list, or a number is out of range
    """
    chosen: set[int] = set()
    excluded: set[int] = set()
    if not text.strip():
        return frozenset()
    for item in text.split(','):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise ValueError(f'not a list of numbers: {text[:40]!r}')
        first = int(match[2])
        last = first if match[3] is None else int(match[3])
        if not first <= last < LIMIT:
            raise ValueError(f'not a valid range: {item.strip()[:40]!r}')
        (excluded if match[1] else chosen).update(range(first, last + 1))
    return frozenset(chosen - excluded)


def format(numbers: Iterable[int]) -> str:
    """Write the numbers as libvirt does: sorted, with ranges."""
    return ','.join(
        f'{first}' if first == last else f'{first}-{last}'
        for first, last in runs(numbers)
    )
