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

A guest has two cells on huge pages and two I/O threads. First it moves from a
host with two nodes of two CPUs, assigned in turn, to a host with four nodes of
one CPU. There another guest has a CPU of the copied pins. Then it moves back,
and then to a host whose QEMU refuses it for its CPU. With our driver a guest
with a realtime vCPU moves once. The kernel's view is printed beside the data
in Nova's database. The CPU pre-check is off, because it would refuse the last
move before QEMU does.
"""

import argparse
import sys
import time

from nova_arm_migrate.numa import cpuset
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab import spec
from tests.lab.cloud import cloud as clouds
from tests.lab.cloud import computes
from tests.lab.cloud import numa_look
from tests.lab.cloud import project
from tests.lab.cloud import scene
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings

NAME = 'numa'
HOSTS = (
    'neoverse-n1+numa=2+interleave=1+cpus=4+hugepages=300+ram=3072',
    'neoverse-n1+numa=4+cpus=4+hugepages=600+ram=4096',
    'neoverse-n1,pmu=off+numa=2+cpus=4+hugepages=300+ram=3072',
)
MORE: dict[str, settings.Options] = {
    'compute': {'cpu_dedicated_set': '0-3'},
    'arm_migrate': {'enforcement': 'off'},
}
CELLS = ('hw:cpu_policy=dedicated', 'hw:numa_nodes=2')
# name -> vCPUs, MiB, extra specs
FLAVORS = {
    'pinned': ('1', '256', ('hw:cpu_policy=dedicated',)),
    'cells': ('2', '512', (*CELLS, 'hw:mem_page_size=2048')),
    'realtime': (
        '2',
        '256',
        (
            *CELLS,
            'hw:cpu_realtime=yes',
            'hw:cpu_realtime_mask=^0',
        ),
    ),
}
# [libvirt] realtime_scheduler_priority by vCPU, with the mask above
REALTIME = {1: 1}
# Two periods of the resource tracker of 60 s, and some more.
TRACKER_PATIENCE = 130


class Server(servers.Server):
    """A server whose layout is checked."""

    iothreads = 1
    realtime: dict[int, int] = {}

    @property
    def looks(self) -> numa_look.Looks:
        return numa_look.Looks(self.scene.cloud)

    def live(self) -> numa_look.Layout:
        return self.looks.live(self.host, self.id)

    def compare(self) -> None:
        """Print the running layout and Nova's; expect them to be equal."""
        wanted = numa_look.claimed(
            self.looks.extra('numa_topology', self.id),
            self.iothreads,
            self.realtime,
        )
        found = self.live()
        print(f'   {self.name}, Nova: {wanted}')
        print(f'   {self.name}, /proc on {self.host.name}: {found}')
        wrong = numa_look.differences(wanted, found)
        self.scene.expect(
            not wrong, f'DIFFERENT: {", ".join(wrong)}' if wrong else 'EQUAL'
        )

    def add_iothread(self) -> None:
        """Give the guest a second I/O thread, with the pin of the first.

        Nova gives a guest one I/O thread with any flavor.
        """
        cpus = cpuset.format(self.live().iothreads[1])
        self.host.channel.script(
            'adding iothread 2',
            f'virsh iothreadadd {self.id} 2 --live && '
            f'virsh iothreadpin {self.id} 2 {cpus} --live',
        )
        self.iothreads = 2

    def moves_well(self, target: hosts.Host) -> None:
        """Move it, compare, and print the time that our driver needed."""
        self.moves(target)
        self.compare()
        looks = self.looks
        whole = looks.migration_seconds(self.id)
        job = looks.job_seconds(self.host, self.id)
        print(
            f'   the migration took {whole} s by its record, the job '
            f'{job:.1f} s by libvirt'
        )
        for name, seconds in looks.took(self.host).items():
            print(
                f'   {self.host.name}: {name} in {seconds:.3f} s, '
                f'{seconds / max(whole, 1):.1%} of the migration'
            )

    def expect_apart(self, others: list['Server']) -> None:
        """Expect that it shares no CPU with others on its host."""
        mine = self.live().cpus
        for other in others:
            common = mine & other.live().cpus
            self.scene.expect(
                not common,
                (f'CPU {cpuset.format(common)} is' if common else 'no CPU is')
                + f' shared with {other.name}',
            )


