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

"""The building blocks of scenarios: servers, drivers, the filter."""

import collections.abc
import contextlib
import itertools

from tests.lab import host as hosts
from tests.lab.cloud import cloud as clouds
from tests.lab.cloud import computes
from tests.lab.cloud import ports
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings
from tests.lab.cloud import stage
from tests.lab.cloud import storage


class Scene(stage.Stage):
    """A running scenario, its servers, and the drivers of its hosts."""

    _numbers = itertools.count()

    def __init__(self, cloud: clouds.Cloud, name: str) -> None:
        super().__init__(cloud, name)
        self.servers: list[servers.Server] = []

    def boot(
        self,
        on: hosts.Host,
        name: str = '',
        flavor: str = 'small',
        image: str = 'witness',
    ) -> servers.Server:
        """Boot a server on *on*; return it when its guest reports.

        The server has a port if the host has a network card for it.
        """
        server = servers.Server(
            self, name or f'{self.name}-{len(self.servers)}', on
        )
        self.servers.append(server)
        if on.spec.nics > 1:
            server.port = ports.make_port(
                self.cloud.client, next(self._numbers)
            )
        server.boot(flavor, image)
        return server

    def clean(self) -> None:
        """Delete what the scenario started, in any state."""
        for server in self.servers:
            self.cloud.client.run(*servers.SET_ACTIVE, server.name)
            self.cloud.client.run('server', 'delete', '--wait', server.name)
            if server.port:
                self.cloud.client.run('port', 'delete', server.port.id)
        self.servers.clear()

    def use_driver(
        self,
        on: list[hosts.Host],
        driver: str,
        skip_cpu_compare: bool = False,
        more: collections.abc.Mapping[str, settings.Options] | None = None,
    ) -> None:
        """Use *driver* on these hosts; restart only if it changes.

        :param more: additional options of nova-compute
        """
        sections = settings.nova_compute(
            '', '', driver, skip_cpu_compare, more
        )
        wanted = [
            host
            for host in on
            if self.cloud.drivers.get(host.name) != sections
        ]
        self.cloud.run_driver(wanted, driver, skip_cpu_compare, more)

    def on_shared(
        self,
        on: list[hosts.Host],
        driver: str,
        skip_cpu_compare: bool,
        more: collections.abc.Mapping[str, settings.Options],
    ) -> None:
        """Do the same as use_driver, with the hosts' instances on NFS."""
        for host in on:
            computes.stop(host)
            storage.mount(host)
            self.cloud.drivers.pop(host.name, None)
        self.use_driver(on, driver, skip_cpu_compare, more)

    def off_shared(self, on: list[hosts.Host]) -> None:
        """Go back to the hosts' own disks; nova-compute stays stopped."""
        for host in on:
            computes.stop(host)
            storage.unmount(host)
            self.cloud.drivers.pop(host.name, None)


@contextlib.contextmanager
def no_filter(one: Scene) -> collections.abc.Iterator[None]:
    """Run the scheduler without our filter for the duration of a block.

    The filter would refuse guests from a host with the stock driver, because
    nothing is known about them.
    """
    one.cloud.services.start_scheduler(with_filter=False)
    try:
        yield
    finally:
        one.cloud.services.start_scheduler(with_filter=True)
