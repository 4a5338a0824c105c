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


"""``openstack arm64`` over 10,000 hosts: CPU seconds and memory.

Each run is a process of its own that calls one command, with an API that
answers in pages of 1,000 hosts. The answers are JSON texts made before the
clock starts; decoding them is measured, the API's own time is not.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import measured_hosts
import requests

from nova_arm_migrate.osc.matrix import ShowMatrix
from nova_arm_migrate.osc.pool import ListPool
from nova_arm_migrate.osc.what_if import WhatIf

HOSTS = 10000
PAGE = 1000
KINDS = {'versions': measured_hosts.distinct, 'fields': measured_hosts.varied}
PROFILE = str(measured_hosts.PROFILES / 'neoverse-v1-linux-7.2.json')
COMMANDS: dict[str, tuple[type[Any], list[str]]] = {
    'pool list': (ListPool, []),
    'matrix': (ShowMatrix, []),
    'what-if': (WhatIf, ['--host', 'compute-00001', '--profile', PROFILE]),
}
#: Distinct profiles, and in what these differ.
SIZES = [(40, 'versions'), (160, 'versions'), (500, 'versions')]
MORE = [(40, 'fields'), (160, 'fields'), (500, 'fields')]


class Api:
    """Answers with the hosts, page by page."""

    def __init__(self, distinct: int, kind: str) -> None:
        infos = [
            json.loads(measured_hosts.cpu_info(host))
            for host in KINDS[kind](distinct)
        ]
        self._pages = [
            json.dumps(self._page(infos, start)).encode()
            for start in range(0, HOSTS, PAGE)
        ]

    @staticmethod
    def _page(infos: list[Any], start: int) -> dict[str, Any]:
        return {
            'hypervisors': [
                {
                    'id': str(number),
                    'hypervisor_hostname': f'compute-{number:05}',
                    'hypervisor_type': 'QEMU',
                    'state': 'up',
                    'status': 'enabled',
                    'service': {'host': f'compute-{number:05}'},
                    'cpu_info': infos[number % len(infos)],
                }
                for number in range(start, start + PAGE)
            ],
            'hypervisors_links': [{'rel': 'next'}]
            if start + PAGE < HOSTS
            else [],
        }

    def get(
        self, path: str, params: dict[str, str], microversion: str
    ) -> requests.Response:
        """Return the page after the marker."""
        response = requests.Response()
        response.status_code = 200
        start = int(params['marker']) + 1 if 'marker' in params else 0
        response._content = self._pages[start // PAGE]
        return response


def run(name: str, distinct: int, kind: str) -> None:
    """Run one command; print its figures as JSON."""
    command, arguments = COMMANDS[name]
    app: Any = SimpleNamespace(
        client_manager=SimpleNamespace(arm64=Api(distinct, kind)),
        stdout=io.StringIO(),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    one = command(app, None)
    parsed = one.get_parser(name).parse_args([*arguments, '-f', 'json'])
    start = time.process_time()
    one.run(parsed)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            [
                seconds,
                before // 1024,
                peak // 1024,
                len(json.loads(app.stdout.getvalue())),
            ]
        )
    )


def main() -> None:
    """Run all, or one."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--one', nargs=3)
    parser.add_argument(
        '--fields',
        action='store_true',
        help='also measure hosts that differ in what guests see',
    )
    given = parser.parse_args()
    if given.one:
        name, distinct, kind = given.one
        run(name, int(distinct), kind)
        return
    for distinct, kind in SIZES + (MORE if given.fields else []):
        for name in COMMANDS:
            done = subprocess.run(
                [sys.executable, __file__, '--one', name, str(distinct), kind],
                check=True,
                capture_output=True,
                text=True,
            )
            seconds, before, peak, rows = json.loads(done.stdout)
            print(
                f'{name:10} {distinct:4} profiles, {kind:9}'
                f' {seconds:6.2f} s, {peak} MiB resident ({before} of them'
                f' before, with the answers), {rows} rows',
                flush=True,
            )


if __name__ == '__main__':
    main()
