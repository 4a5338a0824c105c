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

"""What our driver takes for granted of Nova 34.

A Nova that changes one of these needs a look at the driver before it is run
with it; the failure names the method.
"""

import ast
import inspect
import unittest

from nova import objects
from nova import utils
from nova.compute import manager
from nova.compute import provider_tree
from nova.compute import rpcapi
from nova.network import neutron
from nova.scheduler.client import report
from nova.virt import hardware
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import guest
from nova.virt.libvirt import host

from nova_arm_migrate.nova import driver
from nova_arm_migrate.nova import layout_driver

objects.register_all()

PARENT = libvirt_driver.LibvirtDriver
MANAGER = manager.ComputeManager
OURS = driver.ArmLibvirtDriver
CLASSES = (OURS, layout_driver.LayoutDriver)

OVERRIDDEN = {
    '__init__': '(self, virtapi, read_only=False)',
    'init_host': '(self, host)',
    'get_available_resource': '(self, nodename)',
    '_get_cpu_feature_traits': '(self)',
    'update_provider_tree': (
        '(self, provider_tree, nodename, allocations=None)'
    ),
    '_get_guest_cpu_config': (
        '(self, flavor, image_meta, guest_cpu_numa_config,'
        ' instance_numa_topology)'
    ),
    '_create_guest': (
        '(self, context, xml, instance, power_on=True, pause=False,'
        ' post_xml_callback=None)'
    ),
    '_soft_reboot': '(self, instance)',
    '_vcpu_model_to_cpu_config': '(self, vcpu_model)',
    'check_can_live_migrate_destination': (
        '(self, context, instance, src_compute_info, dst_compute_info,'
        ' block_migration=False, disk_over_commit=False)'
    ),
    'check_can_live_migrate_source': (
        '(self, context, instance, dest_check_data, block_device_info=None)'
    ),
    '_compare_cpu': '(self, guest_cpu, host_cpu_str, instance)',
    'post_claim_migrate_data': (
        '(self, context, instance, migrate_data, claim)'
    ),
    'pre_live_migration': (
        '(self, context, instance, block_device_info, network_info,'
        ' disk_info, migrate_data)'
    ),
    'post_live_migration_at_destination': (
        '(self, context, instance, network_info, block_migration=False,'
        ' block_device_info=None)'
    ),
    'live_migration': (
        '(self, context, instance, dest, post_method, recover_method,'
        ' block_migration=False, migrate_data=None)'
    ),
    '_live_migration_operation': (
        '(self, context, instance, dest, block_migration, migrate_data,'
        ' guest, device_names)'
    ),
    '_live_migration_monitor': (
        '(self, context, instance, guest, dest, post_method,'
        ' recover_method, block_migration, migrate_data, future,'
        ' disk_paths)'
    ),
    '_clear_empty_migration': '(self, instance)',
    'live_migration_abort': '(self, instance)',
    'check_instance_shared_storage_remote': '(self, context, data)',
    'rollback_live_migration_at_destination': (
        '(self, context, instance, network_info, block_device_info,'
        ' destroy_disks=True, migrate_data=None)'
    ),
}

CALLED = {
    (PARENT, '_check_emulation_arch'): '(self, image_meta)',
    (host.Host, 'get_capabilities'): '(self)',
    (host.Host, 'get_connection'): '(self)',
    (host.Host, 'get_guest'): '(self, instance)',
    (host.Host, 'get_version'): '(self)',
    (
        guest.Guest,
        'get_xml_desc',
    ): (
        '(self, dump_inactive=False, dump_sensitive=False,'
        ' dump_migratable=False)'
    ),
    (provider_tree.ProviderTree, 'data'): '(self, name_or_uuid)',
    (
        provider_tree.ProviderTree,
        'add_traits',
    ): '(self, name_or_uuid, *traits)',
    (
        provider_tree.ProviderTree,
        'remove_traits',
    ): '(self, name_or_uuid, *traits)',
    (guest.Guest, 'abort_job'): '(self)',
    (guest.Guest, 'get_job_info'): '(self)',
    (guest.Guest, 'is_active'): '(self)',
    (
        guest.Guest,
        'migrate',
    ): (
        '(self, destination, migrate_uri=None, migrate_disks=None,'
        ' destination_xml=None, flags=0, bandwidth=0, parallel=0)'
    ),
    (guest.Guest, 'migrate_start_postcopy'): '(self)',
    (guest.Guest, 'pause'): '(self)',
    (guest.Guest, 'resume'): '(self)',
    (hardware, 'get_pmu_constraint'): '(flavor, image_meta)',
    (utils, 'tpool_wrap'): '(target, autowrap=())',
}

