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

from collections.abc import Callable
from collections.abc import Iterable
import json
import time
from typing import Any
import unittest
from unittest import mock

from demo import api as demo_api
from demo import frontend
from demo import terminal


class FakeNova:
    """nova-api as a script: each server list is the next of its states."""

    def __init__(
        self,
        *states: tuple[str, str | None],
        migrations: Iterable[str] = ('completed',),
    ) -> None:
        self.states = list(states)
        self.migrations = list(migrations)

    def servers(self) -> dict[str, Any]:
        status, task_state = self.states[0]
        if len(self.states) > 1:
            self.states.pop(0)
        return {
            'servers': [
                {
                    'id': 'u',
                    'name': 'web',
                    'status': status,
                    'OS-EXT-STS:task_state': task_state,
                }
            ]
        }

    def os_migrations(self) -> dict[str, Any]:
        status = self.migrations[0]
        if len(self.migrations) > 1:
            self.migrations.pop(0)
        return {
            'migrations': [
                {'id': 9, 'status': 'error'},
                {'id': 10, 'status': status},
            ]
        }

    def os_instance_actions(self, path: list[str]) -> dict[str, Any]:
        action = {'action': 'live-migration', 'request_id': path[-1]}
        if path[-1] != 'os-instance-actions':
            event = {'event': 'check', 'details': 'SVE', 'result': 'Error'}
            return {'instanceAction': {**action, 'events': [event]}}
        return {
            'instanceActions': [
                {'action': 'live-migration', 'request_id': 'req-2'},
                {'action': 'create', 'request_id': 'req-1'},
            ]
        }

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> list[bytes]:
        path = environ['PATH_INFO'].strip('/').split('/')
        if 'os-migrations' in path:
            body = self.os_migrations()
        elif 'os-instance-actions' in path:
            body = self.os_instance_actions(path)
        elif 'servers' in path:
            body = self.servers()
        else:
            body = {
                'version': {
                    'id': 'v2.1',
                    'status': 'CURRENT',
                    'version': '2.96',
                    'min_version': '2.1',
                    'links': [
                        {
                            'rel': 'self',
                            'href': f'http://{environ["HTTP_HOST"]}'
                            '/compute/v2.1/',
                        }
                    ],
                }
            }
        start_response('200 OK', [('Content-Type', 'application/json')])
        return [json.dumps(body).encode()]


class TestApi(unittest.TestCase):
    def api(self, nova: FakeNova) -> demo_api.Api:
        front = frontend.Frontend()
        self.addCleanup(front.stop)
        front.mount('compute', nova)
        front.mount(
            'identity',
            frontend.Identity({'compute': f'{front.url}/compute/v2.1'}),
        )
        front.start()
        self.finished = mock.Mock()
        sleep = mock.patch.object(time, 'sleep', autospec=True)
        sleep.start()
        self.addCleanup(sleep.stop)
        return demo_api.Api(
            {
                'OS_AUTH_URL': f'{front.url}/identity/v3',
                'OS_USERNAME': 'admin',
                'OS_PASSWORD': 'simulated',
                'OS_PROJECT_NAME': 'demo',
                'OS_USER_DOMAIN_ID': 'default',
                'OS_PROJECT_DOMAIN_ID': 'default',
                'OS_COMPUTE_API_VERSION': '2.96',
            },
            self.finished,
        )

    def test_a_server_is_settled_when_nothing_is_done_to_it(self) -> None:
        api = self.api(
            FakeNova(
                ('BUILD', 'spawning'),
                ('ACTIVE', 'migrating'),
                ('ACTIVE', None),
                migrations=['completed', 'running', 'running', 'completed'],
            )
        )
        self.assertEqual('ACTIVE', api.settled('web').status)
        self.finished.assert_called_once_with()

    def test_what_the_computes_do_last_is_seen(self) -> None:
        nova = FakeNova(('ACTIVE', None))
        api = self.api(nova)
        self.finished.side_effect = lambda: setattr(
            nova, 'states', [('ERROR', None)]
        )
        self.assertEqual('ERROR', api.settled('web').status)

    def test_a_server_that_does_not_settle_fails_the_scene(self) -> None:
        api = self.api(FakeNova(('ACTIVE', 'migrating')))
        with self.assertRaisesRegex(
            terminal.SceneFailed, 'still ACTIVE .migrating.'
        ):
            api.settled('web', timeout=0)

    def test_no_server_of_that_name_fails_the_scene(self) -> None:
        with self.assertRaisesRegex(terminal.SceneFailed, '0 servers'):
            self.api(FakeNova(('ACTIVE', None))).server('db')

    def test_the_last_migration_is_the_youngest(self) -> None:
        api = self.api(FakeNova(('ACTIVE', None)))
        last = api.last_migration(api.server('web'))
        self.assertEqual(10, last and last.id)

    def test_the_events_are_those_of_the_last_request(self) -> None:
        api = self.api(FakeNova(('ACTIVE', None)))
        server = api.server('web')
        self.assertEqual('req-2', api.last_request(server))
        (event,) = api.events(server)
        self.assertEqual(('check', 'SVE'), (event.event, event.details))
