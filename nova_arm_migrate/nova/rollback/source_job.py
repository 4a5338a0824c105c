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

"""One live migration of a guest that is on this host.

`Job` is between Nova's manager, its libvirt driver and libvirt. It
watches the job, asks `core.job` for the next step, and does that step. The
parent's monitor gets the guest as a `WatchedGuest`, which reports the job's
end only when the guest's place is known.
"""

import collections
import dataclasses
import threading
import time
from typing import Any

from nova import exception
from nova import objects
from oslo_log import log as logging

from nova_arm_migrate.core.job import Decision
from nova_arm_migrate.core.job import JobType
from nova_arm_migrate.core.job import next_step
from nova_arm_migrate.core.job import Observation
from nova_arm_migrate.core.job import Place
from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.core.job import Step
from nova_arm_migrate.core.job import Thread
from nova_arm_migrate.nova import events
from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.nova.records import instance_state
from nova_arm_migrate.nova.rollback import destination
from nova_arm_migrate.nova.rollback import peer_certificate
from nova_arm_migrate.nova.rollback import post_copy
from nova_arm_migrate.nova.rollback import presence
from nova_arm_migrate.nova.rollback import staying_guest
from nova_arm_migrate.nova.rollback.problem import fatal
from nova_arm_migrate.nova.rollback.problem import note
from nova_arm_migrate.nova.rollback.problem import Problem
from nova_arm_migrate.nova.rollback.problem import tell
from nova_arm_migrate.nova.rollback.settlement import DELETING
from nova_arm_migrate.nova.rollback.settlement import Settlement

LOG = logging.getLogger(__name__)

#: Seconds between two looks at a job, or two attempts to abort it.
_LOOK_INTERVAL = 5

#: Seconds that libvirt may be silent after a job, for example in a restart.
_SILENCE = 60


class Unsettled(exception.NovaException):
    """The migration's parts do not agree; the server must be in ERROR."""

    msg_fmt = 'The live migration is not settled: %(reason)s'


