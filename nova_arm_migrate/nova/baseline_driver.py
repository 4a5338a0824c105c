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
from nova import objects
import nova.conf
from nova.objects import fields
from oslo_log import log as logging

from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import layout_driver
from nova_arm_migrate.nova import release
from nova_arm_migrate.nova.baseline import starts
from nova_arm_migrate.nova.baseline.backends import Plan
from nova_arm_migrate.nova.baseline.running import LibvirtQemu
from nova_arm_migrate.nova.baseline.running import RunningQemu
from nova_arm_migrate.nova.layout import channel
from nova_arm_migrate.nova.precheck.host_state import HostProbeCache

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


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
            lambda: self._arm, lambda: conf.current(CONF).baseline
        )

    def _load_baselines(self, settings: conf.Settings) -> None:
        """Read the files, and log what this host offers."""
        self._baselines.load(settings)
        self._baselines.log()
        self._baselines.log_drift(self._own_instances())

    def running_factory(self, guest: Any) -> RunningQemu:
        """Return the running QEMU of a guest; tests replace it.

        :param guest: ``nova.virt.libvirt.guest.Guest``
        """
        return release.off_thread(LibvirtQemu(guest))

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

    def _own_instances(self) -> Iterable[Any]:
        """Return the instances of this host; none if they can't be read."""
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
            return ()

    def _plan(self, instance: Any) -> Plan | None:
        """Return how a guest gets its baseline; None if it has none.

        :raises BaselineFailed: if this host does not offer it
        """
        if (
            not self._baselines.wanted(instance)
            or self._check_emulation_arch(instance.image_meta)
            != fields.Architecture.AARCH64
        ):
            return None
        return self._baselines.plan(instance)
