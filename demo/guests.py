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

"""The requests of the demonstration, and their results.

A request is one or two live migrations of one guest.  It is made under each
configuration of the cloud, and ends in one of three ways: the guest moved,
it was refused and goes on where it is, or it ended in ERROR.
"""

from __future__ import annotations

import dataclasses
import json
import typing as ty

from openstack.compute.v2 import server as servers

from demo import api as demo_api
from demo import terminal

IMAGE = 'debian-13-arm64'
FLAVOR = 'm1.small'

MOVED: ty.Final = 'moved'
REFUSED: ty.Final = 'refused'
ERROR: ty.Final = 'ERROR'


@dataclasses.dataclass(frozen=True)
class MigrationResult:
    """The result of a live migration.

    :ivar kind: `MOVED`, `REFUSED` or `ERROR`.
    :ivar host: where the guest runs now.
    :ivar tried: the destination; empty if none was chosen.
    :ivar reasons: the texts in the server's events.
    """

    kind: str
    host: str
    tried: str
    reasons: tuple[str, ...]


class Guests:
    """Boots guests and moves them, with the ``openstack`` client."""

    def __init__(self, shell: terminal.Terminal, api: demo_api.Api) -> None:
        self.shell = shell
        self._api = api

    def boot(self, name: str, host: str) -> None:
        """Boot a guest on a host.

        :raises SceneFailed: it doesn't become ACTIVE there.
        """
        self.shell.openstack(
            f'server create --image {IMAGE} --flavor {FLAVOR} '
            f'--network private --host {host} {name} '
            '-c name -c status -c image'
        )
        server = self._api.settled(name)
        if (server.status, _host(server)) != ('ACTIVE', host):
            raise terminal.SceneFailed(
                f'{name} is {server.status} on {_host(server)}, '
                f'not ACTIVE on {host}'
            )

    def migrate(self, name: str, host: str = '') -> MigrationResult:
        """Live-migrate a guest, and wait for the result.

        :param host: the destination; empty lets the scheduler choose.
        :raises SceneFailed: Nova did not accept the request.
        """
        before = self._api.server(name)
        last_request = self._api.last_request(before)
        target = f'--host {host} ' if host else ''
        answer = self.shell.openstack(
            f'server migrate --live-migration {target}{name}'
        )
        after = self._api.settled(name)
        if self._api.last_request(after) == last_request:
            raise terminal.SceneFailed(
                f'Nova did not accept the request: {answer.output}'
            )
        if after.status == 'ERROR':
            kind = ERROR
        elif _host(after) != _host(before):
            kind = MOVED
        else:
            kind = REFUSED
        migration = self._api.last_migration(after)
        return MigrationResult(
            kind,
            _host(after),
            (migration and migration.dest_compute) or host,
            tuple(
                event.details
                for event in self._api.events(after)
                if event.details
            ),
        )

    def show(self, name: str) -> None:
        """Show where a guest is, and in which state."""
        self.shell.openstack(
            f'server show {name} -c name -c status -c OS-EXT-SRV-ATTR:host'
        )

    def list_events(self, name: str) -> None:
        """Show the requests for a server, the last one first."""
        self.shell.openstack(
            f'server event list {name} -c "Request ID" -c Action'
        )

    def show_events(self, name: str) -> None:
        """Show the server's events for its last request."""
        request = self._api.last_request(self._api.server(name))
        self.shell.openstack(
            f'server event show {name} {request} -c events -f json',
            trim=trim_events,
        )

    def reset(self, name: str) -> None:
        """Reset a guest from ERROR, as an administrator must do."""
        self.shell.openstack(
            f'server set --state active --auto-approve {name}'
        )


def _host(server: servers.Server) -> str:
    return str(server.compute_host or '')


def trim_events(output: str) -> str:
    """Return the results of the events, the first event first."""
    lines = []
    for event in reversed(json.loads(output)['events']):
        lines.append(f'- event:   {event["event"]}')
        for key in ('host', 'result', 'details'):
            text = ' '.join((event[key] or '').split())
            lines.append(f'  {key + ":":8} {text}'.rstrip())
    return '\n'.join([*lines, '(times, IDs and tracebacks left out)'])