class Job:
    """One live migration of a guest that is on this host.

    :param driver: LibvirtDriver of this host
    :param dest: name of the destination
    :param post_method: the manager's method for a guest that has left
    :param recover_method: the manager's method for a guest that has stayed
    :ivar over: the manager knows how the migration ended
    :ivar settled: all parts agree with that end
    :ivar aborted: libvirt has accepted a user's abort
    :ivar paused_guest: Nova has paused the guest to complete the job
    :ivar tasks: the parent's entry for the job in ``active_migrations``
    """

    def __init__(
        self,
        driver: Any,
        context: Any,
        instance: Any,
        dest: str,
        post_method: Any,
        recover_method: Any,
        block_migration: Any,
        migrate_data: Any,
    ) -> None:
        self.instance = instance
        self.over = False
        self.settled = False
        self.aborted = False
        self.post_copy = False
        self.paused_guest = False
        self.tasks: collections.deque[str] | None = None
        self._driver = driver
        self._context = context
        self._dest = dest
        self._post_method = post_method
        self._recover_method = recover_method
        self._block_migration = block_migration
        self._migrate_data = migrate_data
        self._manager = getattr(driver.virtapi, '_compute', None)
        self._spawned = False
        self._stale = driver.active_migrations.get(instance.uuid)
        self._error: Exception | None = None
        self._uri = ''
        self._begun = False
        self._job_type = JobType.NONE
        self._monitored = True
        self._ended = threading.Event()
        self._ended_at = float('-inf')

    # The thread that calls libvirt

    def spawned(self) -> None:
        """Note that the thread exists; it may not have started yet."""
        self._spawned = True

    def ended(self, error: Exception | None) -> None:
        """Note that the thread has ended.

        :param error: the exception that it raised; None if it returned
        """
        self._error = error
        self._ended_at = time.monotonic()
        self._ended.set()

    @property
    def _thread(self) -> Thread:
        if self._ended.is_set():
            return Thread.RAISED if self._error else Thread.RETURNED
        return Thread.RUNNING if self._spawned else Thread.NOT_STARTED

    @property
    def running(self) -> bool:
        """Whether libvirt may still work on the job."""
        return self._thread is Thread.RUNNING

    def migrate(self, guest: Any, uri: str, kwargs: dict[str, Any]) -> None:
        """Make libvirt migrate the guest; continue if post-copy breaks.

        :param guest: ``nova.virt.libvirt.guest.Guest``
        :param kwargs: the arguments of its ``migrate``
        """
        self._uri = uri
        self._begun = self._look() is not Presence.ABSENT
        try:
            guest.migrate(uri, **kwargs)
            return
        except numa_host.libvirt_error() as error:
            failure = error
        libvirt = numa_host.libvirt_module()
        if failure.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN and (
            self._job_type is JobType.NONE and self._look() is Presence.ABSENT
        ):
            # The guest was gone when libvirt was called: no job began.
            self._begun = False
            raise failure
        post_copy.recover(
            guest,
            uri,
            kwargs,
            failure,
            self._look,
            self._ask,
            self.instance,
            self._dest,
        )

    # What the monitor sees

    def seen(self, info: Any) -> Any:
        """Return the job's state for the parent's monitor.

        :param info: ``nova.virt.libvirt.guest.JobInfo``
        :raises Unsettled: if it is not safe to touch the guest
        """
        self._job_type = presence.job_type(info.type)
        if self._thread is Thread.RUNNING:
            # Only the thread knows the end: libvirt removes the domain from
            # the source before its call returns.
            if self._job_type not in (JobType.NONE, JobType.UNBOUNDED):
                info.type = presence.number_of(JobType.NONE)
            return info
        kind = JobType.COMPLETED if self.has_left() else JobType.FAILED
        if kind is JobType.FAILED and (
            self.aborted or self._job_type is JobType.CANCELLED
        ):
            kind = JobType.CANCELLED
        info.type = presence.number_of(kind)
        return info

    def has_left(self) -> bool:
        """Whether the guest has left; waits for the end of the job.

        :raises Unsettled: if it is not safe to touch the guest
        """
        decision = self._conclude()
        if decision.step not in (Step.FINISH, Step.ROLL_BACK):
            raise Unsettled(reason=decision.why)
        return decision.step is Step.FINISH

    def _conclude(self) -> Decision:
        """Watch the job until the step after its end is known."""
        while True:
            decision = self._decide()
            if decision.step is Step.ABORT:
                self._abort()
            elif decision.step is not Step.WAIT:
                return decision
            if not self._ended.is_set():
                self._ended.wait(_LOOK_INTERVAL)
            else:
                time.sleep(1)

    def _decide(self) -> Decision:
        if self._thread is Thread.RUNNING:
            return next_step(
                Observation(
                    Thread.RUNNING,
                    monitored=self._monitored,
                    post_copy=self.post_copy,
                )
            )
        seen = Observation(
            self._thread,
            begun=self._begun,
            source=self._look(),
            job=self._job_type,
            post_copy=self.post_copy,
            patient=time.monotonic() - self._ended_at < _SILENCE,
        )
        decision = next_step(seen)
        if decision.step is Step.ASK:
            seen = dataclasses.replace(seen, destination=self._ask().domain)
            decision = next_step(seen)
        if decision.guest is Place.NOWHERE and self._is_deleted():
            decision = next_step(dataclasses.replace(seen, deleting=True))
        return decision

    def _look(self) -> Presence:
        return presence.look(self._driver._host, self.instance)

    def _ask(self) -> destination.Answer:
        return destination.ask(
            self._manager, self._context, self.instance, self._dest
        )

    def _is_deleted(self) -> bool:
        """Whether the server is deleted, or about to be."""
        try:
            return (
                objects.Instance.get_by_uuid(
                    self._context, self.instance.uuid
                ).task_state
                in DELETING
            )
        except exception.InstanceNotFound:
            return True
        except Exception as error:
            LOG.warning(
                'Cannot read from the database whether the server is'
                ' being deleted: %s',
                error,
                instance=self.instance,
            )
            return False

    def _abort(self) -> None:
        try:
            self._driver._host.get_guest(self.instance).abort_job()
        except (exception.NovaException, numa_host.libvirt_error()) as error:
            LOG.warning(
                'Cannot abort the migration job: %s',
                error,
                instance=self.instance,
            )

    # After the job

    def post(self, *_args: Any, **_kwargs: Any) -> None:
        """Replace the manager's method for a guest that has left."""
        self._finish()

    def recover(
        self,
        _context: Any,
        _instance: Any,
        _dest: str,
        _migrate_data: Any,
        migration_status: str = 'failed',
    ) -> None:
        """Replace the manager's method for a guest that has stayed."""
        self._roll_back(migration_status)

    def settle(self, error: Exception) -> None:
        """Do the work after the job if the parent has raised before it.

        Waits without a limit until libvirt has ended the job.

        :param error: the exception that the parent raised
        :raises Unsettled: if the server must be in ERROR
        """
        self._monitored = False
        if (
            self._driver.active_migrations.get(self.instance.uuid)
            is not self._stale
        ):
            # The parent stores a new entry when it creates the thread.
            self.spawned()
        decision = self._conclude()
        if error is not self._error and not isinstance(error, Unsettled):
            LOG.warning(
                'The monitor of the migration has failed: %s',
                error,
                instance=self.instance,
            )
            if decision.step is not Step.FINISH:
                self._event('monitor', f'{type(error).__name__}: {error}')
        if decision.step is Step.FINISH:
            self._finish()
        elif decision.step is Step.ROLL_BACK:
            self._roll_back('cancelled' if self.aborted else 'failed')
        else:
            self.over = True
            self._driver.metrics.migrated('unknown', False)
            self._tell_failure()
            self._event('guest', decision.why)
            raise Unsettled(reason=decision.why)

    def _finish(self) -> None:
        self.over = True
        raised = False
        try:
            self._post_method(
                self._context,
                self.instance,
                self._dest,
                self._block_migration,
                self._migrate_data,
            )
        except Exception as error:
            raised = True
            LOG.exception(
                'The work after the live migration has failed',
                instance=self.instance,
            )
            self._event('post', f'{type(error).__name__}: {error}')
        self._close('left', self._settlement().at_destination(raised))

    def _roll_back(self, status: str) -> None:
        self.over = True
        self._tell_failure()
        problems = staying_guest.restore(
            self._driver._host, self.instance, self.paused_guest
        )
        settlement = self._settlement()
        raised = False
        with instance_state.still_migrating(self.instance):
            try:
                self._recover_method(
                    self._context,
                    self.instance,
                    self._dest,
                    self._migrate_data,
                    migration_status=status,
                )
            except Exception as error:
                raised = True
                if not self._is_deleted():
                    LOG.exception(
                        'The rollback of a live migration has failed',
                        instance=self.instance,
                    )
                    self._event('rollback', f'{type(error).__name__}: {error}')
            problems += settlement.at_source(raised, status)
        # If a part is wrong, the server goes to ERROR instead.
        if not fatal(problems):
            problems += settlement.end_at_source()
        self._close('stayed', [] if self._is_deleted() else problems)

    def _settlement(self) -> Settlement:
        return Settlement(
            self._driver,
            self._manager,
            self._context,
            self.instance,
            self._dest,
            self._migrate_data,
            getattr(self._recover_method, 'keywords', {}).get('source_bdms'),
        )

    def _close(self, guest: str, problems: list[Problem]) -> None:
        tell(self._context, self.instance, problems)
        reason = fatal(problems)
        note(self._driver.metrics, guest, problems)
        if reason:
            raise Unsettled(reason=reason)
        self.settled = True

    def _tell_failure(self) -> None:
        if self._error is not None:
            self._event('live_migration', str(self._error))
            problem = peer_certificate.out_of_date(self._uri)
            if problem:
                self._event('certificate', problem)

    def _event(self, name: str, details: str) -> None:
        events.failed(self._context, self.instance, name, details)
