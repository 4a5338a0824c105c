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


"""The driver's overrides for NUMA layouts, and for migrations that fail.

`ArmLibvirtDriver` extends this class. What the overrides do is in `numa` and
`rollback`; on a host that is not aarch64 with ``[libvirt] virt_type = kvm``
each of them is the parent's at once.
"""

from typing import Any

import nova.conf
from nova.objects import fields
from nova.virt.libvirt import driver as libvirt_driver
from oslo_log import log as logging

from nova_arm_migrate.adapters import events
from nova_arm_migrate.adapters import numa
from nova_arm_migrate.adapters import rollback

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class LayoutDriver(libvirt_driver.LibvirtDriver):
    """LibvirtDriver that moves a guest's whole NUMA layout, or rolls back."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        """Add what is known of migrations that are under way."""
        super().__init__(virtapi, read_only)
        self._numa = numa.NumaMigration(self)
        #: By instance: migrations from here.
        self._jobs: dict[str, rollback.Job] = {}

    def _is_arm_kvm(self) -> bool:
        return bool(
            CONF.libvirt.virt_type == 'kvm'
            and self._host.get_capabilities().host.cpu.arch
            == fields.Architecture.AARCH64)

    # Layouts

    def check_can_live_migrate_destination(
            self, context: Any, instance: Any, src_compute_info: Any,
            dst_compute_info: Any, block_migration: Any = False,
            disk_over_commit: Any = False) -> Any:
        """Ask the source for the XML that is to be tried out here."""
        data = super().check_can_live_migrate_destination(
            context, instance, src_compute_info, dst_compute_info,
            block_migration, disk_over_commit)
        if self._is_arm_kvm():
            self._numa.ask(instance, data)
        return data

    def check_can_live_migrate_source(
            self, context: Any, instance: Any, dest_check_data: Any,
            block_device_info: Any = None) -> Any:
        """Send the guest's XML if the destination has asked for it."""
        data = super().check_can_live_migrate_source(
            context, instance, dest_check_data, block_device_info)
        if self._is_arm_kvm():
            self._numa.answer(instance, data)
        return data

    def post_claim_migrate_data(self, context: Any, instance: Any,
                                migrate_data: Any, claim: Any) -> Any:
        """Try the guest out here as Nova has just claimed it."""
        if not self._is_arm_kvm():
            return super().post_claim_migrate_data(
                context, instance, migrate_data, claim)
        with self._numa.claimed(claim):
            data = super().post_claim_migrate_data(
                context, instance, migrate_data, claim)
            self._numa.try_out(instance, data, claim)
        return data

    def pre_live_migration(self, context: Any, instance: Any,
                           block_device_info: Any, network_info: Any,
                           disk_info: Any, migrate_data: Any) -> Any:
        """Send the layout to the source, when all else is ready here."""
        data = super().pre_live_migration(
            context, instance, block_device_info, network_info, disk_info,
            migrate_data)
        if self._is_arm_kvm():
            self._numa.send(instance, data)
        return data

    def post_live_migration_at_destination(
            self, context: Any, instance: Any, network_info: Any,
            block_migration: Any = False,
            block_device_info: Any = None) -> None:
        """Compare the guest that has landed with its layout."""
        super().post_live_migration_at_destination(
            context, instance, network_info, block_migration,
            block_device_info)
        if self._is_arm_kvm():
            self._numa.landed(context, instance)

    # Failures

    def live_migration(self, context: Any, instance: Any, dest: str,
                       post_method: Any, recover_method: Any,
                       block_migration: Any = False,
                       migrate_data: Any = None) -> None:
        """Keep a migration that was rolled back from ending in ERROR.

        The manager puts the instance in ERROR whenever this raises, and the
        parent raises for every migration that fails, and for some that do
        not.
        """
        if not self._is_arm_kvm():
            super().live_migration(
                context, instance, dest, post_method, recover_method,
                block_migration, migrate_data)
            return
        job = rollback.Job(instance, post_method, recover_method)
        self._jobs[instance.uuid] = job
        try:
            super().live_migration(
                context, instance, dest, job.post, job.recover,
                block_migration, migrate_data)
        except Exception as error:
            if not job.over:
                started = instance.uuid in self.active_migrations
                self.active_migrations.pop(instance.uuid, None)
                events.failed(context, instance, 'live_migration',
                              f'{type(error).__name__}: {error}')
                job.settle(context, self._host, dest, block_migration,
                           migrate_data, started)
            if not job.settled:
                raise
            LOG.warning('A live migration has failed, and all is settled:'
                        ' %s', error, instance=instance)
        finally:
            self._jobs.pop(instance.uuid, None)

    def _live_migration_operation(self, context: Any, instance: Any,
                                  dest: str, block_migration: Any,
                                  migrate_data: Any, guest: Any,
                                  device_names: Any) -> None:
        """Migrate with the destination's layout, and say why it failed."""
        job = self._jobs.get(instance.uuid)
        try:
            if job is not None:
                guest = self._numa.leaving(instance, migrate_data, guest)
            super()._live_migration_operation(
                context, instance, dest, block_migration, migrate_data,
                guest, device_names)
        except Exception as error:
            if job is not None:
                # Before the monitor sees that this thread has ended.
                events.failed(context, instance, 'live_migration',
                              str(error))
            raise
        finally:
            if job is not None:
                job.ended.set()

    def rollback_live_migration_at_destination(
            self, context: Any, instance: Any, network_info: Any,
            block_device_info: Any, destroy_disks: bool = True,
            migrate_data: Any = None) -> None:
        """Say what QEMU said here, and save nothing of this host."""
        if self._is_arm_kvm():
            words = rollback.qemu_last_line(instance)
            if words:
                events.failed(context, instance, 'qemu', words)
            rollback.keep_to_itself(instance)
        super().rollback_live_migration_at_destination(
            context, instance, network_info, block_device_info,
            destroy_disks=destroy_disks, migrate_data=migrate_data)
