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

"""A stand-in for Aetos, the datasource that Watcher asks about load.

Aetos is Prometheus' API behind keystone. This answers the requests that
Watcher's ``aetos`` datasource makes, with values that are made up. The
arithmetic of a query is not done: its value is looked up by its metric and
its label.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import re
import typing as ty

from demo import frontend

METRICS: ty.Final = (
    'ceilometer_cpu',
    'ceilometer_memory_usage',
    'node_cpu_seconds_total',
    'node_memory_MemAvailable_bytes',
)
_QUERY = re.compile(
    rf"({'|'.join(METRICS)}){{[^}}]*\b(?:resource|fqdn)='([^']+)'}}"
)


@dataclasses.dataclass(frozen=True)
class Load:
    """The load of one guest.

    :ivar cpu: percent of its vCPUs
    :ivar vcpus: their number
    :ivar memory_mb: MiB that it uses
    """

    cpu: float
    vcpus: int
    memory_mb: int


class Metrics:
    """Serves the load of guests, and of the hosts that they are on.

    :param host_cores: the number of cores of each host
    :param hosts: returns the guests on each host, by the host's name
    :ivar loads: the load of each guest, by its UUID
    """

    def __init__(
        self,
        host_cores: int,
        hosts: collections.abc.Callable[
            [], collections.abc.Mapping[str, collections.abc.Collection[str]]
        ],
    ) -> None:
        self.loads: dict[str, Load] = {}
        self._host_cores = host_cores
        self._hosts = hosts

    def value(self, query: str) -> float | None:
        """Return the value of a query, or None if there is none.

        The units are those that Watcher's datasource expects: percent for
        processors, MiB for a guest's memory and KiB for a host's.
        """
        found = _QUERY.search(query)
        if found is None:
            return None
        metric, label = found.groups()
        if metric.startswith('ceilometer'):
            load = self.loads.get(label)
            if load is None:
                return None
            return load.cpu if metric == METRICS[0] else load.memory_mb
        guests = self._hosts().get(label)
        if guests is None:
            return None
        loads = [self.loads[guest] for guest in guests if guest in self.loads]
        if metric == METRICS[2]:
            busy = sum(load.cpu * load.vcpus for load in loads)
            return busy / self._host_cores
        return sum(load.memory_mb for load in loads) * 1024

    def __call__(
        self,
        environ: frontend.Environ,
        start_response: frontend.StartResponse,
    ) -> collections.abc.Iterable[bytes]:
        path = environ['PATH_INFO'].removeprefix('/api/v1/')
        data: ty.Any
        if path == 'query':
            value = self.value(frontend.query_of(environ).get('query', ''))
            data = {
                'resultType': 'vector',
                'result': []
                if value is None
                else [{'metric': {}, 'value': [0, str(value)]}],
            }
        elif path == 'targets':
            data = {
                'activeTargets': [
                    {'labels': {'fqdn': host}} for host in self._hosts()
                ]
            }
        elif path == 'label/__name__/values':
            data = METRICS
        elif path == 'status/runtimeinfo':
            data = {}
        else:
            return frontend.respond(
                start_response, 404, {'error': f'not simulated: {path}'}
            )
        return frontend.respond(
            start_response, 200, {'status': 'success', 'data': data}
        )
