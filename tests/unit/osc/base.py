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

"""Runs the commands against an API that answers with plain dicts.

The hosts' ``cpu_info`` is put together here, in the form that
``/os-hypervisors/detail`` has, without the code under test.
"""

import csv
import dataclasses
import io
import json
import pathlib
from typing import Any
from unittest import mock

import fixtures
from osc_lib import exceptions
import requests
import testtools

from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host

PROFILES = pathlib.Path(__file__).parents[2] / 'fixtures' / 'profiles'
N1 = 'neoverse-n1-linux-6.12'
N1_OLD = 'neoverse-n1-linux-6.1'
V1 = 'neoverse-v1-linux-6.12'
V1_NO_SVE = 'neoverse-v1-no-sve-linux-6.12'
UUID = '11111111-2222-3333-4444-555555555555'
FORBIDDEN = (
    "Policy doesn't allow os_compute_api:os-hypervisors:list-detail to be"
    ' performed.'
)


def record(profile: str) -> dict[str, Any]:
    """Return a recorded profile as JSON."""
    found: dict[str, Any] = json.loads(
        (PROFILES / f'{profile}.json').read_text()
    )
    return found


def hypervisor(
    name: str, profile: str | None = None, **other: Any
) -> dict[str, Any]:
    """Return a host as the API shows it."""
    info: dict[str, Any] = {'arch': 'aarch64', 'features': ['fp']}
    if profile is not None:
        info['arm_migrate'] = record(profile)
    return {
        'id': f'id-{name}',
        'hypervisor_hostname': f'{name}.example.org',
        'hypervisor_type': 'QEMU',
        'state': 'up',
        'status': 'enabled',
        'service': {'host': name, 'id': 's', 'disabled_reason': None},
        'cpu_info': info,
    } | other


class Api:
    """Nova's API: what it has, and what it was asked.

    :ivar page: hosts in one answer
    :ivar refusal: answers every request with this status and message
    """

    def __init__(self) -> None:
        self.hypervisors: list[dict[str, Any]] = []
        self.services: list[dict[str, Any]] = []
        self.servers: list[dict[str, Any]] = []
        self.page = 1000
        self.refusal: tuple[int, str] | None = None
        self.parses = True
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def get(
        self, path: str, params: dict[str, str], microversion: str
    ) -> requests.Response:
        self.asked.append((path, microversion, params))
        if self.refusal is not None:
            status, message = self.refusal
            return answer({'error': {'message': message}}, status)
        if path == '/os-hypervisors/detail':
            return self._hypervisors(params, microversion)
        if path == '/os-services':
            return answer({'services': self.services})
        if path == '/servers/detail':
            return answer({'servers': self.servers})
        for server in self.servers:
            if path == f'/servers/{server["id"]}':
                return answer({'server': server})
        return answer({'itemNotFound': {'message': 'not found'}}, 404)

    def _hypervisors(
        self, params: dict[str, str], microversion: str
    ) -> requests.Response:
        if microversion == '2.27':
            return answer(
                {
                    'hypervisors': [
                        row | {'cpu_info': _text(row['cpu_info'])}
                        for row in self.hypervisors
                    ]
                }
            )
        if not self.parses:
            return answer({'error': {'message': 'Unexpected API Error'}}, 500)
        ids = [row['id'] for row in self.hypervisors]
        start = ids.index(params['marker']) + 1 if 'marker' in params else 0
        end = start + self.page
        content: dict[str, Any] = {'hypervisors': self.hypervisors[start:end]}
        if end < len(ids):
            content['hypervisors_links'] = [{'rel': 'next', 'href': 'x'}]
        return answer(content)


def _text(info: Any) -> str:
    return info if isinstance(info, str) else json.dumps(info)


def answer(content: Any, status: int = 200) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers['Content-Type'] = 'application/json'
    response.headers['Date'] = 'Fri, 27 Nov 2026 12:00:00 GMT'
    response._content = json.dumps(content).encode()
    return response


class CommandTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = Api()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.EnvironmentVariable('COLUMNS', '100'))
        self.log = self.useFixture(fixtures.FakeLogger())

    def file(self, name: str, content: str) -> str:
        """Write a file; return its path."""
        path = self.directory / name
        path.write_text(content)
        return str(path)

    def changed(self, profile: str, **attributes: Any) -> str:
        """Return a recorded profile with other attributes, as text."""
        host = load_host((PROFILES / f'{profile}.json').read_text())
        return dump_host(dataclasses.replace(host, **attributes))

    def profile(self, profile: str) -> str:
        """Return the path of a recorded profile."""
        return str(PROFILES / f'{profile}.json')

    def run_command(self, command: type[Any], *arguments: str) -> str:
        """Return what the command prints."""
        app = mock.Mock(spec=['client_manager', 'stdout', 'stdin', 'options'])
        app.client_manager.arm64 = self.api
        app.stdout = io.StringIO()
        one = command(app, None)
        one.run(one.get_parser('arm64').parse_args(list(arguments)))
        printed: str = app.stdout.getvalue()
        return printed

    def json(self, command: type[Any], *arguments: str) -> Any:
        return json.loads(self.run_command(command, *arguments, '-f', 'json'))

    def csv(self, command: type[Any], *arguments: str) -> list[dict[str, str]]:
        printed = self.run_command(command, *arguments, '-f', 'csv')
        return list(csv.DictReader(io.StringIO(printed)))

    def refused(self, command: type[Any], *arguments: str) -> str:
        """The command ends with one line; return the line."""
        error = self.assertRaises(
            exceptions.CommandError, self.run_command, command, *arguments
        )
        self.assertTrue(str(error).isprintable(), str(error))
        return str(error)
