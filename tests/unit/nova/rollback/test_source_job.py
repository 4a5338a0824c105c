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

"""A migration job between a manager, a driver and a libvirt that are played.

What it does inside Nova is in tests/functional.
"""

from collections.abc import Callable
import time
import types
from typing import Any
from unittest import mock

from nova import exception
from nova import objects
import nova.conf
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import guest as libvirt_guest

from nova_arm_migrate.core.job import JobType
from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import events
from nova_arm_migrate.nova import layout_driver
from nova_arm_migrate.nova.layout import channel as channel
from nova_arm_migrate.nova.layout import numa_migration
from nova_arm_migrate.nova.rollback import destination
from nova_arm_migrate.nova.rollback import presence
from nova_arm_migrate.nova.rollback import source_job as jobs
from nova_arm_migrate.nova.rollback.problem import Problem
from nova_arm_migrate.numa import wire
from nova_arm_migrate.numa.layout import Layout
from tests import logs

objects.register_all()
CONF = nova.conf.CONF
PARENT = libvirt_driver.LibvirtDriver
UUID = '5fab6043-7e80-4d43-b212-355127881df1'
CONTEXT = mock.Mock()
RESUME = 1 << 19
NO_DOMAIN = 42
INVALID_ARG = 8
RUNNING, PAUSED, SHUTOFF = 1, 3, 5


class LibvirtError(Exception):
    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self._code = code

    def get_error_code(self) -> int:
        return self._code


