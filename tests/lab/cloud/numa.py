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

"""Guests with a NUMA layout: ``python3 -m tests.lab.cloud.numa [DRIVER]``.

Hosts with other layouts: two nodes of two CPUs, four nodes of one, and two
nodes with the CPUs dealt out. A guest of two cells on huge pages moves from
the first to the second, where another guest has the CPU that a copied pin
would name, and then to the third, whose QEMU refuses it for its CPU. What the
kernel has is printed beside what Nova's database says. The CPU pre-check is
off, or nothing would come as far as QEMU.
"""

import json
import re
import subprocess
import sys

from tests.lab.cloud import client as clients
from tests.lab.cloud import cloud as clouds
from tests.lab.cloud import computes
from tests.lab.cloud import image
from tests.lab.cloud import install
from tests.lab.cloud import scene
from tests.lab.cloud import settings
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab import spec

NAME = 'numa'
HOSTS = (
    'neoverse-n1+numa=2+cpus=4+hugepages=300+ram=3072',
    'neoverse-n1+numa=4+cpus=4+hugepages=600+ram=4096',
    'neoverse-n1,pmu=off+numa=2+interleave=1+cpus=4+hugepages=300+ram=3072',
)
MORE: dict[str, settings.Options] = {
    'compute': {'cpu_dedicated_set': '0-3'},
    'arm_migrate': {'enforcement': 'off'},
}
# name -> vCPUs, MiB, extra specs
FLAVORS = {
    'pinned': ('1', '256', ('hw:cpu_policy=dedicated',)),
    'cells': ('2', '512', (
        'hw:cpu_policy=dedicated', 'hw:numa_nodes=2',
        'hw:mem_page_size=2048',
    )),
}  # fmt: skip
DRIVERS = {'ours': settings.OUR_DRIVER, 'stock': settings.STOCK_DRIVER}

# Threads of QEMU with their CPUs, then where its huge pages are.
_LIVE = """
for p in /proc/[0-9]*; do
  tr '\\0' ' ' < $p/cmdline 2> /dev/null | grep -q '^[^ ]*qemu.*-uuid UUID' \
    || continue
  for t in $p/task/*; do
    cpus=$(sed -n 's/^Cpus_allowed_list:[^0-9]*//p' $t/status)
    echo "T $(tr ' ' '_' < $t/comm) $cpus"
  done
  grep huge $p/numa_maps
done
"""
_VCPU = re.compile(r'^T CPU_(\d+)/KVM (\S+)$', re.MULTILINE)
_TOOK = re.compile(r'NUMA layout: (tried out|compared) in ([0-9.]+) s')


def live(text: str) -> tuple[dict[int, str], set[int], set[int]]:
    """CPUs by vCPU, nodes and sizes (KiB) of huge pages, from the host."""
    maps = [line for line in text.splitlines() if line[:1] != 'T']
    return (
        {int(vcpu): cpus for vcpu, cpus in _VCPU.findall(text)},
        {int(n) for line in maps for n in re.findall(r'\bN(\d+)=', line)},
        {int(n) for line in maps if re.search(r'\bN\d+=', line)
         for n in re.findall(r'kernelpagesize_kB=(\d+)', line)},
    )  # fmt: skip


def claimed(text: str) -> tuple[dict[int, str], set[int]]:
    """CPU by vCPU and nodes, from the topology in Nova's database."""
    pins: dict[int, str] = {}
    nodes = set()
    for cell in json.loads(text)['nova_object.data']['cells']:
        data = cell['nova_object.data']
        nodes.add(int(data['id']))
        for vcpu, cpu in (data.get('cpu_pinning_raw') or {}).items():
            pins[int(vcpu)] = str(cpu)
    return pins, nodes


