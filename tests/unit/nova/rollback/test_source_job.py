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

"""What it does inside Nova is in tests/functional."""

from collections.abc import Callable
from typing import Any
from unittest import mock

from nova import exception

from nova_arm_migrate.core.job import JobType
from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova.layout import channel
from nova_arm_migrate.nova.layout import guest_with_layout
from nova_arm_migrate.nova.rollback import peer_certificate
from nova_arm_migrate.nova.rollback import presence
from nova_arm_migrate.nova.rollback import source_job as jobs
from nova_arm_migrate.nova.rollback.problem import Problem
from nova_arm_migrate.numa import wire
from nova_arm_migrate.numa.layout import Layout
from tests.unit.nova.rollback.base import CONTEXT
from tests.unit.nova.rollback.base import JobCase
from tests.unit.nova.rollback.base import LibvirtError
from tests.unit.nova.rollback.base import NO_DOMAIN
from tests.unit.nova.rollback.base import RUNNING
from tests.unit.nova.rollback.base import UUID


class TestMonitor(JobCase):
    def test_a_guest_that_has_left(self) -> None:
        self.ends(JobType.COMPLETED)
        self.post.assert_called_once_with(
            CONTEXT, self.instance, 'dest', False, self.data
        )
        self.settlement.at_destination.assert_called_once_with(False)
        self.asked.assert_not_called()
        self.assertEqual([], self.failed)

    def test_a_guest_that_has_stayed(self) -> None:
        self.ends(JobType.FAILED, fails=LibvirtError('no'))
        self.recover.assert_called_once_with(
            CONTEXT,
            self.instance,
            'dest',
            self.data,
            migration_status='failed',
        )
        self.settlement.at_source.assert_called_once_with(False, 'failed')
        self.assertEqual([('live_migration', 'no')], self.failed)

    def test_the_peers_certificate_has_expired(self) -> None:
        looked = self.patch(
            peer_certificate,
            'out_of_date',
            mock.create_autospec(
                peer_certificate.out_of_date, return_value='it expired'
            ),
        )
        self.ends(JobType.FAILED, fails=LibvirtError('Failed to verify'))
        looked.assert_called_once_with('uri')
        self.assertEqual(
            [
                ('live_migration', 'Failed to verify'),
                ('certificate', 'it expired'),
            ],
            self.failed,
        )

    def test_libvirt_says_that_it_was_cancelled(self) -> None:
        self.ends(
            JobType.CANCELLED, JobType.CANCELLED, fails=LibvirtError('no')
        )

    def test_the_call_has_failed_and_the_guest_has_landed(self) -> None:
        self.guest._domain.state.side_effect = [[RUNNING, 0]] + [
            LibvirtError('gone', NO_DOMAIN)
        ] * 4
        self.there = Presence.RUNNING
        self.ends(JobType.COMPLETED, fails=LibvirtError('socket is closed'))
        self.post.assert_called_once()

    def test_nothing_ends_before_libvirts_call_has_ended(self) -> None:
        def play(*args: object) -> None:
            guest = self.watched()
            for kind in JobType:
                self.info(kind)
                self.assertIn(
                    presence.job_type(guest.get_job_info().type),
                    (JobType.NONE, JobType.UNBOUNDED),
                )
            self.operate()
            self.job().post()

        self.play(play)
        self.migrate()

    def test_libvirt_is_away_while_the_job_runs(self) -> None:
        def play(*args: object) -> None:
            self.job().spawned()
            self.guest.get_job_info.side_effect = LibvirtError('restarts')
            with self.assertLogs('nova_arm_migrate', 'WARNING'):
                info = self.watched().get_job_info()
            self.assertIs(JobType.NONE, presence.job_type(info.type))
            self.operate()
            self.job().post()

        self.play(play)
        self.migrate()

    def test_libvirt_is_away_after_the_job(self) -> None:
        def later(*args: object) -> None:
            self.now += 61

        self.sleep.side_effect = later
        with (
            self.assertRaises(jobs.Unsettled),
            self.assertLogs('nova_arm_migrate', 'WARNING'),
        ):

            def play(*args: object) -> None:
                self.operate(fails=LibvirtError('no'))
                self.silent()
                self.info(JobType.NONE)
                self.watched().get_job_info()

            self.play(play)
            self.migrate()
        self.post.assert_not_called()
        self.recover.assert_not_called()
        self.assertEqual('guest', self.failed[-1][0])
        self.assertIn('does not answer', self.failed[-1][1])

    def test_an_abort_that_a_user_asked_for(self) -> None:
        abort = self.parent('live_migration_abort')

        def play(
            driver: Any,
            context: Any,
            instance: Any,
            dest: str,
            post: Callable[..., object],
            recover: Callable[..., object],
            *rest: object,
        ) -> None:
            self.job().spawned()
            here, self.driver._jobs._here.job = self.job(), None
            self.driver.live_migration_abort(instance)  # another thread
            self.driver._jobs._here.job = here
            self.operate(fails=LibvirtError('canceled by client'))
            self.info(JobType.NONE)
            self.assertIs(
                JobType.CANCELLED,
                presence.job_type(self.watched().get_job_info().type),
            )
            # The parent's late abort, which may hit the next job.
            self.driver.live_migration_abort(instance)
            recover(
                context,
                instance,
                dest,
                self.data,
                migration_status='cancelled',
            )

        self.play(play)
        self.migrate()
        abort.assert_called_once()

    def test_the_entry_of_a_later_job_stays(self) -> None:
        clear = self.parent('_clear_empty_migration')

        def play(*args: object) -> None:
            self.operate()
            self.watched()
            self.driver._clear_empty_migration(self.instance)
            clear.assert_called_once()
            self.driver.active_migrations[UUID] = 'the next'
            self.driver._clear_empty_migration(self.instance)
            self.job().post()

        self.play(play)
        self.migrate()
        clear.assert_called_once()
        self.assertEqual({UUID: 'the next'}, self.driver.active_migrations)


