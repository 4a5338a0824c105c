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
from nova import objects

from nova_arm_migrate.nova import events
from nova_arm_migrate.nova.rollback import preparation
from nova_arm_migrate.nova.rollback.problem import Problem
from tests import logs

UUID = '00000000-0000-4000-8000-000000000001'


class Failure(Exception):
    pass


class TestPreparation(logs.TestCase):
    """What the campaign's functional tests do with Nova's own manager."""

    def setUp(self) -> None:
        super().setUp()
        self.failed: list[str] = []
        self.patch(
            events,
            'failed',
            lambda context, instance, name, details: self.failed.append(name),
        )
        self.patch(
            objects.BlockDeviceMappingList,
            'get_by_instance_uuid',
            mock.Mock(return_value=['before']),
        )
        self.now = mock.Mock(task_state='migrating', host='here')
        self.get = self.patch(
            objects.Instance, 'get_by_uuid', mock.Mock(return_value=self.now)
        )
        made = self.patch(preparation, 'Settlement', mock.Mock())
        self.made, self.settlement = made, made.return_value
        self.settlement.at_source.return_value = []
        self.settlement.end_at_source.return_value = []
        self.instance = mock.Mock(uuid=UUID)
        self.migration = mock.Mock(id=7)
        self.prepare = mock.Mock(side_effect=Failure())
        self.manager = mock.Mock(
            host='here',
            _do_live_migration=self.prepare,
            _waiting_live_migrations={UUID: (self.migration, None)},
        )
        self.watched = preparation.Preparation(mock.Mock(), self.manager)

    def patch(self, owner: object, name: str, value: object) -> Any:
        patcher = mock.patch.object(owner, name, value)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def fails(self) -> None:
        """Play the manager's call: it raises what the manager raised."""
        with self.assertRaises(Failure):
            self.manager._do_live_migration(
                None,
                'there',
                self.instance,
                False,
                self.migration,
                mock.Mock(),
            )

    def test_it_is_settled(self) -> None:
        self.fails()
        self.assertEqual(['preparation'], self.failed)
        self.assertEqual(['before'], self.made.call_args.args[-1])
        self.settlement.at_source.assert_called_once_with(
            True, 'error', begun=False
        )
        self.settlement.end_at_source.assert_called_once_with()
        self.assertEqual({}, self.manager._waiting_live_migrations)

    def test_a_part_that_stays_wrong(self) -> None:
        self.settlement.at_source.return_value = [Problem('ports', 'two')]
        self.fails()
        self.assertEqual(['preparation', 'ports'], self.failed)
        self.settlement.end_at_source.assert_not_called()
        self.manager._set_instance_obj_error_state.assert_called_once()

    def test_what_the_manager_has_settled_itself(self) -> None:
        for name, value in (('task_state', None), ('host', 'there')):
            with mock.patch.object(self.now, name, value):
                self.fails()
        self.get.side_effect = exception.InstanceNotFound(instance_id=UUID)
        self.fails()
        self.made.assert_not_called()

    def test_the_driver_has_been_called(self) -> None:
        def call_the_driver(*args: object) -> None:
            self.watched.over()
            raise Failure

        self.prepare.side_effect = call_the_driver
        self.fails()
        self.made.assert_not_called()
        self.manager._set_instance_obj_error_state.assert_called_once()

    def test_a_database_that_stays_away(self) -> None:
        self.get.side_effect = OSError('away')
        with self.assertLogs('nova_arm_migrate', 'ERROR'):
            self.fails()
        self.made.assert_not_called()

    def test_another_migration_waits(self) -> None:
        waiting = {UUID: (mock.Mock(id=8), None)}
        self.manager._waiting_live_migrations = waiting
        self.fails()
        self.assertIn(UUID, waiting)

    def test_it_works(self) -> None:
        self.prepare.side_effect = None
        self.manager._do_live_migration(
            None, 'there', self.instance, False, self.migration, mock.Mock()
        )
        self.prepare.assert_called_once()
        self.get.assert_not_called()
