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

"""Make everything match the guest's place after a live migration.

Nova's own methods for the end of a migration stop at the first failure, and
ignore some failures. This module checks each part separately, corrects it if
it is wrong, and reports it if the correction fails. Where Nova has done all
its work, the checks change nothing.
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from nova import exception
from nova import objects
from nova.compute import task_states
from nova.compute import vm_states
from nova.network import model as network_model
from oslo_log import log as logging

from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova.rollback import destination
from nova_arm_migrate.nova.rollback import presence
from nova_arm_migrate.nova.rollback.ports import Ports
from nova_arm_migrate.nova.rollback.problem import Problem
from nova_arm_migrate.nova.rollback.volumes import Volumes

LOG = logging.getLogger(__name__)

#: Task states of a server that is about to be deleted.
DELETING = (task_states.DELETING, task_states.SOFT_DELETING)
#: Attempts to save the instance: a database may fail for a moment.
_ATTEMPTS = 2


#: What the operator can do if the check of a part fails.
_REMEDIES = {
    'allocations': '. Run nova-manage placement heal_allocations',
    'cleanup': ". Remove the server's remains at the destination",
    'ports': '. Compare the hosts that the ports are bound to',
    'volumes': '. Compare the attachments of the volumes with Cinder',
}

#: Corrects one part, and yields what it could not correct.
Check = Callable[[], Iterator[Problem] | None]


class Settlement:
    """The parts of one migration, checked one by one.

    :param driver: LibvirtDriver of the source
    :param manager: ``nova.compute.manager.ComputeManager`` there
    :param dest: name of the destination
    :param source_bdms: the block device mappings from before the migration
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
        self._volumes = Volumes(
            manager, context, instance, dest, self._bdms_before
        )
        self._ports = Ports(manager, context, instance, dest, migrate_data)

    def at_source(
        self, raised: bool, status: str, begun: bool = True
    ) -> list[Problem]:
        """Make everything show that the guest is on this host.

        :param raised: Nova's rollback has raised an exception
        :param status: the new status of the migration
        :param begun: the driver may have detached interfaces of the guest
        """
        checks: list[tuple[str, Check]] = [
            ('volumes', self._volumes.back),
            ('allocations', self._allocations_back),
            ('ports', self._ports.back),
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
        """Make everything show that the guest is at the destination.

        :param raised: Nova's post-migration work has raised an exception
        """
        checks: list[tuple[str, Check]] = []
        if raised:
            checks += [
                ('source', self._source_disconnected),
                ('source', self._source_unplugged),
                ('disks', self._source_clean),
                ('record', self._record_there),
                ('ports', self._ports.migrate),
            ]
        checks += [
            ('volumes', self._volumes.there),
            ('ports', self._ports.there),
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
                    'Cannot correct the %s of a live migration',
                    part,
                    instance=self._instance,
                )
                yield Problem(
                    part,
                    f'{type(error).__name__}: {error}'
                    f'{_REMEDIES.get(part, "")}',
                )

    # Placement

    def _allocations_back(self) -> Iterator[Problem]:
        """Give the migration's allocations of this host to the instance."""
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
        """Free the migration's allocations of this host."""
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
        """Attach the guest's passed-through interfaces again."""
        if (
            presence.look(self._driver._host, self._instance)
            is Presence.ABSENT
        ):
            return
        self._driver.rollback_live_migration_at_source(
            self._context, self._instance, self._data
        )

    def _destination_clean(self) -> None:
        """Make the destination remove what it has prepared."""
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
                # The destination's resource tracker counts only running
                # migrations: its next audit releases the claim.
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
        """Remove the guest from this host if the destination has it."""
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
        """Make the API show that the server is no longer migrating."""
        for _attempt in range(_ATTEMPTS):
            problems = list(self._run([('record', self._record_back)]))
            if not problems:
                break
        return problems

    def _record_back(self) -> None:
        """Undo what the manager wrote at the start of the migration."""
        now = self._in_database()
        if now is None or now.task_state in DELETING:
            return
        instance = self._instance
        instance.drop_migration_context()
        instance.task_state = None
        instance.progress = 0
        instance.save(expected_task_state=[task_states.MIGRATING, None])

    def _record_there(self) -> Iterator[Problem]:
        """Make the database show that the guest is at the destination."""
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
                f'The guest runs on {self._dest}, but'
                ' nova-compute there has failed to take it over',
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
        # Save in any case: the object may have the status although the
        # manager's own save has failed.
        migration.status = status
        migration.save()
