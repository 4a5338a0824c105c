# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The services' configuration, as text; pure functions."""

import collections.abc

from tests.lab import network

ADDRESS = network.OWN_ADDRESS
PASSWORD = 'lab'  # nothing outside the lab's namespace can reach a service
PORTS = {
    'keystone': 5000,
    'glance': 9292,
    'placement': 8778,
    'neutron': 9696,
    'nova': 8774,
    'watcher': 9322,
    'aetos': 9090,
}
DATABASES = (
    'keystone',
    'glance',
    'placement',
    'neutron',
    'nova_api',
    'nova',
    'nova_cell0',
)
# name -> type, path after the port
CATALOGUE = {
    'glance': ('image', ''),
    'placement': ('placement', ''),
    'neutron': ('network', ''),
    'nova': ('compute', '/v2.1'),
}
# Watcher, and Aetos, which it asks about load; only one scenario has them.
WATCHER_CATALOGUE = {
    'watcher': ('infra-optim', ''),
    'aetos': ('metric-storage', ''),
}
OUR_DRIVER = 'arm_migrate.ArmLibvirtDriver'
STOCK_DRIVER = 'libvirt.LibvirtDriver'
DRIVERS = {'ours': OUR_DRIVER, 'stock': STOCK_DRIVER}
# Drivers, with skip_cpu_compare_on_dest if they can't migrate without it.
EACH = ((OUR_DRIVER, False), (STOCK_DRIVER, True))
INSTANCES = '/var/lib/nova/instances'
OUR_FILTER = 'nova_arm_migrate.filters.ArmMigrateFilter'
FILTERS = (
    'ComputeFilter',
    'ComputeCapabilitiesFilter',
    'ImagePropertiesFilter',
    'NUMATopologyFilter',
)

Options = collections.abc.Mapping[str, object]
Sections = dict[str, dict[str, object]]


def merged(*many: collections.abc.Mapping[str, Options]) -> Sections:
    """Merge sections; a later value replaces an earlier one."""
    result: Sections = {}
    for sections in many:
        for name, options in sections.items():
            result.setdefault(name, {}).update(options)
    return result


def url(service: str) -> str:
    return f'http://{ADDRESS}:{PORTS[service]}'


def database(name: str) -> str:
    return f'mysql+pymysql://lab:{PASSWORD}@{ADDRESS}/{name}?charset=utf8'


def credentials(user: str) -> dict[str, object]:
    """Return the options for a service to use keystone as *user*."""
    return {
        'auth_type': 'password',
        'auth_url': f'{url("keystone")}/v3',
        'username': user,
        'password': PASSWORD,
        'project_name': 'service',
        'user_domain_name': 'Default',
        'project_domain_name': 'Default',
        'region_name': 'RegionOne',
    }


def _common(user: str, state: str) -> Sections:
    return {
        'DEFAULT': {
            'debug': False,
            'use_stderr': True,
            'transport_url': f'rabbit://guest:guest@{ADDRESS}:5672/',
        },
        'keystone_authtoken': {
            **credentials(user),
            'www_authenticate_uri': url('keystone'),
            'service_token_roles_required': True,
        },
        'oslo_concurrency': {'lock_path': f'{state}/locks'},
        'oslo_messaging_notifications': {'driver': 'noop'},
    }


def keystone(state: str) -> Sections:
    keys = f'{state}/keystone'
    return {
        'DEFAULT': {'use_stderr': True},
        'database': {'connection': database('keystone')},
        'token': {'provider': 'fernet', 'expiration': 86400},
        'fernet_tokens': {'key_repository': f'{keys}/fernet'},
        'fernet_receipts': {'key_repository': f'{keys}/fernet'},
        'credential': {'key_repository': f'{keys}/credential'},
    }


def glance(state: str, environment: str) -> Sections:
    return merged(
        _common('glance', state),
        {
            'DEFAULT': {
                'enabled_backends': 'disk:file',
                'node_staging_uri': f'file://{state}/glance/staging',
            },
            'database': {'connection': database('glance')},
            'glance_store': {'default_backend': 'disk'},
            'disk': {'filesystem_store_datadir': f'{state}/glance/images'},
            'os_glance_staging_store': {
                'filesystem_store_datadir': f'{state}/glance/staging'
            },
            'os_glance_tasks_store': {
                'filesystem_store_datadir': f'{state}/glance/tasks'
            },
            'paste_deploy': {
                'flavor': 'keystone',
                'config_file': (
                    f'{environment}/etc/glance/glance-api-paste.ini'
                ),
            },
        },
    )


def placement(state: str) -> Sections:
    return merged(
        _common('placement', state),
        {'placement_database': {'connection': database('placement')}},
    )


