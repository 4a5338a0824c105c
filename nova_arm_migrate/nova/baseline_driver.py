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

"""The overrides for guests that start on a guest CPU baseline."""

from collections.abc import Iterable
from typing import Any

from nova import context as nova_context
from nova import exception
from nova import objects
from nova.compute import task_states
import nova.conf
from nova.objects import fields
from oslo_log import log as logging

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import events
from nova_arm_migrate.nova import layout_driver
from nova_arm_migrate.nova import release
from nova_arm_migrate.nova.baseline import arrival
from nova_arm_migrate.nova.baseline import drift
from nova_arm_migrate.nova.baseline import starts
from nova_arm_migrate.nova.baseline.backends import Plan
from nova_arm_migrate.nova.baseline.running import LibvirtQemu
from nova_arm_migrate.nova.baseline.running import RunningQemu
from nova_arm_migrate.nova.layout import channel
from nova_arm_migrate.nova.monitoring import notifications
from nova_arm_migrate.nova.precheck import libvirt_features
from nova_arm_migrate.nova.precheck.host_state import HostProbeCache
from nova_arm_migrate.nova.records import instance_state
from nova_arm_migrate.nova.records.domain import read_domain

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: The manager powers a guest off for these before it calls the driver.
_STARTS_AGAIN = (task_states.RESCUING, task_states.REBUILDING)


