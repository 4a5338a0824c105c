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

"""How a migration job of the simulated libvirt runs and ends.

The order of events, the final states of the domains and the texts of errors
follow libvirt's ``src/qemu/qemu_migration.c`` (11.x). A comment at each step
names libvirt's function.
"""

from __future__ import annotations

import typing as ty

from lxml import etree
from nova.tests.fixtures import libvirt as fakelibvirt

from simulated import job as jobs
from simulated.libvirt_names import number

#: The libvirt version that added ``VIR_MIGRATE_POSTCOPY_RESUME``.
_KNOWS_RECOVERY = 8005000


def locked() -> Exception:
    """Return the error of a lock time-out: virDomainObjBeginJob."""
    return jobs.error(
        'Timed out during operation: cannot acquire state change lock (held'
        ' by monitor=remoteDispatchDomainMigratePerform3Params)',
        'VIR_ERR_OPERATION_TIMEOUT',
    )


def abort(job: jobs.Job) -> None:
    """Abort a job, or raise the reason why not.

    :raises libvirtError: it can't be aborted now.
    """
    if job.point in (None, jobs.BEGUN, jobs.COPYING):
        answer = job.abort_answer
    elif job.point == jobs.POST_COPY:
        answer = jobs.REFUSED
    else:
        answer = job.switch_over_answer
    job.aborts.append(answer)
    if answer == jobs.LOCKED:
        raise locked()
    if answer == jobs.REFUSED:
        # qemuDomainAbortJobFlags: in post-copy, which begins when the
        # source is paused for it (VIR_DOMAIN_PAUSED_POSTCOPY).
        raise jobs.error(
            'Requested operation is not valid: cannot abort migration in'
            ' post-copy mode',
            'VIR_ERR_OPERATION_INVALID',
        )
    if answer == jobs.ACCEPTED:
        # qemuMonitorMigrateCancel; the job's thread sees it and ends.
        job.poke(canceled=True)


def _check_features(here: str, there: str) -> None:
    """Compare the CPU features of two domains: virCPUDefIsEqual.

    :raises libvirtError: they are not the same, in the same order.
    """
    source, target = (
        [
            (str(one.get('name')), str(one.get('policy')))
            for one in etree.fromstring(xml).iterfind('cpu/feature')
        ]
        for xml in (here, there)
    )
    if source == target:
        return
    said = f'count {len(target)} does not match source {len(source)}'
    if len(source) == len(target):
        mine, other = next(
            pair
            for pair in zip(source, target, strict=True)
            if pair[0] != pair[1]
        )
        said = f'{other[0]} does not match source {mine[0]}'
    raise jobs.error(
        f'unsupported configuration: Target CPU feature {said}',
        'VIR_ERR_CONFIG_UNSUPPORTED',
    )


