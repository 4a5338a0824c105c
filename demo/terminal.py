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

"""What the demonstration prints, and the commands it runs.

Every command runs the real ``openstack`` client in a separate process.  It
is shown as a user would type it, with its output.
"""

from __future__ import annotations

import collections.abc
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
import typing as ty
import urllib.request

WIDTH = 100

Json: ty.TypeAlias = dict[str, ty.Any]
Trim: ty.TypeAlias = collections.abc.Callable[[str], str]


class SceneFailed(Exception):
    """A scene did not show what it promises; the text says what it saw."""


class ClientMissing(Exception):
    """The ``openstack`` client is not installed with this package."""


def client_path() -> str:
    """Find the ``openstack`` command of this Python environment.

    :raises ClientMissing: there is none.
    """
    beside = pathlib.Path(sys.executable).parent / 'openstack'
    path = str(beside) if beside.exists() else shutil.which('openstack')
    if path is None:
        raise ClientMissing(
            'the openstack client is not installed: '
            "pip install 'nova-arm-migrate[demo]'"
        )
    return path


class Result(ty.NamedTuple):
    """What a command printed."""

    status: int
    output: str


class Terminal:
    """Prints, and runs ``openstack`` commands against one cloud.

    :param environment: the ``OS_*`` variables of the cloud.
    :param out: where to print; standard output by default.
    :param client: path of the client; found by default.
    """

    def __init__(
        self,
        environment: collections.abc.Mapping[str, str],
        out: ty.TextIO | None = None,
        client: str | None = None,
    ) -> None:
        self._client = client or client_path()
        self._out = out or sys.stdout
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith('OS_')
        }
        self._environment = {
            **inherited,
            **environment,
            'CLIFF_MAX_TERM_WIDTH': str(WIDTH),
            'COLUMNS': str(WIDTH),
            'PYTHONWARNINGS': 'ignore',
        }
        self._environment.pop('PYTHONPATH', None)
        self.commands = 0

    def heading(self, text: str) -> None:
        self._print(f'\n{text}\n{"=" * len(text)}')

    def say(self, text: str) -> None:
        self._print('\n' + textwrap.fill(' '.join(text.split()), WIDTH - 2))

    def block(self, text: str) -> None:
        """Print lines of a file or a log, indented."""
        self._print(textwrap.indent(text.rstrip(), '    '))

    def openstack(
        self, command: str, *, trim: Trim | None = None, show: bool = True
    ) -> Result:
        """Run one command and show it with what it printed.

        :param command: the arguments, as typed in a shell.
        :param trim: returns the part of the output that is shown.
        """
        if show:
            self._print(f'\n$ openstack {command}')
        done = subprocess.run(
            [self._client, *shlex.split(command)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.commands += 1
        output = done.stdout.rstrip()
        if show and output:
            shown = output if trim is None or done.returncode else trim(output)
            self._print(
                '\n'.join(
                    wrapped
                    for line in shown.splitlines()
                    for wrapped in textwrap.wrap(
                        line, WIDTH, subsequent_indent='    '
                    )
                    or ['']
                )
            )
        return Result(done.returncode, output)

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class Api:
    """Polls nova-api directly: a client process for each poll is too slow.

    :param url: the frontend's.
    :param finish: returns when no compute works on a live migration.
    """

    def __init__(
        self, url: str, token: str, finish: collections.abc.Callable[[], None]
    ) -> None:
        self._finish = finish
        self._url = f'{url}/compute/v2.1'
        self._headers = {
            'X-Auth-Token': token,
            'Accept': 'application/json',
            'OpenStack-API-Version': 'compute 2.96',
        }
        # Ignore proxies in the environment: loopback needs none.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({})
        )

    def get(self, path: str) -> Json:
        request = urllib.request.Request(
            self._url + path, headers=self._headers
        )
        with self._opener.open(request, timeout=60) as answer:
            body: Json = json.load(answer)
        return body

    def server(self, name: str) -> Json:
        """Return the one server of that name.

        :raises SceneFailed: there isn't exactly one.
        """
        found = [
            server
            for server in self.get('/servers/detail')['servers']
            if server['name'] == name
        ]
        if len(found) != 1:
            raise SceneFailed(f'{len(found)} servers are named {name}')
        server: Json = found[0]
        return server

    def settled(self, name: str, timeout: float = 120) -> Json:
        """Wait until a server has no task, and return it.

        :raises SceneFailed: it took longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            server = self.server(name)
            if (
                server['OS-EXT-STS:task_state'] is None
                and server['status'] not in ('BUILD', 'MIGRATING')
                and self.last_migration(server).get('status') not in UNFINISHED
            ):
                self._finish()
                return self.server(name)
            if time.monotonic() > deadline:
                raise SceneFailed(
                    f'{name} is still {server["status"]} '
                    f'({server["OS-EXT-STS:task_state"]}) after {timeout:g} s'
                )
            time.sleep(0.5)

    def last_migration(self, server: Json) -> Json:
        """Return the newest live migration of a server, or {}."""
        migrations: list[Json] = self.get(
            f'/os-migrations?instance_uuid={server["id"]}'
        )['migrations']
        return max(migrations, key=lambda one: int(one['id']), default={})


UNFINISHED = frozenset(
    ('accepted', 'queued', 'preparing', 'running', 'pre-migrating')
)
