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

"""Making everything agree with where the guest is after a live migration.

Nova's own methods for the end of a migration stop at the first thing that
fails, and pass over some failures. Here each part is looked at on its own,
put right if it is wrong, and named if that fails. Where Nova has done all,
the looks change nothing.
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from nova import exception
from nova import objects
from nova.compute import task_states
from nova.compute import vm_states
from nova.network import model as network_model
from nova.network import neutron
from oslo_log import log as logging

from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova.rollback import destination
from nova_arm_migrate.nova.rollback import presence
from nova_arm_migrate.nova.rollback.problem import Problem

LOG = logging.getLogger(__name__)

#: Task states of a server that is about to be deleted.
DELETING = (task_states.DELETING, task_states.SOFT_DELETING)
_NOT_FOUND = 404
#: To save the instance: a database may be away for a moment.
_ATTEMPTS = 2


#: What to do about a part that can not even be looked at.
_REMEDIES = {
    'allocations': '. Run nova-manage placement heal_allocations',
    'cleanup': '. Remove what is left of the server at the destination',
    'ports': '. Compare the hosts that the ports are bound to',
    'volumes': '. Compare the attachments of the volumes with Cinder',
}

#: Puts one part right, and tells what it could not put right.
Check = Callable[[], Iterator[Problem] | None]


class Settlement:
    """The parts of one migration, checked one by one.

    :param driver: LibvirtDriver of the source
    :param manager: ``nova.compute.manager.ComputeManager`` there
    :param dest: name of the destination
    :param source_bdms: the block device mappings as they were before
    """

    def __init__(
        self,
        driver: Any,
        manager: Any,
        context: Any,
        instance: Any,
        dest: str,
        migrate_data: Any,
        source_bdms: Any,
    ) -> None:
        self._driver = driver
        self._manager = manager
        self._context = context
        self._instance = instance
        self._dest = dest
        self._data = migrate_data
        self._bdms_before = {
            bdm.volume_id: bdm for bdm in source_bdms or () if bdm.is_volume
        }

    def at_source(
        self, raised: bool, status: str, begun: bool = True
    ) -> list[Problem]:
        """Have everything say that the guest is on this host.

        :param raised: Nova's rollback has raised
        :param status: that the migration is to have
        :param begun: the driver may have detached interfaces of the guest
        """
        checks: list[tuple[str, Check]] = [
            ('volumes', self._volumes_back),
            ('allocations', self._allocations_back),
            ('ports', lambda: self._bindings(self._manager.host, self._dest)),
        ]
        if raised and begun:
            checks += [('interfaces', self._interfaces_back)]
        if raised:
            checks += [
                ('cleanup', self._destination_clean),
                ('record', self._record_back),
                ('record', lambda: self._migration_status(status)),
            ]
        return list(self._run(checks))

    def at_destination(self, raised: bool) -> list[Problem]:
        """Have everything say that the guest is at the destination.

        :param raised: Nova's post work has raised
        """
        checks: list[tuple[str, Check]] = []
        if raised:
            checks += [
                ('source', self._source_disconnected),
                ('source', self._source_unplugged),
                ('disks', self._source_clean),
                ('record', self._record_there),
                ('ports', self._ports_there),
            ]
        checks += [
            ('volumes', self._volumes_there),
            ('ports', lambda: self._bindings(self._dest, self._manager.host)),
        ]
        if raised:
            checks += [
                ('allocations', self._allocations_there),
                ('record', lambda: self._migration_status('completed')),
            ]
        return list(self._run(checks))

    def _run(self, checks: list[tuple[str, Check]]) -> Iterator[Problem]:
        for part, check in checks:
            try:
                yield from check() or ()
            except Exception as error:
                LOG.exception(
                    'The %s of a live migration can not be put right',
                    part,
                    instance=self._instance,
                )
                yield Problem(
                    part,
                    f'{type(error).__name__}: {error}'
                    f'{_REMEDIES.get(part, "")}',
                )

    # Volumes

    def _volumes_back(self) -> Iterator[Problem]:
        """Give each volume the attachment of this host, and only that."""
        wrong = []
        for bdm in objects.BlockDeviceMappingList.get_by_instance_uuid(
            self._context, self._instance.uuid
        ):
            before = self._bdms_before.get(bdm.volume_id)
            if (
                bdm.is_volume
                and before is not None
                and (
                    bdm.attachment_id != before.attachment_id
                    or bdm.connection_info != before.connection_info
                )
            ):
                wrong.append((bdm, before))
        if wrong:
            self._manager._remove_remote_volume_connections(
                self._context,
                self._dest,
                [bdm for bdm, _ in wrong],
                self._instance,
            )
        for bdm, before in wrong:
            stray = bdm.attachment_id
            bdm.attachment_id = before.attachment_id
            bdm.connection_info = before.connection_info
            # First, so that Nova works on the right one from now on.
            bdm.save()
            if stray and stray != before.attachment_id:
                yield from self._delete_attachment(
                    bdm.volume_id, stray, self._dest
                )

    def _volumes_there(self) -> Iterator[Problem]:
        """Leave no attachment of this host to a volume."""
        for bdm in objects.BlockDeviceMappingList.get_by_instance_uuid(
            self._context, self._instance.uuid
        ):
            before = self._bdms_before.get(bdm.volume_id)
            if (
                before is None
                or not before.attachment_id
                or (bdm.attachment_id == before.attachment_id)
            ):
                continue
            try:
                self._manager.volume_api.attachment_get(
                    self._context, before.attachment_id
                )
            except exception.VolumeAttachmentNotFound:
                continue
            except Exception as error:
                LOG.warning(
                    'Whether an attachment is left is not known: %s',
                    error,
                    instance=self._instance,
                )
            yield from self._delete_attachment(
                bdm.volume_id, before.attachment_id, self._manager.host
            )

    def _delete_attachment(
        self, volume: str, attachment: str, host: str
    ) -> Iterator[Problem]:
        try:
            self._manager.volume_api.attachment_delete(
                self._context, attachment
            )
        except exception.VolumeAttachmentNotFound:
            return
        except Exception as error:
            yield Problem(
                'volumes',
                f'Volume {volume} still has the attachment'
                f' {attachment} of {host}. Delete it with openstack volume'
                f' attachment delete ({error})',
            )

    # Ports

    def _bindings(self, here: str, elsewhere: str) -> Iterator[Problem]:
        """Give each port the binding of one host, and only that."""
        data = self._data
        ports = (
            [vif.port_id for vif in data.vifs]
            if 'vifs' in data and data.vifs
            else []
        )
        if not ports:
            return
        client = neutron.get_client(self._context, admin=True)
        for port in ports:
            try:
                wanted = _binding(client, port, here)
                if wanted is not None and wanted['status'] != 'ACTIVE':
                    client.activate_port_binding(port, here)
                if _binding(client, port, elsewhere) is not None:
                    client.delete_port_binding(port, elsewhere)
            except Exception as error:
                yield Problem(
                    'ports',
                    f'Port {port} may still be bound to {elsewhere}'
                    f' ({type(error).__name__}: {error})',
                )

    def _ports_there(self) -> None:
        """Do what the manager does for the ports of a guest that has left."""
        migration = objects.Migration(
            source_compute=self._manager.host,
            dest_compute=self._dest,
            migration_type='live-migration',
        )
        network = self._manager.network_api
        network.migrate_instance_start(
            self._context, self._instance, migration
        )
        network.migrate_instance_finish(
            self._context, self._instance, migration, provider_mappings=None
        )
        network.setup_networks_on_host(
            self._context, self._instance, self._manager.host, teardown=True
        )

    # Placement

    def _allocations_back(self) -> Iterator[Problem]:
        """Give the instance what the migration holds of this host."""
        report = self._manager.reportclient
        migration = self._data.migration
        held = report.get_allocs_for_consumer(self._context, migration.uuid)
        if held.get('allocations') and not report.move_allocations(
            self._context, migration.uuid, self._instance.uuid
        ):
            yield Problem(
                'allocations',
                'Placement still has allocations of'
                f' the migration {migration.uuid}. Run nova-manage'
                ' placement heal_allocations',
            )

    def _allocations_there(self) -> None:
        """Free what the migration holds of this host."""
        self._manager.rt.free_pci_device_allocations_for_instance(
            self._context, self._instance
        )
        report = self._manager.reportclient
        migration = self._data.migration
        held = report.get_allocs_for_consumer(self._context, migration.uuid)
        if held.get('allocations'):
            report.delete_allocation_for_instance(
                self._context,
                migration.uuid,
                consumer_type='migration',
                force=False,
            )

    # The two hosts

    def _interfaces_back(self) -> None:
        """Attach again the passed-through interfaces of the guest."""
        if (
            presence.look(self._driver._host, self._instance)
            is Presence.ABSENT
        ):
            return
        self._driver.rollback_live_migration_at_source(
            self._context, self._instance, self._data
        )

    def _destination_clean(self) -> None:
        """Have the destination remove what it has prepared."""
        answer = destination.ask(
            self._manager, self._context, self._instance, self._dest
        )
        rpc = self._manager.compute_rpcapi
        do_cleanup, destroy_disks = self._cleanup_flags()
        if do_cleanup and answer.arriving is not False:
            rpc.rollback_live_migration_at_destination(
                self._context,
                self._instance,
                self._dest,
                destroy_disks=destroy_disks,
                migrate_data=self._data,
            )
        elif not do_cleanup:
            self._manager.network_api.setup_networks_on_host(
                self._context, self._instance, host=self._dest, teardown=True
            )
        if 'src_supports_numa_live_migration' in self._data and (
            self._data.src_supports_numa_live_migration
        ):
            try:
                rpc.drop_move_claim_at_destination(
                    self._context, self._instance, self._dest
                )
            except Exception as error:
                # The destination's tracker counts migrations under way only:
                # it releases the claim when it looks next.
                LOG.warning(
                    'The destination has not released its claim: %s',
                    error,
                    instance=self._instance,
                )

    def _cleanup_flags(self) -> tuple[bool, bool]:
        flags: tuple[bool, bool] = self._manager._live_migration_cleanup_flags(
            self._data, migr_ctxt=self._instance.migration_context
        )
        return flags

    def _source_disconnected(self) -> None:
        """Disconnect the volumes from this host."""
        before = list(self._bdms_before.values())
        info = self._manager._get_instance_block_device_info(
            self._context,
            self._instance,
            bdms=objects.BlockDeviceMappingList(objects=before),
        )
        self._driver.post_live_migration(
            self._context, self._instance, info, self._data
        )

    def _source_unplugged(self) -> None:
        """Unplug the guest's interfaces from this host's networks."""
        self._driver.post_live_migration_at_source(
            self._context, self._instance, self._source_network()
        )

    def _source_network(self) -> Any:
        data = self._data
        if 'vifs' not in data or not data.vifs:
            return self._instance.get_network_info()
        return network_model.NetworkInfo.hydrate(
            [vif.source_vif for vif in data.vifs]
        )

    def _source_clean(self) -> Iterator[Problem]:
        """Remove the guest from this host once it is seen elsewhere."""
        answer = destination.ask(
            self._manager, self._context, self._instance, self._dest
        )
        if answer.domain not in (Presence.RUNNING, Presence.PAUSED):
            yield Problem(
                'disks',
                f'The disks are kept on {self._manager.host}:'
                f' {self._dest} says that the guest is'
                f' {answer.domain.value} there',
                fatal=False,
            )
            return
        do_cleanup, destroy_disks = self._cleanup_flags()
        if do_cleanup:
            self._driver.cleanup(
                self._context,
                self._instance,
                self._source_network(),
                destroy_disks=destroy_disks,
                migrate_data=self._data,
                destroy_vifs=False,
            )

    # The database

    def end_at_source(self) -> list[Problem]:
        """Have the API say that the server is no longer migrating."""
        for _attempt in range(_ATTEMPTS):
            problems = list(self._run([('record', self._record_back)]))
            if not problems:
                break
        return problems

    def _record_back(self) -> None:
        """Take back what the manager wrote for the time of the migration."""
        now = self._in_database()
        if now is None or now.task_state in DELETING:
            return
        instance = self._instance
        instance.drop_migration_context()
        instance.task_state = None
        instance.progress = 0
        instance.save(expected_task_state=[task_states.MIGRATING, None])

    def _record_there(self) -> Iterator[Problem]:
        """Have the database say that the guest is at the destination."""
        now = self._in_database()
        if now is None:
            return
        instance = self._instance
        if now.host != self._dest:
            node = self._manager._get_compute_info(self._context, self._dest)
            instance.apply_migration_context()
            instance.drop_migration_context()
            instance.host = self._dest
            instance.node = node.hypervisor_hostname
            instance.compute_id = node.id
            instance.task_state = None
            instance.progress = 0
            instance.save()
        elif now.vm_state == vm_states.ERROR:
            yield Problem(
                'guest',
                f'{self._dest} has failed to take the'
                ' guest over, which runs there',
            )

    def _in_database(self) -> Any:
        try:
            return objects.Instance.get_by_uuid(
                self._context, self._instance.uuid
            )
        except exception.InstanceNotFound:
            return None

    def _migration_status(self, status: str) -> None:
        migration = self._data.migration
        # Whatever the object says: the manager's own save may have failed.
        migration.status = status
        migration.save()


def _binding(client: Any, port: str, host: str) -> Any:
    """Return a port's binding to a host; None if it has none."""
    try:
        return client.show_port_binding(port, host)['binding']
    except neutron.neutron_client_exc.NeutronClientException as error:
        if error.status_code == _NOT_FOUND:
            return None
        raise
