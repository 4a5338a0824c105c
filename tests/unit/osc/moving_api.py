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
"""A cloud that moves servers, played behind Nova's and Placement's APIs."""

from collections.abc import Callable
import dataclasses
from typing import Any

import requests

from tests.unit.osc import base

#: Megabytes of each server.
MEMORY = 1024


@dataclasses.dataclass
class Placement:
    """Placement's API: the hosts' memory, less that of their servers.

    :ivar sizes: how many servers fit on a host
    """

    cloud: 'MovingApi'
    sizes: dict[str, int]
    refusal: tuple[int, Any] | None = None
    odd: dict[str, Any] = dataclasses.field(default_factory=dict)
    asked: list[dict[str, str]] = dataclasses.field(default_factory=list)

    def get(
        self, path: str, params: dict[str, str], microversion: str
    ) -> requests.Response:
        self.cloud.step()
        self.asked.append(params)
        if self.refusal is not None:
            return base.answer(self.refusal[1], self.refusal[0])
        for prefix, content in self.odd.items():
            if path.startswith(prefix):
                return base.answer(content)
        hosts = [row['service']['host'] for row in self.cloud.hypervisors]
        if path == '/resource_providers':
            return base.answer(
                {
                    'resource_providers': [
                        {'uuid': f'rp-{name}', 'name': f'{name}.example.org'}
                        for name in hosts
                    ]
                }
            )
        if path == '/allocation_candidates':
            return self._candidates(hosts, params)
        key = path.removeprefix('/allocations/')
        host = self.cloud.of(key)['OS-EXT-SRV-ATTR:host']
        return base.answer(
            {
                'allocations': {
                    f'rp-{host}': {'resources': {'MEMORY_MB': MEMORY}}
                }
            }
        )

    def _candidates(
        self, hosts: list[str], params: dict[str, str]
    ) -> requests.Response:
        assert params['resources'] == f'MEMORY_MB:{MEMORY}'
        used = {
            name: MEMORY
            * sum(
                name in (one['OS-EXT-SRV-ATTR:host'], one['going'])
                for one in self.cloud.servers
            )
            for name in hosts
        }
        room = {name: MEMORY * self.sizes.get(name, 0) for name in hosts}
        return base.answer(
            {
                'allocation_requests': [
                    {
                        'allocations': {
                            f'rp-{name}': {'resources': {'MEMORY_MB': MEMORY}}
                        }
                    }
                    for name in hosts
                    if used[name] < room[name]
                ],
                'provider_summaries': {
                    f'rp-{name}': {
                        'resources': {
                            'MEMORY_MB': {
                                'capacity': room[name],
                                'used': used[name],
                            }
                        },
                        'root_provider_uuid': f'rp-{name}',
                    }
                    for name in hosts
                },
            }
        )


