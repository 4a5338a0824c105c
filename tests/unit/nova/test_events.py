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

"""Events of our own in a server's list."""

from unittest import mock

from nova import objects

from nova_arm_migrate.nova import events
from tests import logs

objects.register_all()


class TestEvents(logs.TestCase):
    def test_an_event_that_can_not_be_written(self) -> None:
        with (
            mock.patch.object(
                objects.InstanceActionEvent,
                'event_start',
                autospec=True,
                side_effect=OSError('away'),
            ),
            self.assertLogs('nova_arm_migrate', 'WARNING') as lines,
        ):
            events.failed(mock.Mock(), mock.Mock(), 'x', 'the reason')
        self.assertIn('the reason', lines.output[0])