def boot(one: scene.Scene, on: hosts.Host, flavor: str) -> Server:
    server = Server(one, f'{one.name}-{flavor}-{len(one.servers)}', on)
    one.servers.append(server)
    server.boot(flavor)
    return server


def in_the_way(
    one: scene.Scene, server: Server, target: hosts.Host
) -> list[Server]:
    """Start guests on *target*, one on a CPU number that *server* uses."""
    pins = server.live().cpus
    others: list[Server] = []
    for _ in range(2):
        others.append(boot(one, target, 'pinned'))
        others[-1].compare()
        common = pins & others[-1].live().cpus
        if common:
            break
    one.expect(
        bool(common),
        f'copied pins {cpuset.format(pins)} of {server.name} would share CPU '
        f'{cpuset.format(common) or "none"} with {others[-1].name} on '
        f'{target.name}',
    )
    return others


def play(one: scene.Scene, on: list[hosts.Host]) -> None:
    dealt, fine, lesser = on
    server = boot(one, dealt, 'cells')
    server.add_iothread()
    server.compare()
    others = in_the_way(one, server, fine)
    one.say('to four nodes of one CPU, where a guest has a copied pin')
    server.moves_well(fine)
    server.expect_apart(others)
    for other in others:
        other.compare()
    one.say('back to two nodes with the CPUs dealt out')
    server.moves_well(dealt)
    if one.name == 'ours':
        one.say('a guest with a realtime vCPU, to four nodes of one CPU')
        move_realtime(one, dealt, fine, others)
    one.say('to a host whose QEMU refuses it')
    refused(one, server, lesser)


def move_realtime(
    one: scene.Scene,
    source: hosts.Host,
    target: hosts.Host,
    others: list[Server],
) -> None:
    server = boot(one, source, 'realtime')
    server.realtime = REALTIME
    server.compare()
    server.moves_well(target)
    server.expect_apart(others)
    one.cloud.client.check('server', 'delete', '--wait', server.name)
    one.servers.remove(server)


def refused(one: scene.Scene, server: Server, target: hosts.Host) -> None:
    source = server.host
    before = server.live()
    move = server.migrate(target)
    one.expect(move.status == 'failed', f'the migration is {move.status}')
    one.expect(bool(move.reason), f'the reason given: {move.reason or "none"}')
    server.expect_at(source)
    server.compare()
    one.expect(before == server.live(), 'the guest is where it was')
    context = server.looks.extra('migration_context', server.id)
    one.expect(not context, f'migration_context: {context[:80] or "none"}')
    if seconds := server.looks.took(target).get('dry run'):
        print(f'   {target.name}: dry run took {seconds:.3f} s')
    expect_placement(one, server, source, target)
    expect_trackers(one, server, source, target)


def expect_placement(
    one: scene.Scene, server: Server, source: hosts.Host, target: hosts.Host
) -> None:
    looks = server.looks
    has = looks.allocations(server.id)
    one.expect(
        list(has) == [source.name] and has[source.name].get('PCPU') == 2,
        f'Placement, allocations of {server.name}: {has}',
    )
    for host, wanted in ((source, 2), (target, 0)):
        usage = looks.usage(host)
        one.expect(
            usage.get('PCPU', 0) == wanted,
            f'Placement, usage of {host.name}: {usage or "none"}',
        )


