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

"""The simulated cloud: its services, and how they are connected.

Real, from Nova's and Placement's wheels: nova-api, nova-scheduler,
nova-conductor, the computes with their drivers, placement, their databases
(SQLite) and keystonemiddleware.  Simulated: libvirt with QEMU
(`simulated.hypervisor`), glance, neutron and cinder (Nova's own
test fixtures), keystone (`demo.frontend`).  All services
live in one process, on oslo.messaging's in-process transport.

Import ``nova.tests.functional`` before this module and before anything else
of Nova, with ``OS_NOVA_DISABLE_EVENTLET_PATCHING`` set: that package chooses
Nova's thread model.
"""

from __future__ import annotations

import collections.abc
import logging as std_logging
import pathlib
import sqlite3
import typing as ty
import uuid

import fixtures
from nova import config
from nova import context as nova_context
from nova import objects
from nova import service
from nova import thread_pool_factory
from nova.api import wsgi
from nova.api.openstack import wsgi_app
from nova.compute import rpcapi as compute_rpcapi
import nova.conf
from nova.db import migration
from nova.db.main import api as main_db_api
from nova.tests import fixtures as nova_fixtures
from nova.tests.fixtures import libvirt as fakelibvirt
import os_brick  # type: ignore[import-untyped]
import os_vif
from oslo_config import cfg
from oslo_log import log as logging
from placement import conf as placement_conf
from placement import db_api as placement_db
from placement import deploy as placement_deploy

from demo import frontend
from demo import settings
from nova_arm_migrate.core.profile import Host
from simulated import hosts

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

IMAGE_NAME = 'debian-13-arm64'


class HostSpec(ty.NamedTuple):
    """A host of the cloud.

    :ivar profile: recorded on the host that is simulated.
    :ivar memory_gib: GiB; the scheduler prefers hosts with more of it free.
    """

    profile: Host
    memory_gib: int = 16


class Stage(fixtures.Fixture):
    """The part of a test case that Nova's fixtures need."""

    def flags(self, group: str | None = None, **options: ty.Any) -> None:
        for name, value in options.items():
            CONF.set_override(name, value, group)

    def stub_out(self, target: str, new: ty.Any) -> None:
        self.useFixture(fixtures.MonkeyPatch(target, new))


