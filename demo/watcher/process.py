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

"""Install Watcher, configure it, start it and stop it."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import typing as ty
import venv

from demo import settings

ROOT = pathlib.Path(__file__).parents[2]
CONSTRAINTS = ROOT / 'constraints' / 'watcher.txt'
_PACKAGES = ('python-watcher', 'python-watcherclient')
_SERVICES = pathlib.Path(__file__).with_name('services.py')
#: What `services` prints when all run; it cannot be imported here.
_READY = 'ready'


class WatcherFailed(Exception):
    """Watcher cannot be installed or started; the text says why."""


def install(directory: pathlib.Path) -> None:
    """Install Watcher and its client in an environment, if it lacks them.

    :raises WatcherFailed: pip cannot install them
    """
    mark = directory / 'constraints.txt'
    wanted = CONSTRAINTS.read_text()
    if mark.exists() and mark.read_text() == wanted:
        return
    venv.create(directory, with_pip=True, clear=directory.exists())
    _run(
        directory / 'bin' / 'pip',
        *('install', '--quiet', '--disable-pip-version-check'),
        *('--constraint', str(CONSTRAINTS), *_PACKAGES),
    )
    mark.write_text(wanted)


def options(directory: pathlib.Path, identity: str) -> settings.Options:
    """Return the options of watcher.conf.

    :param directory: where the database, the locks and the log go
    :param identity: the URL of keystone
    """
    user = {**settings.SERVICE_USER, 'auth_url': identity}
    return {
        'DEFAULT': {
            'host': 'controller',
            'transport_url': 'fake://',
            'log_file': directory / 'watcher.log',
            'debug': True,
            # On a busy machine, Watcher must not take itself for dead.
            'service_down_time': 3600,
        },
        'collector': {'collector_plugins': 'compute'},
        'database': {
            'connection': settings.sqlite_url(directory, 'watcher'),
        },
        'keystone_authtoken': {
            'www_authenticate_uri': identity,
            'service_token_roles_required': False,
            **user,
        },
        'nova': user,
        'oslo_concurrency': {'lock_path': directory / 'locks'},
        'oslo_messaging_notifications': {'driver': 'noop'},
        'placement': user,
        'watcher_clients_auth': user,
        'watcher_datasources': {'datasources': 'aetos'},
        # One action at a time: SQLite, which the simulated cloud has for its
        # databases, does not bear migrations in parallel.
        'watcher_workflow_engines.taskflow': {'max_workers': 1},
    }


class Watcher:
    """Watcher's services in one process, on one TCP port of 127.0.0.1.

    :param environment: where Watcher is installed
    :param directory: for its files
    :ivar url: of its API, also before it runs
    """

    def __init__(
        self, environment: pathlib.Path, directory: pathlib.Path
    ) -> None:
        self.client = str(environment / 'bin' / 'openstack')
        self._programs = environment / 'bin'
        self._directory = directory
        self._config = directory / 'watcher.conf'
        self._errors = directory / 'watcher-errors.log'
        self._running: subprocess.Popen[str] | None = None
        # The catalog needs the URL before Watcher can start.
        self._socket = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.url = f'http://127.0.0.1:{self._socket.getsockname()[1]}'

    def configure(self, identity: str) -> None:
        """Write watcher.conf and create the database.

        :param identity: the URL of keystone
        :raises WatcherFailed: the database cannot be created
        """
        settings.write(self._config, options(self._directory, identity))
        _run(
            self._programs / 'watcher-db-manage',
            *('--config-file', str(self._config), 'create_schema'),
        )

    def start(self) -> None:
        """Start Watcher.

        :raises WatcherFailed: it does not start
        """
        number = self._socket.fileno()
        with open(self._errors, 'a') as errors:
            self._running = subprocess.Popen(
                [
                    str(self._programs / 'python'),
                    # This directory is not a place to import from.
                    '-I',
                    *('-W', 'ignore', str(_SERVICES), str(number)),
                    *('--config-file', str(self._config)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                pass_fds=[number],
            )
        self._wait()

    def synchronize(self) -> None:
        """Let Watcher read the whole cluster anew.

        :raises WatcherFailed: it has ended
        """
        assert self._running and self._running.stdin
        self._running.stdin.write('\n')
        self._running.stdin.flush()
        self._wait()

    def close(self) -> None:
        """End Watcher, if it runs, and give up its port."""
        if self._running is not None:
            self._running.communicate()
        self._socket.close()

    def _wait(self) -> None:
        assert self._running and self._running.stdout
        for line in self._running.stdout:
            if line.strip() == _READY:
                return
        raise WatcherFailed(
            f'Watcher ended with {self._running.wait()}: see {self._errors}'
        )


def _run(program: pathlib.Path, *arguments: str) -> None:
    done = subprocess.run(
        [str(program), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last: ty.Sequence[str] = done.stderr.strip().splitlines() or ['']
        raise WatcherFailed(f'{program.name}: {last[-1]}')
