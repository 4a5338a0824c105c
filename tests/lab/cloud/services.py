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

"""The services of the cloud, started and watched in the lab's network."""

import collections.abc
import dataclasses
import hashlib
import os
import pathlib
import shutil

from tests.lab import errors
from tests.lab import places
from tests.lab.cloud import backing
from tests.lab.cloud import install
from tests.lab.cloud import settings
from tests.lab.cloud.programs import Programs

# program -> the Debian package that contains it
TOOLS = {
    '/usr/sbin/mariadbd': 'mariadb-server',
    '/usr/lib/rabbitmq/bin/rabbitmq-server': 'rabbitmq-server',
    '/usr/sbin/debugfs': 'e2fsprogs',
    '/usr/bin/ganesha.nfsd': 'nfs-ganesha',
    '/usr/lib/x86_64-linux-gnu/ganesha/libfsalvfs.so': 'nfs-ganesha-vfs',
    '/usr/bin/ping': 'iputils-ping',
}

# The last Nova whose API always uses eventlet, which uWSGI's threads would
# not fit (nova/api/openstack/__init__.py).
EVENTLET = 31

# Parts of the state that depend only on the installed services.
_KEPT = ('mariadb', 'keystone')

WSGI = {
    'keystone': 'keystone.wsgi.api',
    'glance': 'glance.wsgi.api',
    'placement': 'placement.wsgi.api',
    'neutron': 'neutron.wsgi.api',
    'nova': 'nova.wsgi.osapi_compute',
}

# Runs in the services' environment; this one may lack openstacksdk.
_IDENTITY = pathlib.Path(__file__).with_name('identity.py')


def check_machine() -> None:
    """Raise LabSkip unless the Debian packages for the cloud are installed."""
    missing = {
        package for path, package in TOOLS.items() if not os.path.exists(path)
    }
    if missing:
        raise errors.LabSkip(
            'the cloud needs these Debian packages: '
            + ' '.join(sorted(missing))
        )


def client_environment() -> dict[str, str]:
    """Return the environment of an administrator's ``openstack``."""
    return {
        'OS_AUTH_URL': f'{settings.url("keystone")}/v3',
        'OS_USERNAME': 'admin',
        'OS_PASSWORD': settings.PASSWORD,
        'OS_PROJECT_NAME': 'admin',
        'OS_USER_DOMAIN_NAME': 'Default',
        'OS_PROJECT_DOMAIN_NAME': 'Default',
        'OS_REGION_NAME': 'RegionOne',
        'OS_IDENTITY_API_VERSION': '3',
        'OS_COMPUTE_API_VERSION': '2.96',
    }