class Cloud(fixtures.Fixture):
    """A cloud of simulated Arm64 hosts, served over HTTP on loopback.

    :param directory: an empty directory for all files of the cloud.
    :param specs: the hosts by name; one nova-compute runs on each.
    :param driver: ``compute_driver``.
    :param filters: scheduler filters to add, as full class paths.
    :param front: serves the APIs; the cloud starts and stops it.
    :param endpoints: URLs of other services for the catalog, by their type.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        front: frontend.Frontend,
        specs: collections.abc.Mapping[str, HostSpec],
        driver: str = 'libvirt.LibvirtDriver',
        filters: collections.abc.Sequence[str] = (),
        endpoints: collections.abc.Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.directory = directory
        self.nova_conf = directory / 'nova.conf'
        self.log = directory / 'nova.log'
        self.computes: dict[str, service.Service] = {}
        self._running: list[service.Service] = []
        self._specs = specs
        self._driver = driver
        self._filters = list(filters)
        self.frontend = front
        self._endpoints = dict(endpoints or {})

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that point the openstack client here."""
        return {
            'OS_AUTH_URL': f'{self.frontend.url}/identity/v3',
            'OS_USERNAME': 'admin',
            'OS_PASSWORD': 'simulated',
            'OS_PROJECT_NAME': 'demo',
            'OS_USER_DOMAIN_ID': 'default',
            'OS_PROJECT_DOMAIN_ID': 'default',
            'OS_IDENTITY_API_VERSION': '3',
            'OS_COMPUTE_API_VERSION': '2.96',
        }

    def _setUp(self) -> None:
        for name in ('instances', 'locks'):
            (self.directory / name).mkdir()
        self.addCleanup(self.frontend.stop)
        self._configure()
        self._create_databases()
        self.arm = self._simulate()
        self._serve()
        self.addCleanup(self._stop)
        self._start_controllers()
        for name in self._specs:
            self.start_compute(name)
        self._map_hosts()

    # The steps, in the order they run

    def _write_nova_conf(self, workarounds: dict[str, bool]) -> None:
        options = settings.nova_options(
            self.directory, self.frontend.url, self._driver, self._filters
        )
        options['workarounds'] = dict(workarounds)
        settings.write(self.nova_conf, options)

    def _configure(self) -> None:
        self._write_nova_conf({})
        config.parse_args(['nova', '--config-file', str(self.nova_conf)])
        self.addCleanup(CONF.reset)
        logging.setup(CONF, 'nova')
        std_logging.captureWarnings(True)
        objects.register_all()
        os_brick.setup(CONF)
        os_vif.initialize()

    def _create_databases(self) -> None:
        for name in ('nova_api', 'nova_cell1', 'placement'):
            with sqlite3.connect(self.directory / f'{name}.sqlite') as db:
                db.execute('PRAGMA journal_mode=WAL')
        # Every service writes from its own thread, but SQLite allows one
        # writer: the threads wait here instead of failing in SQLite.
        self.useFixture(nova_fixtures.DatabaseWriteLock())
        migration.db_sync(database='api')
        migration.db_sync(database='main')
        main_db_api.get_engine().dispose()
        with (
            sqlite3.connect(self.directory / 'nova_cell1.sqlite') as cell1,
            sqlite3.connect(self.directory / 'nova_cell0.sqlite') as cell0,
        ):
            cell1.backup(cell0)
            cell0.execute('PRAGMA journal_mode=WAL')
        context = nova_context.get_admin_context()
        for cell_name, cell_uuid, transport in (
            ('cell0', objects.CellMapping.CELL0_UUID, 'none:///'),
            ('cell1', str(uuid.uuid4()), CONF.transport_url),
        ):
            cell = objects.CellMapping(
                context,
                uuid=cell_uuid,
                name=cell_name,
                transport_url=transport,
                database_connection=settings.sqlite_url(
                    self.directory, f'nova_{cell_name}'
                ),
            )
            cell.create()
        self._cell1 = cell

    def _simulate(self) -> hosts.ArmHostsFixture:
        stage = self.useFixture(Stage())
        glance = self.useFixture(nova_fixtures.GlanceFixture(stage))
        neutron = self.useFixture(nova_fixtures.NeutronFixture(stage))
        self.useFixture(nova_fixtures.CinderFixture(stage))
        glance.images.clear()
        glance.create(
            None,
            {
                'id': str(uuid.uuid4()),
                'name': IMAGE_NAME,
                'size': 25165824,
                'container_format': 'bare',
                'disk_format': 'qcow2',
                'min_ram': 0,
                'min_disk': 0,
                'visibility': 'public',
                'protected': False,
                'is_public': True,
                'deleted': False,
                'deleted_at': None,
                'status': 'active',
                'tags': [],
                'properties': {
                    'hw_architecture': 'aarch64',
                    'hw_machine_type': 'virt',
                },
            },
        )
        self._glance = glance
        self._neutron = neutron
        self.useFixture(hosts.FakeHypervisorFixture())
        # A stopped compute must not take the thread pools of the others.
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.thread_pool_factory.shutdown_all_executors', lambda: None
            )
        )
        self._connection = self.useFixture(
            fixtures.MockPatch('nova.virt.libvirt.host.Host.get_connection')
        ).mock
        self._node_uuids = [
            self.useFixture(
                fixtures.MockPatch(f'nova.virt.node.{verb}_local_node_uuid')
            ).mock
            for verb in ('get', 'read')
        ]
        arm = self.useFixture(hosts.ArmHostsFixture(copy_seconds=0.5))
        for name, spec in self._specs.items():
            arm.add(
                name,
                spec.profile,
                host_info=fakelibvirt.HostInfo(
                    cpu_nodes=1,
                    cpu_sockets=1,
                    cpu_cores=8,
                    cpu_threads=1,
                    kB_mem=spec.memory_gib << 20,
                ),
            )
        return arm

    def _serve(self) -> None:
        catalog = {
            kind: f'{self.frontend.url}/{path}'
            for kind, path in (
                ('identity', 'identity/v3'),
                ('compute', 'compute/v2.1'),
                ('placement', 'placement'),
                ('image', 'image'),
                ('network', 'network'),
            )
        } | self._endpoints
        self.frontend.mount('identity', frontend.Identity(catalog))
        self.frontend.mount(
            'image', frontend.Collection('v2', 'images', None, self._images)
        )
        self.frontend.mount(
            'network',
            frontend.Collection(
                'v2.0',
                'networks',
                'network',
                lambda: list(self._neutron._networks.values()),
            ),
        )
        self.frontend.mount('placement', self._placement())
        self.frontend.mount('compute', wsgi.Loader().load_app('osapi_compute'))
        self.frontend.start()

    def _images(self) -> list[dict[str, ty.Any]]:
        return [
            {
                'id': image['id'],
                'name': image['name'],
                'status': image['status'],
                'visibility': 'public',
                'min_ram': 0,
                'min_disk': 0,
                'size': image['size'],
                **image['properties'],
            }
            for image in self._glance.images.values()
        ]

    def _placement(self) -> frontend.App:
        path = self.directory / 'placement.conf'
        settings.write(
            path, settings.placement_options(self.directory, self.frontend.url)
        )
        conf = cfg.ConfigOpts()
        placement_conf.register_opts(conf)
        conf([], project='placement', default_config_files=[str(path)])
        conf.set_override('sync_on_startup', True, 'placement_database')
        placement_db.configure(conf)
        return placement_deploy.loadapp(conf)

    def _start_controllers(self) -> None:
        wsgi_app._setup_service(CONF.host, 'osapi_compute')
        context = nova_context.get_admin_context()
        for name, vcpus, memory_mb in (
            ('m1.small', 1, 2048),
            ('m1.medium', 2, 4096),
        ):
            objects.Flavor(
                context,
                name=name,
                flavorid=name,
                vcpus=vcpus,
                memory_mb=memory_mb,
                root_gb=10,
                ephemeral_gb=0,
                swap=0,
                rxtx_factor=1.0,
                disabled=False,
                is_public=True,
            ).create()
        self._start(
            service.Service.create(binary='nova-conductor', topic='conductor')
        )
        self._start_scheduler()

    def start_compute(self, name: str) -> None:
        """Start the nova-compute of a host, with the configured driver."""
        connection = self.arm.hosts[name].connection
        self._connection.return_value = connection
        for node_uuid in self._node_uuids:
            node_uuid.return_value = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        with nova_fixtures.ConfPatcher(host=name):
            compute = service.Service.create(
                host=name,
                binary='nova-compute',
                topic=compute_rpcapi.RPC_TOPIC,
                topic_alt=compute_rpcapi.RPC_TOPIC_ALT,
            )
            compute.driver._host.get_node_uuid()
            compute.driver._host.get_connection = lambda: connection
            self._start(compute)
        self.computes[name] = compute

    def reconfigure(
        self,
        driver: str,
        filters: collections.abc.Sequence[str] = (),
        **workarounds: bool,
    ) -> None:
        """Change nova.conf and restart the scheduler and every compute.

        Guests keep running, because their QEMU processes do.

        :param workarounds: options of that section.
        """
        for running in (self._scheduler, *self.computes.values()):
            self._running.remove(running)
            running.stop()
            running.wait()
        self._driver, self._filters = driver, list(filters)
        self._write_nova_conf(workarounds)
        CONF.reload_config_files()
        self._start_scheduler()
        for name in list(self.computes):
            self.start_compute(name)

    def finish_live_migrations(self) -> None:
        """Wait until no compute works on a live migration.

        The last step of a failed migration puts the server into ERROR, after
        everything else already shows its end.
        """
        thread_pool_factory.spawn_on(
            thread_pool_factory.ExecutorType.LIVE_MIGRATION, lambda: None
        ).result(timeout=60)

    def _start_scheduler(self) -> None:
        self._scheduler = service.Service.create(
            binary='nova-scheduler', topic='scheduler'
        )
        self._start(self._scheduler)

    def _start(self, started: service.Service) -> None:
        started.start()
        self._running.append(started)

    def _stop(self) -> None:
        for running in reversed(self._running):
            running.stop()
            running.wait()

    def _map_hosts(self) -> None:
        from nova.objects import host_mapping

        host_mapping.discover_hosts(nova_context.get_admin_context())
