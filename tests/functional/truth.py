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

"""Check that all data about a server agree.

A migration is settled when the guest runs exactly once, and its host's
libvirt, disks, volumes, ports, Nova's database and Placement agree. Each part
is read from its own store, never from a driver's report.
"""

import collections
import dataclasses
import os
from typing import Any
from typing import TYPE_CHECKING

from nova import context as nova_context
from nova import objects
import nova.conf
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver as libvirt_driver

from simulated.libvirt_names import number

if TYPE_CHECKING:
    from tests.functional.failures_base import FailuresTestBase

_STATES = {
    number(f'VIR_DOMAIN_{name}'): name
    for name in ('RUNNING', 'PAUSED', 'SHUTDOWN', 'SHUTOFF', 'CRASHED')
}

#: The API's power state by libvirt's state.
POWER = {'RUNNING': 1, 'PAUSED': 3, 'SHUTOFF': 4}


@dataclasses.dataclass
class Truth:
    """The actual state of one server.

    :ivar domains: libvirt's state and reason, by host.
    :ivar faults: pairs (part, what is wrong); empty if all agree.
    """

    server: str
    status: str = ''
    host: str | None = None
    task_state: str | None = None
    power_state: int | None = None
    domains: dict[str, tuple[str, str]] = dataclasses.field(
        default_factory=dict
    )
    faults: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    @property
    def runs_on(self) -> list[str]:
        """Return the hosts on which the guest's CPUs can run."""
        return [
            host
            for host, (state, reason) in self.domains.items()
            if state == 'RUNNING' and reason != 'POSTCOPY_FAILED'
        ]

    @property
    def processes_on(self) -> list[str]:
        """Return the hosts that have a QEMU process of the guest."""
        return [
            host
            for host, (state, _) in self.domains.items()
            if state in ('RUNNING', 'PAUSED')
        ]

    @property
    def parts(self) -> list[str]:
        """The parts that disagree."""
        return sorted({part for part, _ in self.faults})

    def wrong(self, part: str, text: str) -> None:
        self.faults.append((part, text))