def query(cloud: clouds.Cloud, column: str, uuid: str) -> str:
    """A column of ``instance_extra``."""
    return subprocess.run(
        ['mariadb', '--no-defaults', '-u', 'root', '-N', '-r', '-B',
         f'-S{cloud.services.state}/mariadb.sock', 'nova', '-e',
         f"select {column} from instance_extra where instance_uuid='{uuid}'"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


class Server(scene.Server):
    """A server of another flavor than that of the other scenarios."""

    flavor = 'pinned'

    def boot(self) -> None:
        self._client.check(
            'server', 'create', '--image', 'witness', '--flavor', self.flavor,
            '--no-network', '--host', self.host.name, self.name, '-c', 'id',
            show=True,
        )  # fmt: skip
        self.id = self.show()['id']
        clients.wait(
            f'server {self.name} ACTIVE or ERROR',
            lambda: self.show()['status'] in ('ACTIVE', 'ERROR'),
            scene.BOOT_PATIENCE, scene.POLL_PAUSE,
        )  # fmt: skip
        shown = self.show()
        if shown['status'] != 'ACTIVE':
            raise errors.LabError(f'{self.name}: {shown.get("fault")}')
        self.wait_reports(1)

    def compare(self) -> None:
        """Print what runs beside what Nova has; expect them to be equal."""
        pins, nodes = claimed(
            query(self.scene.cloud, 'numa_topology', self.id))
        text = self.host.channel.sh(_LIVE.replace('UUID', self.id)).out
        vcpus, on, sizes = live(text)
        print(f'   layout {self.name}: vCPUs {pins}, nodes {sorted(nodes)}')
        print(f'   {self.host.name} /proc: vCPUs {vcpus}, huge pages on '
              f'{sorted(on)}, KiB {sorted(sizes)}')
        equal = vcpus == pins and (not on or on == nodes)
        self.scene.expect(equal, 'EQUAL' if equal else 'DIFFERENT')

    def settled(self) -> None:
        """Expect nothing of a migration that failed to be left."""
        context = query(self.scene.cloud, 'migration_context', self.id)
        self.scene.expect(
            context in ('', 'NULL', 'null'),
            f'migration_context: {context[:60] or "none"}')


def took(host: hosts.Host) -> None:
    for name, seconds in _TOOK.findall(computes.log(host)):
        print(f'   {host.name}: {name} in {seconds} s')


def boot(one: scene.Scene, on: hosts.Host, flavor: str) -> Server:
    server = Server(one, f'{one.name}-{flavor}', on)
    server.flavor = flavor
    one.servers.append(server)
    server.boot()
    return server


def play(one: scene.Scene, on: list[hosts.Host]) -> None:
    there = boot(one, on[1], 'pinned')
    there.compare()
    server = boot(one, on[0], 'cells')
    server.compare()
    move = server.migrate(on[1])
    one.expect(move.status == 'completed', 'moved to other nodes')
    server.compare()
    there.compare()
    took(on[1])
    one.say('to a host whose QEMU refuses it')
    move = server.migrate(on[2])
    one.expect(move.status == 'failed', f'the migration is {move.status}')
    one.expect(move.server_status == 'ACTIVE',
               f'the server is {move.server_status}')
    one.expect(bool(move.reason), f'the reason given: {move.reason[:200]}')
    server.compare()
    server.settled()
    took(on[2])


def add_hosts(cloud: clouds.Cloud) -> list[hosts.Host]:
    found = list(cloud.lab.hosts.values())
    if not found:
        found = [cloud.lab.start(spec.parse(text), image=cloud.image)
                 for text in HOSTS]  # fmt: skip
        for host in found:
            host.wait_ready()
    for host in found:
        computes.put_project(host, cloud.project)
    return found


def flavors(cloud: clouds.Cloud) -> None:
    for name, (vcpus, ram, properties) in FLAVORS.items():
        argv = ['flavor', 'create', '--vcpus', vcpus, '--ram', ram, '--disk',
                '1', name]  # fmt: skip
        for text in properties:
            argv += ['--property', text]
        cloud.client.run(*argv)


def main(names: list[str]) -> int:
    """Play it with each driver named, or with both."""
    try:
        cloud = clouds.Cloud.open(NAME)
        install.project(image.PROJECT_INSIDE, cloud.project)
    except errors.LabError:
        cloud = clouds.Cloud.create(NAME)
    failures = []
    try:
        # Its filter would not let the last move come as far as QEMU.
        cloud.services.start_scheduler(with_filter=False)
        flavors(cloud)
        on = add_hosts(cloud)
        for name in names or list(DRIVERS):
            print(f'=== {name}', flush=True)
            one = scene.Scene(cloud, name)
            cloud.run_driver(on, DRIVERS[name], True, MORE)
            try:
                play(one, on)
            except errors.LabError as exc:
                one.failures.append(str(exc))
                print(f'   NOT: {exc}', flush=True)
            finally:
                cloud.save_logs()
                one.clean()
            print(f'{name}: {"; ".join(one.failures) or "all held"}',
                  flush=True)
            failures += one.failures if name == 'ours' else []
    finally:
        cloud.down()
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