def neutron(state: str, environment: str) -> Sections:
    """ML2 with the lab's own mechanism driver, and no agents."""
    return merged(
        _common('neutron', state),
        {
            'DEFAULT': {
                'core_plugin': 'ml2',
                'service_plugins': '',
                'state_path': f'{state}/neutron',
                'api_paste_config': f'{environment}/etc/neutron/api-paste.ini',
            },
            'database': {'connection': database('neutron')},
            'ml2': {
                'type_drivers': 'local,flat',
                'tenant_network_types': 'local',
                'mechanism_drivers': 'lab',
            },
            'ml2_type_flat': {'flat_networks': 'lab'},
            'nova': credentials('nova'),
        },
    )


def nova(state: str) -> Sections:
    """Return the options that all Nova services share."""
    return merged(
        _common('nova', state),
        {
            'DEFAULT': {
                'state_path': state,
                'rpc_response_timeout': 300,
                'long_rpc_timeout': 1800,
                'service_down_time': 600,
                'report_interval': 30,
                'vif_plugging_is_fatal': False,
                'vif_plugging_timeout': 0,
            },
            'placement': credentials('placement'),
            'neutron': credentials('neutron'),
            'glance': {'region_name': 'RegionOne', 'num_retries': 2},
            'service_user': {
                **credentials('nova'),
                'send_service_user_token': True,
            },
            'vnc': {'enabled': False},
            'oslo_middleware': {'enable_proxy_headers_parsing': True},
        },
    )


def nova_control(state: str, with_filter: bool) -> Sections:
    """Return the options of API, conductor and scheduler."""
    filters = [*FILTERS]
    if with_filter:
        filters.append(OUR_FILTER.rpartition('.')[2])
    return merged(
        nova(state),
        {
            'api_database': {'connection': database('nova_api')},
            'database': {'connection': database('nova')},
            'conductor': {'workers': 1},
            'scheduler': {'workers': 1, 'max_attempts': 3},
            'filter_scheduler': {
                'available_filters': [
                    'nova.scheduler.filters.all_filters',
                    OUR_FILTER,
                ],
                'enabled_filters': ','.join(filters),
            },
        },
    )


def watcher(state: str) -> Sections:
    """Return the options that all services of Watcher share."""
    return merged(
        _common('watcher', state),
        {
            'DEFAULT': {'host': 'controller'},
            'collector': {'collector_plugins': 'compute'},
            'database': {'connection': database('watcher')},
            'nova': credentials('watcher'),
            'placement': credentials('watcher'),
            'watcher_clients_auth': credentials('watcher'),
            'watcher_datasources': {'datasources': 'aetos'},
        },
    )


def nova_compute(
    name: str,
    address: str,
    driver: str = STOCK_DRIVER,
    skip_cpu_compare: bool = False,
    more: collections.abc.Mapping[str, Options] | None = None,
) -> Sections:
    """Return the options of nova-compute in the host *name*.

    :param skip_cpu_compare: the workaround without which the stock driver
        refuses every live migration on Arm
    """
    helper = 'privsep-helper --config-file /etc/nova/nova.conf'
    return merged(
        nova('/var/lib/nova'),
        {
            'DEFAULT': {
                'host': name,
                'my_ip': address,
                'compute_driver': driver,
                'instances_path': INSTANCES,
                'reserved_host_disk_mb': 0,
                'reserved_host_memory_mb': 256,
                'initial_disk_allocation_ratio': 10,
                # An emulated host has no time to spare.
                'heal_instance_info_cache_interval': -1,
                'volume_usage_poll_interval': 0,
                'running_deleted_instance_poll_interval': 0,
                'instance_usage_audit_period': 'month',
                'preallocate_images': 'none',
                'force_raw_images': False,
                # Only at this level does it log that it has reported.
                'default_log_levels': (
                    'amqp=WARN,oslo_messaging=INFO,'
                    'urllib3=WARN,keystoneauth=WARN,stevedore=WARN,'
                    'os_brick=WARN,nova.compute.resource_tracker=DEBUG'
                ),
            },
            'libvirt': {
                'virt_type': 'kvm',
                'cpu_mode': 'host-passthrough',
                'live_migration_uri': 'qemu+tcp://%s/system',
                'live_migration_inbound_addr': address,
                'num_pcie_ports': 4,
            },
            'image_cache': {'manager_interval': -1},
            'workarounds': {'skip_cpu_compare_on_dest': skip_cpu_compare},
            'nova_sys_admin': {'helper_command': helper},
            'privsep_osbrick': {'helper_command': helper},
            'vif_plug_ovs_privileged': {'helper_command': helper},
        },
        more or {},
    )
