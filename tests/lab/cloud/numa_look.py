# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""A guest's placement from Nova's database, Placement and the kernel."""

import dataclasses
import functools
import json
import re
import subprocess
import typing

from nova_arm_migrate.numa import cpuset
from tests.lab import host as hosts
from tests.lab.cloud import cloud as clouds
from tests.lab.cloud import computes

Cpus = frozenset[int]

# Threads of QEMU: kind, name, CPUs, scheduling policy, priority. Then the
# nodes of its huge pages.
_LIVE = """
for p in /proc/[0-9]*; do
  tr '\\0' ' ' < $p/cmdline 2> /dev/null | grep -q '^[^ ]*qemu.*-uuid UUID' \
    || continue
  for t in $p/task/*; do
    cpus=$(sed -n 's/^Cpus_allowed_list:[^0-9]*//p' $t/status)
    set -- $(sed 's/^.*) //' $t/stat)
    kind=T; [ ${t##*/} = ${p##*/} ] && kind=M
    echo "$kind $(tr ' ' '_' < $t/comm) $cpus ${39} ${38}"
  done
  grep huge $p/numa_maps
done
"""
_THREAD = re.compile(
    r'^([MT]) (?:CPU_(?P<vcpu>\d+)/KVM|IO_iothread(?P<io>\d+)|\S+) '
    r'(?P<cpus>\S+) (?P<policy>\d+) (?P<priority>\d+)$',
    re.MULTILINE,
)
# proc_pid_stat(5), SCHED_FIFO
_FIFO = '1'
_TOOK = re.compile(r'NUMA layout: (dry run|comparison) took ([0-9.]+) s')
_ELAPSED = re.compile(r'^Time elapsed: +(\d+) +ms', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The present or the expected layout of a guest.

    :ivar fifo: priorities of the vCPUs with that scheduling policy
    :ivar nodes: of its huge pages; empty if it has none
    """

    vcpus: dict[int, Cpus] = dataclasses.field(default_factory=dict)
    emulator: Cpus = frozenset()
    iothreads: dict[int, Cpus] = dataclasses.field(default_factory=dict)
    fifo: dict[int, int] = dataclasses.field(default_factory=dict)
    nodes: Cpus = frozenset()
    page_kib: Cpus = frozenset()

    @property
    def cpus(self) -> Cpus:
        """All CPUs on which any of its threads may run."""
        return self.emulator.union(
            *self.vcpus.values(), *self.iothreads.values()
        )

    def __str__(self) -> str:
        text = (
            f'vCPUs {_pins(self.vcpus)}, emulator '
            f'{cpuset.format(self.emulator)}, I/O threads '
            f'{_pins(self.iothreads)}'
        )
        if self.fifo:
            text += f', fifo {self.fifo}'
        if self.nodes:
            text += (
                f', nodes {cpuset.format(self.nodes)} in pages of '
                f'{cpuset.format(self.page_kib)} KiB'
            )
        return text


def _pins(pins: dict[int, Cpus]) -> str:
    return ' '.join(
        f'{number}:{cpuset.format(cpus)}'
        for number, cpus in sorted(pins.items())
    )


def live(text: str) -> Layout:
    """Return the kernel's view, from the output of the script."""
    vcpus, iothreads, fifo = {}, {}, {}
    emulator: Cpus = frozenset()
    for thread in _THREAD.finditer(text):
        cpus = cpuset.parse(thread['cpus'])
        if thread[1] == 'M':
            emulator = cpus
        elif thread['io']:
            iothreads[int(thread['io'])] = cpus
        elif thread['vcpu']:
            vcpus[int(thread['vcpu'])] = cpus
            if thread['policy'] == _FIFO:
                fifo[int(thread['vcpu'])] = int(thread['priority'])
    maps = [line for line in text.splitlines() if re.search(r' N\d+=', line)]
    return Layout(
        vcpus,
        emulator,
        iothreads,
        fifo,
        frozenset(
            int(node)
            for line in maps
            for node in re.findall(r' N(\d+)=', line)
        ),
        frozenset(
            int(kib)
            for line in maps
            for kib in re.findall(r'kernelpagesize_kB=(\d+)', line)
        ),
    )


def claimed(
    text: str, iothreads: int = 1, realtime: dict[int, int] | None = None
) -> Layout:
    """Return the expected layout, from the topology in Nova's database.

    QEMU's other threads are on the CPUs of all vCPUs except the realtime ones,
    as in the driver's ``_get_emulatorpin_cpuset``.

    :param iothreads: how many the guest has
    :param realtime: priorities by vCPU
    """
    vcpus: dict[int, Cpus] = {}
    nodes, pages = set(), set()
    for cell in json.loads(text)['nova_object.data']['cells']:
        data = cell['nova_object.data']
        for vcpu, cpu in (data.get('cpu_pinning_raw') or {}).items():
            vcpus[int(vcpu)] = frozenset({int(cpu)})
        if data.get('pagesize'):
            nodes.add(int(data['id']))
            pages.add(int(data['pagesize']))
    emulator = frozenset[int]().union(
        *(cpus for vcpu, cpus in vcpus.items() if vcpu not in (realtime or {}))
    )
    return Layout(
        vcpus,
        emulator,
        dict.fromkeys(range(1, iothreads + 1), emulator),
        realtime or {},
        frozenset(nodes),
        frozenset(pages),
    )


def differences(wanted: Layout, found: Layout) -> list[str]:
    """Return the names of the parts that differ."""
    return [
        field.name
        for field in dataclasses.fields(Layout)
        if getattr(wanted, field.name) != getattr(found, field.name)
    ]


def tracked(text: str) -> tuple[Cpus, dict[int, int]]:
    """Read pinned CPUs, and huge pages in use by node, from a compute node."""
    pinned: set[int] = set()
    used = {}
    for cell in json.loads(text)['nova_object.data']['cells']:
        data = cell['nova_object.data']
        pinned.update(map(int, data['pinned_cpus']))
        pages = [page['nova_object.data'] for page in data['mempages']]
        used[int(data['id'])] = sum(
            int(page['used']) for page in pages if page['size_kb'] == 2048
        )
    return frozenset(pinned), used


def took(log: str) -> dict[str, float]:
    """Return the seconds of the last dry run and comparison in a log."""
    return {name: float(seconds) for name, seconds in _TOOK.findall(log)}


def elapsed(text: str) -> float:
    """Return a job's seconds, from ``virsh domjobinfo``; 0 if it has none."""
    found = _ELAPSED.search(text)
    return int(found[1]) / 1000 if found else 0.0


@dataclasses.dataclass
class Looks:
    """Reads the placement of guests from a cloud."""

    cloud: clouds.Cloud

    def database(self, statement: str) -> str:
        return subprocess.run(
            [
                'mariadb',
                '--no-defaults',
                '-u',
                'root',
                '-N',
                '-r',
                '-B',
                f'-S{self.cloud.services.state}/mariadb.sock',
                'nova',
                '-e',
                statement,
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def extra(self, column: str, uuid: str) -> str:
        """Return a column of ``instance_extra``; empty if it has no value."""
        text = self.database(
            f"select {column} from instance_extra where instance_uuid='{uuid}'"
        )
        return '' if text in ('NULL', 'null') else text

    def live(self, host: hosts.Host, uuid: str) -> Layout:
        return live(host.channel.sh(_LIVE.replace('UUID', uuid)).out)

    def tracked(self, host: hosts.Host) -> tuple[Cpus, dict[int, int]]:
        """Return what the resource tracker of *host* saved last."""
        return tracked(
            self.database(
                'select numa_topology from compute_nodes where deleted=0 '
                f"and host='{host.name}'"
            )
        )

    def migration_seconds(self, uuid: str) -> int:
        """Return the seconds from start to end of the newest migration."""
        return int(
            self.database(
                'select timestampdiff(second, created_at, updated_at) from '
                f"migrations where instance_uuid='{uuid}' "
                'order by id desc limit 1'
            )
        )

    def job_seconds(self, host: hosts.Host, uuid: str) -> float:
        """Return libvirt's seconds for a guest's incoming job."""
        return elapsed(
            host.channel.sh(f'virsh domjobinfo {uuid} --completed').out
        )

    def took(self, host: hosts.Host) -> dict[str, float]:
        return took(computes.log(host))

    @functools.cached_property
    def providers(self) -> dict[str, str]:
        """Return the UUID of each resource provider, by name."""
        listed = self.cloud.client.data('resource', 'provider', 'list')
        return {one['name']: one['uuid'] for one in listed}

    def allocations(self, uuid: str) -> dict[str, dict[str, int]]:
        """Return a consumer's allocations by the provider's name."""
        names = {known: name for name, known in self.providers.items()}
        listed = self.cloud.client.data(
            'resource', 'provider', 'allocation', 'show', uuid
        )
        return {
            names[one['resource_provider']]: one['resources'] for one in listed
        }

    def usage(self, host: hosts.Host) -> dict[str, int]:
        """Return the usage of *host* by all consumers."""
        listed: list[dict[str, typing.Any]] = self.cloud.client.data(
            'resource',
            'provider',
            'usage',
            'show',
            self.providers[host.name],
        )
        return {
            one['resource_class']: int(one['usage'])
            for one in listed
            if int(one['usage'])
        }
