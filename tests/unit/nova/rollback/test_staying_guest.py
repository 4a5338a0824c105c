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
from typing import Any

from nova_arm_migrate.core.job import JobType
from tests.unit.nova.rollback.base import JobCase
from tests.unit.nova.rollback.base import LibvirtError
from tests.unit.nova.rollback.base import PAUSED
from tests.unit.nova.rollback.base import RUNNING
from tests.unit.nova.rollback.base import SHUTOFF


class TestGuestThatStays(JobCase):
    def stays(self, **kwargs: Any) -> tuple[Any, list[Any]]:
        self.ends(JobType.FAILED, fails=LibvirtError('no'), **kwargs)
        return self.instance.vm_state, self.failed[1:]

    def test_it_runs(self) -> None:
        self.assertEqual(('active', []), self.stays())
        self.guest.resume.assert_not_called()

    def test_a_user_has_paused_it(self) -> None:
        self.instance.vm_state = 'paused'
        self.state(PAUSED, 1)
        self.assertEqual(('paused', []), self.stays())
        self.guest.resume.assert_not_called()

    def test_nova_has_paused_it(self) -> None:
        self.state(PAUSED, 1)
        self.guest.resume.side_effect = lambda: self.state(RUNNING)

        def play(
            driver: Any,
            context: Any,
            instance: Any,
            dest: str,
            post: Callable[..., object],
            recover: Callable[..., object],
            *rest: object,
        ) -> None:
            guest = self.watched()
            guest.pause()
            self.operate(fails=LibvirtError('no'))
            recover(context, instance, dest, self.data)

        self.play(play)
        self.migrate()
        self.guest.resume.assert_called_once()
        self.assertEqual('active', self.instance.vm_state)

    def test_libvirt_has_not_resumed_it(self) -> None:
        self.state(PAUSED, 2)
        self.guest.resume.side_effect = LibvirtError('no')
        with self.assertLogs('nova_arm_migrate', 'WARNING'):
            state, told = self.stays()
        self.assertEqual('paused', state)
        self.assertIn('is paused', told[0][1])

    def test_it_has_powered_itself_off(self) -> None:
        self.state(SHUTOFF, 1)
        state, told = self.stays()
        self.assertEqual('stopped', state)
        self.assertIn('stopped during the migration', told[0][1])