class JobCase(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        CONF.set_override('virt_type', 'kvm', 'libvirt')
        self.addCleanup(CONF.clear_override, 'virt_type', 'libvirt')
        self.patch(
            libvirt_driver,
            'libvirt',
            types.SimpleNamespace(
                libvirtError=LibvirtError,
                VIR_ERR_NO_DOMAIN=NO_DOMAIN,
                VIR_ERR_INVALID_ARG=INVALID_ARG,
                VIR_ERR_NO_SUPPORT=3,
                VIR_ERR_ARGUMENT_UNSUPPORTED=74,
                VIR_MIGRATE_POSTCOPY_RESUME=RESUME,
            ),
        )
        self.patch(
            libvirt_guest,
            'libvirt',
            types.SimpleNamespace(VIR_DOMAIN_JOB_NONE=0),
        )
        self.parent('__init__')
        self.failed: list[tuple[str, str]] = []
        self.patch(
            events,
            'failed',
            lambda context, instance, name, details: self.failed.append(
                (name, details)
            ),
        )
        self.there = Presence.ABSENT
        self.libvirt: str | None = 'first'
        self.reached = True
        self.asked = self.patch(
            destination,
            'ask',
            mock.Mock(
                side_effect=lambda *args: destination.Answer(
                    self.there, libvirt=self.libvirt, reached=self.reached
                )
            ),
        )
        self.settlement = self.patch(jobs, 'Settlement', mock.Mock())()
        self.settlement.at_source.return_value = []
        self.settlement.end_at_source.return_value = []
        self.settlement.at_destination.return_value = []
        self.patch(jobs, '_LOOK_INTERVAL', 0)
        self.patch(jobs, '_RECOVERY_INTERVAL', 0)
        self.sleep = self.patch(time, 'sleep', mock.Mock())
        self.now = 1000.0
        self.patch(time, 'monotonic', lambda: self.now)
        self.deleted = False
        self.patch(objects.Instance, 'get_by_uuid', self.in_database)
        self.driver = layout_driver.LayoutDriver(None)
        self.driver.virtapi = mock.Mock()
        self.driver._host = mock.Mock()
        capabilities = self.driver._host.get_capabilities.return_value
        capabilities.host.cpu.arch = 'aarch64'
        self.driver.active_migrations = {}
        self.guest = self.driver._host.get_guest.return_value
        self.state(RUNNING)
        self.instance = mock.Mock(
            uuid=UUID, vm_state='active', numa_topology=None, host='here'
        )
        self.data = objects.LibvirtLiveMigrateData()
        self.post, self.recover = mock.Mock(), mock.Mock()

    def patch(self, owner: object, name: str, value: object) -> Any:
        patcher = mock.patch.object(owner, name, value)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def parent(self, name: str, **kwargs: Any) -> mock.Mock:
        patcher = mock.patch.object(
            PARENT, name, autospec=True, **{'return_value': None} | kwargs
        )
        self.addCleanup(patcher.stop)
        return patcher.start()

    def in_database(self, context: object, uuid: str) -> mock.Mock:
        if self.deleted:
            raise exception.InstanceNotFound(instance_id=uuid)
        return mock.Mock(task_state='migrating')

    def state(self, number: int, reason: int = 0) -> None:
        """Have libvirt say how the guest is on this host."""
        self.guest._domain.state.side_effect = None
        self.guest._domain.state.return_value = [number, reason]

    def absent(self) -> None:
        self.driver._host.get_guest.side_effect = exception.InstanceNotFound(
            instance_id=UUID
        )

    def leaves(self, *args: object, **kwargs: object) -> None:
        """Have the guest leave while libvirt migrates it."""
        self.absent()

    def silent(self) -> None:
        self.guest._domain.state.side_effect = LibvirtError('restarts')

    def play(self, play: Callable[..., None] | Exception) -> None:
        """Have the parent's live_migration do something."""
        self.parent('live_migration', side_effect=play)

    def migrate(self) -> None:
        self.driver.live_migration(
            CONTEXT,
            self.instance,
            'dest',
            self.post,
            self.recover,
            False,
            self.data,
        )

    def job(self) -> Any:
        return self.driver._jobs.in_this_thread()

    def operate(self, fails: Any = None) -> None:
        """Play the thread that calls libvirt, to its end."""
        self.driver.active_migrations[UUID] = object()
        self.guest.migrate.side_effect = fails or self.leaves
        self.patch(
            PARENT,
            '_live_migration_operation',
            lambda *args: args[6].migrate('uri', flags=1),
        )
        try:
            self.driver._live_migration_operation(
                CONTEXT,
                self.instance,
                'dest',
                False,
                self.data,
                self.guest,
                [],
            )
        except LibvirtError:
            self.assertIsNotNone(fails)

    def info(self, kind: JobType) -> None:
        self.guest.get_job_info.return_value = types.SimpleNamespace(
            type=presence.number_of(kind)
        )

    def watched(self) -> Any:
        """The guest as the parent's monitor has it."""
        monitor = self.parent('_live_migration_monitor')
        self.driver._live_migration_monitor(
            CONTEXT,
            self.instance,
            self.guest,
            'dest',
            None,
            None,
            False,
            self.data,
            None,
            [],
        )
        return monitor.call_args.args[3]

    def ends(
        self, kind: JobType, after: JobType = JobType.NONE, **how: Any
    ) -> None:
        """Check what the monitor is told of a job that has ended."""

        def play(
            driver: Any,
            context: Any,
            instance: Any,
            dest: str,
            post: Callable[..., object],
            recover: Callable[..., object],
            *rest: object,
        ) -> None:
            self.operate(**how)
            self.info(after)
            guest = self.watched()
            self.assertIs(kind, presence.job_type(guest.get_job_info().type))
            self.assertEqual(
                kind is not JobType.COMPLETED, bool(guest.is_active())
            )
            post() if kind is JobType.COMPLETED else recover(
                context, instance, dest, self.data
            )

        self.play(play)
        self.migrate()


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
            self.operated(True), numa_migration.GuestWithLayout
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

    def post_copy(self, *outcomes: BaseException | None) -> list[int]:
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

    def test_post_copy_breaks_and_is_continued(self) -> None:
        calls = self.post_copy(
            LibvirtError('broken'), LibvirtError('again'), None
        )
        self.assertEqual([1, 1 | RESUME, 1 | RESUME], calls)
        self.post.assert_called_once()

    def test_post_copy_breaks_and_libvirt_can_not_continue(self) -> None:
        self.there = Presence.POST_COPY_FAILED
        with self.assertRaises(jobs.Unsettled):
            self.post_copy(
                LibvirtError('broken'),
                LibvirtError('unsupported flags', INVALID_ARG),
            )
        self.assertEqual('broken', dict(self.failed)['live_migration'])
        self.assertIn('--postcopy-resume', dict(self.failed)['guest'])
        self.post.assert_not_called()
        self.recover.assert_not_called()

    def test_post_copy_breaks_and_the_destination_has_ended_the_guest(
        self,
    ) -> None:
        with self.assertRaises(jobs.Unsettled):
            self.post_copy(
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
            self.post_copy(LibvirtError('broken'), error)
        self.assertIn('--postcopy-resume', dict(self.failed)['guest'])

    def test_a_stock_destination_is_tried_once(self) -> None:
        self.there, self.libvirt = Presence.UNKNOWN, None
        with self.assertRaises(jobs.Unsettled):
            self.post_copy(LibvirtError('broken'), LibvirtError('again'))

    def test_no_attempt_while_the_destination_is_away(self) -> None:
        def later(*args: object) -> None:
            self.now += 400

        self.sleep.side_effect = later
        self.reached = False
        with self.assertRaises(jobs.Unsettled):
            self.post_copy(LibvirtError('broken'))

    def test_post_copy_breaks_for_good(self) -> None:
        def later(*args: object) -> None:
            self.now += 400

        self.sleep.side_effect = later
        self.assertEqual(600, conf.current(CONF).post_copy_recovery)
        with self.assertRaises(jobs.Unsettled):
            self.post_copy(*[LibvirtError('broken')] * 3)
        self.recover.assert_not_called()

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


class TestDomainState(logs.TestCase):
    def test_states(self) -> None:
        for (state, reason), expected in {
            (1, 1): Presence.RUNNING,
            (1, 2): Presence.RUNNING,
            (1, 10): Presence.POST_COPY,
            (1, 11): Presence.POST_COPY_FAILED,
            (2, 0): Presence.RUNNING,
            (3, 1): Presence.PAUSED,
            (3, 2): Presence.HELD,
            (3, 11): Presence.HELD,
            (3, 14): Presence.HELD,
            (3, 12): Presence.POST_COPY,
            (3, 13): Presence.POST_COPY_FAILED,
            (4, 1): Presence.RUNNING,
            (5, 1): Presence.STOPPED,
            (5, 4): Presence.MIGRATED,
            (6, 0): Presence.STOPPED,
            (7, 0): Presence.PAUSED,
            (0, 0): Presence.UNKNOWN,
            (99, 1): Presence.UNKNOWN,
        }.items():
            self.assertIs(expected, presence.classify(state, reason))

    def test_job_types(self) -> None:
        for kind in JobType:
            self.assertIs(kind, presence.job_type(presence.number_of(kind)))
        self.assertIs(JobType.NONE, presence.job_type(17))