def expect_trackers(
    one: scene.Scene, server: Server, source: hosts.Host, target: hosts.Host
) -> None:
    """Expect that both trackers save what runs, and keep it."""
    looks = server.looks
    wanted = frozenset[int]().union(*server.live().vcpus.values())
    started = time.monotonic()
    while True:
        there = looks.tracked(source)
        here = looks.tracked(target)
        held = (
            there[0] == wanted
            and sum(there[1].values()) == 256
            and not here[0]
            and not any(here[1].values())
        )
        waited = time.monotonic() - started
        if held or waited > TRACKER_PATIENCE:
            break
        time.sleep(servers.POLL_PAUSE)
    for host, (pinned, pages) in ((source, there), (target, here)):
        print(
            f'   resource tracker of {host.name}: pinned CPUs '
            f'{cpuset.format(pinned) or "none"}, huge pages by node {pages}'
        )
    one.expect(
        held,
        f'both trackers are right after {waited:.0f} s'
        if held
        else f'after {waited:.0f} s the trackers are not right: '
        f'{server.name} has CPUs {cpuset.format(wanted)} of {source.name}',
    )
    count = computes.log(source).count('CPUPinningUnknown')
    one.expect(
        not count, f'{source.name} logs CPUPinningUnknown {count} times'
    )


def add_hosts(cloud: clouds.Cloud) -> list[hosts.Host]:
    found = list(cloud.lab.hosts.values())
    if not found:
        found = [
            cloud.lab.start(spec.parse(text), image=cloud.image)
            for text in HOSTS
        ]
        for host in found:
            host.wait_ready()
    for host in found:
        computes.put_project(host, cloud.project)
        nodes = host.channel.sh(
            'cd /sys/devices/system/node; for n in node[0-9]*; do '
            'echo "$n: CPU $(cat $n/cpulist), $(cat $n/hugepages/'
            'hugepages-2048kB/nr_hugepages) pages of 2M"; done'
        ).out
        print(f'{host.name}: {host.spec}; ' + '; '.join(nodes.splitlines()))
    return found


def flavors(cloud: clouds.Cloud) -> None:
    for name, (vcpus, ram, properties) in FLAVORS.items():
        argv = [
            'flavor',
            'create',
            '--vcpus',
            vcpus,
            '--ram',
            ram,
            '--disk',
            '1',
            name,
        ]
        for text in properties:
            argv += ['--property', text]
        cloud.client.run(*argv)


def play_with(cloud: clouds.Cloud, on: list[hosts.Host], name: str) -> bool:
    """Run everything with the driver *name*; return whether all held."""
    print(f'=== {name}', flush=True)
    started = time.monotonic()
    one = scene.Scene(cloud, name)
    try:
        cloud.run_driver(on, settings.DRIVERS[name], True, MORE)
        play(one, on)
    except errors.LabError as exc:
        one.expect(False, str(exc))
    finally:
        cloud.save_logs()
        one.clean()
    print(
        f'{name}, {time.monotonic() - started:.0f} s: '
        f'{"; ".join(one.failures) or "all held"}',
        flush=True,
    )
    return not one.failures


def main(argv: list[str]) -> int:
    """Run it with each driver named, or both; return 1 if ours fails."""
    parser = argparse.ArgumentParser('tests.lab.cloud.numa')
    parser.add_argument('driver', nargs='*', help='ours, stock; or both')
    names = parser.parse_args(argv).driver or list(settings.DRIVERS)
    if unknown := set(names) - set(settings.DRIVERS):
        parser.error(f'no driver {", ".join(sorted(unknown))}')
    try:
        cloud = clouds.Cloud.open(NAME)
        project.from_work_tree(cloud.release, cloud.project)
    except errors.LabError:
        cloud = clouds.Cloud.create(NAME)
    try:
        # The filter would refuse the last move before QEMU does.
        cloud.services.start_scheduler(with_filter=False)
        flavors(cloud)
        on = add_hosts(cloud)
        held = {name: play_with(cloud, on, name) for name in names}
    finally:
        cloud.down()
    return 0 if held.get('ours', True) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