class Migration:
    """One call of ``virDomainMigrateToURI3``.

    :param domain: the `hypervisor.ArmDomain` on the source.
    """

    def __init__(
        self, domain: ty.Any, uri: str, params: dict[str, ty.Any], flags: int
    ) -> None:
        self._source = domain
        self._here = domain._connection
        self._uri = uri
        self._params = params
        self._flags = flags
        self._destination: ty.Any = None

    def run(self) -> None:
        """Migrate, or continue a broken post-copy.

        :raises libvirtError: in the same cases as libvirt.
        """
        if self._flags & number('VIR_MIGRATE_POSTCOPY_RESUME'):
            self._recover()
            return
        source = self._source
        if source.outgoing is not None:
            # qemuMigrationJobIsAllowed, virDomainObjBeginAsyncJob
            if source.outgoing.broken:
                raise jobs.error(
                    'Requested operation is not valid: another migration job'
                    f" is already running for domain '{source.name()}'",
                    'VIR_ERR_OPERATION_INVALID',
                )
            raise locked()
        source._must_be_active()
        there = self._here.network.find(self._uri)
        job = self._here.job(source.UUIDString())
        job.flags = self._flags
        # qemuMigrationSrcStoreDomainState
        job.state_before = source._state
        source.outgoing = job
        try:
            self._perform(job, there)
        except BaseException as failure:
            self._failed(job, failure)
            raise
        finally:
            if job.error is None and not job.ended.is_set():
                job.end()

    def _perform(self, job: jobs.Job, there: ty.Any) -> None:
        source = self._source
        xml = source.XMLDesc(0)
        if wanted := self._params.get('destination_xml'):
            # qemuMigrationSrcBeginXML: qemuDomainCheckABIStability
            _check_features(xml, wanted)
            xml = wanted
        # qemuMigrationDstPrepareActive
        self._destination = there.prepare(xml, job)

        def interrupted() -> bool:
            return job.canceled or job.post_copy_wanted or not self._both_run()

        job.reach(jobs.BEGUN, interrupted)
        self._check(job)
        job.reach(jobs.COPYING, interrupted)
        job.copy(self._here.copy_seconds, interrupted)
        self._check(job)
        loaded = there.machine.load(source.vcpu, xml)
        if loaded.refused:
            there.refusals.append(loaded.refused)
            raise jobs.error(
                'internal error: QEMU unexpectedly closed the monitor '
                f"(vm='{source.name()}'): qemu-system-aarch64: error while "
                "loading state for instance 0x0 of device 'cpu'; load of "
                'migration failed: Invalid argument',
                'VIR_ERR_INTERNAL_ERROR',
            )
        if job.post_copy_wanted:
            self._post_copy(job, there, xml, loaded)
        else:
            # qemuProcessHandleStop
            source.enter('PAUSED', 'MIGRATION')
            job.reach(
                jobs.SWITCH_OVER, lambda: job.canceled or not self._both_run()
            )
            self._check(job)
            self._run_there(there, xml, loaded)
            if job.state_before == fakelibvirt.VIR_DOMAIN_PAUSED:
                # qemuMigrationDstFinishFresh: VIR_MIGRATE_PAUSED
                self._destination.enter('PAUSED', 'USER')
        self._landed(job)

    def _post_copy(
        self, job: jobs.Job, there: ty.Any, xml: str, loaded: ty.Any
    ) -> None:
        self._source.enter('PAUSED', 'POSTCOPY')
        self._run_there(there, xml, loaded)
        self._destination.incoming = job
        self._destination.enter('RUNNING', 'POSTCOPY')
        self._fetch_the_rest(job)

    def _fetch_the_rest(self, job: jobs.Job) -> None:
        job.reach(jobs.POST_COPY, lambda: job.broken or not self._both_run())
        if job.broken is None and self._both_run():
            self._destination.enter('RUNNING', 'MIGRATED')
            return
        self._break(job)
        # qemuMigrationJobCheckStatus
        raise jobs.error(
            "operation failed: job 'migration out' failed in post-copy phase",
            'VIR_ERR_OPERATION_FAILED',
        )

    def _break(self, job: jobs.Job) -> None:
        if self._source._active():
            # qemuMigrationSrcPostcopyFailed
            self._source.enter('PAUSED', 'POSTCOPY_FAILED')
        if not self._knows_recovery(self._here):
            # qemuMigrationAnyPostcopyFailed, qemuMigrationJobFinish
            self._source.outgoing = None
        if self._destination._active():
            # qemuMigrationDstPostcopyFailed
            there = self._destination._connection
            paused = job.broken == 'paused' or not self._knows_recovery(there)
            self._destination.enter(
                'PAUSED' if paused else 'RUNNING', 'POSTCOPY_FAILED'
            )
            if not self._knows_recovery(there):
                self._destination.incoming = None
        job.broken = job.broken or 'running'

    def _recover(self) -> None:
        """Continue a broken post-copy: qemuMigrationAnyCanResume and on."""
        source = self._source
        there = self._here.network.find(self._uri)
        for connection in (self._here, there):
            if not self._knows_recovery(connection):
                # virCheckFlags
                raise jobs.error(
                    'invalid argument: unsupported flags (0x80000) in'
                    ' function qemuDomainMigratePerform3Params',
                    'VIR_ERR_INVALID_ARG',
                )
        source._must_be_active()
        job = source.outgoing
        if job is None:
            raise jobs.error(
                f"Requested operation is not valid: domain '{source.name()}'"
                ' is not being migrated',
                'VIR_ERR_OPERATION_INVALID',
            )
        if job.broken is None:
            raise jobs.error(
                'Requested operation is not valid: QEMU reports migration is'
                ' still running',
                'VIR_ERR_OPERATION_INVALID',
            )
        self._destination = there.domain(source.UUIDString())
        job.recoveries += 1
        if job.recovers is not True:
            raise jobs.error(
                f'operation failed: {job.recovers}', 'VIR_ERR_OPERATION_FAILED'
            )
        source.enter('PAUSED', 'POSTCOPY')
        self._destination.enter('RUNNING', 'POSTCOPY')
        job.broken = None
        self._fetch_the_rest(job)
        self._landed(job)

    # Steps

    @staticmethod
    def _knows_recovery(connection: ty.Any) -> bool:
        """Whether libvirt keeps the job of a broken post-copy.

        Older versions end the job, and leave the guest paused on both sides.
        """
        return bool(connection.getLibVersion() >= _KNOWS_RECOVERY)

    def _both_run(self) -> bool:
        return bool(self._source._active() and self._destination._active())

    def _check(self, job: jobs.Job) -> None:
        """Raise the error that has stopped the job."""
        if not self._source._active():
            # virDomainObjWait
            raise jobs.error(
                'operation failed: domain is not running',
                'VIR_ERR_OPERATION_FAILED',
            )
        if not self._destination._active():
            raise jobs.error(
                "operation failed: job 'migration out' unexpectedly failed",
                'VIR_ERR_OPERATION_FAILED',
            )
        if job.canceled:
            # qemuMigrationJobCheckStatus
            raise jobs.error(
                "operation aborted: job 'migration out' canceled by client",
                'VIR_ERR_OPERATION_ABORTED',
            )

    def _run_there(self, there: ty.Any, xml: str, loaded: ty.Any) -> None:
        """Run the guest on the destination: qemuMigrationDstFinishFresh."""
        self._destination.incoming = None
        if loaded.broken:
            there.broken.append(loaded.broken)
        self._destination = there.incoming(xml, loaded.state)

    def _landed(self, job: jobs.Job) -> None:
        """End the source's process: qemuMigrationSrcConfirmPhase."""
        source = self._source
        self._destination.incoming = None
        source.outgoing = None
        source._stop('MIGRATED')
        self._here.forget(source)
        job.reach(jobs.LANDED)

    def _failed(self, job: jobs.Job, failure: BaseException) -> None:
        source, destination = self._source, self._destination
        try:
            if job.point in (jobs.POST_COPY, jobs.LANDED):
                # Kept on both sides: virDomainObjIsFailedPostcopy in
                # qemuMigrationSrcPerformJob.
                if job.point == jobs.POST_COPY and job.broken is None:
                    self._break(job)
                return
            source.outgoing = None
            if destination is not None:
                # qemuMigrationDstFinish: the guest has not run there
                destination.incoming = None
                destination._stop('FAILED')
            self._restore(job)
        finally:
            job.end(ty.cast(Exception, failure))

    def _restore(self, job: jobs.Job) -> None:
        """Start the vCPUs again: qemuMigrationSrcRestoreDomainState.

        Only if the guest ran when the job began; it does not matter whether
        Nova or QEMU has paused the vCPUs since then.
        """
        source = self._source
        if (
            source._state != fakelibvirt.VIR_DOMAIN_PAUSED
            or job.state_before != fakelibvirt.VIR_DOMAIN_RUNNING
        ):
            return
        if job.restarts:
            source.enter('RUNNING', 'MIGRATION_CANCELED')
        else:
            source.enter('PAUSED', 'API_ERROR')
