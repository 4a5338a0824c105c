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
import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

from clouds import ini
from tests.lab import errors
from tests.lab import network
from tests.lab import places
from tests.lab import processes
from tests.lab.cloud import install
from tests.lab.cloud import settings

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

# Creates users, roles, services and endpoints in one process: the client would
# need 30 processes of three seconds each.
_IDENTITY = """
import openstack
import sys
from tests.lab.cloud import settings

cloud = openstack.connect()
identity = cloud.identity
project = identity.create_project(name='service', domain_id='default')
roles = {role.name: role for role in identity.roles()}
service_role = roles.get('service') or identity.create_role(name='service')
for name, (kind, path) in settings.CATALOGUE.items():
    user = identity.create_user(
        name=name, password=settings.PASSWORD, domain_id='default',
        default_project_id=project.id)
    for role in (roles['admin'], service_role):
        identity.assign_project_role_to_user(project, user, role)
    service = identity.create_service(name=name, type=kind)
    for interface in ('public', 'internal', 'admin'):
        identity.create_endpoint(
            service_id=service.id, interface=interface,
            region_id='RegionOne', url=settings.url(name) + path)
"""


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
class Services:
    """The services that run natively, in one lab.

    :ivar release: of Nova
    :ivar state: databases, keys, images; removed with the lab
    :ivar logs: kept after a failure
    :ivar more: additional options of Nova's services
    """

    net: network.Network
    state: pathlib.Path
    logs: pathlib.Path
    environment: pathlib.Path
    release: int = install.RELEASE
    more: collections.abc.Mapping[str, settings.Options] = dataclasses.field(
        default_factory=dict
    )

    @property
    def etc(self) -> pathlib.Path:
        return self.state / 'etc'

    def _env(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ('PATH', 'HOME', 'LANG', 'TERM')
        }
        return {
            **kept,
            'PATH': f'{self.environment}/bin:{kept["PATH"]}',
            'LC_ALL': 'C.UTF-8',
            'OS_KEYSTONE_CONFIG_DIR': str(self.etc / 'keystone'),
            'OS_GLANCE_CONFIG_DIR': str(self.etc / 'glance'),
            'OS_PLACEMENT_CONFIG_DIR': str(self.etc / 'placement'),
            'OS_NEUTRON_CONFIG_DIR': str(self.etc / 'neutron'),
            'OS_NEUTRON_CONFIG_FILES': 'neutron.conf',
            'OS_NOVA_CONFIG_DIR': str(self.etc / 'nova'),
        }

    def run(
        self,
        argv: collections.abc.Sequence[object],
        what: str,
        env: collections.abc.Mapping[str, str] | None = None,
    ) -> None:
        """Run a command to its end; LabError with its last line on failure."""
        words = self.net.command([str(word) for word in argv])
        install.run_logged(
            words,
            self.logs / 'setup.log',
            what,
            nice=0,
            env={**self._env(), **(env or {})},
            cwd=install.REPOSITORY,
        )

    def start(
        self,
        name: str,
        argv: collections.abc.Sequence[object],
        env: collections.abc.Mapping[str, str] | None = None,
    ) -> processes.Process:
        """Start a service in the background; its log is NAME.log."""
        words = self.net.command([str(word) for word in argv])
        with open(self.logs / f'{name}.log', 'ab') as log:
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._env(), **(env or {})},
                cwd=self.state,
                start_new_session=True,
            )
        process = processes.Process.of(child.pid)
        (self.state / f'{name}.pid').write_text(
            f'{process.pid} {process.started}'
        )
        return process

    def running(self, name: str) -> processes.Process | None:
        try:
            text = (self.state / f'{name}.pid').read_text()
        except OSError:
            return None
        pid, started = text.split()
        process = processes.Process(int(pid), int(started))
        return process if process.alive() else None

    def stop(self, name: str) -> None:
        process = self.running(name)
        if process:
            process.end(patience=15)

    def wait(
        self,
        name: str,
        ready: collections.abc.Callable[[], bool],
        patience: float = 180,
    ) -> None:
        """Return when *ready*; LabError if the service ends or is late."""
        deadline = time.monotonic() + patience
        log = self.logs / f'{name}.log'
        while not ready():
            if self.running(name) is None:
                words = last_words(log)
                raise errors.LabError(f'{name} ended: {words} (see {log})')
            if time.monotonic() > deadline:
                raise errors.LabError(
                    f'{name} is not up after {patience:.0f} s (see {log})'
                )
            time.sleep(0.3)

    def answers(self, port: int, request: bytes = b'') -> bool:
        """Return whether *port* accepts a connection and answers *request*."""
        connection: socket.socket = self.net.socket()
        with connection:
            try:
                connection.settimeout(150)
                connection.connect((settings.ADDRESS, port))
                if request:
                    connection.sendall(request)
                    return bool(connection.recv(1))
                return True
            except OSError:
                return False

    def _api(self, name: str) -> None:
        port = settings.PORTS[name]
        processes, threads = 1, 4
        if name == 'nova' and self.release <= EVENTLET:
            processes, threads = 2, 1
        self.start(
            name,
            [
                'uwsgi',
                '--home',
                self.environment,
                '--http-socket',
                f'{settings.ADDRESS}:{port}',
                '--module',
                f'{WSGI[name]}:application',
                '--processes',
                processes,
                '--threads',
                threads,
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

    def _wait_api(self, name: str) -> None:
        request = f'GET / HTTP/1.0\r\nHost: {settings.ADDRESS}\r\n\r\n'
        port = settings.PORTS[name]
        self.wait(name, lambda: self.answers(port, request.encode()))

    def write(self, path: str, sections: settings.Sections) -> None:
        target = self.etc / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(ini.dump(sections))

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
            self._start_database()
            self._queue()
            places.say('cloud: keystone')
            self._api('keystone')
        else:
            self._make_database()
            self._queue()
            places.say('cloud: tables')
            self._tables()
            places.say('cloud: keystone')
            self._identity()
            self._keep_tables(kept)
        self._wait_api('keystone')
        places.say('cloud: glance, placement, neutron, nova')
        names = ('glance', 'placement', 'neutron', 'nova')
        for name in names:
            self._api(name)
        for name in names:
            self._wait_api(name)
        self.start_scheduler()
        self.start_conductor()

    def start_api(self, name: str) -> None:
        """Start an API that was stopped."""
        self._api(name)
        self._wait_api(name)

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
        text = f'{conf} {settings.CATALOGUE} {_IDENTITY}'
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
        self._start_database()

    def _make_database(self) -> None:
        self.run(
            [
                'mariadb-install-db',
                '--no-defaults',
                '--user=root',
                '--auth-root-authentication-method=normal',
                '--skip-test-db',
                f'--datadir={self.state}/mariadb',
            ],
            'making the database',
        )
        self._start_database()
        words = [
            f'CREATE DATABASE {name} CHARACTER SET utf8;'
            for name in settings.DATABASES
        ]
        words += [
            f"CREATE USER lab@'%' IDENTIFIED BY '{settings.PASSWORD}';",
            "GRANT ALL ON *.* TO lab@'%';",
        ]
        self.run(
            [
                'mariadb',
                '--no-defaults',
                '-u',
                'root',
                f'-S{self.state}/mariadb.sock',
                '-e',
                ' '.join(words),
            ],
            'making the databases',
        )

    def _start_database(self) -> None:
        data = self.state / 'mariadb'
        socket_path = self.state / 'mariadb.sock'
        self.start(
            'mariadb',
            [
                '/usr/sbin/mariadbd',
                '--no-defaults',
                '--user=root',
                f'--datadir={data}',
                f'--socket={socket_path}',
                f'--pid-file={self.state}/mariadbd.pid',
                f'--bind-address={settings.ADDRESS}',
                '--skip-log-bin',
                '--innodb-flush-log-at-trx-commit=0',
                '--innodb-doublewrite=0',
                '--innodb-buffer-pool-size=128M',
                '--max-connections=500',
                '--performance-schema=OFF',
            ],
        )
        self.wait('mariadb', lambda: self.answers(3306))

    def _queue(self) -> None:
        home = self.state / 'rabbitmq'
        home.mkdir()
        (home / 'rabbitmq.conf').write_text(
            f'listeners.tcp.1 = {settings.ADDRESS}:5672\n'
            'loopback_users = none\n'
        )
        (home / 'plugins').write_text('[].\n')
        self.start(
            'rabbitmq',
            ['/usr/lib/rabbitmq/bin/rabbitmq-server'],
            {
                'HOME': str(home),
                'RABBITMQ_NODENAME': 'lab@localhost',
                'RABBITMQ_CONFIG_FILE': str(home / 'rabbitmq.conf'),
                'RABBITMQ_CONF_ENV_FILE': str(home / 'none'),
                'RABBITMQ_ENABLED_PLUGINS_FILE': str(home / 'plugins'),
                'RABBITMQ_MNESIA_BASE': str(home / 'mnesia'),
                'RABBITMQ_LOG_BASE': str(self.logs / 'rabbitmq'),
                'RABBITMQ_PID_FILE': str(home / 'pid'),
                'ERL_EPMD_ADDRESS': '127.0.0.1',
                'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '+S 1:1 +sbwt none',
            },
        )

    def _tables(self) -> None:
        etc = self.etc
        cell0 = settings.database('nova_cell0')
        nova: list[object] = [
            'nova-manage',
            '--config-file',
            etc / 'nova/nova.conf',
        ]
        keystone: list[object] = [
            'keystone-manage',
            '--config-file',
            etc / 'keystone/keystone.conf',
        ]
        jobs: list[list[list[object]]] = [
            [
                [*keystone, 'db_sync'],
                [
                    *keystone,
                    'fernet_setup',
                    '--keystone-user',
                    'root',
                    '--keystone-group',
                    'root',
                ],
                [
                    *keystone,
                    'credential_setup',
                    '--keystone-user',
                    'root',
                    '--keystone-group',
                    'root',
                ],
            ],
            [
                [
                    'glance-manage',
                    '--config-file',
                    etc / 'glance/glance-api.conf',
                    'db_sync',
                ]
            ],
            [
                [
                    'placement-manage',
                    '--config-file',
                    etc / 'placement/placement.conf',
                    'db',
                    'sync',
                ]
            ],
            [
                [
                    'neutron-db-manage',
                    '--config-file',
                    etc / 'neutron/neutron.conf',
                    'upgrade',
                    'heads',
                ]
            ],
            [
                [*nova, 'api_db', 'sync'],
                [
                    *nova,
                    'cell_v2',
                    'map_cell0',
                    '--database_connection',
                    cell0,
                ],
                [*nova, 'db', 'sync'],
                [*nova, 'cell_v2', 'create_cell', '--name', 'cell1'],
            ],
        ]
        for name in ('fernet', 'credential'):
            (self.state / 'keystone' / name).mkdir(0o700, parents=True)

        def do(commands: list[list[object]]) -> None:
            for command in commands:
                self.run(
                    command,
                    ' '.join(map(str, command[:1]))
                    + f' {command[3]} {command[-1]}',
                )

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for _ in pool.map(do, jobs):
                pass

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
        self._wait_api('keystone')
        self.run(
            ['python', '-c', _IDENTITY],
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


def last_words(log: pathlib.Path) -> str:
    """Return a log's last line; prefer a line with an error."""
    try:
        lines = log.read_text(errors='replace').splitlines()[-60:]
    except OSError:
        return 'no log'
    lines = [line for line in lines if line.strip()] or ['nothing']
    wrong = [line for line in lines if 'rror' in line or 'CRITICAL' in line]
    return (wrong or lines)[-1].strip()[:200]