class TestThread(JobCase):
    def operated(self, layout: bool) -> Any:
        operation = self.parent('_live_migration_operation')
        if layout:
            channel.put(self.data, channel.LAYOUT, wire.dump(Layout()))

        def play(*args: object) -> None:
            self.driver._live_migration_operation(
                CONTEXT,
                self.instance,
                'dest',
                False,
                self.data,
                self.guest,
                [],
            )
            self.job().post()

        self.play(play)
        self.migrate()
        return operation.call_args.args[6]._guest

    def test_without_a_layout(self) -> None:
        self.assertIs(self.guest, self.operated(False))

    def test_with_a_layout(self) -> None:
        self.assertIsInstance(
            self.operated(True), guest_with_layout.GuestWithLayout
        )

    def test_a_domain_that_is_missing_before_the_job(self) -> None:
        self.absent()
        with self.assertRaises(jobs.Unsettled):

            def play(
                driver: Any,
                context: Any,
                instance: Any,
                dest: str,
                post: Callable[..., object],
                recover: Callable[..., object],
                *rest: object,
            ) -> None:
                self.operate(fails=LibvirtError('no domain', NO_DOMAIN))
                self.assertFalse(self.job().has_left())
                recover(context, instance, dest, self.data)

            self.settlement.at_source.return_value = []
            self.play(play)
            self.migrate()
        self.recover.assert_called_once()
        self.post.assert_not_called()
        self.assertIn('missing', self.failed[-1][1])

    def test_no_abort_in_post_copy(self) -> None:
        abort = self.parent('live_migration_abort')

        def play(*args: object) -> None:
            self.driver.active_migrations[UUID] = object()
            guest = self.watched()
            self.driver.live_migration_abort(self.instance)
            abort.assert_called_once()
            guest.migrate_start_postcopy()
            self.driver.live_migration_abort(self.instance)
            self.operate()
            self.job().post()

        self.play(play)
        self.migrate()
        abort.assert_called_once()


