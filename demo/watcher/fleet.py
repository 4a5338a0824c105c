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

"""The mixed fleet, its guests and their load."""

from __future__ import annotations

import collections.abc
import dataclasses
import time
import typing as ty

from openstack import connection

from demo import guests as demo_guests
from demo import settings
from demo import terminal
from demo.watcher import metrics
from nova_arm_migrate.core import profile
from simulated import machine

#: What Nova's fixtures give a host.
CORES: ty.Final = 16
MEMORY_GIB: ty.Final = 32

#: The hosts: three migration pools of two. The third has the cores of the
#: second, but not their SVE.
HOSTS: ty.Final = {
    'n1-a': 'neoverse-n1-linux-6.12',
    'n1-b': 'neoverse-n1-linux-6.12',
    'v1-a': 'neoverse-v1-linux-6.12',
    'v1-b': 'neoverse-v1-linux-6.12',
    'nosve-a': 'neoverse-v1-no-sve-linux-6.12',
    'nosve-b': 'neoverse-v1-no-sve-linux-6.12',
}


class Guest(ty.NamedTuple):
    """A guest.

    :ivar host: where it is booted
    :ivar cpu: percent of its vCPUs that it uses
    """

    name: str
    host: str
    flavor: str
    cpu: float


#: In each pool, one host is busy and one is nearly idle.
GUESTS: ty.Final = (
    Guest('n1-a-1', 'n1-a', 'm1.medium', 85),
    Guest('n1-a-2', 'n1-a', 'm1.small', 80),
    Guest('n1-b-1', 'n1-b', 'm1.small', 5),
    Guest('v1-a-1', 'v1-a', 'm1.medium', 90),
    Guest('v1-a-2', 'v1-a', 'm1.small', 95),
    Guest('v1-b-1', 'v1-b', 'm1.small', 15),
    Guest('nosve-a-1', 'nosve-a', 'm1.medium', 90),
    Guest('nosve-a-2', 'nosve-a', 'm1.small', 85),
    Guest('nosve-b-1', 'nosve-b', 'm1.small', 10),
)
#: vCPUs and MiB.
_FLAVORS: ty.Final = {'m1.small': (1, 2048), 'm1.medium': (2, 4096)}


def profiles() -> dict[str, profile.Host]:
    """Return the recorded host that each host plays."""
    return {
        name: machine.read_host(settings.PROFILES / f'{recorded}.json')
        for name, recorded in HOSTS.items()
    }


@dataclasses.dataclass(frozen=True)
class State:
    """Where the guests are.

    :ivar broken: names of those that are in ERROR
    :ivar places: the host of each guest, by its name
    """

    broken: tuple[str, ...]
    places: ty.Mapping[str, str]


class Fleet:
    """The guests and hosts of the cloud.

    :param cloud: a connection of its administrator
    :param finish: returns when no compute works on a live migration
    :ivar metrics: what the datasource answers about the guests' load
    """

    def __init__(
        self,
        cloud: connection.Connection,
        finish: collections.abc.Callable[[], None],
    ) -> None:
        self._cloud = cloud
        self._finish = finish
        self.metrics = metrics.Metrics(CORES, self._guests_by_host)

    def clear(self) -> None:
        """Delete every guest and enable every host.

        :raises SceneFailed: a guest is not deleted
        """
        self.metrics.loads.clear()
        for server in list(self._cloud.compute.servers()):
            self._cloud.compute.delete_server(server)
        self._wait(lambda servers: not servers)
        self.enable()

    def enable(self) -> None:
        """Enable every host that an action plan has disabled."""
        for service in self._cloud.compute.services(binary='nova-compute'):
            if service.status != 'enabled':
                self._cloud.compute.enable_service(service)

    def boot(self) -> None:
        """Boot the guests, each on its host.

        :raises SceneFailed: a guest does not become ACTIVE
        """
        compute = self._cloud.compute
        image = next(iter(self._cloud.image.images()))
        for guest in GUESTS:
            flavor = compute.find_flavor(guest.flavor, ignore_missing=False)
            server = compute.create_server(
                name=guest.name,
                image_id=image.id,
                flavor_id=flavor.id,
                networks='none',
                host=guest.host,
            )
            vcpus, memory_mb = _FLAVORS[guest.flavor]
            self.metrics.loads[server.id] = metrics.Load(
                guest.cpu, vcpus, memory_mb // 2
            )
        self._wait(
            lambda servers: all(one.status != 'BUILD' for one in servers)
        )
        for server in compute.servers():
            if server.status != 'ACTIVE':
                raise terminal.SceneFailed(f'{server.name} is {server.status}')

    def state(self) -> State:
        """Return where the guests are when every migration has ended.

        :raises SceneFailed: a migration does not end
        """
        self._wait(
            lambda servers: all(
                one.task_state is None and one.status != 'MIGRATING'
                for one in servers
            )
        )
        self._finish()
        servers = sorted(
            self._cloud.compute.servers(), key=lambda one: one.name
        )
        return State(
            tuple(
                one.name for one in servers if one.status == demo_guests.ERROR
            ),
            {one.name: one.compute_host for one in servers},
        )

    def _guests_by_host(self) -> dict[str, list[str]]:
        guests: dict[str, list[str]] = {name: [] for name in HOSTS}
        for server in self._cloud.compute.servers():
            if server.compute_host in guests:
                guests[server.compute_host].append(server.id)
        return guests

    def _wait(
        self,
        done: collections.abc.Callable[[list[ty.Any]], bool],
        timeout: float = 300,
    ) -> None:
        deadline = time.monotonic() + timeout
        while not done(list(self._cloud.compute.servers())):
            if time.monotonic() > deadline:
                raise terminal.SceneFailed(
                    f'the guests are not as wanted after {timeout:g} s'
                )
            time.sleep(2)
