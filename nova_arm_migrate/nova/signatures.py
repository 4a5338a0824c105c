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

"""What the driver expects of Nova: signatures, as data.

If a Nova changes one of these methods, check the driver before you run it
with that Nova. `moved` names the changed methods. nova-compute does not start
if there are any, and the tests fail.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import importlib
import inspect
from typing import Any

#: Methods of LibvirtDriver that we override. Each has the signatures of all
#: supported releases; the last is that of our override.
OVERRIDDEN: dict[str, tuple[str, ...]] = {
    'nova.virt.libvirt.driver:LibvirtDriver.__init__': (
        '(self, virtapi, read_only=False)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.init_host': ('(self, host)',),
    'nova.virt.libvirt.driver:LibvirtDriver.cleanup_host': ('(self, host)',),
    'nova.virt.libvirt.driver:LibvirtDriver.get_available_resource': (
        '(self, nodename)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._get_cpu_feature_traits': (
        '(self)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.update_provider_tree': (
        '(self, provider_tree, nodename, allocations=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._get_guest_cpu_config': (
        '(self, flavor, image_meta, guest_cpu_numa_config, instance_numa_topology)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._create_guest': (
        '(self, context, xml, instance, power_on=True, pause=False, post_xml_callback=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._soft_reboot': (
        '(self, instance)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.spawn': (
        '(self, context, instance, image_meta, injected_files, admin_password, allocations, network_info=None, block_device_info=None, power_on=True, accel_info=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.reboot': (
        '(self, context, instance, network_info, reboot_type, block_device_info=None, bad_volumes_callback=None, accel_info=None, share_info=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._hard_reboot': (
        '(self, context, instance, network_info, share_info, block_device_info=None, accel_info=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.resume_state_on_host_boot': (
        '(self, context, instance, network_info, share_info, block_device_info=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.power_off': (
        '(self, instance, timeout=0, retry_interval=0)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.migrate_disk_and_power_off': (
        '(self, context, instance, dest, flavor, network_info, block_device_info=None, timeout=0, retry_interval=0)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.unrescue': (
        '(self, context, instance)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.resume': (
        '(self, context, instance, network_info, block_device_info=None, share_info=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._vcpu_model_to_cpu_config': (
        '(self, vcpu_model)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.check_can_live_migrate_destination': (
        '(self, context, instance, src_compute_info, dst_compute_info, block_migration=False, disk_over_commit=False)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.check_can_live_migrate_source': (
        '(self, context, instance, dest_check_data, block_device_info=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._compare_cpu': (
        '(self, guest_cpu, host_cpu_str, instance)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.post_claim_migrate_data': (
        '(self, context, instance, migrate_data, claim)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.pre_live_migration': (
        '(self, context, instance, block_device_info, network_info, disk_info, migrate_data)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.post_live_migration_at_destination': (
        '(self, context, instance, network_info, block_migration=False, block_device_info=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.live_migration': (
        '(self, context, instance, dest, post_method, recover_method, block_migration=False, migrate_data=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._live_migration_operation': (
        '(self, context, instance, dest, block_migration, migrate_data, guest, device_names)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._live_migration_monitor': (
        # Up to 31, called without names.
        '(self, context, instance, guest, dest, post_method, recover_method, block_migration, migrate_data, finish_event, disk_paths)',
        '(self, context, instance, guest, dest, post_method, recover_method, block_migration, migrate_data, future, disk_paths)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._clear_empty_migration': (
        '(self, instance)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.live_migration_abort': (
        '(self, instance)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.check_instance_shared_storage_remote': (
        '(self, context, data)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.rollback_live_migration_at_destination': (
        '(self, context, instance, network_info, block_device_info, destroy_disks=True, migrate_data=None)',
    ),
}

#: What we call.
CALLED: dict[str, tuple[str, ...]] = {
    'nova.virt.libvirt.driver:LibvirtDriver._check_emulation_arch': (
        '(self, image_meta)',
    ),
    'nova.virt.libvirt.host:Host.get_capabilities': ('(self)',),
    'nova.virt.libvirt.host:Host.get_connection': ('(self)',),
    'nova.virt.libvirt.host:Host.get_guest': ('(self, instance)',),
    'nova.virt.libvirt.host:Host.get_version': ('(self)',),
    'nova.virt.libvirt.guest:Guest.get_xml_desc': (
        '(self, dump_inactive=False, dump_sensitive=False, dump_migratable=False)',
    ),
    'nova.compute.provider_tree:ProviderTree.data': ('(self, name_or_uuid)',),
    'nova.compute.provider_tree:ProviderTree.add_traits': (
        '(self, name_or_uuid, *traits)',
    ),
    'nova.compute.provider_tree:ProviderTree.remove_traits': (
        '(self, name_or_uuid, *traits)',
    ),
    'nova.virt.libvirt.guest:Guest.abort_job': ('(self)',),
    'nova.virt.libvirt.guest:Guest.get_job_info': ('(self)',),
    'nova.virt.libvirt.guest:Guest.is_active': ('(self)',),
    'nova.virt.libvirt.guest:Guest.migrate': (
        # Up to 32.
        '(self, destination, migrate_uri=None, migrate_disks=None, destination_xml=None, flags=0, bandwidth=0)',
        '(self, destination, migrate_uri=None, migrate_disks=None, destination_xml=None, flags=0, bandwidth=0, parallel=0)',
    ),
    'nova.virt.libvirt.guest:Guest.migrate_start_postcopy': ('(self)',),
    'nova.virt.libvirt.guest:Guest.pause': ('(self)',),
    'nova.virt.libvirt.guest:Guest.poweroff': ('(self)',),
    'nova.objects.instance:InstanceList.get_by_host': (
        '(cls, context, host, expected_attrs=None, use_slave=False)',
        '(context, host, expected_attrs=None, use_slave=False)',
    ),
    'nova.virt.libvirt.guest:Guest.resume': ('(self)',),
    'nova.virt.hardware:get_pmu_constraint': ('(flavor, image_meta)',),
}

#: The notifications are versioned objects of Nova's.
NOTIFICATIONS: dict[str, tuple[str, ...]] = {
    'nova.notifications.objects.base:NotificationBase.emit': (
        '(self, context)',
    ),
    'nova.notifications.objects.base:NotificationPublisher.__init__': (
        '(self, host, source)',
    ),
    'nova.objects.base:NovaObjectRegistry.register_notification': (
        '(cls, notification_cls)',
        '(notification_cls)',
    ),
}

#: What `rollback.settlement` calls to put right what the manager did not.
SETTLEMENT: dict[str, tuple[str, ...]] = {
    'nova.virt.libvirt.driver:LibvirtDriver.cleanup': (
        '(self, context, instance, network_info, block_device_info=None, destroy_disks=True, migrate_data=None, destroy_vifs=True, destroy_secrets=True)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.post_live_migration': (
        '(self, context, instance, block_device_info, migrate_data=None)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.post_live_migration_at_source': (
        '(self, context, instance, network_info)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver.rollback_live_migration_at_source': (
        '(self, context, instance, migrate_data)',
    ),
    'nova.compute.manager:ComputeManager._do_live_migration': (
        '(self, context, dest, instance, block_migration, migration, migrate_data)',
    ),
    'nova.compute.manager:ComputeManager._set_instance_obj_error_state': (
        '(self, instance, clean_task_state=False)',
    ),
    'nova.compute.manager:ComputeManager._get_compute_info': (
        '(self, context, host)',
    ),
    'nova.compute.manager:ComputeManager._get_instance_block_device_info': (
        '(self, context, instance, refresh_conn_info=False, bdms=None)',
    ),
    'nova.compute.manager:ComputeManager._live_migration_cleanup_flags': (
        '(self, migrate_data, migr_ctxt=None)',
    ),
    'nova.compute.manager:ComputeManager._post_live_migration_update_host': (
        '(self, ctxt, instance, dest, block_migration=False, migrate_data=None, source_bdms=None)',
    ),
    'nova.compute.manager:ComputeManager._remove_remote_volume_connections': (
        '(self, context, dest, bdms, instance)',
    ),
    'nova.compute.manager:ComputeManager._rollback_live_migration': (
        "(self, context, instance, dest, migrate_data=None, migration_status='failed', source_bdms=None, pre_live_migration=False)",
    ),
    'nova.compute.manager:ComputeManager.check_instance_shared_storage': (
        '(self, ctxt, data)',
    ),
    'nova.compute.rpcapi:ComputeAPI.check_instance_shared_storage': (
        '(self, ctxt, data, instance=None, host=None)',
    ),
    'nova.compute.rpcapi:ComputeAPI.drop_move_claim_at_destination': (
        '(self, ctxt, instance, host)',
    ),
    'nova.compute.rpcapi:ComputeAPI.rollback_live_migration_at_destination': (
        '(self, ctxt, instance, host, destroy_disks, migrate_data)',
    ),
    'nova.network.neutron:get_client': ('(context, admin=False)',),
    'nova.network.neutron:API.migrate_instance_finish': (
        '(self, context, instance, migration, provider_mappings)',
    ),
    'nova.network.neutron:API.migrate_instance_start': (
        '(self, context, instance, migration)',
    ),
    'nova.network.neutron:API.setup_networks_on_host': (
        '(self, context, instance, host=None, teardown=False)',
    ),
    'nova.scheduler.client.report:SchedulerReportClient.delete_allocation_for_instance': (
        "(self, context, uuid, consumer_type='instance', force=False)",
    ),
    'nova.scheduler.client.report:SchedulerReportClient.get_allocs_for_consumer': (
        '(self, context, consumer)',
    ),
    'nova.scheduler.client.report:SchedulerReportClient.move_allocations': (
        '(self, context, source_consumer_uuid, target_consumer_uuid)',
    ),
}

#: Not called by us, but what they do is relied on: see
#: `precheck.handshake` and `records.guest_record`.
RELIED_ON: dict[str, tuple[str, ...]] = {
    'nova.virt.libvirt.driver:LibvirtDriver._create_guest_with_network': (
        '(self, context, xml, instance, network_info, block_device_info, power_on=True, vifs_already_plugged=False, post_xml_callback=None, external_events=None, cleanup_instance_dir=False, cleanup_instance_disks=False)',
    ),
    'nova.virt.libvirt.driver:LibvirtDriver._cpu_config_to_vcpu_model': (
        '(self, cpu_config, vcpu_model)',
    ),
}

#: The signature of a method that is wrapped.
_ANYTHING = '(*args, **kwargs)'


def everything() -> Mapping[str, tuple[str, ...]]:
    """Return all of the above."""
    return OVERRIDDEN | CALLED | NOTIFICATIONS | SETTLEMENT | RELIED_ON


def moved() -> Iterator[str]:
    """Name what this Nova does not have, or has with other arguments.

    :return: a sentence each; none if all is as it was tested
    """
    for path, known in everything().items():
        name = path.partition(':')[2]
        function = find(path)
        if function is None:
            yield f'{name} is gone from this Nova'
        elif (found := signature(function)) not in (*known, _ANYTHING):
            yield f'{name} takes {found} in this Nova, not {known[-1]}'


def find(path: str) -> Any:
    """Return what ``module:Class.method`` names; None if it is not there."""
    module, _, names = path.partition(':')
    try:
        found: Any = importlib.import_module(module)
    except ImportError:
        return None
    for name in names.split('.'):
        found = getattr(found, name, None)
    return found


def signature(function: Any) -> str:
    """Return a signature as text, without annotations."""
    found = inspect.signature(function)
    empty = inspect.Signature.empty
    return str(
        found.replace(
            parameters=[
                parameter.replace(annotation=empty)
                for parameter in found.parameters.values()
            ],
            return_annotation=empty,
        )
    )