@dataclasses.dataclass
class Services(Programs):
    """The services that run natively, in one lab.

    :ivar release: of Nova
    :ivar more: additional options of Nova's services
    """

    release: int = install.RELEASE
    more: collections.abc.Mapping[str, settings.Options] = dataclasses.field(
        default_factory=dict
    )

    def _api(self, name: str) -> None:
        processes, threads = 1, 4
        if name == 'nova' and self.release <= EVENTLET:
            processes, threads = 2, 1
        self.serve(
            name,
            WSGI[name],
            *('--processes', processes, '--threads', threads),
        )

    def serve(
        self,
        name: str,
        module: str,
        *more: object,
        home: pathlib.Path | None = None,
    ) -> None:
        """Start an API on its port.

        :param module: where its WSGI application is
        :param more: additional arguments of uWSGI
        :param home: the environment that it is installed in, if it is not
            that of the other services
        """
        self.start(
            name,
            [
                'uwsgi',
                '--home',
                home or self.environment,
                '--http-socket',
                f'{settings.ADDRESS}:{settings.PORTS[name]}',
                '--module',
                f'{module}:application',
                *more,
                '--enable-threads',
                '--lazy-apps',
                '--master',
                '--die-on-term',
                '--buffer-size',
                65535,
                '--no-orphans',
                '--log-5xx',
                '--disable-logging',
                '--need-app',
                '--http-timeout',
                900,
                '--socket-timeout',
                120,
                '--pythonpath',
                self.state / 'plugins',
                # It closes every connection, so it must announce that.
                '--add-header',
                'Connection: close',
            ],
        )

    def wait_api(self, name: str) -> None:
        """Return when an API answers."""
        request = f'GET / HTTP/1.0\r\nHost: {settings.ADDRESS}\r\n\r\n'
        port = settings.PORTS[name]
        self.wait(name, lambda: self.answers(port, request.encode()))

    def configure(self, with_filter: bool = True) -> None:
        state, home = str(self.state), str(self.environment)
        self.write('keystone/keystone.conf', settings.keystone(state))
        self.write('glance/glance-api.conf', settings.glance(state, home))
        self.write('placement/placement.conf', settings.placement(state))
        self.write('neutron/neutron.conf', settings.neutron(state, home))
        self._configure_nova(with_filter)
        shutil.copy(
            self.environment / 'etc/nova/api-paste.ini', self.etc / 'nova'
        )
        for name in (
            'glance/images',
            'glance/staging',
            'glance/tasks',
            'locks',
            'neutron',
        ):
            (self.state / name).mkdir(parents=True, exist_ok=True)

    def up(self) -> None:
        """Start all services; return when every API answers."""
        for path in (self.state, self.logs):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        self.configure()
        install.mechanism(self.state / 'plugins')
        kept = self._kept_tables()
        places.say('cloud: database and message queue')
        if kept.is_dir():
            for name in _KEPT:
                shutil.copytree(kept / name, self.state / name)
            backing.start_database(self)
            backing.start_queue(self)
            places.say('cloud: keystone')
            self._api('keystone')
        else:
            backing.make_database(self)
            backing.start_queue(self)
            places.say('cloud: tables')
            backing.make_tables(self)
            places.say('cloud: keystone')
            self._identity()
            self._keep_tables(kept)
        self.wait_api('keystone')
        places.say('cloud: glance, placement, neutron, nova')
        names = ('glance', 'placement', 'neutron', 'nova')
        for name in names:
            self._api(name)
        for name in names:
            self.wait_api(name)
        self.start_scheduler()
        self.start_conductor()

    def start_api(self, name: str) -> None:
        """Start an API that was stopped."""
        self._api(name)
        self.wait_api(name)

    def start_conductor(self) -> None:
        self.start(
            'nova-conductor',
            ['nova-conductor', '--config-file', self.etc / 'nova/nova.conf'],
        )

    def start_scheduler(self, with_filter: bool = True) -> None:
        """Start or restart the scheduler, with or without our filter."""
        self.stop('nova-scheduler')
        self._configure_nova(with_filter)
        self.start(
            'nova-scheduler',
            ['nova-scheduler', '--config-file', self.etc / 'nova/nova.conf'],
        )

    def _configure_nova(self, with_filter: bool) -> None:
        control = settings.nova_control(str(self.state), with_filter)
        self.write('nova/nova.conf', settings.merged(control, self.more))

    def restart_nova(
        self, more: collections.abc.Mapping[str, settings.Options]
    ) -> None:
        """Restart API, conductor and scheduler with these options too."""
        self.more = more
        for name in ('nova', 'nova-conductor'):
            self.stop(name)
        self.start_scheduler()
        self.start_conductor()
        self.start_api('nova')

    def _kept_tables(self) -> pathlib.Path:
        """Return the folder with a copy of the databases that have only users.

        Creating them takes a minute on an idle machine.
        """
        conf = (settings.keystone(''), settings.nova_control('', True))
        made_by = _IDENTITY.read_text()
        text = f'{conf} {settings.CATALOGUE} {made_by}'
        stamp = hashlib.sha256(text.encode()).hexdigest()[:12]
        return install.folder() / f'tables-{self.environment.name}-{stamp}'

    def _keep_tables(self, kept: pathlib.Path) -> None:
        self.stop('mariadb')
        kind = self.environment.name.partition('-')[0]
        for old in kept.parent.glob(f'tables-{kind}-*'):
            shutil.rmtree(old)
        work = kept.with_suffix('.tmp')
        for name in _KEPT:
            shutil.copytree(self.state / name, work / name)
        os.rename(work, kept)
        backing.start_database(self)

    def _identity(self) -> None:
        address = f'{settings.url("keystone")}/v3'
        self.run(
            [
                'keystone-manage',
                '--config-file',
                self.etc / 'keystone/keystone.conf',
                'bootstrap',
                '--bootstrap-password',
                settings.PASSWORD,
                '--bootstrap-region-id',
                'RegionOne',
                *(
                    word
                    for kind in ('admin', 'internal', 'public')
                    for word in (f'--bootstrap-{kind}-url', address)
                ),
            ],
            'keystone-manage bootstrap',
        )
        self._api('keystone')
        self.wait_api('keystone')
        self.register(settings.CATALOGUE)

    def register(self, names: collections.abc.Iterable[str]) -> None:
        """Make the users, services and endpoints of these services."""
        self.run(
            ['python', '-m', 'tests.lab.cloud.identity', *names],
            'making the service users',
            client_environment(),
        )

    def discover(self) -> None:
        """Map new computes to the cell."""
        self.run(
            [
                'nova-manage',
                '--config-file',
                self.etc / 'nova/nova.conf',
                'cell_v2',
                'discover_hosts',
            ],
            'nova-manage discover_hosts',
        )