class BaselineDriver(layout_driver.LayoutDriver):
    """LibvirtDriver that starts and moves guests on baselines.

    :ivar _arm: this host's probe
    :ivar _name: of this compute
    """

    _arm: HostProbeCache
    _name: str

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        """Set up the baselines, without reading their files."""
        super().__init__(virtapi, read_only)
        self._baselines = starts.Baselines(
            lambda: self._arm,
            lambda: conf.current(CONF).baseline,
            lambda names: libvirt_features.refusal(
                self._host.get_connection(), names
            ),
        )

    def _load_baselines(self, settings: conf.Settings) -> None:
        """Read the files, and log what this host offers."""
        self._baselines.load(settings)
        self._baselines.log()
        self._tell_drift()

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Look for guests that have drifted from their baseline since.

        A new QEMU or libvirt may have changed what this host offers, and a
        guest may have come or been rebooted.
        """
        resources: dict[str, Any] = super().get_available_resource(nodename)
        if self._is_arm_kvm() and self._baselines.can_drift:
            self._tell_drift()
        return resources

    def _tell_drift(self) -> None:
        """Log, count and notify of guests that drift from their baseline."""
        self.metrics.baselines(*self._baselines.counts)
        instances = self._own_instances()
        if instances is None:
            return
        drifts = self._baselines.drifts(instances)
        self.metrics.drifted(*drift.count(drifts))
        for found in self._baselines.fresh_drifts(drifts):
            drift.log(found)
            notifications.drifted(
                nova_context.get_admin_context(), self._name, found
            )

    def running_factory(self, guest: Any) -> RunningQemu:
        """Return the running QEMU of a guest; tests replace it.

        :param guest: ``nova.virt.libvirt.guest.Guest``
        """
        return release.off_thread(LibvirtQemu(guest))

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: Any,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: Any = True,
        accel_info: Any = None,
    ) -> None:
        """Add an event with the reason: Nova keeps none of a host's.

        It tries other hosts, and ends with "Exhausted all hosts".
        """
        try:
            super().spawn(
                context,
                instance,
                image_meta,
                injected_files,
                admin_password,
                allocations,
                network_info,
                block_device_info,
                power_on,
                accel_info,
            )
        except starts.BaselineFailed as error:
            events.refused(context, instance, 'baseline', str(error))
            raise

    # A guest that the host can't start again is refused before it is stopped.

    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: Any,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Add an event to a refused reboot: Nova's own says "Success"."""
        try:
            super().reboot(
                context,
                instance,
                network_info,
                reboot_type,
                block_device_info,
                bad_volumes_callback,
                accel_info,
                share_info,
            )
        except starts.BaselineFailed as error:
            events.failed(context, instance, 'baseline', str(error))
            raise

    def _hard_reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        share_info: Any,
        block_device_info: Any = None,
        accel_info: Any = None,
    ) -> None:
        """Refuse before the parent destroys the guest.

        It also powers guests on, and starts them after the host has booted.
        """
        if self._is_arm_kvm():
            self._plan(instance)
        super()._hard_reboot(
            context,
            instance,
            network_info,
            share_info,
            block_device_info,
            accel_info,
        )

    def resume_state_on_host_boot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        share_info: Any,
        block_device_info: Any = None,
    ) -> None:
        """Log why a guest does not start after the host has booted.

        Nova records no fault and no event for it. Before 34, its log does not
        have the reason either.
        """
        try:
            super().resume_state_on_host_boot(
                context, instance, network_info, share_info, block_device_info
            )
        except starts.BaselineFailed as error:
            LOG.error('The guest does not start: %s', error, instance=instance)
            raise

    def power_off(
        self, instance: Any, timeout: Any = 0, retry_interval: Any = 0
    ) -> None:
        """Refuse a rescue or a rebuild before the guest is stopped for it.

        :raises nova.exception.InstanceFaultRollback: the manager then leaves
            the server's state as it is, except in a rescue
        """
        if self._is_arm_kvm() and instance.task_state in _STARTS_AGAIN:
            self._plan_or_roll_back(instance)
        super().power_off(instance, timeout, retry_interval)

    def migrate_disk_and_power_off(
        self,
        context: Any,
        instance: Any,
        dest: Any,
        flavor: Any,
        network_info: Any,
        block_device_info: Any = None,
        timeout: Any = 0,
        retry_interval: Any = 0,
    ) -> Any:
        """Refuse a cold migration before the guest is stopped for it.

        The scheduler does not know the image's property, nor which hosts have
        the option.

        :raises nova.exception.InstanceFaultRollback: the manager then leaves
            the server as it is
        """
        if self._is_arm_kvm() and not self._is_emulated(instance):
            refusal = arrival.refusal(context, instance, flavor)
            if refusal is not None:
                raise exception.InstanceFaultRollback(
                    starts.BaselineFailed(**refusal._asdict())
                )
        return super().migrate_disk_and_power_off(
            context,
            instance,
            dest,
            flavor,
            network_info,
            block_device_info,
            timeout,
            retry_interval,
        )

    def unrescue(self, context: Any, instance: Any) -> None:
        """Refuse before the parent destroys the rescue guest."""
        if self._is_arm_kvm():
            self._plan(instance)
        super().unrescue(context, instance)

    def resume(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Refuse before the parent loses a suspended guest's state.

        The parent undefines a guest that does not start, and its saved state
        goes with it. The state has the values of the version with which the
        guest was started, so any version of its baseline will do.

        :raises nova.exception.InstanceFaultRollback: the manager then leaves
            the server suspended
        """
        if self._is_arm_kvm():
            try:
                self._baselines.restores(instance)
            except starts.BaselineFailed as error:
                raise exception.InstanceFaultRollback(error) from None
        super().resume(
            context, instance, network_info, block_device_info, share_info
        )

    def pre_live_migration(
        self,
        context: Any,
        instance: Any,
        block_device_info: Any,
        network_info: Any,
        disk_info: Any,
        migrate_data: Any,
    ) -> Any:
        """Tell the source what QEMU needs here for the guest's baseline."""
        data = super().pre_live_migration(
            context,
            instance,
            block_device_info,
            network_info,
            disk_info,
            migrate_data,
        )
        if self._is_arm_kvm():
            self._baselines.send(instance, data)
        return data

    def post_live_migration_at_destination(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_migration: Any = False,
        block_device_info: Any = None,
    ) -> None:
        """Check that a guest has its baseline also here, and report it if not.

        The guest runs here, and there is no way back: it is left alone.
        """
        super().post_live_migration_at_destination(
            context, instance, network_info, block_migration, block_device_info
        )
        record = instance_state.recorded(instance)
        if (
            not self._is_arm_kvm()
            or not isinstance(record, Guest)
            or record.baseline is None
        ):
            return
        try:
            guest = self._host.get_guest(instance)
            self._baselines.arrived(
                record.baseline,
                read_domain(guest.get_xml_desc()),
                self.running_factory(guest),
            )
        except Exception as error:
            LOG.error(
                'The guest may not have its CPU baseline: %s. Hard-reboot it,'
                ' or migrate it to another host.',
                error,
                instance=instance,
            )
            events.failed(context, instance, 'baseline', str(error))

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
        """Migrate with what the destination's QEMU needs for a baseline."""
        needs = channel.take(migrate_data, channel.BASELINE)
        if needs is not None:
            guest = starts.GuestWithBaseline(guest, needs)
        super()._live_migration_operation(
            context,
            instance,
            dest,
            block_migration,
            migrate_data,
            guest,
            device_names,
        )

    def _own_instances(self) -> Iterable[Any] | None:
        """Return the instances of this host; None if they can't be read."""
        try:
            return list(
                objects.InstanceList.get_by_host(
                    nova_context.get_admin_context(),
                    self._name,
                    expected_attrs=['flavor', 'system_metadata', 'vcpu_model'],
                )
            )
        except Exception as error:
            LOG.debug('The baselines of guests are not compared: %s', error)
            return None

    def _plan_or_roll_back(self, instance: Any) -> None:
        try:
            self._plan(instance)
        except starts.BaselineFailed as error:
            raise exception.InstanceFaultRollback(error) from None

    def _plan(self, instance: Any) -> Plan | None:
        """Return how a guest gets its baseline; None if it has none.

        :raises BaselineFailed: if this host does not offer it
        """
        if not self._baselines.wanted(instance) or self._is_emulated(instance):
            return None
        return self._baselines.plan(instance)

    def _is_emulated(self, instance: Any) -> bool:
        """Whether a guest has another architecture than this host."""
        arch = self._check_emulation_arch(instance.image_meta)
        return bool(arch != fields.Architecture.AARCH64)
