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

"""The call sites of Nova's live migration that the campaign makes fail.

Data only. Each entry is a call in one of the parent's methods. It says which
call, with which error it fails, and whether it fails once or during the whole
migration. Methods that run only in a rollback need a libvirt job that fails.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

#: The error of a call, see `campaign.ERRORS`.
DB, RPC, CINDER, NEUTRON, LIBVIRT, OS, NOVA, PLACEMENT = (
    'database',
    'rpc',
    'cinder',
    'neutron',
    'libvirt',
    'os',
    'nova',
    'placement',
)

_SHORT = {
    'Manager': 'nova.compute.manager.ComputeManager',
    'VirtAPI': 'nova.compute.manager.ComputeVirtAPI',
    'Rpc': 'nova.compute.rpcapi.ComputeAPI',
    'Tracker': 'nova.compute.resource_tracker.ResourceTracker',
    'Events': 'nova.compute.manager.InstanceEvents',
    'Utils': 'nova.compute.utils',
    'Driver': 'nova.virt.libvirt.driver.LibvirtDriver',
    'Host': 'nova.virt.libvirt.host.Host',
    'Guest': 'nova.virt.libvirt.guest.Guest',
    'Job': 'nova.virt.libvirt.migration',
    'Cpu': 'nova.virt.libvirt.cpu.api.API',
    'Network': 'nova.network.neutron.API',
    'Volume': 'nova.volume.cinder.API',
    'DriverBdm': 'nova.virt.block_device.DriverVolumeBlockDevice',
    'Bdm': 'nova.objects.block_device.BlockDeviceMapping',
    'Bdms': 'nova.objects.block_device.BlockDeviceMappingList',
    'Instance': 'nova.objects.instance.Instance',
    'Pci': 'nova.objects.instance_pci_requests.InstancePCIRequests',
    'Migration': 'nova.objects.migration.Migration',
    'Report': 'nova.scheduler.client.report.SchedulerReportClient',
    'Neutron': 'nova.tests.fixtures.neutron.NeutronFixture',
}


@dataclasses.dataclass(frozen=True)
class Point:
    """One call that fails.

    :ivar method: the parent's method with the call
    :ivar role: the method's host: ``source`` or ``destination``
    :ivar callee: the called function, as a dotted name
    :ivar call: the number of the call in the method
    :ivar error: the error with which it fails
    :ivar fails: libvirt's job fails too
    :ivar always: fails each time, until the migration has ended
    :ivar lost: the call is made, but its answer is lost
    :ivar after: fails for all callers, after the method has begun
    :ivar stock: only the stock driver makes the call
    """

    method: str
    role: str
    callee: str
    call: int = 1
    error: str = NOVA
    fails: bool = False
    always: bool = False
    lost: bool = False
    after: bool = False
    stock: bool = False

    @property
    def target(self) -> str:
        short, _, rest = self.callee.partition('.')
        return f'{_SHORT[short]}.{rest}' if short in _SHORT else self.callee

    @property
    def name(self) -> str:
        how = ''.join(
            word
            for word, is_so in (
                (f' #{self.call}', self.call > 1),
                (', answer lost', self.lost),
                (', each time', self.always and not self.after),
                (', away', self.after),
                (
                    ', of a job that fails',
                    self.fails and self.method == '_live_migration_monitor',
                ),
            )
            if is_so
        )
        return f'{self.method}: {self.callee}{how}'


def _points(
    method: str, role: str, *sites: str, fails: bool = False
) -> Iterator[Point]:
    for site in sites:
        callee, error, *rest = site.split()
        name, _, number = callee.partition('#')
        yield Point(
            method,
            role,
            name,
            int(number or 1),
            error,
            fails,
            always='always' in rest or 'away' in rest,
            lost='lost' in rest,
            after='away' in rest,
            stock='stock' in rest,
        )


_GROUPS: dict[str, Iterable[Point]] = {
    'begin': (
        *_points(
            '_do_live_migration',
            'source',
            'Manager._set_migration_status database',
            'Bdms.get_by_instance_uuid database',
            'Manager._do_pre_live_migration_from_source nova',
            'Manager._set_migration_status#2 database',
        ),
        *_points(
            '_do_pre_live_migration_from_source',
            'source',
            'Manager._get_neutron_events_for_live_migration nova',
            'Manager._get_instance_block_device_info database',
            'Driver.get_instance_disk_info os',
            'VirtAPI.wait_for_instance_event nova',
            'Rpc.pre_live_migration rpc',
            'Rpc.pre_live_migration rpc lost',
        ),
    ),
    'pre_manager': _points(
        '_do_pre_live_migration',
        'destination',
        'Manager._validate_instance_group_policy database',
        'Bdms.get_by_instance_uuid database',
        'Network.get_instance_nw_info neutron',
        'Manager._notify_about_instance_usage rpc',
        'Utils.notify_about_instance_action rpc',
        'Driver.get_volume_connector os',
        'Volume.attachment_create cinder',
        'Bdm.save database',
        'Manager._get_instance_block_device_info database',
        'Driver.pre_live_migration os',
        'Network.setup_networks_on_host neutron',
        'DriverBdm.save database',
        'Volume.attachment_complete cinder',
        'Manager._notify_about_instance_usage#2 rpc',
        'Utils.notify_about_instance_action#2 rpc',
    ),
    'pre_driver': (
        *_points(
            'pre_live_migration',
            'destination',
            'os.mkdir os',
            'Driver._create_images_and_backing os',
            'nova.virt.driver.block_device_info_get_mapping nova',
            'Driver._connect_volume os',
            'Driver._pre_live_migration_plug_vifs nova',
            'nova.virt.libvirt.blockinfo.get_info_from_bdm nova',
            'Host.find_secret libvirt',
            'Cpu.power_up_for_migration os',
        ),
        *_points(
            '_pre_live_migration_plug_vifs',
            'destination',
            'Driver.plug_vifs nova',
        ),
    ),
    'start': (
        *_points(
            'live_migration',
            'source',
            'nova.virt.libvirt.utils.is_valid_hostname nova',
            'Driver._live_migration nova',
        ),
        *_points(
            '_live_migration',
            'source',
            'Host.get_guest libvirt',
            'Driver._live_migration_copy_disk_paths nova',
            'nova.thread_pool_factory.spawn nova',
            'nova.utils.cooperative_yield nova',
            'Driver._live_migration_monitor nova',
        ),
        *_points(
            '_live_migration_copy_disk_paths',
            'source',
            'Bdms.get_by_instance_uuid database',
            'Guest.get_all_disks libvirt',
        ),
        *_points(
            '_live_migration_operation',
            'source',
            'Driver._detach_direct_passthrough_vifs nova',
            'Driver._sorted_migrating_resources nova',
            'Job.get_updated_guest_xml nova',
            'Driver._live_migration_uri nova',
            'Guest.migrate libvirt',
            'Guest.migrate libvirt lost',
        ),
    ),
    'monitor': (
        *_points(
            '_live_migration_monitor',
            'source',
            'Driver._live_migration_data_gb os',
            'Job.downtime_steps nova',
            'Driver._get_migration_flags nova',
            'Driver._get_vpmems nova',
            'Guest.get_job_info libvirt',
            'Guest.get_job_info#3 libvirt',
            'Guest.get_job_info#3 libvirt always',
            'Job.run_tasks nova',
            'Job.should_trigger_timeout_action nova',
            'Job.update_downtime libvirt',
            'Job.save_stats database',
            'Job.save_stats database always',
            'Driver._clear_empty_migration nova',
        ),
        *_points(
            '_live_migration_monitor',
            'source',
            'Job.run_recover_tasks nova',
            'Job.find_job_type libvirt stock',
            'Driver._clear_empty_migration nova',
            fails=True,
        ),
    ),
    'post_source': _points(
        '_post_live_migration',
        'source',
        'Instance.get_network_info nova',
        'Manager._notify_about_instance_usage rpc',
        'Utils.notify_about_instance_action rpc',
        'Network.migrate_instance_start neutron',
        'Manager._get_instance_block_device_info database',
        'Driver.post_live_migration libvirt',
        'Manager._post_live_migration_remove_source_vol_connections cinder',
        'Driver.post_live_migration_at_source nova',
        'Tracker.free_pci_device_allocations_for_instance nova',
        'Manager._live_migration_cleanup_flags nova',
        'Driver.cleanup os',
    ),
    'post_end': _points(
        '_post_live_migration',
        'source',
        'Rpc.post_live_migration_at_destination rpc',
        'Rpc.post_live_migration_at_destination rpc lost',
        'Events.clear_events_for_instance nova',
        'Manager.update_available_resource database',
        'Manager._update_scheduler_instance_info rpc',
        'Manager._notify_about_instance_usage#2 rpc',
        'Utils.notify_about_instance_action#2 rpc',
        'Manager._clean_instance_console_tokens database',
        'Migration.save database',
        'Manager._delete_allocation_after_move placement',
    ),
    'post_parts': (
        *_points(
            '_post_live_migration_remove_source_vol_connections',
            'source',
            'Volume.attachment_delete cinder',
        ),
        *_points(
            'post_live_migration',
            'source',
            'Driver._disconnect_volume os',
        ),
        *_points(
            'post_live_migration_at_source',
            'source',
            'Driver.unplug_vifs nova',
            'Cpu.power_down_for_instance os',
        ),
        *_points(
            'post_live_migration_at_destination',
            'destination',
            'Driver._reattach_instance_vifs libvirt',
            'Driver._qemu_monitor_announce_self libvirt',
        ),
    ),
    'post_destination': _points(
        '_do_post_live_migration_at_destination',
        'destination',
        'Network.setup_networks_on_host neutron',
        'Network.migrate_instance_finish neutron',
        'Network.get_instance_nw_info neutron',
        'Manager._notify_about_instance_usage rpc',
        'Utils.notify_about_instance_action rpc',
        'Manager._get_instance_block_device_info database',
        'Tracker.allocate_pci_devices_for_instance nova',
        'Driver.post_live_migration_at_destination libvirt',
        'Manager._get_power_state libvirt',
        'Manager._get_compute_info database',
        'Instance.apply_migration_context nova',
        'Instance.save database',
        'Network.setup_networks_on_host#2 neutron',
        'Network.setup_networks_on_host#3 neutron',
        'Manager._notify_about_instance_usage#2 rpc',
        'Utils.notify_about_instance_action#2 rpc',
    ),
    'rollback_source': _points(
        '_rollback_live_migration',
        'source',
        'Pci.get_by_instance_uuid database',
        'Manager._revert_allocation placement',
        'Network.setup_networks_on_host neutron',
        'Driver.rollback_live_migration_at_source libvirt',
        'Bdms.get_by_instance_uuid database',
        'Manager._remove_remote_volume_connections cinder',
        'Manager._rollback_volume_bdms cinder',
        'Manager._notify_about_instance_usage rpc',
        'Utils.notify_about_instance_action rpc',
        'Manager._live_migration_cleanup_flags nova',
        fails=True,
    ),
    'rollback_end': _points(
        '_rollback_live_migration',
        'source',
        'Rpc.rollback_live_migration_at_destination rpc',
        'Rpc.rollback_live_migration_at_destination rpc lost',
        'Rpc.drop_move_claim_at_destination rpc',
        'Rpc.drop_move_claim_at_destination rpc lost',
        'Instance.drop_migration_context nova',
        'Instance.save database',
        'Manager._notify_about_instance_usage#2 rpc',
        'Utils.notify_about_instance_action#2 rpc',
        'Manager._set_migration_status database',
        fails=True,
    ),
    'rollback_parts': (
        *_points(
            '_remove_remote_volume_connections',
            'source',
            'Rpc.remove_volume_connection rpc',
            'Rpc.remove_volume_connection rpc always',
            fails=True,
        ),
        *_points(
            '_rollback_volume_bdms',
            'source',
            'Volume.attachment_delete cinder',
            'Volume.attachment_delete cinder always',
            'Bdm.save database',
            'Bdm.save database always',
            fails=True,
        ),
        *_points(
            'remove_volume_connection',
            'destination',
            'Manager._remove_volume_connection os',
            fails=True,
        ),
        *_points(
            'drop_move_claim_at_destination',
            'destination',
            'Manager._get_nodename nova',
            'Tracker.drop_move_claim database',
            fails=True,
        ),
    ),
    'rollback_destination': (
        *_points(
            '_do_rollback_live_migration_at_destination',
            'destination',
            'Network.get_instance_nw_info neutron',
            'Manager._notify_about_instance_usage rpc',
            'Utils.notify_about_instance_action rpc',
            'Network.setup_networks_on_host neutron',
            'Manager._get_instance_block_device_info database',
            'Tracker.free_pci_device_claims_for_instance nova',
            'Instance.mutated_migration_context nova',
            'Driver.rollback_live_migration_at_destination libvirt',
            'Manager._notify_about_instance_usage#2 rpc',
            'Utils.notify_about_instance_action#2 rpc',
            fails=True,
        ),
        *_points(
            'rollback_live_migration_at_destination',
            'destination',
            'Driver.destroy libvirt',
            'Cpu.power_down_for_migration os',
            'shutil.rmtree os',
            fails=True,
        ),
    ),
    'away': (
        *_points(
            '_rollback_live_migration',
            'source',
            'Volume.attachment_delete cinder away',
            'Neutron.delete_port_binding neutron away',
            'Report.move_allocations placement away',
            'Rpc.drop_move_claim_at_destination rpc away',
            'Rpc.remove_volume_connection rpc away',
            fails=True,
        ),
        *_points(
            '_post_live_migration',
            'source',
            'Volume.attachment_delete cinder away',
            'Neutron.activate_port_binding neutron away',
            'Neutron.delete_port_binding neutron away',
            'Report.delete_allocation_for_instance placement away',
            'Rpc.post_live_migration_at_destination rpc away',
        ),
    ),
}

#: By group: one cloud, and one test, each.
GROUPS = {name: tuple(points) for name, points in _GROUPS.items()}
POINTS = tuple(point for points in GROUPS.values() for point in points)
