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

"""Where the guest is when its migration job has ended, and who says so.

Each failure is played with our driver and with the stock one, in tests of
the same name.
"""

from typing import Any

from nova.tests.fixtures import libvirt as fakelibvirt

from simulated import job as jobs
from tests.functional import base
from tests.functional import failures_base


class TestAbort(failures_base.FailuresTestBase):
    """Nova aborts at the completion timeout, and libvirt does not."""

    volumes = ports = block = True

    def abort_at(self, point: str) -> jobs.Job:
        self.flags(live_migration_completion_timeout=1, group='libvirt')
        job = self.job().hold(point)
        self.request()
        job.wait(point)
        self.clock.forward(3600)
        self.expect(lambda: job.aborts, 'an abort')
        return job

    def refused_at_the_switch_over(self) -> None:
        job = self.abort_at(jobs.SWITCH_OVER)
        job.go()
        self.threads.wait()
        self.assertEqual({jobs.REFUSED}, {*job.aborts})

    def test_refused_at_the_switch_over(self) -> None:
        self.cloud()
        self.refused_at_the_switch_over()
        self.assert_settled('b')
        self.assertEqual('completed', self.migration()['status'])
        self.assert_moves_on()

    def test_stock_refused_at_the_switch_over(self) -> None:
        self.cloud(base.STOCK)
        self.refused_at_the_switch_over()
        now = self.truth()
        self.assertEqual(
            ('ERROR', 'a', ['b']), (now.status, now.host, now.runs_on)
        )

    def ignored_at_the_switch_over(self) -> None:
        self.job().switch_over_answer = jobs.IGNORED
        self.abort_at(jobs.SWITCH_OVER).go()
        self.threads.wait()

    def test_ignored_at_the_switch_over(self) -> None:
        self.cloud()
        self.ignored_at_the_switch_over()
        self.assert_settled('b')

    def test_stock_ignored_at_the_switch_over(self) -> None:
        self.cloud(base.STOCK)
        self.ignored_at_the_switch_over()
        self.assert_settled('b')

    def aborted_by_its_user(self) -> None:
        job = self.job().hold(jobs.COPYING)
        self.request()
        job.wait(jobs.COPYING)
        self.expect(
            lambda: self.migration()['status'] == 'running', 'the monitor'
        )
        self.act('abort')
        self.threads.wait()
        self.assertEqual(jobs.ACCEPTED, job.aborts[0])

    def test_aborted_by_its_user(self) -> None:
        self.cloud()
        self.aborted_by_its_user()
        self.assertEqual('cancelled', self.migration()['status'])
        self.assert_settled('a')
        self.assert_moves_on()

    def test_stock_aborted_by_its_user(self) -> None:
        self.cloud(base.STOCK)
        self.aborted_by_its_user()
        # It is what was asked for, and is taken for a failure.
        now = self.truth()
        self.assertEqual(
            base.STOCK_FAILED, (now.status, self.migration()['status'])
        )
        self.assertEqual(['a'], now.runs_on)


class TestLockedAbort(failures_base.FailuresTestBase):
    """The state change lock prevents the abort; the storage is shared."""

    volumes = ports = True
    abort_at = TestAbort.abort_at

    def refused_by_the_lock(self) -> jobs.Job:
        self.job().abort_answer = jobs.LOCKED
        job = self.abort_at(jobs.COPYING)
        job.go()
        self.threads.wait()
        return job

    def test_refused_by_the_lock(self) -> None:
        self.cloud()
        self.refused_by_the_lock()
        self.assert_settled('b')
        self.assert_moves_on()

    def test_stock_refused_by_the_lock(self) -> None:
        self.cloud(base.STOCK)
        job = self.refused_by_the_lock()
        job.wait_end()
        now = self.truth()
        self.assertEqual(
            ('ERROR', 'a', ['b']), (now.status, now.host, now.runs_on)
        )

    def test_refused_by_the_lock_and_the_job_fails(self) -> None:
        self.cloud()
        self.job().fail(jobs.SWITCH_OVER)
        self.refused_by_the_lock()
        self.assert_settled('a')
        self.assert_moves_on()


