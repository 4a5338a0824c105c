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


"""What the kernel reports about a host in /proc and /sys.

All paths are below a root directory, so that a recorded tree can replace a
host. Each function raises `ProbeError` with the reason if the kernel does not
report the value.
"""

import pathlib
import re
import struct

from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.probe.errors import ProbeError

# include/uapi/linux/auxvec.h
AT_PAGESZ = 6
AT_HWCAP = (16, 26, 29, 30)

_LONGEST = 65536
_RELEASE = re.compile(r'\d+(?:\.\d+)*')
_HUGE = re.compile(r'hugepages-(\d+)kB')
_IDENTIFICATION = ('midr_el1', 'revidr_el1', 'aidr_el1')


class System:
    """The files below a root directory."""

    def __init__(self, root: pathlib.Path | str = '/') -> None:
        self._root = pathlib.Path(root)

    def _bytes(self, path: str) -> bytes:
        try:
            with open(self._root / path, 'rb', buffering=0) as file:
                return file.read(_LONGEST) or b''
        except OSError as error:
            raise ProbeError(f'/{path}: {error.strerror}') from None

    def _text(self, path: str) -> str:
        return self._bytes(path).decode('ascii', 'replace').strip()

    def kernel_release(self) -> str:
        """Return the kernel's release: ``6.12.41`` of 6.12.41+deb13-arm64.

        A distribution's suffix adds nothing to what the registers show.
        """
        release = self._text('proc/sys/kernel/osrelease')
        match = _RELEASE.match(release)
        if match is None:
            raise ProbeError('/proc/sys/kernel/osrelease: no version in it')
        return match[0]

    def cores(self) -> tuple[Core, ...]:
        """Return the online CPUs, grouped by implementation."""
        kinds: dict[tuple[int, int | None, int | None], list[int]] = {}
        for cpu in parse_list(self._text('sys/devices/system/cpu/online')):
            midr, revidr, aidr = self._identification(cpu)
            if midr is None:
                raise ProbeError(
                    f'CPU {cpu}: no regs/identification/midr_el1 in /sys'
                )
            kinds.setdefault((midr, revidr, aidr), []).append(cpu)
        return tuple(
            Core(midr, revidr, aidr, format_list(cpus))
            for (midr, revidr, aidr), cpus in sorted(
                kinds.items(), key=lambda kind: kind[1]
            )
        )

    def _identification(self, cpu: int) -> list[int | None]:
        directory = f'sys/devices/system/cpu/cpu{cpu}/regs/identification'
        values: list[int | None] = []
        for name in _IDENTIFICATION:
            try:
                values.append(int(self._text(f'{directory}/{name}'), 16))
            except (ProbeError, ValueError):
                values.append(None)
        return values

    def _auxiliary_vector(self) -> dict[int, int]:
        """Return the vector of a 64-bit little-endian process."""
        data = self._bytes('proc/self/auxv')
        whole = len(data) - len(data) % 16
        return dict(struct.iter_unpack('<QQ', data[:whole]))

    def page_size(self) -> int:
        """Return the base page size, in bytes."""
        size = self._auxiliary_vector().get(AT_PAGESZ)
        if not size:
            raise ProbeError('/proc/self/auxv: no AT_PAGESZ in it')
        return size

    def hwcap(self) -> tuple[int, ...]:
        """Return AT_HWCAP and its successors, without trailing zeros."""
        vector = self._auxiliary_vector()
        if AT_HWCAP[0] not in vector:
            raise ProbeError('/proc/self/auxv: no AT_HWCAP in it')
        values = [vector.get(kind, 0) for kind in AT_HWCAP]
        while len(values) > 1 and not values[-1]:
            values.pop()
        return tuple(values)

    def huge_page_sizes(self) -> tuple[int, ...]:
        """Return the huge page sizes, in bytes, ascending."""
        directory = self._root / 'sys/kernel/mm/hugepages'
        try:
            names = [entry.name for entry in directory.iterdir()]
        except OSError as error:
            raise ProbeError(
                f'/sys/kernel/mm/hugepages: {error.strerror}'
            ) from None
        return tuple(
            sorted(
                int(match[1]) << 10
                for name in names
                if (match := _HUGE.fullmatch(name))
            )
        )

    def device_tree_timer_frequency(self) -> int:
        """Return the timer's clock-frequency in Hz; few trees have it."""
        data = self._bytes(
            'sys/firmware/devicetree/base/timer/clock-frequency'
        )
        if len(data) != 4:
            raise ProbeError('device tree: clock-frequency is not one cell')
        return int.from_bytes(data, 'big')


def parse_list(text: str) -> list[int]:
    """Return the numbers in a list of the kernel's format: ``0-3,8``.

    :raises ProbeError: if it is not such a list
    """
    numbers: list[int] = []
    for part in text.split(',') if text else ():
        first, _, last = part.partition('-')
        try:
            numbers.extend(range(int(first), int(last or first) + 1))
        except ValueError:
            raise ProbeError(f'{text[:40]!a} is not a list of CPUs') from None
    return numbers


def format_list(numbers: list[int]) -> str:
    """Return ascending numbers in the kernel's format."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ','.join(str(a) if a == b else f'{a}-{b}' for a, b in runs)
