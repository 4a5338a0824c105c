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


"""Parse the kernel's files about a running QEMU.

``/proc/PID/task/TID/{status,comm}`` and ``/proc/PID/numa_maps``
(Documentation/filesystems/proc.rst).
"""

from collections.abc import Iterator
import dataclasses
import re

from nova_arm_migrate.numa import cpuset

#: QEMU's thread names under libvirt (``-name ...,debug-threads=on``).
_VCPU = re.compile(r'CPU (\d+)/(?:KVM|TCG|HVF)', re.ASCII)
_IOTHREAD = re.compile(r'IO iothread(\d+)', re.ASCII)
#: Names of QEMU's memory files: libvirt's backend ids for guest cells.
_RAM = re.compile(r'ram-node(\d+)', re.ASCII)
_NODE_PAGES = re.compile(r'N(\d+)=(\d+)', re.ASCII)


@dataclasses.dataclass(frozen=True)
class Thread:
    """One thread of QEMU.

    :ivar name: ``comm``; 15 characters at most
    :ivar cpus: on which it may run
    """

    name: str
    cpus: frozenset[int]

    @property
    def vcpu(self) -> int | None:
        """The number of its vCPU; None if it is not a vCPU thread."""
        match = _VCPU.match(self.name)
        return int(match[1]) if match else None

    @property
    def iothread(self) -> int | None:
        """The number of its iothread; None if it is not an iothread."""
        match = _IOTHREAD.match(self.name)
        return int(match[1]) if match else None


@dataclasses.dataclass(frozen=True)
class Mapping:
    """One mapping of QEMU's memory.

    :ivar policy: in the kernel's format: ``default``, ``bind:0-1``
    :ivar pages: the number of pages by node
    :ivar page_kib: the page size in KiB
    :ivar kib: the size of the address range in KiB; None if not known
    :ivar file: None for anonymous memory
    """

    policy: str
    pages: dict[int, int]
    page_kib: int
    kib: int | None = None
    file: str | None = None

    @property
    def ram(self) -> int | None:
        """The guest cell whose RAM it is; None if the file does not say."""
        match = _RAM.search(self.file or '')
        return int(match[1]) if match else None

    @property
    def bound(self) -> frozenset[int] | None:
        """The nodes that must provide its memory; None for any node."""
        kind, _, nodes = self.policy.partition(':')
        return cpuset.parse(nodes) if kind.startswith('bind') else None


def allowed_cpus(status: str) -> frozenset[int]:
    """Return the CPUs on which a task may run, from its ``status``.

    :raises ValueError: if the text has no such line
    """
    for line in status.splitlines():
        name, _, value = line.partition(':')
        if name == 'Cpus_allowed_list':
            return cpuset.parse(value)
    raise ValueError('no Cpus_allowed_list')


def mappings(numa_maps: str, maps: str = '') -> Iterator[Mapping]:
    """Read ``numa_maps``; leave out mappings without pages.

    :param maps: ``/proc/PID/maps``, read at the same time, for the sizes
    :raises ValueError: if a line has an unknown format
    """
    sizes = dict(_ranges(maps))
    for line in numa_maps.splitlines():
        address, policy, *words = line.split()
        fields = dict(word.partition('=')[::2] for word in words)
        pages = {
            int(match[1]): int(match[2])
            for word in words
            if (match := _NODE_PAGES.fullmatch(word))
        }
        if pages:
            yield Mapping(
                policy,
                pages,
                int(fields['kernelpagesize_kB']),
                sizes.get(int(address, 16)),
                fields.get('file'),
            )


def _ranges(maps: str) -> Iterator[tuple[int, int]]:
    """Yield the address and the size in KiB of each mapping."""
    for line in maps.splitlines():
        start, _, end = line.partition(' ')[0].partition('-')
        yield int(start, 16), (int(end, 16) - int(start, 16)) >> 10