class TestMissingDomain(failures_base.FailuresTestBase):
    """The domain is gone from the source when the job should start."""

    volumes = ports = block = True

    def gone_before_the_job(self) -> None:
        destination = self.computes['b'].driver
        pre = destination.pre_live_migration

        def and_then(*args: Any, **kwargs: Any) -> Any:
            data = pre(*args, **kwargs)
            self.lose_the_domain()
            return data

        destination.pre_live_migration = and_then
        self.migrate_server()

    def gone_when_libvirt_is_asked(self) -> None:
        domain = self.domain_on('a')
        migrate = domain.migrateToURI3

        def gone(*args: Any, **kwargs: Any) -> Any:
            self.lose_the_domain()
            return migrate(*args, **kwargs)

        domain.migrateToURI3 = gone
        self.migrate_server()

    def lose_the_domain(self) -> None:
        domain = self.domain_on('a')
        domain.destroy()
        domain.undefine()

    def lost_and_told(self) -> None:
        """Check that Nova does not report anything wrong."""
        now = self.truth()
        self.assertEqual(
            ('ERROR', 'a', {}), (now.status, now.host, now.domains)
        )
        self.assertNotIn((self.server['id'], 'a'), self.disks.destroyed)
        self.assertEqual(['guest'], now.parts, now)
        self.assertRegex(self.said(), 'Domain not found|could not be found')

    def test_gone_before_the_job(self) -> None:
        self.cloud()
        self.gone_before_the_job()
        self.lost_and_told()

    def test_stock_gone_before_the_job(self) -> None:
        self.cloud(base.STOCK)
        self.gone_before_the_job()
        now = self.truth()
        self.assertEqual(
            ('ERROR', 'a', {}), (now.status, now.host, now.domains)
        )
        self.assertNotIn((self.server['id'], 'a'), self.disks.destroyed)

    def test_gone_when_libvirt_is_asked(self) -> None:
        self.cloud()
        self.gone_when_libvirt_is_asked()
        self.lost_and_told()

    def test_stock_gone_when_libvirt_is_asked(self) -> None:
        self.cloud(base.STOCK)
        self.gone_when_libvirt_is_asked()
        now = self.truth()
        self.assertEqual(('ERROR', {}), (now.status, now.domains))
        # Nova assumes "migrated" and destroys the only copy of the disks.
        self.assertIn((self.server['id'], 'a'), self.disks.destroyed)


