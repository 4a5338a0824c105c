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

import os
import pathlib
import tempfile
from typing import Any
import unittest
from unittest import mock

from demo import terminal
from demo.watcher import audits
from demo.watcher import plan

MIGRATION = {
    'action_type': 'migrate',
    'state': 'FAILED',
    'status_message': 'refused',
    'input_parameters': {
        'resource_name': 'web',
        'destination_node': 'n1-b',
        'source_node': 'n1-a',
    },
}


class FakeWatcher:
    """Watcher's API, and its client, which notes what it is told."""

    def __init__(self, audit: str = 'SUCCEEDED', status: int = 0) -> None:
        self.commands: list[str] = []
        self.shown: list[bool] = []
        self.audits = ['ONGOING', audit]
        self._status = status

    def openstack(self, command: str, show: bool) -> terminal.Result:
        self.commands.append(command)
        self.shown.append(show)
        return terminal.Result(self._status, 'no such goal')

    def say(self, text: str) -> None:
        """Print nothing."""

    def block(self, text: str) -> None:
        """Print nothing."""

    def get(
        self,
        path: str,
        endpoint_filter: dict[str, str],
        connect_retries: int,
    ) -> Any:
        assert endpoint_filter == {'service_type': 'infra-optim'}
        answer: dict[str, Any]
        if path.startswith('/v1/audits/'):
            state = self.audits[0]
            if len(self.audits) > 1:
                self.audits.pop(0)
            answer = {'uuid': 'A', 'state': state}
        elif path == '/v1/action_plans?audit_uuid=A':
            answer = {'action_plans': [{'uuid': 'P'}]}
        elif path == '/v1/action_plans/P':
            answer = {'uuid': 'P', 'state': 'FAILED'}
        else:
            assert path == '/v1/actions/detail?action_plan_uuid=P'
            answer = {'actions': [MIGRATION]}
        return mock.Mock(**{'json.return_value': answer})


class TestRun(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)
        patcher = mock.patch('time.sleep', autospec=True)
        self.addCleanup(patcher.stop)
        patcher.start()

    def run_audit(self, watcher: FakeWatcher, **options: Any) -> Any:
        cloud: Any = mock.Mock(session=watcher)
        shell: Any = watcher
        made = audits.Audits(cloud, shell)
        return made, made.run('workload_balance', **options)

    def test_a_template_is_created_once(self) -> None:
        watcher = FakeWatcher()
        made, actions = self.run_audit(watcher, parameters={'threshold': '15'})
        self.assertEqual(
            [('migrate', 'web', 'n1-b', 'FAILED', 'refused')], actions
        )
        made.run('workload_balance')
        self.assertEqual(
            [
                'optimize audittemplate create workload-balance'
                ' workload_balancing --strategy workload_balance',
                'optimize audit create --audit-template workload-balance'
                ' --name audit-1 --auto-trigger --parameter threshold=15',
                'optimize audit create --audit-template workload-balance'
                ' --name audit-2 --auto-trigger',
            ],
            watcher.commands,
        )
        self.assertEqual({False}, set(watcher.shown))

    def test_a_scope_is_written_to_a_file(self) -> None:
        watcher = FakeWatcher()
        scope = plan.Scope(3, 'arm64-n1')
        self.run_audit(watcher, scope=scope, show=True)
        self.assertIn('--scope pool-3.yaml', watcher.commands[0])
        self.assertEqual(
            plan.scope_file(scope), pathlib.Path('pool-3.yaml').read_text()
        )
        self.assertIn('--action-plan P', watcher.commands[-1])
        self.assertEqual({True}, set(watcher.shown))

    def test_an_audit_that_fails(self) -> None:
        with self.assertRaisesRegex(
            terminal.SceneFailed, '^audit-1 is FAILED$'
        ):
            self.run_audit(FakeWatcher(audit='FAILED'))

    def test_a_command_that_fails(self) -> None:
        with self.assertRaisesRegex(terminal.SceneFailed, 'no such goal'):
            self.run_audit(FakeWatcher(status=1))
