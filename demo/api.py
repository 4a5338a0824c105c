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

"""What the demonstration reads from nova-api, with openstacksdk.

A process of the ``openstack`` client for each poll is too slow.
"""

from __future__ import annotations

import collections.abc
import time
import typing as ty

import openstack
from openstack import connection
from openstack.compute.v2 import migration
from openstack.compute.v2 import server as servers
from openstack.compute.v2 import server_action

from demo import terminal

UNFINISHED = frozenset(
    ('accepted', 'queued', 'preparing', 'running', 'pre-migrating')
)


def connect(
    environment: collections.abc.Mapping[str, str],
) -> connection.Connection:
    """Return a connection to the cloud of those ``OS_*`` variables."""
    # They are not this process's variables; as arguments they have the
    # same names.
    options: dict[str, ty.Any] = {
        name.removeprefix('OS_').lower(): value
        for name, value in environment.items()
    }
    return openstack.connect(
        load_yaml_config=False, load_envvars=False, **options
    )


class Api:
    """Reads servers, their live migrations and their requests.

    :param environment: the ``OS_*`` variables of the cloud.
    :param finish: returns when no compute works on a live migration.
    """

    def __init__(
        self,
        environment: collections.abc.Mapping[str, str],
        finish: collections.abc.Callable[[], None],
    ) -> None:
        self._finish = finish
        self._compute = connect(environment).compute

    def server(self, name: str) -> servers.Server:
        """Return the one server of that name.

        :raises SceneFailed: there isn't exactly one.
        """
        found = [one for one in self._compute.servers() if one.name == name]
        if len(found) != 1:
            raise terminal.SceneFailed(
                f'{len(found)} servers are named {name}'
            )
        return found[0]

    def settled(self, name: str, timeout: float = 120) -> servers.Server:
        """Wait until a server has no task, and return it.

        :raises SceneFailed: it took longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            server = self.server(name)
            if (
                server.task_state is None
                and server.status not in ('BUILD', 'MIGRATING')
                and not self._migrates(server)
            ):
                self._finish()
                return self.server(name)
            if time.monotonic() > deadline:
                raise terminal.SceneFailed(
                    f'{name} is still {server.status} '
                    f'({server.task_state}) after {timeout:g} s'
                )
            time.sleep(0.5)

    def last_migration(
        self, server: servers.Server
    ) -> migration.Migration | None:
        """Return the newest live migration of a server, if there is one."""
        return max(
            self._compute.migrations(server_id=server.id),
            key=lambda one: int(one.id),
            default=None,
        )

    def last_request(self, server: servers.Server) -> str:
        """Return the ID of the newest request for a server."""
        newest = next(iter(self._compute.server_actions(server)))
        return str(newest.request_id)

    def events(
        self, server: servers.Server
    ) -> list[server_action.ServerActionEvent]:
        """Return the events of a server's newest request."""
        return self._compute.get_server_action(
            self.last_request(server), server
        ).events

    def _migrates(self, server: servers.Server) -> bool:
        last = self.last_migration(server)
        return last is not None and last.status in UNFINISHED