class TestSettling(JobCase):
    def test_before_there_is_a_thread(self) -> None:
        self.driver.active_migrations[UUID] = 'of an earlier failure'
        self.play(ValueError('no such host'))
        with self.assertLogs('nova_arm_migrate', 'WARNING'):
            self.migrate()
        self.recover.assert_called_once()
        self.assertEqual(
            [('monitor', 'ValueError: no such host')], self.failed
        )
        self.asked.assert_not_called()

    def test_the_monitor_fails_and_the_job_is_aborted(self) -> None:
        def play(*args: object) -> None:
            self.driver.active_migrations[UUID] = object()
            self.guest.abort_job.side_effect = lambda: self.operate(
                fails=LibvirtError('canceled')
            )
            raise OSError('database is away')

        self.play(play)
        with self.assertLogs('nova_arm_migrate', 'WARNING'):
            self.migrate()
        self.recover.assert_called_once()
        self.assertEqual(
            [
                ('monitor', 'OSError: database is away'),
                ('live_migration', 'canceled'),
            ],
            self.failed,
        )

    def test_the_monitor_fails_and_the_job_lands(self) -> None:
        refused = []

        def abort() -> None:
            refused.append(True)
            if len(refused) == 3:
                self.operate()
            raise LibvirtError('not possible in finish phase')

        def play(*args: object) -> None:
            self.driver.active_migrations[UUID] = object()
            self.guest.abort_job.side_effect = abort
            raise OSError('database is away')

        self.play(play)
        with self.assertLogs('nova_arm_migrate', 'WARNING'):
            self.migrate()
        self.post.assert_called_once()
        self.assertEqual(3, len(refused))
        self.assertEqual([], self.failed)

    def test_a_rollback_that_fails_and_is_put_right(self) -> None:
        self.recover.side_effect = LibvirtError('away')
        with self.assertLogs('nova_arm_migrate', 'ERROR'):
            self.ends(JobType.FAILED, fails=LibvirtError('no'))
        self.assertIn(('rollback', 'LibvirtError: away'), self.failed)
        self.settlement.at_source.assert_called_once_with(True, 'failed')

    def test_a_rollback_that_can_not_be_put_right(self) -> None:
        self.settlement.at_source.return_value = [
            Problem('volumes', 'two attachments'),
            Problem('ports', 'a binding is left', fatal=False),
        ]
        with self.assertRaisesRegex(jobs.Unsettled, 'two attachments'):
            self.ends(JobType.FAILED, fails=LibvirtError('no'))
        self.assertLessEqual(
            {('volumes', 'two attachments'), ('ports', 'a binding is left')},
            set(self.failed),
        )
        # The manager calls the server ERROR; it is never ACTIVE before.
        self.settlement.end_at_source.assert_not_called()

    def test_a_rollback_that_ends(self) -> None:
        saved = []

        class Instance(mock.Mock):
            def save(self) -> None:
                saved.append(self.task_state)

        self.instance = Instance(
            uuid=UUID,
            vm_state='active',
            numa_topology=None,
            host='here',
            **{'obj_what_changed.return_value': {'task_state'}},
        )

        def roll_back(*args: object, **kwargs: object) -> None:
            self.instance.task_state = None
            self.instance.save()
            saved.append(self.instance.task_state)

        self.recover.side_effect = roll_back
        self.ends(JobType.FAILED, fails=LibvirtError('no'))
        self.assertEqual(['migrating', None], saved)
        self.settlement.end_at_source.assert_called_once_with()

    def test_post_work_that_fails(self) -> None:
        self.post.side_effect = RuntimeError('away')
        with self.assertLogs('nova_arm_migrate', 'ERROR'):
            self.ends(JobType.COMPLETED)
        self.assertEqual([('post', 'RuntimeError: away')], self.failed)
        self.settlement.at_destination.assert_called_once_with(True)

    def test_a_server_that_is_deleted_meanwhile(self) -> None:
        def deleted(*args: object, **kwargs: object) -> None:
            self.absent()
            self.deleted = True
            raise LibvirtError('destroyed')

        self.recover.side_effect = exception.InstanceNotFound(instance_id=UUID)
        self.ends(JobType.FAILED, fails=deleted)
        self.assertEqual([('live_migration', 'destroyed')], self.failed)