#: Called by settlement.py, which puts right what the manager did not.
SETTLEMENT = {
    (
        PARENT,
        'cleanup',
    ): (
        '(self, context, instance, network_info, block_device_info=None,'
        ' destroy_disks=True, migrate_data=None, destroy_vifs=True,'
        ' destroy_secrets=True)'
    ),
    (
        PARENT,
        'post_live_migration',
    ): '(self, context, instance, block_device_info, migrate_data=None)',
    (
        PARENT,
        'post_live_migration_at_source',
    ): '(self, context, instance, network_info)',
    (
        PARENT,
        'rollback_live_migration_at_source',
    ): '(self, context, instance, migrate_data)',
    (
        MANAGER,
        '_do_live_migration',
    ): (
        '(self, context, dest, instance, block_migration, migration,'
        ' migrate_data)'
    ),
    (
        MANAGER,
        '_set_instance_obj_error_state',
    ): '(self, instance, clean_task_state=False)',
    (MANAGER, '_get_compute_info'): '(self, context, host)',
    (
        MANAGER,
        '_get_instance_block_device_info',
    ): '(self, context, instance, refresh_conn_info=False, bdms=None)',
    (
        MANAGER,
        '_live_migration_cleanup_flags',
    ): '(self, migrate_data, migr_ctxt=None)',
    (
        MANAGER,
        '_post_live_migration_update_host',
    ): (
        '(self, ctxt, instance, dest, block_migration=False,'
        ' migrate_data=None, source_bdms=None)'
    ),
    (
        MANAGER,
        '_remove_remote_volume_connections',
    ): '(self, context, dest, bdms, instance)',
    (
        MANAGER,
        '_rollback_live_migration',
    ): (
        '(self, context, instance, dest, migrate_data=None,'
        " migration_status='failed', source_bdms=None,"
        ' pre_live_migration=False)'
    ),
    (MANAGER, 'check_instance_shared_storage'): '(self, ctxt, data)',
    (
        rpcapi.ComputeAPI,
        'check_instance_shared_storage',
    ): '(self, ctxt, data, instance=None, host=None)',
    (
        rpcapi.ComputeAPI,
        'drop_move_claim_at_destination',
    ): '(self, ctxt, instance, host)',
    (
        rpcapi.ComputeAPI,
        'rollback_live_migration_at_destination',
    ): '(self, ctxt, instance, host, destroy_disks, migrate_data)',
    (neutron, 'get_client'): '(context, admin=False)',
    (
        neutron.API,
        'migrate_instance_finish',
    ): '(self, context, instance, migration, provider_mappings)',
    (
        neutron.API,
        'migrate_instance_start',
    ): '(self, context, instance, migration)',
    (
        neutron.API,
        'setup_networks_on_host',
    ): '(self, context, instance, host=None, teardown=False)',
    (
        report.SchedulerReportClient,
        'delete_allocation_for_instance',
    ): "(self, context, uuid, consumer_type='instance', force=False)",
    (
        report.SchedulerReportClient,
        'get_allocs_for_consumer',
    ): '(self, context, consumer)',
    (
        report.SchedulerReportClient,
        'move_allocations',
    ): '(self, context, source_consumer_uuid, target_consumer_uuid)',
}

#: Not called by us, but what they do is relied on: see peers.py and
#: guest_record.py.
RELIED_ON = {
    (
        PARENT,
        '_create_guest_with_network',
    ): (
        '(self, context, xml, instance, network_info, block_device_info,'
        ' power_on=True, vifs_already_plugged=False,'
        ' post_xml_callback=None, external_events=None,'
        ' cleanup_instance_dir=False, cleanup_instance_disks=False)'
    ),
    (PARENT, '_cpu_config_to_vcpu_model'): '(self, cpu_config, vcpu_model)',
}


def signature(function):
    """The signature as text, annotations left out."""
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


class TestSignatures(unittest.TestCase):
    def check(self, owner, name, expected):
        function = getattr(owner, name, None)
        self.assertIsNotNone(
            function,
            f'{owner.__name__}.{name} is gone from this Nova; Nova 34 had it',
        )
        self.assertEqual(
            expected,
            signature(function),
            f'{owner.__name__}.{name} takes other arguments than in Nova 34',
        )

    def test_what_we_override(self):
        for name, expected in OVERRIDDEN.items():
            with self.subTest(name):
                self.check(PARENT, name, expected)
                self.assertEqual(
                    expected,
                    signature(getattr(OURS, name)),
                    f'our {name} does not take what the parent takes',
                )

    def test_what_we_call(self):
        relied_on = CALLED | SETTLEMENT | RELIED_ON
        for (owner, name), expected in relied_on.items():
            with self.subTest(name):
                self.check(owner, name, expected)

    def test_nothing_is_overridden_unawares(self):
        self.assertEqual(
            set(OVERRIDDEN),
            {
                name
                for ours in CLASSES
                for name, value in vars(ours).items()
                if inspect.isfunction(value) and hasattr(PARENT, name)
            },
        )

    def test_nothing_is_called_unawares(self):
        called = set()
        for ours in CLASSES:
            tree = ast.parse(inspect.getsource(ours))
            called |= _called_on(tree, 'self') | _called_on(tree, 'self._host')
        called -= {name for ours in CLASSES for name in vars(ours)}
        self.assertEqual(
            {name for owner, name in CALLED if owner in (PARENT, host.Host)},
            called,
        )

    def test_each_override_calls_its_parent_and_says_why_it_is(self):
        for function in [
            vars(ours)[name]
            for ours in CLASSES
            for name in OVERRIDDEN
            if name in vars(ours)
        ]:
            name = function.__name__
            with self.subTest(function.__qualname__):
                self.assertIn(f'super().{name}(', inspect.getsource(function))
                self.assertTrue(function.__doc__)

    def test_the_field_that_carries_our_mark(self):
        self.assertIn(
            'supported_perf_events', objects.LibvirtLiveMigrateData.fields
        )
        self.assertIn(
            'migrate_data.supported_perf_events = self._supported_perf_events',
            inspect.getsource(PARENT.pre_live_migration),
            'the destination no longer overwrites the field of our mark',
        )

    def test_nothing_regenerates_the_model_after_a_migration(self):
        source = inspect.getsource(PARENT.post_live_migration_at_destination)
        self.assertNotIn('_get_guest_', source)


def _called_on(tree, owner):
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == owner
    }
