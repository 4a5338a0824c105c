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

"""The cloud's database, its tables and its message queue."""

import concurrent.futures

from tests.lab.cloud import settings
from tests.lab.cloud.programs import Programs


def make_database(on: Programs) -> None:
    """Start an empty database server, and make the databases in it."""
    on.run(
        [
            'mariadb-install-db',
            '--no-defaults',
            '--user=root',
            '--auth-root-authentication-method=normal',
            '--skip-test-db',
            f'--datadir={on.state}/mariadb',
        ],
        'making the database',
    )
    start_database(on)
    words = [_create(name) for name in settings.DATABASES]
    words += [
        f"CREATE USER lab@'%' IDENTIFIED BY '{settings.PASSWORD}';",
        "GRANT ALL ON *.* TO lab@'%';",
    ]
    _execute(on, words)


def empty_database(on: Programs, name: str) -> None:
    """Make one more database; delete it first if it exists."""
    _execute(on, [f'DROP DATABASE IF EXISTS {name};', _create(name)])


def _create(name: str) -> str:
    return f'CREATE DATABASE {name} CHARACTER SET utf8;'


def _execute(on: Programs, words: list[str]) -> None:
    on.run(
        [
            'mariadb',
            '--no-defaults',
            '-u',
            'root',
            f'-S{on.state}/mariadb.sock',
            '-e',
            ' '.join(words),
        ],
        'making the databases',
    )


def start_database(on: Programs) -> None:
    """Start the database server; return when it answers."""
    data = on.state / 'mariadb'
    socket_path = on.state / 'mariadb.sock'
    on.start(
        'mariadb',
        [
            '/usr/sbin/mariadbd',
            '--no-defaults',
            '--user=root',
            f'--datadir={data}',
            f'--socket={socket_path}',
            f'--pid-file={on.state}/mariadbd.pid',
            f'--bind-address={settings.ADDRESS}',
            '--skip-log-bin',
            '--innodb-flush-log-at-trx-commit=0',
            '--innodb-doublewrite=0',
            '--innodb-buffer-pool-size=128M',
            '--max-connections=500',
            '--performance-schema=OFF',
        ],
    )
    on.wait('mariadb', lambda: on.answers(3306))


def start_queue(on: Programs) -> None:
    """Start the message queue; the services wait for it themselves."""
    home = on.state / 'rabbitmq'
    home.mkdir()
    (home / 'rabbitmq.conf').write_text(
        f'listeners.tcp.1 = {settings.ADDRESS}:5672\nloopback_users = none\n'
    )
    (home / 'plugins').write_text('[].\n')
    on.start(
        'rabbitmq',
        ['/usr/lib/rabbitmq/bin/rabbitmq-server'],
        {
            'HOME': str(home),
            'RABBITMQ_NODENAME': 'lab@localhost',
            'RABBITMQ_CONFIG_FILE': str(home / 'rabbitmq.conf'),
            'RABBITMQ_CONF_ENV_FILE': str(home / 'none'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(home / 'plugins'),
            'RABBITMQ_MNESIA_BASE': str(home / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(on.logs / 'rabbitmq'),
            'RABBITMQ_PID_FILE': str(home / 'pid'),
            'ERL_EPMD_ADDRESS': '127.0.0.1',
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '+S 1:1 +sbwt none',
        },
    )


def make_tables(on: Programs) -> None:
    """Make the tables of all services, and keystone's keys."""
    etc = on.etc
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
        (on.state / 'keystone' / name).mkdir(0o700, parents=True)

    def do(commands: list[list[object]]) -> None:
        for command in commands:
            on.run(
                command,
                ' '.join(map(str, command[:1]))
                + f' {command[3]} {command[-1]}',
            )

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for _ in pool.map(do, jobs):
            pass
