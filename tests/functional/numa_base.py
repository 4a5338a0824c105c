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


"""Arm64 computes with NUMA nodes, and guests that are placed on them."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from nova import context as nova_context
from nova import objects
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import config as vconfig

from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.domain import layout_of
from nova_arm_migrate.numa.layout import Layout
from simulated import hypervisor
from tests.functional import base
from tests.functional import nova_helpers
from tests.unit.core import synthetic as s

GIB_KIB = 1 << 20
HOST = s.host()


def host_info(
    nodes: Mapping[int, Collection[int]],
    memory_kib: int = 4 * GIB_KIB,
    pages: Iterable[tuple[int, int | None]] = ((4, None),),
) -> fakelibvirt.HostInfo:
    """Return a host with these nodes: {number: CPUs}.

    :param memory_kib: of each node
    :param pages: (page size in KiB, count) of each node, base pages first
    """
    count = sum(map(len, nodes.values()))
    info = fakelibvirt.HostInfo(
        cpu_nodes=1,
        cpu_sockets=1,
        cpu_cores=count,
        cpu_threads=1,
        kB_mem=memory_kib * len(nodes),
    )
    info.cpu_nodes = len(nodes)
    topology = vconfig.LibvirtConfigCapsNUMATopology()
    for number, cpus in nodes.items():
        cell = vconfig.LibvirtConfigCapsNUMACell()
        cell.id = number
        cell.memory = memory_kib
        cell.mempages = fakelibvirt.create_mempages(
            [
                (size, memory_kib // size if total is None else total)
                for size, total in pages
            ]
        )
        for cpu_id in cpus:
            cpu = vconfig.LibvirtConfigCapsNUMACPU()
            cpu.id = cpu_id
            cpu.socket_id = 0
            cpu.core_id = cpu_id
            cpu.siblings = {cpu_id}
            cell.cpus.append(cpu)
        topology.cells.append(cell)
    info.numa_topology = topology
    return info


class NumaServersTestBase(base.ArmServersTestBase):
    ADDITIONAL_FILTERS = ['NUMATopologyFilter']

    def setUp(self) -> None:
        super().setUp()
        # Only the stock driver needs it: libvirt has no comparison on Arm.
        self.flags(group='workarounds', skip_cpu_compare_on_dest=True)

    def numa_host(
        self,
        name: str,
        nodes: Mapping[int, Collection[int]],
        compute_driver: str = base.OURS,
        version: int | None = None,
        **kwargs: Any,
    ) -> str:
        """Start a compute on a host with these nodes.

        :param version: of libvirt, in its own form: 9001002
        """
        libvirt = {} if version is None else {'version': version}
        return self.host(
            name,
            HOST,
            compute_driver,
            host_info=host_info(nodes, **kwargs),
            **libvirt,
        )

    def pinned(
        self,
        host: str,
        vcpu: int = 2,
        memory_mb: int = 512,
        properties: dict[str, str] | None = None,
        networks: str = 'none',
        **specs: str,
    ) -> dict[str, Any]:
        """Boot a guest with dedicated CPUs.

        :param specs: extra specs, ``__`` for ``:``
        """
        extra = {'hw:cpu_policy': 'dedicated'} | {
            name.replace('__', ':', 1): value for name, value in specs.items()
        }
        flavor = self._create_flavor(
            vcpu=vcpu, memory_mb=memory_mb, disk=1, extra_spec=extra
        )
        return self.boot(
            host, flavor_id=flavor, properties=properties, networks=networks
        )

    def start_migration(
        self, server: dict[str, Any], host: str
    ) -> tuple[str, dict[str, Any]]:
        """Request a migration, and wait until it has ended.

        :returns: (status of the migration, the server at the end)
        """
        known = {migration['id'] for migration in self.migrations_of(server)}
        self.api.post_server_action(
            server['id'],
            {'os-migrateLive': {'host': host, 'block_migration': 'auto'}},
        )
        self._ended(server, known)
        self.threads.wait()
        # Both may have changed since then.
        return self._ended(server, known)

    def _ended(
        self, server: dict[str, Any], known: Collection[int]
    ) -> tuple[str, dict[str, Any]]:
        status = None
        for _ in nova_helpers.polls(360):
            status = [
                migration['status']
                for migration in self.migrations_of(server)
                if migration['id'] not in known
            ]
            now = self.api.get_server(server['id'])
            if (
                status
                and status[0] in ('completed', 'error', 'failed')
                and (now['OS-EXT-STS:task_state'] is None)
            ):
                return status[0], now
        raise AssertionError(f'the migration does not end: {status}')

    def migrations_of(self, server: dict[str, Any]) -> list[dict[str, Any]]:
        found = self.api.api_get(
            f'/os-migrations?instance_uuid={server["id"]}'
        )
        return found.body['migrations']

    def moves(self, server: dict[str, Any], host: str) -> None:
        """Check that a migration completes."""
        status, now = self.start_migration(server, host)
        self.assertEqual(
            ('completed', 'ACTIVE', host),
            (status, now['status'], now['OS-EXT-SRV-ATTR:host']),
        )

    def stays(self, server: dict[str, Any], host: str, status: str) -> None:
        """Check that a migration leaves the guest ACTIVE on the source."""
        before = self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']
        ended, now = self.start_migration(server, host)
        self.assertEqual(
            (status, 'ACTIVE', before),
            (ended, now['status'], now['OS-EXT-SRV-ATTR:host']),
        )

    def domain(self, server: dict[str, Any]) -> hypervisor.ArmDomain:
        """Return the libvirt domain of a server, on the host in Nova."""
        host = self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']
        return self.arm.hosts[host].connection.domain(server['id'])

    def layout(self, server: dict[str, Any]) -> Layout:
        """The layout that the server's domain has."""
        return layout_of(parse.parse_domain(self.domain(server).XMLDesc(0)))

    def with_context(self, server: dict[str, Any]) -> objects.Instance:
        """The instance in the database, its topology and context."""
        return objects.Instance.get_by_uuid(
            nova_context.get_admin_context(),
            server['id'],
            expected_attrs=['numa_topology', 'migration_context', 'flavor'],
        )

    def pins(self, server: dict[str, Any]) -> dict[int, int]:
        """Return the CPU of each vCPU, from Nova's database."""
        return {
            vcpu: cpu
            for cell in self.with_context(server).numa_topology.cells
            for vcpu, cpu in (cell.cpu_pinning or {}).items()
        }

    def as_claimed(self, server: dict[str, Any]) -> Layout:
        """Check the domain against Nova's database."""
        instance = self.with_context(server)
        self.assertIsNone(instance.migration_context)
        layout = self.layout(server)
        self.assertEqual(
            {
                vcpu: frozenset({cpu})
                for vcpu, cpu in self.pins(server).items()
            },
            {
                vcpu: cpus
                for vcpu, cpus in layout.vcpus.items()
                if len(cpus) == 1
            },
        )
        self.assertEqual(
            [frozenset({cell.id}) for cell in instance.numa_topology.cells],
            [cell.nodes for cell in layout.cells],
        )
        self.assertIsNone(layout.shared)
        return layout

    def used_cpus(self, host: str) -> set[int]:
        """Dedicated CPUs in use, by the host's resource tracker."""
        topology = objects.NUMATopology.obj_from_db_obj(
            objects.ComputeNode.get_by_nodename(
                nova_context.get_admin_context(), host
            ).numa_topology
        )
        return {cpu for cell in topology.cells for cpu in cell.pinned_cpus}

    def details(self, server: dict[str, Any], name: str) -> list[str]:
        """Details of the last action's events of that name."""
        return [event['details'] for event in self.events(server, name)]
