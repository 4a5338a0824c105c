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
import io
import json
import os
import pathlib
import stat
import sys
import tempfile
import time
from typing import Any
import unittest
from unittest import mock

from demo import frontend
from demo import terminal
from simulated import guests

CLIENT = """#!/bin/sh
echo "$# arguments: $*"
env | grep ^OS_ | sort
echo told >&2
[ "$1" = fail ] && exit 3
exit 0
"""

EVENTS = {
    'events': [
        {
            'event': 'last',
            'host': 'b',
            'result': 'Error',
            'traceback': 'tb',
            'details': 'two\n\nlines',
        },
        {'event': 'first', 'host': 'a', 'result': 'Success', 'details': None},
    ]
}


class TestTerminal(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        client = pathlib.Path(directory.name) / 'openstack'
        client.write_text(CLIENT)
        client.chmod(client.stat().st_mode | stat.S_IXUSR)
        self.out = io.StringIO()
        with mock.patch.dict(os.environ, {'OS_CLOUD': 'another'}):
            self.terminal = terminal.Terminal(
                {'OS_TOKEN': 'x'}, self.out, str(client)
            )

    def test_a_command_is_shown_as_typed_with_its_output(self) -> None:
        result = self.terminal.openstack('show "a b" c')
        self.assertEqual(0, result.status)
        self.assertEqual(
            '\n$ openstack show "a b" c\n'
            '3 arguments: show a b c\nOS_TOKEN=x\ntold\n',
            self.out.getvalue(),
        )

    def test_the_status_of_a_failure_is_kept_and_its_output_whole(
        self,
    ) -> None:
        result = self.terminal.openstack('fail', trim=lambda output: 'trimmed')
        self.assertEqual(3, result.status)
        self.assertIn('told', self.out.getvalue())
        self.assertNotIn('trimmed', self.out.getvalue())

    def test_output_is_trimmed_on_the_screen_only(self) -> None:
        result = self.terminal.openstack('ok', trim=lambda output: 'trimmed')
        self.assertIn('told', result.output)
        self.assertTrue(self.out.getvalue().endswith('\ntrimmed\n'))

    def test_nothing_is_wider_than_the_screen(self) -> None:
        self.terminal.openstack('ok ' + 'word ' * 60)
        self.terminal.say('word ' * 60)
        command, *lines = self.out.getvalue().strip().splitlines()
        self.assertTrue(command.startswith('$ openstack ok'))
        self.assertLessEqual(max(map(len, lines)), terminal.WIDTH)

    def test_a_missing_client_is_said_in_one_line(self) -> None:
        with (
            mock.patch.object(sys, 'executable', '/none/python'),
            mock.patch.dict(os.environ, {'PATH': '/none'}),
            self.assertRaisesRegex(terminal.ClientMissing, 'pip install'),
        ):
            terminal.client_path()


class TestEvents(unittest.TestCase):
    def test_events_are_listed_in_the_order_they_happened(self) -> None:
        self.assertEqual(
            '- event:   first\n  host:    a\n  result:  Success\n'
            '  details:\n'
            '- event:   last\n  host:    b\n  result:  Error\n'
            '  details: two lines\n'
            '(times, IDs and tracebacks left out)',
            guests.trim_events(json.dumps(EVENTS)),
        )


class FakeNova:
    """nova-api as a script: each server list is the next of its states."""

    def __init__(
        self,
        *states: tuple[str, str | None],
        migrations: Iterable[str] = ('completed',),
    ) -> None:
        self.states = list(states)
        self.migrations = list(migrations)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> list[bytes]:
        start_response('200 OK', [])
        if 'os-migrations' in environ['PATH_INFO']:
            status = self.migrations[0]
            if len(self.migrations) > 1:
                self.migrations.pop(0)
            body = {
                'migrations': [
                    {'id': 9, 'status': 'error'},
                    {'id': 10, 'status': status},
                ]
            }
        else:
            status, task_state = self.states[0]
            if len(self.states) > 1:
                self.states.pop(0)
            body = {
                'servers': [
                    {
                        'id': 'u',
                        'name': 'web',
                        'status': status,
                        'OS-EXT-STS:task_state': task_state,
                    }
                ]
            }
        return [json.dumps(body).encode()]


class TestApi(unittest.TestCase):
    def api(self, nova: FakeNova) -> terminal.Api:
        front = frontend.Frontend()
        self.addCleanup(front.stop)
        front.mount('compute', nova)
        front.start()
        self.finished = mock.Mock()
        sleep = mock.patch.object(time, 'sleep', autospec=True)
        sleep.start()
        self.addCleanup(sleep.stop)
        return terminal.Api(front.url, 'token', self.finished)

    def test_a_server_is_settled_when_nothing_is_done_to_it(self) -> None:
        api = self.api(
            FakeNova(
                ('BUILD', 'spawning'),
                ('ACTIVE', 'migrating'),
                ('ACTIVE', None),
                migrations=['completed', 'running', 'running', 'completed'],
            )
        )
        self.assertEqual('ACTIVE', api.settled('web')['status'])
        self.finished.assert_called_once_with()

    def test_what_the_computes_do_last_is_seen(self) -> None:
        nova = FakeNova(('ACTIVE', None))
        api = self.api(nova)
        self.finished.side_effect = lambda: setattr(
            nova, 'states', [('ERROR', None)]
        )
        self.assertEqual('ERROR', api.settled('web')['status'])

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
        self.assertEqual(10, api.last_migration({'id': 'u'})['id'])
