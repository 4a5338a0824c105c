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

"""The configuration files of the simulated cloud: nova.conf, placement.conf.

And the names that the programs in this package give to its options. The files
are real files in the cloud's directory, written before anything of
Nova is imported and shown nowhere but there.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import typing as ty

from clouds import ini
import simulated

Options: ty.TypeAlias = dict[str, dict[str, ty.Any]]

DRIVER: ty.Final = 'arm_migrate.ArmLibvirtDriver'
STOCK_DRIVER: ty.Final = 'libvirt.LibvirtDriver'
FILTER: ty.Final = 'nova_arm_migrate.filters.ArmMigrateFilter'

PROFILES: ty.Final = pathlib.Path(simulated.__file__).parent / 'profiles'
"""Where the recorded hosts are."""

SERVICE_USER: ty.Final = {
    'auth_type': 'password',
    'username': 'nova',
    'password': 'simulated',
    'user_domain_name': 'Default',
    'project_name': 'service',
    'project_domain_name': 'Default',
}


class InstallationIncomplete(Exception):
    """A file of Nova's installation is missing."""


def api_paste_config() -> pathlib.Path:
    """Find nova-api's pipeline, which Nova's wheel installs as a data file.

    :raises InstallationIncomplete: Nova was installed without it.
    """
    for name in importlib.metadata.files('nova') or ():
        if name.name == 'api-paste.ini':
            path = pathlib.Path(str(name.locate())).resolve()
            if path.is_file():
                return path
    raise InstallationIncomplete(
        "nova's api-paste.ini is not installed: reinstall nova from its "
        'wheel (an editable nova lacks it)'
    )


def sqlite_url(directory: pathlib.Path, name: str) -> str:
    # A writer waits for another process's write for that many seconds.
    return f'sqlite:///{directory / name}.sqlite?timeout=60'


def nova_options(
    directory: pathlib.Path, url: str, driver: str, filters: list[str]
) -> Options:
    """Return the options of nova.conf.

    :param directory: where databases, instances, locks and the log go.
    :param url: the frontend's, without a path.
    :param driver: value of ``compute_driver``.
    :param filters: scheduler filters to add to Nova's default ones, as full
        class paths.
    """
    identity = f'{url}/identity'
    user = {'auth_url': identity, **SERVICE_USER}
    scheduler = {
        'available_filters': ['nova.scheduler.filters.all_filters', *filters],
        'enabled_filters': ','.join(
            [
                'ComputeFilter',
                'ComputeCapabilitiesFilter',
                'ImagePropertiesFilter',
                'ServerGroupAntiAffinityFilter',
                'ServerGroupAffinityFilter',
                'NUMATopologyFilter',
                *(name.rpartition('.')[2] for name in filters),
            ]
        ),
        # Choose the first of equally good hosts, not a random one, so that
        # every run shows the same.
        'host_subset_size': 1,
        'shuffle_best_same_weighed_hosts': False,
    }
    return {
        'DEFAULT': {
            'compute_driver': driver,
            'host': 'controller',
            'my_ip': '127.0.0.1',
            'state_path': directory,
            'instances_path': directory / 'instances',
            'transport_url': 'fake://',
            'log_file': directory / 'nova.log',
            'use_stderr': False,
            # A live migration waits for no event of the simulated neutron.
            'vif_plugging_timeout': 0,
            'vif_plugging_is_fatal': False,
            'manager_shutdown_timeout': 20,
            # A compute on a busy machine must not count as down.
            'service_down_time': 3600,
            'resume_guests_state_on_host_boot': False,
        },
        'api_database': {
            'connection': sqlite_url(directory, 'nova_api'),
            'sqlite_synchronous': False,
        },
        'database': {
            'connection': sqlite_url(directory, 'nova_cell1'),
            'sqlite_synchronous': False,
        },
        'keystone_authtoken': {
            'www_authenticate_uri': identity,
            'service_token_roles_required': False,
            **user,
        },
        'placement': user,
        'service_user': {'send_service_user_token': False},
        'compute': {'live_migration_wait_for_vif_plug': False},
        'filter_scheduler': scheduler,
        'libvirt': {
            'virt_type': 'kvm',
            'cpu_mode': 'host-passthrough',
            'live_migration_scheme': 'tcp',
        },
        'key_manager': {'backend': 'nova.keymgr.conf_key_mgr.ConfKeyManager'},
        'notifications': {'notification_format': 'unversioned'},
        'oslo_concurrency': {'lock_path': directory / 'locks'},
        'quota': {'instances': -1, 'cores': -1, 'ram': -1},
        'oslo_messaging_notifications': {'driver': 'noop'},
        'vnc': {'enabled': False},
        'wsgi': {'api_paste_config': api_paste_config()},
    }


def placement_options(directory: pathlib.Path, url: str) -> Options:
    """Return the options of placement.conf."""
    return {
        'DEFAULT': {'state_path': directory, 'use_stderr': False},
        'placement_database': {
            'connection': sqlite_url(directory, 'placement'),
            'sqlite_synchronous': False,
        },
        'api': {'auth_strategy': 'keystone'},
        'keystone_authtoken': {
            'www_authenticate_uri': f'{url}/identity',
            'auth_url': f'{url}/identity',
            'service_token_roles_required': False,
            **SERVICE_USER,
        },
    }


def write(path: pathlib.Path, options: Options) -> None:
    """Write a configuration file."""
    path.write_text(ini.dump(options))
