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

"""Migration jobs of the simulated libvirt, without Nova.

The expected results come from libvirt's source, not from Nova's behaviour.
"""

from collections.abc import Callable
import threading

from nova.tests.fixtures import libvirt as fakelibvirt

from simulated import hypervisor
from simulated import job as jobs
from simulated.libvirt_names import number
from tests.functional.demo import test_hosts

URI = 'qemu+tcp://b/system'
POSTCOPY = fakelibvirt.VIR_MIGRATE_POSTCOPY


class TestJobs(test_hosts.HostsTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.a = self.host('a', version=9000000)
        self.b = self.host('b', version=9000000)
        self.domain = self.start(self.a)
        self.job = self.a.job(test_hosts.UUID)
        self.error = None

    def begin(self, flags: int = 0) -> None:
        def run() -> None:
            try:
                self.domain.migrateToURI3(URI, {}, flags)
            except fakelibvirt.libvirtError as error:
                self.error = error

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.job.go)

    def end(self, *points: str) -> None:
        self.job.go(*points)
        self.job.wait_end()

    def state(
        self, connection: hypervisor.ArmConnection, state: str, reason: str
    ) -> None:
        self.assertEqual(
            [
                number(f'VIR_DOMAIN_{state}'),
                number(f'VIR_DOMAIN_{state}_{reason}'),
            ],
            connection.domain(test_hosts.UUID).state(),
        )
        self.assertEqual(
            number(f'VIR_DOMAIN_{state}'),
            connection.domain(test_hosts.UUID).info()[0],
        )

    def nowhere(self, connection: hypervisor.ArmConnection) -> None:
        self.raises('VIR_ERR_NO_DOMAIN', connection.domain, test_hosts.UUID)

    def raises(
        self, code: str, call: Callable[..., object], *args: object
    ) -> str:
        error = self.assertRaises(fakelibvirt.libvirtError, call, *args)
        self.assertEqual(number(code), error.get_error_code())
        return str(error)

    def job_type(self) -> int:
        return self.domain.jobStats()['type']

    def test_the_points_of_a_job(self) -> None:
        self.state(self.a, 'RUNNING', 'BOOTED')
        self.assertEqual(fakelibvirt.VIR_DOMAIN_JOB_NONE, self.job_type())
        self.job.hold(jobs.COPYING, jobs.SWITCH_OVER)
        self.begin()
        self.job.wait(jobs.COPYING)
        self.assertEqual(fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED, self.job_type())
        self.state(self.a, 'RUNNING', 'BOOTED')
        self.state(self.b, 'PAUSED', 'MIGRATION')
        self.raises(
            'VIR_ERR_OPERATION_TIMEOUT', self.domain.migrateToURI3, URI, {}, 0
        )
        self.job.go(jobs.COPYING)
        self.job.wait(jobs.SWITCH_OVER)
        self.state(self.a, 'PAUSED', 'MIGRATION')
        self.assertIn(
            'cannot abort migration in post-copy mode',
            self.raises('VIR_ERR_OPERATION_INVALID', self.domain.abortJob),
        )
        self.end()
        self.assertIsNone(self.error)
        self.nowhere(self.a)
        self.state(self.b, 'RUNNING', 'MIGRATED')
        self.assertEqual(
            ['begun', 'copying', 'switch-over', 'landed'], self.job.points
        )
        self.assertIsNot(self.job, self.a.job(test_hosts.UUID))

    def test_an_abort(self) -> None:
        self.assertIn(
            'no job is active',
            self.raises('VIR_ERR_OPERATION_INVALID', self.domain.abortJob),
        )
        self.job.hold(jobs.COPYING)
        self.begin()
        self.job.wait(jobs.COPYING)
        self.assertIn(
            'cannot abort incoming migration',
            self.raises(
                'VIR_ERR_OPERATION_INVALID',
                self.b.domain(test_hosts.UUID).abortJob,
            ),
        )
        self.job.abort_answer = jobs.LOCKED
        self.assertIn(
            'cannot acquire state change lock',
            self.raises('VIR_ERR_OPERATION_TIMEOUT', self.domain.abortJob),
        )
        self.job.abort_answer = jobs.ACCEPTED
        self.domain.abortJob()
        self.job.wait_end()
        self.assertIn('canceled by client', str(self.error))
        self.state(self.a, 'RUNNING', 'BOOTED')
        self.nowhere(self.b)
        self.assertEqual(fakelibvirt.VIR_DOMAIN_JOB_NONE, self.job_type())

    def test_an_abort_that_comes_too_late(self) -> None:
        self.job.hold(jobs.SWITCH_OVER)
        self.job.switch_over_answer = jobs.IGNORED
        self.begin()
        self.job.wait(jobs.SWITCH_OVER)
        self.domain.abortJob()
        self.end()
        self.state(self.b, 'RUNNING', 'MIGRATED')

    def test_a_guest_that_is_suspended_meanwhile(self) -> None:
        for restarts, state, reason in (
            (True, 'RUNNING', 'MIGRATION_CANCELED'),
            (False, 'PAUSED', 'API_ERROR'),
        ):
            self.job = self.a.job(test_hosts.UUID).hold(jobs.COPYING)
            self.job.restarts = restarts
            self.begin()
            self.job.wait(jobs.COPYING)
            self.domain.suspend()
            self.state(self.a, 'PAUSED', 'MIGRATION')
            self.raises('VIR_ERR_OPERATION_TIMEOUT', self.domain.resume)
            self.domain.abortJob()
            self.job.wait_end()
            self.state(self.a, state, reason)
        self.domain.resume()
        self.state(self.a, 'RUNNING', 'UNPAUSED')

    def test_a_suspended_guest_stays_so(self) -> None:
        self.domain.suspend()
        self.state(self.a, 'PAUSED', 'USER')
        self.begin()
        self.job.wait_end()
        self.state(self.b, 'PAUSED', 'USER')

    def test_a_failure_of_the_job(self) -> None:
        self.job.fail(jobs.SWITCH_OVER)
        self.begin()
        self.job.wait_end()
        self.state(self.a, 'RUNNING', 'MIGRATION_CANCELED')
        self.nowhere(self.b)

    def test_a_guest_that_powers_itself_off(self) -> None:
        for point in (jobs.COPYING, jobs.SWITCH_OVER):
            self.domain = self.a.domain(test_hosts.UUID)
            self.job = self.a.job(test_hosts.UUID).hold(point)
            self.begin()
            self.job.wait(point)
            self.domain.guest_powers_off()
            self.job.wait_end()
            self.assertIn('domain is not running', str(self.error))
            self.state(self.a, 'SHUTOFF', 'SHUTDOWN')
            self.nowhere(self.b)
            self.raises('VIR_ERR_OPERATION_INVALID', self.domain.jobStats)
            self.domain.create()

    def test_a_process_that_ends_on_the_destination(self) -> None:
        self.job.hold(jobs.COPYING)
        self.begin()
        self.job.wait(jobs.COPYING)
        self.b.domain(test_hosts.UUID).destroy()
        self.job.wait_end()
        self.assertIn('unexpectedly failed', str(self.error))
        self.state(self.a, 'RUNNING', 'BOOTED')

    def test_a_domain_that_is_gone(self) -> None:
        self.domain.destroy()
        self.state(self.a, 'SHUTOFF', 'DESTROYED')
        self.raises(
            'VIR_ERR_OPERATION_INVALID', self.domain.migrateToURI3, URI, {}, 0
        )
        self.domain.undefine()
        self.raises('VIR_ERR_NO_DOMAIN', self.domain.migrateToURI3, URI, {}, 0)

    def in_post_copy(self) -> None:
        self.job.hold(jobs.COPYING, jobs.POST_COPY)
        self.begin(POSTCOPY)
        self.job.wait(jobs.COPYING)
        self.domain.migrateStartPostCopy()
        self.job.wait(jobs.POST_COPY)

    def test_post_copy(self) -> None:
        self.raises(
            'VIR_ERR_OPERATION_INVALID', self.domain.migrateStartPostCopy
        )
        self.in_post_copy()
        self.state(self.a, 'PAUSED', 'POSTCOPY')
        self.state(self.b, 'RUNNING', 'POSTCOPY')
        self.raises('VIR_ERR_OPERATION_INVALID', self.domain.abortJob)
        self.end()
        self.nowhere(self.a)
        self.state(self.b, 'RUNNING', 'MIGRATED')

    def test_a_broken_post_copy(self) -> None:
        self.in_post_copy()
        self.job.break_post_copy()
        self.job.wait_end()
        self.assertIn('failed in post-copy phase', str(self.error))
        self.state(self.a, 'PAUSED', 'POSTCOPY_FAILED')
        self.state(self.b, 'RUNNING', 'POSTCOPY_FAILED')
        self.assertEqual(fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED, self.job_type())
        for call in (
            self.domain.abortJob,
            lambda: self.domain.migrateToURI3(URI, {}, POSTCOPY),
        ):
            self.raises('VIR_ERR_OPERATION_INVALID', call)
        resume = POSTCOPY | number('VIR_MIGRATE_POSTCOPY_RESUME')
        self.job.recovers = 'unable to connect'
        self.raises(
            'VIR_ERR_OPERATION_FAILED',
            self.domain.migrateToURI3,
            URI,
            {},
            resume,
        )
        self.state(self.b, 'RUNNING', 'POSTCOPY_FAILED')
        self.job.recovers = True
        self.domain.migrateToURI3(URI, {}, resume)
        self.nowhere(self.a)
        self.state(self.b, 'RUNNING', 'MIGRATED')
        self.assertEqual(2, self.job.recoveries)

    def test_a_broken_post_copy_of_an_older_libvirt(self) -> None:
        resume = POSTCOPY | number('VIR_MIGRATE_POSTCOPY_RESUME')
        self.b.fakeLibVersion = 8004000
        self.in_post_copy()
        self.job.break_post_copy()
        self.job.wait_end()
        self.state(self.b, 'PAUSED', 'POSTCOPY_FAILED')
        self.raises(
            'VIR_ERR_INVALID_ARG', self.domain.migrateToURI3, URI, {}, resume
        )

    def test_an_older_libvirt_ends_a_broken_post_copy(self) -> None:
        self.a.fakeLibVersion = 8004000
        self.in_post_copy()
        self.job.break_post_copy()
        self.job.wait_end()
        self.state(self.a, 'PAUSED', 'POSTCOPY_FAILED')
        self.state(self.b, 'RUNNING', 'POSTCOPY_FAILED')
        self.assertEqual(fakelibvirt.VIR_DOMAIN_JOB_NONE, self.job_type())

    def test_a_destination_that_is_destroyed_in_post_copy(self) -> None:
        self.in_post_copy()
        self.b.domain(test_hosts.UUID).destroy()
        self.job.wait_end()
        self.state(self.a, 'PAUSED', 'POSTCOPY_FAILED')