class TestPostCopy(failures_base.FailuresTestBase):
    """The guest runs on the destination, and the connection breaks."""

    volumes = ports = block = True
    left_alone = {
        'a': ('PAUSED', 'POSTCOPY_FAILED'),
        'b': ('RUNNING', 'POSTCOPY_FAILED'),
    }

    def setUp(self) -> None:
        super().setUp()
        self.flags(live_migration_permit_post_copy=True, group='libvirt')
        # Once or twice.
        self.flags(post_copy_recovery=15, group='arm_migrate')

    def in_post_copy(self) -> jobs.Job:
        job = self.job().hold(jobs.COPYING, jobs.POST_COPY)
        self.request()
        job.wait(jobs.COPYING)
        self.expect(
            lambda: self.migration()['status'] == 'running', 'the monitor'
        )
        self.act('force_complete')
        job.wait(jobs.POST_COPY)
        return job

    def test_it_lands(self) -> None:
        self.cloud()
        self.in_post_copy().go()
        self.threads.wait()
        self.assert_settled('b')

    def test_it_breaks_and_recovers(self) -> None:
        self.cloud()
        job = self.in_post_copy()
        job.break_post_copy()
        self.threads.wait()
        self.assert_settled('b')
        self.assertLessEqual(1, job.recoveries)
        self.assert_moves_on()

    def assert_left_broken(self, **domains: tuple[str, str]) -> None:
        """Check that nothing was changed, and that an event says so."""
        now = self.truth()
        self.assertEqual('ERROR', now.status, now)
        self.assertEqual(self.left_alone | domains, now.domains)
        self.assertEqual([], self.disks.destroyed)
        self.assertIn('post-copy', self.said().lower())

    def test_it_breaks_and_can_not_recover(self) -> None:
        self.cloud()
        job = self.in_post_copy()
        job.recovers = 'unable to connect to server'
        job.break_post_copy()
        self.threads.wait()
        self.assert_left_broken()
        self.assertLessEqual(1, job.recoveries)

    def test_it_breaks_with_an_older_libvirt(self) -> None:
        self.cloud(version=None)
        self.in_post_copy().break_post_copy()
        self.threads.wait()
        self.assert_left_broken(b=('PAUSED', 'POSTCOPY_FAILED'))

    def test_stock_it_breaks(self) -> None:
        self.cloud(base.STOCK)
        with self.monitor_fails() as fail:
            job = self.in_post_copy()
            job.break_post_copy()
            job.wait_end()
            self.looks(10)
            # The monitor waits for ever.
            self.assertEqual(
                'migrating', self.instance(self.server).task_state
            )
            fail.set()
            self.threads.wait()
        now = self.truth()
        self.assertEqual(('ERROR', self.left_alone), (now.status, now.domains))
        self.assertEqual(0, job.recoveries)

    def looks(self, times: int) -> None:
        """Return when the monitor has read the job so many times."""
        domain = self.domain_on('a')
        stats, count = domain.jobStats, list[int]()

        def look(flags: int = 0) -> dict[str, Any]:
            count.append(1)
            return stats(flags)

        domain.jobStats = look
        self.expect(lambda: len(count) >= times, 'the monitor looking')

    def test_stock_it_breaks_with_an_older_libvirt(self) -> None:
        self.cloud(base.STOCK, version=None)
        self.in_post_copy().break_post_copy()
        self.threads.wait()
        now = self.truth()
        # Nova destroys the running guest and its disks; a frozen one is left.
        self.assertEqual(
            (base.STOCK_FAILED[0], {'a': ('PAUSED', 'POSTCOPY_FAILED')}),
            (now.status, now.domains),
        )
        self.assertIn((self.server['id'], 'b'), self.disks.destroyed)

    def test_the_monitor_fails_in_post_copy(self) -> None:
        self.cloud()
        with self.monitor_fails() as fail:
            job = self.in_post_copy()
            fail.set()
            self.assertTrue(fail.seen.wait(60))
            job.go()
            self.threads.wait()
        self.assert_settled('b')
        self.assertNotIn(jobs.ACCEPTED, job.aborts)

    def test_stock_the_monitor_fails_in_post_copy(self) -> None:
        self.cloud(base.STOCK)
        with self.monitor_fails() as fail:
            job = self.in_post_copy()
            fail.set()
            self.threads.wait()
        job.go()
        job.wait_end()
        now = self.truth()
        self.assertEqual(
            ('ERROR', 'a', ['b']), (now.status, now.host, now.runs_on)
        )


