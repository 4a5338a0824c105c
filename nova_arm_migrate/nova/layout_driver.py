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


"""The driver's overrides for NUMA layouts and for failed migrations.

`ArmLibvirtDriver` extends this class. The work is in `numa_migration` and
`source_job`. On a host that is not aarch64 with ``[libvirt] virt_type = kvm``
each override only calls its parent.
"""

from typing import Any

from nova import exception
from nova import objects
import nova.conf
from oslo_log import log as logging

from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova import events
from nova_arm_migrate.nova import monitored_driver
from nova_arm_migrate.nova.layout import numa_migration
from nova_arm_migrate.nova.rollback import destination
from nova_arm_migrate.nova.rollback import job_registry
from nova_arm_migrate.nova.rollback import presence
from nova_arm_migrate.nova.rollback import qemu_log
from nova_arm_migrate.nova.rollback import source_job
from nova_arm_migrate.nova.rollback.preparation import Preparation
from nova_arm_migrate.nova.rollback.watched_guest import WatchedGuest

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

_RUNS_HERE = (Presence.RUNNING, Presence.POST_COPY, Presence.POST_COPY_FAILED)


class LayoutDriver(monitored_driver.MonitoredDriver):
    """LibvirtDriver that moves NUMA layouts and rolls failures back."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        """Set up the state of the running migrations."""
        super().__init__(virtapi, read_only)
        self._numa = numa_migration.NumaMigration(self)
        self._jobs = job_registry.Jobs()
        self._arrivals = destination.Arrivals()
        self._preparation: Preparation | None = None

    def init_host(self, host: str) -> None:
        """Watch for migrations that fail before Nova calls the driver."""
        super().init_host(host)
        # A driver gets no other reference to the manager. Tests pass a
        # virtapi without one.
        manager = getattr(self.virtapi, '_compute', None)
        if manager is not None and self._is_arm_kvm():
            self._preparation = Preparation(self, manager)

    # Layouts

    def check_can_live_migrate_destination(
        self,
        context: Any,
        instance: Any,
        src_compute_info: Any,
        dst_compute_info: Any,
        block_migration: Any = False,
        disk_over_commit: Any = False,
    ) -> Any:
        """Ask the source for the guest's XML, for the dry run here."""
        data = super().check_can_live_migrate_destination(
            context,
            instance,
            src_compute_info,
            dst_compute_info,
            block_migration,
            disk_over_commit,
        )
        if self._is_arm_kvm():
            self._numa.ask(instance, data)
        return data

    def check_can_live_migrate_source(
        self,
        context: Any,
        instance: Any,
        dest_check_data: Any,
        block_device_info: Any = None,
    ) -> Any:
        """Send the guest's XML if the destination has asked for it."""
        data = super().check_can_live_migrate_source(
            context, instance, dest_check_data, block_device_info
        )
        if self._is_arm_kvm():
            self._numa.answer(instance, data)
        return data

    def post_claim_migrate_data(
        self, context: Any, instance: Any, migrate_data: Any, claim: Any
    ) -> Any:
        """Do a dry run of the guest with the claim that Nova has made."""
        if not self._is_arm_kvm():
            return super().post_claim_migrate_data(
                context, instance, migrate_data, claim
            )
        with self._numa.claimed(claim):
            data = super().post_claim_migrate_data(
                context, instance, migrate_data, claim
            )
            self._numa.dry_run(instance, data, claim)
        return data

    def pre_live_migration(
        self,
        context: Any,
        instance: Any,
        block_device_info: Any,
        network_info: Any,
        disk_info: Any,
        migrate_data: Any,
    ) -> Any:
        """Send the layout to the source when this host is ready."""
        self._arrivals.begin(instance.uuid)
        data = super().pre_live_migration(
            context,
            instance,
            block_device_info,
            network_info,
            disk_info,
            migrate_data,
        )
        if self._is_arm_kvm():
            self._numa.send(instance, data)
        return data

    def post_live_migration_at_destination(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_migration: Any = False,
        block_device_info: Any = None,
    ) -> None:
        """Compare the guest that has arrived with its layout."""
        super().post_live_migration_at_destination(
            context, instance, network_info, block_migration, block_device_info
        )
        self._arrivals.end(instance.uuid)
        if self._is_arm_kvm():
            self._numa.post_migration(context, instance)

    # Failures

    def live_migration(
        self,
        context: Any,
        instance: Any,
        dest: str,
        post_method: Any,
        recover_method: Any,
        block_migration: Any = False,
        migrate_data: Any = None,
    ) -> None:
        """Settle the migration, so that the API shows the true state.

        The manager puts the instance in ERROR whenever this method raises.
        The parent raises for every migration that fails, and for some
        migrations that succeed.
        """
        if not self._is_arm_kvm():
            super().live_migration(
                context,
                instance,
                dest,
                post_method,
                recover_method,
                block_migration,
                migrate_data,
            )
            return
        if self._preparation is not None:
            self._preparation.over()
        migrating = source_job.Job(
            self,
            context,
            instance,
            dest,
            post_method,
            recover_method,
            block_migration,
            migrate_data,
        )
        with self._jobs.current(migrating, migrate_data):
            try:
                super().live_migration(
                    context,
                    instance,
                    dest,
                    migrating.post,
                    migrating.recover,
                    block_migration,
                    migrate_data,
                )
            except Exception as error:
                if not migrating.over:
                    migrating.settle(error)
                if not migrating.settled:
                    raise
                LOG.warning(
                    'A live migration has failed and is settled: %s',
                    error,
                    instance=instance,
                )
            finally:
                # A monitor that fails does not remove its entry.
                if self._jobs.owns_tasks(self.active_migrations, instance):
                    self.active_migrations.pop(instance.uuid, None)

    def _live_migration_operation(
        self,
        context: Any,
        instance: Any,
        dest: str,
        block_migration: Any,
        migrate_data: Any,
        guest: Any,
        device_names: Any,
    ) -> None:
        """Migrate with the destination's layout, and keep the outcome."""
        migrating = self._jobs.of(migrate_data)
        if migrating is None:
            super()._live_migration_operation(
                context,
                instance,
                dest,
                block_migration,
                migrate_data,
                guest,
                device_names,
            )
            return
        failure: Exception | None = None
        try:
            guest = self._numa.leaving(instance, migrate_data, guest)
            super()._live_migration_operation(
                context,
                instance,
                dest,
                block_migration,
                migrate_data,
                WatchedGuest(guest, migrating),
                device_names,
            )
        except Exception as error:
            failure = error
            raise
        finally:
            migrating.ended(failure)

    def _live_migration_monitor(
        self,
        context: Any,
        instance: Any,
        guest: Any,
        dest: str,
        post_method: Any,
        recover_method: Any,
        block_migration: Any,
        migrate_data: Any,
        future: Any,
        disk_paths: Any,
    ) -> None:
        """Monitor the guest until the outcome of its job is known."""
        migrating = self._jobs.of(migrate_data)
        if migrating is not None:
            migrating.spawned()
            migrating.tasks = self.active_migrations.get(instance.uuid)
            guest = WatchedGuest(guest, migrating)
        super()._live_migration_monitor(
            context,
            instance,
            guest,
            dest,
            post_method,
            recover_method,
            block_migration,
            migrate_data,
            future,
            disk_paths,
        )

    def _clear_empty_migration(self, instance: Any) -> None:
        """Keep the parent's entry if it belongs to a later job."""
        if self._jobs.owns_tasks(self.active_migrations, instance):
            super()._clear_empty_migration(instance)

    def live_migration_abort(self, instance: Any) -> None:
        """Abort the job; a job's own thread aborts no other job."""
        migrating = self._jobs.in_this_thread()
        if migrating is not None:
            if migrating.running and not migrating.post_copy:
                super().live_migration_abort(instance)
            return
        super().live_migration_abort(instance)
        self._jobs.aborted(instance)

    def check_instance_shared_storage_remote(
        self, context: Any, data: Any
    ) -> Any:
        """Tell the source of a live migration the guest's state here."""
        uuid = destination.asked(data)
        if uuid is None or not self._is_arm_kvm():
            return super().check_instance_shared_storage_remote(context, data)
        return destination.answer(
            self._host,
            presence.look(self._host, objects.Instance(uuid=uuid)),
            self._arrivals.arriving(uuid),
        )

    def rollback_live_migration_at_destination(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any,
        destroy_disks: bool = True,
        migrate_data: Any = None,
    ) -> None:
        """Never destroy a guest that runs here; report QEMU's last message.

        :raises nova.exception.MigrationError: if the guest runs here
        """
        if self._is_arm_kvm():
            since = self._arrivals.end(instance.uuid)
            words = qemu_log.last_line(instance, since) if since else None
            if words:
                events.failed(context, instance, 'qemu', words)
            if presence.look(self._host, instance) in _RUNS_HERE:
                reason = (
                    f'The guest runs on {CONF.host} and is not removed there'
                )
                events.failed(context, instance, 'destination', reason)
                raise exception.MigrationError(reason=reason)
            keep_to_itself(instance)
        super().rollback_live_migration_at_destination(
            context,
            instance,
            network_info,
            block_device_info,
            destroy_disks=destroy_disks,
            migrate_data=migrate_data,
        )


def keep_to_itself(instance: Any) -> None:
    """Keep the destination's data out of the instance's record.

    Nova gives the destination's driver the instance as it would be there, and
    the parent's clean-up saves it. It would save the pins of a host on which
    the guest does not run, and a migration context that the source has already
    dropped. Nova saves only fields that are marked as changed.
    """
    instance.obj_reset_changes(recursive=True)