class MovingApi(base.Api):
    """Nova's API: servers move while the client sleeps.

    :ivar fates: what happens to a server's move, by name: ``back``,
        ``error``, ``refused``, ``deleted``, ``lost answer`` or ``lost
        request``; others arrive
    :ivar before_step: called with the number of each request
    """

    def __init__(self) -> None:
        super().__init__()
        self.placement = Placement(self, {})
        self.fates: dict[str, str] = {}
        self.migrations: list[dict[str, Any]] = []
        self.action: dict[str, Any] = {
            'message': 'Error',
            'events': [
                {'event': 'good', 'result': 'Success'},
                {
                    'event': 'bad',
                    'result': 'Error',
                    'details': 'no \x1bSVE',
                },
            ],
        }
        self.steps = 0
        self.before_step: Callable[[int], None] = lambda number: None
        self.failing = False
        self.sleeps = 0
        self.before_sleep: Callable[[int], None] = lambda number: None

    def add(self, name: str, host: str, **other: Any) -> None:
        """Add a server."""
        self.servers.append(
            {
                'id': f'id-{name}',
                'name': name,
                'status': 'ACTIVE',
                'OS-EXT-SRV-ATTR:host': host,
                'OS-EXT-STS:task_state': None,
                'flavor': {'ram': MEMORY, 'extra_specs': {}},
                'going': None,
            }
            | other
        )

    def of(self, key: str) -> dict[str, Any]:
        return next(one for one in self.servers if one['id'] == key)

    def on(self, host: str) -> list[str]:
        """Return the names of the servers on a host."""
        return [
            one['name']
            for one in self.servers
            if one['OS-EXT-SRV-ATTR:host'] == host
        ]

    def in_flight(self) -> list[str]:
        return [one['name'] for one in self.servers if one['going']]

    def step(self) -> None:
        """Count a request."""
        self.steps += 1
        self.before_step(self.steps - 1)

    def sleep(self, seconds: float) -> None:
        """Let time pass: moves that were requested end."""
        self.sleeps += 1
        self.before_sleep(self.sleeps - 1)
        for one in list(self.servers):
            if one['going']:
                self._end(one)

    def _end(self, one: dict[str, Any]) -> None:
        fate = self.fates.get(one['name'])
        migration = self.migrations[-1]
        if migration['status'] == 'queued':
            migration['status'] = 'running'
            return
        if fate == 'stuck':
            return
        if fate == 'deleted':
            self.servers.remove(one)
            return
        failed = fate in ('back', 'error')
        migration['status'] = 'failed' if failed else 'completed'
        if not failed:
            one['OS-EXT-SRV-ATTR:host'] = one['going']
        if fate == 'error':
            one['status'] = 'ERROR'
        one |= {'going': None, 'OS-EXT-STS:task_state': None}

    def get(
        self, path: str, params: dict[str, str], microversion: str
    ) -> requests.Response:
        self.step()
        if self.failing:
            return base.answer({'error': {'message': 'busy'}}, 503)
        if path == '/servers/detail' and 'host' in params:
            self.asked.append((path, microversion, params))
            return self._page(params)
        if path == '/os-migrations':
            found = [
                one
                for one in self.migrations
                if one['instance_uuid'] == params['instance_uuid']
            ]
            return base.answer({'migrations': found[-1:]})
        if path.endswith('/os-instance-actions'):
            key = path.split('/')[2]
            return base.answer(
                {
                    'instanceActions': [
                        {
                            'action': 'live-migration',
                            'request_id': f'req-{one["id"]}',
                        }
                        for one in reversed(self.migrations)
                        if one['instance_uuid'] == key
                    ]
                    + [{'action': 'create', 'request_id': 'req'}]
                }
            )
        if '/os-instance-actions/req-' in path:
            return base.answer({'instanceAction': self.action})
        return super().get(path, params, microversion)

    def _page(self, params: dict[str, str]) -> requests.Response:
        ids = [one['id'] for one in self.servers]
        start = ids.index(params['marker']) + 1 if 'marker' in params else 0
        end = start + self.page
        content: dict[str, Any] = {'servers': self.servers[start:end]}
        if end < len(ids):
            content['servers_links'] = [{'rel': 'next', 'href': 'x'}]
        return base.answer(content)

    def post(
        self, path: str, json: dict[str, Any], microversion: str
    ) -> requests.Response:
        self.step()
        self.asked.append((path, microversion, json))
        if self.failing:
            return base.answer({'error': {'message': 'busy'}}, 503)
        one = self.of(path.split('/')[2])
        fate = self.fates.get(one['name'])
        if fate == 'refused':
            return base.answer({'conflict': {'message': 'locked'}}, 409)
        lost = base.answer({'error': {'message': 'gateway timeout'}}, 504)
        if fate == 'lost request':
            return lost
        one['going'] = json['os-migrateLive']['host']
        one['OS-EXT-STS:task_state'] = 'migrating'
        self.migrations.append(
            {
                'id': len(self.migrations),
                'instance_uuid': one['id'],
                'status': 'queued',
            }
        )
        return lost if fate == 'lost answer' else base.answer(None, 202)
