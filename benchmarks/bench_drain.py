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

"""A drain plan of 200 servers over 1,000 hosts: CPU seconds.

The answers of both APIs are JSON texts made before the clock starts; decoding
them is measured, the APIs' own time is not. Two fleets: one with room, and one
in which some servers find none, so that the others are tried elsewhere.
"""

import io
import json
import resource
import time
from types import SimpleNamespace
from typing import Any

import measured_hosts
import requests

from nova_arm_migrate.osc.drain import DrainHost

HOSTS = 1000
SERVERS = 200
FLAVORS = 10
GIB = 1024


def answer(text: str) -> requests.Response:
    """Return a response with a JSON text."""
    response = requests.Response()
    response.status_code = 200
    response._content = text.encode()
    return response


class Api:
    """Nova and Placement; servers have flavors of 1 to 10 GiB.

    :param profiles: distinct records of the hosts
    :param free: GiB that each host has left
    """

    def __init__(self, profiles: int, free: int) -> None:
        records = [
            json.loads(measured_hosts.cpu_info(host))
            for host in measured_hosts.distinct(profiles)
        ]
        self._hosts = json.dumps(
            {
                'hypervisors': [
                    {
                        'id': f'id-{number}',
                        'hypervisor_hostname': f'compute-{number:04}',
                        'hypervisor_type': 'QEMU',
                        'state': 'up',
                        'status': 'enabled',
                        'service': {'host': f'compute-{number:04}'},
                        'cpu_info': records[number % profiles],
                    }
                    for number in range(HOSTS)
                ]
            }
        )
        self._servers = json.dumps(
            {
                'servers': [
                    {
                        'id': f'{number}',
                        'name': f'server-{number}',
                        'status': 'ACTIVE',
                        'OS-EXT-SRV-ATTR:host': 'compute-0000',
                        'OS-EXT-STS:task_state': None,
                        'flavor': {
                            'ram': self._memory(number),
                            'extra_specs': {},
                        },
                    }
                    for number in range(SERVERS)
                ]
            }
        )
        self._providers = json.dumps(
            {
                'resource_providers': [
                    {'uuid': f'rp-{number}', 'name': f'compute-{number:04}'}
                    for number in range(HOSTS)
                ]
            }
        )
        self._candidates = {
            memory: self._room(memory, free)
            for memory in {self._memory(number) for number in range(SERVERS)}
        }

    @staticmethod
    def _memory(number: int) -> int:
        return (number % FLAVORS + 1) * GIB

    @staticmethod
    def _room(memory: int, free: int) -> str:
        needs = {'VCPU': memory // GIB, 'MEMORY_MB': memory, 'DISK_GB': 20}
        left = {'VCPU': 64, 'MEMORY_MB': free * GIB, 'DISK_GB': 2000}
        return json.dumps(
            {
                'allocation_requests': [
                    {'allocations': {f'rp-{number}': {'resources': needs}}}
                    for number in range(HOSTS if free * GIB >= memory else 0)
                ],
                'provider_summaries': {
                    f'rp-{number}': {
                        'resources': {
                            name: {'capacity': amount, 'used': 0}
                            for name, amount in left.items()
                        },
                        'traits': ['COMPUTE_NODE'] * 60,
                        'root_provider_uuid': f'rp-{number}',
                    }
                    for number in range(HOSTS)
                },
            }
        )

    def get(
        self, path: str, params: dict[str, str], microversion: str
    ) -> requests.Response:
        """Return the answer to a request."""
        if path == '/os-hypervisors/detail':
            return answer(self._hosts)
        if path == '/servers/detail':
            return answer(self._servers)
        if path == '/resource_providers':
            return answer(self._providers)
        if path == '/allocation_candidates':
            resources = dict(
                one.split(':') for one in params['resources'].split(',')
            )
            return answer(self._candidates[int(resources['MEMORY_MB'])])
        memory = self._memory(int(path.rpartition('/')[2]))
        return answer(
            json.dumps(
                {
                    'allocations': {
                        'rp-0': {
                            'resources': {
                                'VCPU': memory // GIB,
                                'MEMORY_MB': memory,
                                'DISK_GB': 20,
                            }
                        }
                    }
                }
            )
        )


def main() -> None:
    """Measure each fleet."""
    for profiles, free in ((1, 64), (40, 64), (500, 64), (40, 10), (500, 10)):
        api: Any = Api(profiles, free)
        app: Any = SimpleNamespace(
            client_manager=SimpleNamespace(
                arm64=api, sdk_connection=SimpleNamespace(placement=api)
            ),
            stdout=io.StringIO(),
        )
        one = DrainHost(app, None)
        parsed = one.get_parser('drain').parse_args(
            ['compute-0000', '-f', 'json']
        )
        start = time.process_time()
        one.run(parsed)
        seconds = time.process_time() - start
        rows = json.loads(app.stdout.getvalue())
        print(
            f'{profiles:4} profiles, {free} GiB left on each host:'
            f' {seconds:5.2f} s,'
            f' {sum(row["#"] is not None for row in rows)} of {len(rows)}'
            ' servers can leave',
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f'{peak // 1024} MiB resident at most')


if __name__ == '__main__':
    main()
