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

from typing import Any
from unittest import mock

from nova import exception

from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova.rollback import destination
from tests import logs
from tests.unit.nova.rollback.base import CONTEXT
from tests.unit.nova.rollback.base import JobCase
from tests.unit.nova.rollback.base import PAUSED
from tests.unit.nova.rollback.base import UUID


class TestDestination(JobCase):
    def roll_back(self) -> mock.Mock:
        parent = self.parent('rollback_live_migration_at_destination')
        self.driver.rollback_live_migration_at_destination(
            CONTEXT, self.instance, None, None, True, self.data
        )
        return parent

    def test_a_guest_that_runs_here_is_not_destroyed(self) -> None:
        with self.assertRaises(exception.MigrationError):
            self.roll_back()
        self.assertEqual('destination', self.failed[0][0])

    def test_a_guest_that_was_arriving(self) -> None:
        self.state(PAUSED, 2)
        self.roll_back().assert_called_once()
        self.assertEqual([], self.failed)

    def test_it_answers(self) -> None:
        def answer() -> Any:
            return self.driver.check_instance_shared_storage_remote(
                CONTEXT, {'filename': '/x', 'arm_migrate': {'uuid': UUID}}
            )

        said = answer()
        self.assertEqual(('running', None), (said['domain'], said['arriving']))
        self.assertEqual(said['libvirt'], answer()['libvirt'])
        self.driver._host.get_connection.return_value = object()
        self.assertNotEqual(said['libvirt'], answer()['libvirt'])
        self.parent('pre_live_migration', return_value=self.data)
        self.instance.migration_context = None
        self.driver.pre_live_migration(
            CONTEXT, self.instance, None, None, None, self.data
        )
        self.assertIs(True, answer()['arriving'])
        self.parent('post_live_migration_at_destination')
        self.driver.post_live_migration_at_destination(
            CONTEXT, self.instance, None
        )
        self.assertIs(False, answer()['arriving'])

    def test_novas_own_question(self) -> None:
        parent = self.parent('check_instance_shared_storage_remote')
        for data in (
            {'filename': '/x'},
            {'filename': '/x', 'arm_migrate': 'y'},
            {'arm_migrate': {'uuid': 7}},
        ):
            self.driver.check_instance_shared_storage_remote(CONTEXT, data)
        self.assertEqual(3, parent.call_count)


class TestAsk(logs.TestCase):
    def ask(self, **said: Any) -> Any:
        manager = mock.Mock()
        manager.compute_rpcapi.check_instance_shared_storage.configure_mock(
            **said
        )
        return destination.ask(manager, CONTEXT, mock.Mock(uuid=UUID), 'b')

    def test_answers(self) -> None:
        said = destination.answer(mock.Mock(), Presence.RUNNING, True)
        self.assertEqual(
            destination.Answer(Presence.RUNNING, True, said['libvirt'], True),
            self.ask(return_value=said),
        )
        self.assertIsNone(
            destination.answer(mock.Mock(), Presence.UNKNOWN, None)['libvirt']
        )
        unknown = destination.Answer(reached=True)
        for value in (False, None, 'x', {}, {'domain': 7}, {'domain': 'x'}):
            self.assertEqual(unknown, self.ask(return_value=value))
        with self.assertLogs('nova_arm_migrate', 'WARNING'):
            self.assertEqual(
                destination.Answer(), self.ask(side_effect=OSError('away'))
            )

    def test_arrivals_are_forgotten(self) -> None:
        arrivals = destination.Arrivals()
        arrivals.begin('first')
        self.assertIsNotNone(arrivals.end('first'))
        self.assertIs(False, arrivals.arriving('first'))
        for number in range(300):
            arrivals.end(str(number))
        self.assertIsNone(arrivals.arriving('first'))
