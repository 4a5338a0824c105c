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

"""Programs in the lab's network: started, watched and ended."""

import collections.abc
import dataclasses
import os
import pathlib
import socket
import subprocess
import time

from clouds import ini
from tests.lab import errors
from tests.lab import network
from tests.lab import processes
from tests.lab.cloud import install
from tests.lab.cloud import settings


@dataclasses.dataclass
class Programs:
    """The programs of one cloud that run natively.

    :ivar state: databases, keys, images; removed with the lab
    :ivar logs: kept after a failure
    :ivar environment: the virtual environment with the services
    """

    net: network.Network
    state: pathlib.Path
    logs: pathlib.Path
    environment: pathlib.Path

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

    def write(self, path: str, sections: settings.Sections) -> None:
        target = self.etc / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(ini.dump(sections))


def last_words(log: pathlib.Path) -> str:
    """Return a log's last line; prefer a line with an error."""
    try:
        lines = log.read_text(errors='replace').splitlines()[-60:]
    except OSError:
        return 'no log'
    lines = [line for line in lines if line.strip()] or ['nothing']
    wrong = [line for line in lines if 'rror' in line or 'CRITICAL' in line]
    return (wrong or lines)[-1].strip()[:200]