class TestPaused(failures_base.FailuresTestBase):
    """Nova has paused the guest to complete the job; the monitor fails."""

    volumes = ports = block = True

    def paused_by_nova(self, restarts: bool) -> None:
        job = self.job().hold(jobs.COPYING)
        job.restarts = restarts
        with self.monitor_fails() as fail:
            self.request()
            job.wait(jobs.COPYING)
            self.expect(
                lambda: self.migration()['status'] == 'running', 'the monitor'
            )
            self.act('force_complete')
            self.expect(
                lambda: (
                    self.domain_on('a').state()[0]
                    == fakelibvirt.VIR_DOMAIN_PAUSED
                ),
                'a paused guest',
            )
            fail.set()
            self.threads.wait()
        job.wait_end()

    def test_paused_by_nova(self) -> None:
        self.cloud()
        self.paused_by_nova(restarts=False)
        now = self.assert_settled('a')
        self.assertEqual(('RUNNING', 'UNPAUSED'), now.domains['a'])
        self.assert_moves_on()

    def test_stock_paused_by_nova(self) -> None:
        self.cloud(base.STOCK)
        self.paused_by_nova(restarts=False)
        now = self.truth()
        self.assertEqual(
            ('ERROR', {'a': ('PAUSED', 'API_ERROR')}),
            (now.status, now.domains),
        )

    def test_paused_by_nova_and_resumed_by_libvirt(self) -> None:
        self.cloud()
        self.paused_by_nova(restarts=True)
        self.assert_settled('a')

    def test_stock_paused_by_nova_and_resumed_by_libvirt(self) -> None:
        self.cloud(base.STOCK)
        self.paused_by_nova(restarts=True)
        now = self.truth()
        self.assertEqual(('ERROR', ['a']), (now.status, now.runs_on))

    def test_paused_by_its_user(self) -> None:
        self.cloud()
        self.api.post_server_action(self.server['id'], {'pause': {}})
        self._wait_for_state_change(self.server, 'PAUSED')
        job = self.job().hold(jobs.COPYING)
        with self.monitor_fails() as fail:
            self.request()
            job.wait(jobs.COPYING)
            fail.set()
            self.threads.wait()
        now = self.assert_settled('a', 'PAUSED')
        self.assertEqual(('PAUSED', 'USER'), now.domains['a'])


class TestPowerOff(failures_base.FailuresTestBase):
    """The guest shuts itself down while it is copied."""

    volumes = ports = block = True

    def off(self, how: str, point: str) -> None:
        job = self.job().hold(point)
        self.request()
        job.wait(point)
        getattr(self.domain_on('a'), how)()
        job.wait_end()
        self.threads.wait()

    def test_off(self) -> None:
        self.cloud()
        self.off('guest_powers_off', jobs.COPYING)
        now = self.assert_settled('a', 'SHUTOFF')
        self.assertEqual({'a': ('SHUTOFF', 'SHUTDOWN')}, now.domains)
        self.assertNotIn((self.server['id'], 'a'), self.disks.destroyed)
        self.api.post_server_action(self.server['id'], {'os-start': None})
        self._wait_for_state_change(self.server, 'ACTIVE')
        self.assert_moves_on()

    def test_stock_off(self) -> None:
        self.cloud(base.STOCK)
        self.off('guest_powers_off', jobs.COPYING)
        now = self.truth()
        self.assertEqual('ERROR', now.status)
        self.assertIn((self.server['id'], 'a'), self.disks.destroyed)

    def test_crashed_at_the_switch_over(self) -> None:
        self.cloud()
        self.off('crash', jobs.SWITCH_OVER)
        now = self.truth()
        self.assertEqual({'a': ('SHUTOFF', 'CRASHED')}, now.domains)
        self.assertEqual('a', now.host)
        self.assertNotIn((self.server['id'], 'a'), self.disks.destroyed)
        self.assertIn(now.status, ('SHUTOFF', 'ERROR'))


class TestTwoAtOnce(failures_base.FailuresTestBase):
    """Two migrations of one server at the same time."""

    def setUp(self) -> None:
        super().setUp()
        self.flags(max_concurrent_live_migrations=2)

    def test_the_second_does_not_end_the_first(self) -> None:
        self.cloud()
        job = self.job().hold(jobs.COPYING)
        self.request('b')
        job.wait(jobs.COPYING)
        self.api.post_server_action(
            self.server['id'], {'os-resetState': {'state': 'active'}}
        )
        # libvirt refuses it: a job runs already.
        self.request('c')
        self.expect(
            lambda: self.migration()['status'] in ('failed', 'error'),
            'the end of the second',
        )
        self.assertEqual([], job.aborts)
        self.assertFalse(job.ended.is_set())
        job.go()
        self.threads.wait()
        now = self.truth()
        self.assertEqual((['b'], 'b'), (now.runs_on, now.host), now)
        self.assertNotIn('guest', now.parts)
