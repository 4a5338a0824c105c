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


"""What the kernel tells of a running QEMU, read from its text.

``/proc/PID/task/TID/{status,comm}`` and ``/proc/PID/numa_maps``
(Documentation/filesystems/proc.rst).
"""

from collections.abc import Iterator
import dataclasses
import re

from nova_arm_migrate.numa import cpuset

#: QEMU names its threads so under libvirt (``-name ...,debug-threads=on``).
_VCPU = re.compile(r'CPU (\d+)/(?:KVM|TCG|HVF)', re.ASCII)
_IOTHREAD = re.compile(r'IO iothread(\d+)', re.ASCII)
#: Ids of memory backends in QEMU's own files; libvirt's for guest cells.
_RAM = re.compile(r'ram-node(\d+)', re.ASCII)
_NODE_PAGES = re.compile(r'N(\d+)=(\d+)', re.ASCII)


@dataclasses.dataclass(frozen=True)
class Thread:
    """One thread of QEMU.

    :ivar name: ``comm``; 15 characters at most
    :ivar cpus: that it may run on
    """

    name: str
    cpus: frozenset[int]

    @property
    def vcpu(self) -> int | None:
        """Which vCPU it runs; None if none."""
        match = _VCPU.match(self.name)
        return int(match[1]) if match else None

    @property
    def iothread(self) -> int | None:
        """Which iothread it is; None if none."""
        match = _IOTHREAD.match(self.name)
        return int(match[1]) if match else None


@dataclasses.dataclass(frozen=True)
class Mapping:
    """One mapping of QEMU's memory.

    :ivar policy: as the kernel writes it: ``default``, ``bind:0-1``
    :ivar pages: by node
    :ivar page_kib: KiB a page
    :ivar kib: KiB of address space; None if not known
    :ivar file: None for anonymous memory
    """

    policy: str
    pages: dict[int, int]
    page_kib: int
    kib: int | None = None
    file: str | None = None

    @property
    def ram(self) -> int | None:
        """Guest cell whose RAM it is, by its file; None if that's no help."""
        match = _RAM.search(self.file or '')
        return int(match[1]) if match else None

    @property
    def bound(self) -> frozenset[int] | None:
        """Nodes that its memory has to come from; None if any."""
        kind, _, nodes = self.policy.partition(':')
        return cpuset.parse(nodes) if kind.startswith('bind') else None


def allowed_cpus(status: str) -> frozenset[int]:
    """CPUs that a task may run on, from its ``status``.

    :raises ValueError: if it does not say
    """
    for line in status.splitlines():
        name, _, value = line.partition(':')
        if name == 'Cpus_allowed_list':
            return cpuset.parse(value)
    raise ValueError('no Cpus_allowed_list')


def mappings(numa_maps: str, maps: str = '') -> Iterator[Mapping]:
    """Read ``numa_maps``; mappings without a page are left out.

    :param maps: ``/proc/PID/maps`` of the same moment, for the sizes
    :raises ValueError: if a line is of another form
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
    """Address and KiB of each mapping."""
    for line in maps.splitlines():
        start, _, end = line.partition(' ')[0].partition('-')
        yield int(start, 16), (int(end, 16) - int(start, 16)) >> 10