class Disks:
    """The hosts that have a server's local disks.

    A block migration creates them on the destination. With shared storage
    there is one set for all hosts.
    """

    def __init__(self, test: 'FailuresTestBase') -> None:
        self.shared = True
        self.destroyed: list[tuple[str, str]] = []
        self._hosts: dict[str, set[str]] = collections.defaultdict(set)
        cleanup = libvirt_driver.LibvirtDriver.cleanup
        prepare = libvirt_driver.LibvirtDriver.pre_live_migration

        def clean(
            driver: libvirt_driver.LibvirtDriver,
            context: nova_context.RequestContext,
            instance: objects.Instance,
            network_info: Any,
            block_device_info: Any = None,
            destroy_disks: bool = True,
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            if destroy_disks:
                self.lose(instance.uuid, self._host(driver))
            return cleanup(
                driver,
                context,
                instance,
                network_info,
                block_device_info,
                destroy_disks,
                *args,
                **kwargs,
            )

        def pre(
            driver: libvirt_driver.LibvirtDriver,
            context: nova_context.RequestContext,
            instance: objects.Instance,
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            self._hosts[instance.uuid].add(self._host(driver))
            return prepare(driver, context, instance, *args, **kwargs)

        test.stub_out('nova.virt.libvirt.driver.LibvirtDriver.cleanup', clean)
        test.stub_out(
            'nova.virt.libvirt.driver.LibvirtDriver.pre_live_migration', pre
        )

    def made(self, uuid: str, host: str) -> None:
        """Note that a server was booted on a host."""
        self._hosts[uuid].add(host)

    def lose(self, uuid: str, host: str) -> None:
        """Note that a server's disks were destroyed on a host."""
        self.destroyed.append((uuid, host))
        if self.shared:
            self._hosts[uuid].clear()
        else:
            self._hosts[uuid].discard(host)

    def has(self, uuid: str, host: str) -> bool:
        """Whether a guest can be (re)started on a host with its disks."""
        return (
            bool(self._hosts[uuid])
            if self.shared
            else (host in self._hosts[uuid])
        )

    @staticmethod
    def _host(driver: libvirt_driver.LibvirtDriver) -> str:
        return driver._host.get_connection().hostname


def block_storage(test: 'FailuresTestBase') -> None:
    """Give each host its own storage, so that disks are copied.

    In one process all hosts share one file system; this answers Nova's
    questions about it.
    """
    driver = 'nova.virt.libvirt.driver.LibvirtDriver.'
    test.disks.shared = False
    test.stub_out(
        driver + '_check_shared_storage_test_file', lambda *args: False
    )
    test.stub_out(
        driver + '_assert_dest_node_has_enough_disk', lambda *args: None
    )
    test.stub_out(driver + '_is_shared_block_storage', lambda *args: False)
    test.stub_out(
        driver + 'get_instance_disk_info', lambda *args, **kwargs: '[]'
    )
    test.stub_out(
        driver + '_create_images_and_backing', lambda *args, **kwargs: None
    )
    # A separate directory for each migration: the remains of one must not
    # affect the next.
    test.stub_out(
        'nova.virt.libvirt.utils.get_instance_path_at_destination',
        lambda instance, migrate_data=None: os.path.join(
            nova.conf.CONF.instances_path, f'{migrate_data.filename}.d'
        ),
    )


def look(test: 'FailuresTestBase', server: dict[str, Any]) -> Truth:
    """Read all data about a server, and compare them.

    :param test: a test case of `failures_base`, or a similar one
    :returns: a `Truth`
    """
    instance = objects.Instance.get_by_uuid(
        nova_context.get_admin_context(),
        server['id'],
        expected_attrs=[
            'numa_topology',
            'migration_context',
            'flavor',
            'info_cache',
        ],
    )
    shown = test.api.get_server(server['id'])
    truth = Truth(
        server['id'],
        shown['status'],
        instance.host,
        instance.task_state,
        instance.power_state,
        _domains(test, server['id']),
    )
    _guest(truth, instance)
    _database(test, truth, instance)
    _claims(test, truth, instance)
    _placement(test, truth)
    _volumes(test, truth)
    _ports(test, truth)
    if truth.host and not test.disks.has(truth.server, truth.host):
        truth.wrong('disks', f'destroyed: {test.disks.destroyed}')
    return truth


def _domains(
    test: 'FailuresTestBase', uuid: str
) -> dict[str, tuple[str, str]]:
    found = {}
    for name, host in test.arm.hosts.items():
        try:
            state, reason = host.connection.domain(uuid).state()
        except fakelibvirt.libvirtError:
            continue
        found[name] = (_STATES[state], _reason(_STATES[state], reason))
    return found


def _reason(state: str, wanted: int) -> str:
    for reason in (
        'BOOTED',
        'MIGRATED',
        'RESTORED',
        'UNPAUSED',
        'POSTCOPY',
        'MIGRATION_CANCELED',
        'POSTCOPY_FAILED',
        'USER',
        'MIGRATION',
        'API_ERROR',
        'SHUTDOWN',
        'DESTROYED',
        'CRASHED',
        'SAVED',
        'FAILED',
        'UNKNOWN',
    ):
        try:
            if number(f'VIR_DOMAIN_{state}_{reason}') == wanted:
                return reason
        except KeyError:
            pass
    return str(wanted)


def _guest(truth: Truth, instance: objects.Instance) -> None:
    if len(truth.processes_on) > 1 or len(truth.runs_on) > 1:
        truth.wrong('guest', f'more than one QEMU: {truth.domains}')
    there = truth.domains.get(instance.host)
    others = {
        host: state
        for host, state in truth.domains.items()
        if host != instance.host
    }
    if others:
        truth.wrong(
            'guest',
            f'is (also) on {others}, the database says {instance.host}',
        )
    if there is None:
        truth.wrong('guest', f'{instance.host} has no such domain')
    else:
        wanted = {
            'active': 'RUNNING',
            'paused': 'PAUSED',
            'stopped': 'SHUTOFF',
        }.get(instance.vm_state)
        if wanted is not None and there[0] != wanted:
            truth.wrong(
                'guest',
                f'{instance.vm_state} in the database, {there} in libvirt',
            )
        if there[1] == 'POSTCOPY_FAILED':
            truth.wrong('guest', f'frozen: {there}')
        if POWER.get(there[0]) != instance.power_state:
            truth.wrong(
                'database',
                f'power state {instance.power_state}, {there} in libvirt',
            )


def _database(
    test: 'FailuresTestBase', truth: Truth, instance: objects.Instance
) -> None:
    if instance.node != instance.host:
        truth.wrong('database', f'host {instance.host}, node {instance.node}')
    if instance.task_state is not None:
        truth.wrong('database', f'task state {instance.task_state}')
    if instance.migration_context is not None:
        truth.wrong('database', 'a migration context is left')
    for migration in test.migrations({'id': truth.server}):
        if migration['status'] not in (
            'completed',
            'error',
            'failed',
            'cancelled',
        ):
            truth.wrong('database', f'a migration is {migration["status"]}')


def _pins(instance: objects.Instance) -> set[int]:
    return {
        cpu
        for cell in (
            instance.numa_topology.cells if instance.numa_topology else ()
        )
        for cpu in (cell.cpu_pinning or {}).values()
    }


def _claims(
    test: 'FailuresTestBase', truth: Truth, instance: objects.Instance
) -> None:
    pinned: dict[str, set[int]] = collections.defaultdict(set)
    for other in objects.InstanceList.get_by_filters(
        nova_context.get_admin_context(),
        {'deleted': False},
        expected_attrs=['numa_topology'],
    ):
        pinned[other.host] |= _pins(other)
    for host in test.arm.hosts:
        used = test.used_cpus(host)
        if used != pinned[host]:
            truth.wrong(
                'claims',
                f'{host} has {sorted(used)} claimed, its'
                f' guests have {sorted(pinned[host])}',
            )
    if truth.domains.get(instance.host, ('', ''))[0] in (
        'RUNNING',
        'PAUSED',
    ) and _pins(instance):
        layout = test.layout_on(instance.host, truth.server)
        real = {cpu for cpus in layout.vcpus.values() for cpu in cpus}
        if real != _pins(instance):
            truth.wrong(
                'claims',
                f'runs on {sorted(real)}, has {sorted(_pins(instance))}',
            )


def _placement(test: 'FailuresTestBase', truth: Truth) -> None:
    names = {uuid: name for name, uuid in test.compute_rp_uuids.items()}

    def held(consumer: str) -> list[str]:
        return sorted(
            names.get(provider, provider)
            for provider in test.placement.get(
                f'/allocations/{consumer}'
            ).body['allocations']
        )

    if held(truth.server) != [truth.host]:
        truth.wrong('placement', f'the server is in {held(truth.server)}')
    for migration in test.migrations({'id': truth.server}):
        if held(migration['uuid']):
            truth.wrong(
                'placement', f'a migration holds {held(migration["uuid"])}'
            )


def _volumes(test: 'FailuresTestBase', truth: Truth) -> None:
    bdms = objects.BlockDeviceMappingList.get_by_instance_uuid(
        nova_context.get_admin_context(), truth.server
    )
    known = {bdm.volume_id: bdm for bdm in bdms if bdm.is_volume}
    for volume, attachments in test.cinder.volume_to_attachment.items():
        ours = {
            uuid: attachment
            for uuid, attachment in attachments.items()
            if attachment['instance_uuid'] == truth.server
        }
        if not ours and volume not in known:
            continue
        where = sorted(
            (attachment['connector'] or {}).get('host', '?')
            for attachment in ours.values()
        )
        if where != [truth.host]:
            truth.wrong(
                'attachments', f'Cinder has {volume} attached on {where}'
            )
        bdm = known.get(volume)
        if bdm is None or bdm.attachment_id not in ours:
            truth.wrong(
                'attachments', f'Nova has no or another attachment of {volume}'
            )
        elif f'"{bdm.attachment_id}"' not in (bdm.connection_info or ''):
            truth.wrong(
                'attachments',
                f'the connection is of another attachment of {volume}',
            )


def _ports(test: 'FailuresTestBase', truth: Truth) -> None:
    for port in test.api.get_port_interfaces(truth.server):
        bindings = {
            host: binding['status']
            for host, binding in test.neutron._port_bindings[
                port['port_id']
            ].items()
        }
        if bindings != {truth.host: 'ACTIVE'}:
            truth.wrong('ports', f'bound to {bindings}')
