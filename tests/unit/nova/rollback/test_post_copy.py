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


import nova.conf

from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.rollback import source_job as jobs
from tests.unit.nova.rollback.base import INVALID_ARG
from tests.unit.nova.rollback.base import JobCase
from tests.unit.nova.rollback.base import LibvirtError
from tests.unit.nova.rollback.base import NO_DOMAIN
from tests.unit.nova.rollback.base import PAUSED
from tests.unit.nova.rollback.base import RESUME

CONF = nova.conf.CONF


class TestPostCopy(JobCase):
    def broken(self, *outcomes: BaseException | None) -> list[int]:
        """Break post-copy, and then what becomes of each attempt."""
        self.state(PAUSED, 13)
        calls = []

        def migrate(uri: str, flags: int) -> None:
            calls.append(flags)
            outcome = outcomes[len(calls) - 1]
            if outcome is not None:
                raise outcome
            self.absent()

        with self.assertLogs('nova_arm_migrate', 'WARNING'):

            def play(*args: object) -> None:
                self.operate(fails=migrate)
                self.job().post() if self.job().has_left() else None

            self.play(play)
            self.migrate()
        return calls

    def test_it_is_continued(self) -> None:
        calls = self.broken(
            LibvirtError('broken'), LibvirtError('again'), None
        )
        self.assertEqual([1, 1 | RESUME, 1 | RESUME], calls)
        self.post.assert_called_once()

    def test_libvirt_can_not_continue(self) -> None:
        self.there = Presence.POST_COPY_FAILED
        with self.assertRaises(jobs.Unsettled):
            self.broken(
                LibvirtError('broken'),
                LibvirtError('unsupported flags', INVALID_ARG),
            )
        self.assertEqual('broken', dict(self.failed)['live_migration'])
        self.assertIn('--postcopy-resume', dict(self.failed)['guest'])
        self.post.assert_not_called()
        self.recover.assert_not_called()

    def test_the_destination_has_ended_the_guest(
        self,
    ) -> None:
        with self.assertRaises(jobs.Unsettled):
            self.broken(
                LibvirtError('broken'), LibvirtError('no domain', NO_DOMAIN)
            )
        self.assertIn('gone from the destination', dict(self.failed)['guest'])

    def test_libvirt_there_restarts_when_it_is_asked_to_continue(self) -> None:
        def crash() -> int:
            self.libvirt = 'second'
            return 38

        self.there = Presence.POST_COPY_FAILED
        error = LibvirtError('client socket is closed')
        error.get_error_code = crash
        with self.assertRaises(jobs.Unsettled):
            self.broken(LibvirtError('broken'), error)
        self.assertIn('--postcopy-resume', dict(self.failed)['guest'])

    def test_a_stock_destination_is_tried_once(self) -> None:
        self.there, self.libvirt = Presence.UNKNOWN, None
        with self.assertRaises(jobs.Unsettled):
            self.broken(LibvirtError('broken'), LibvirtError('again'))

    def test_no_attempt_while_the_destination_is_away(self) -> None:
        def later(*args: object) -> None:
            self.now += 400

        self.sleep.side_effect = later
        self.reached = False
        with self.assertRaises(jobs.Unsettled):
            self.broken(LibvirtError('broken'))

    def test_it_breaks_for_good(self) -> None:
        def later(*args: object) -> None:
            self.now += 400

        self.sleep.side_effect = later
        self.assertEqual(600, conf.current(CONF).post_copy_recovery)
        with self.assertRaises(jobs.Unsettled):
            self.broken(*[LibvirtError('broken')] * 3)
        self.recover.assert_not_called()
