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

"""The course of a live migration job: what is seen of it, what to do next.

A job is settled only when it is known where the guest is. `next_step` takes
everything that the source can see as one value, and returns the next step.
Only `next_step` decides. It reads no clock and makes no calls: the caller
looks again and calls it again.

The rules follow libvirt's version 3 migration protocol
(``qemuMigrationSrcPerformPeer2Peer3`` and ``qemuMigrationSrcConfirmPhase`` in
``src/qemu/qemu_migration.c``). The call that migrates returns when the guest
runs at the destination and is gone from the source. Otherwise it raises, and
libvirt has given the guest back to the source as far as it could.
"""

import dataclasses
import enum


class Thread(enum.Enum):
    """The thread that calls libvirt to migrate the guest."""

    NOT_STARTED = 'not started'
    RUNNING = 'running'
    RETURNED = 'returned'
    RAISED = 'raised'


class Presence(enum.Enum):
    """What the libvirt of one host says about the guest's domain.

    :cvar RUNNING: its vCPUs run there
    :cvar PAUSED: a user, or Nova, has paused it
    :cvar HELD: the migration has paused it: the guest is arriving, or libvirt
        could not resume it
    :cvar POST_COPY: it is in post-copy: the vCPUs run at the destination, and
        a part of the memory is on the source only
    :cvar POST_COPY_FAILED: as POST_COPY, but the connection is broken
    :cvar STOPPED: defined, without QEMU, and not because it has migrated
    :cvar MIGRATED: defined, without QEMU, because it has migrated
    :cvar ABSENT: there is no such domain
    :cvar UNKNOWN: libvirt, or the host, does not answer
    """

    RUNNING = 'running'
    PAUSED = 'paused'
    HELD = 'held by the migration'
    POST_COPY = 'in post-copy'
    POST_COPY_FAILED = 'in post-copy that has failed'
    STOPPED = 'shut off'
    MIGRATED = 'shut off after migrating'
    ABSENT = 'absent'
    UNKNOWN = 'unknown'


class JobType(enum.Enum):
    """What libvirt says about the domain's job on the source."""

    NONE = 'none'
    UNBOUNDED = 'unbounded'
    COMPLETED = 'completed'
    FAILED = 'failed'
    CANCELLED = 'cancelled'


class Step(enum.Enum):
    """What to do next.

    :cvar WAIT: look again later
    :cvar ABORT: tell libvirt to abort the job, then look again
    :cvar ASK: ask the destination for its domain, then look again
    :cvar RECOVER: continue a broken post-copy job, then look again
    :cvar FINISH: the guest is at the destination: do Nova's work after a
        migration
    :cvar ROLL_BACK: the guest never left the source: do Nova's rollback
    :cvar LEAVE: change nothing on either host; the server is in ERROR
    """

    WAIT = 'wait'
    ABORT = 'abort the job'
    ASK = 'ask the destination'
    RECOVER = 'recover post-copy'
    FINISH = 'finish'
    ROLL_BACK = 'roll back'
    LEAVE = 'leave alone'


class Place(enum.Enum):
    """Where the guest is."""

    SOURCE = 'source'
    DESTINATION = 'destination'
    BOTH = 'both'
    NOWHERE = 'nowhere'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True, slots=True)
class Observation:
    """Everything that is known of a job at one moment.

    :ivar thread: the thread that calls libvirt
    :ivar begun: libvirt has started to migrate the domain
    :ivar source: the domain on the source
    :ivar destination: the domain at the destination; None if it was not asked
    :ivar job: libvirt's job type, as the source last saw it
    :ivar monitored: Nova's monitor of the job works
    :ivar post_copy: the job has been switched to post-copy
    :ivar patient: the caller still waits for an answer of the source's libvirt
    :ivar recoverable: a broken post-copy job can be continued
    :ivar deleting: the server is being deleted
    """

    thread: Thread
    begun: bool = True
    source: Presence = Presence.UNKNOWN
    destination: Presence | None = None
    job: JobType = JobType.NONE
    monitored: bool = True
    post_copy: bool = False
    patient: bool = False
    recoverable: bool = False
    deleting: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What to do next, and what is known of the guest.

    :ivar why: a sentence for the server's events if `step` is LEAVE
    """

    step: Step
    guest: Place = Place.UNKNOWN
    why: str = ''


#: The guest has arrived: its vCPUs run there, or a user has paused it.
_ARRIVED = frozenset({Presence.RUNNING, Presence.PAUSED})
_IN_POST_COPY = frozenset({Presence.POST_COPY, Presence.POST_COPY_FAILED})
_GONE = frozenset({Presence.ABSENT, Presence.STOPPED, Presence.MIGRATED})

_WAIT = Decision(Step.WAIT)
_ASK = Decision(Step.ASK)
_RECOVER = Decision(Step.RECOVER, Place.BOTH)
_FINISH = Decision(Step.FINISH, Place.DESTINATION)
_ROLL_BACK = Decision(Step.ROLL_BACK, Place.SOURCE)

_POST_COPY = Decision(
    Step.LEAVE,
    Place.BOTH,
    'Post-copy has failed: the memory of the guest is on both hosts. Repair'
    ' the connection and run virsh migrate --postcopy-resume on the source, or'
    ' destroy the domain at the destination and run openstack server reboot'
    ' --hard',
)
_POST_COPY_LOST = Decision(
    Step.LEAVE,
    Place.NOWHERE,
    'Post-copy has failed, and the guest is gone from the destination: it'
    ' cannot be continued. Its disks are kept. Restart it with openstack'
    ' server reboot --hard',
)
_RUNS_TWICE = Decision(
    Step.LEAVE,
    Place.BOTH,
    'The guest runs on both hosts. Stop one of them before its disks are'
    ' damaged',
)
_LOST = Decision(
    Step.LEAVE,
    Place.NOWHERE,
    'The guest runs on neither host. The disks are kept on both hosts',
)
_SILENT_SOURCE = Decision(
    Step.LEAVE,
    Place.UNKNOWN,
    'libvirt on the source does not answer. Look for the guest on both hosts',
)
_SILENT_DESTINATION = Decision(
    Step.LEAVE,
    Place.UNKNOWN,
    'The guest is paused on the source, and the destination does not answer.'
    ' Look for the guest there before you resume it',
)
_STUCK = Decision(
    Step.LEAVE,
    Place.UNKNOWN,
    'The domain is incomplete at the destination and gone from the source.'
    ' The disks are kept on both hosts',
)


def next_step(seen: Observation) -> Decision:
    """Return what to do next about a job.

    The result is never ASK if `Observation.destination` is known. If the
    thread has ended, it is WAIT only if `Observation.patient`, and RECOVER
    only if `Observation.recoverable`.
    """
    if seen.thread is Thread.RUNNING:
        return _while_running(seen)
    if seen.thread is Thread.NOT_STARTED or not seen.begun:
        return _never_begun(seen)
    failed = seen.thread is Thread.RAISED or seen.job in (
        JobType.FAILED,
        JobType.CANCELLED,
    )
    decision = _failed(seen) if failed else _returned(seen)
    if decision.guest is Place.NOWHERE and seen.deleting:
        # The deletion has destroyed the domain: the guest is not lost.
        return Decision(Step.ROLL_BACK, Place.NOWHERE)
    return decision


def _while_running(seen: Observation) -> Decision:
    """While libvirt works on the domains, do not touch them.

    A job without a monitor is aborted, as Nova does. libvirt refuses to abort
    at the switch-over. In post-copy an abort would lose the guest.
    """
    if seen.monitored or seen.post_copy:
        return _WAIT
    return Decision(Step.ABORT)


def _never_begun(seen: Observation) -> Decision:
    """libvirt was not asked to migrate: the guest never left the source."""
    if seen.source is Presence.UNKNOWN and seen.patient:
        return _WAIT
    if seen.source is Presence.ABSENT:
        return Decision(Step.ROLL_BACK, Place.NOWHERE)
    return _ROLL_BACK


def _returned(seen: Observation) -> Decision:
    """libvirt says that the guest has moved."""
    if seen.job is JobType.COMPLETED or seen.source in _GONE:
        return _FINISH
    if seen.source is Presence.UNKNOWN:
        return _FINISH
    if seen.destination is None:
        return _ASK
    arrived = seen.destination in _ARRIVED
    if seen.source is Presence.RUNNING and arrived:
        # libvirt would have stopped it.
        return _RUNS_TWICE
    if seen.source is not Presence.RUNNING and (
        arrived or seen.destination is Presence.UNKNOWN
    ):
        return _FINISH
    return _after_failure(seen, seen.destination)


def _failed(seen: Observation) -> Decision:
    """libvirt says that the guest has not moved, or does not know."""
    if seen.source is Presence.UNKNOWN:
        return _WAIT if seen.patient else _SILENT_SOURCE
    if seen.source in _IN_POST_COPY:
        # If the destination does not run the guest yet, it ends the guest
        # when the connection breaks (seen with libvirt 11.3).
        if seen.recoverable:
            return _RECOVER
        return (
            _POST_COPY_LOST
            if seen.destination in _GONE
            else (_POST_COPY if seen.destination is not None else _ASK)
        )
    if seen.destination is None:
        return _ASK
    return _after_failure(seen, seen.destination)


def _after_failure(seen: Observation, destination: Presence) -> Decision:
    if destination in _IN_POST_COPY:
        return _POST_COPY
    match seen.source:
        case Presence.RUNNING:
            # libvirt resumes the guest if the destination's answer is lost:
            # "ddomain could in fact be running on the dest".
            return (
                _RUNS_TWICE if destination is Presence.RUNNING else _ROLL_BACK
            )
        case Presence.PAUSED:
            # libvirt has given the guest back paused, as it was before.
            return _FINISH if destination is Presence.RUNNING else _ROLL_BACK
        case Presence.HELD:
            if destination is Presence.UNKNOWN:
                return _SILENT_DESTINATION
            return _FINISH if destination in _ARRIVED else _ROLL_BACK
        case Presence.STOPPED:
            return _FINISH if destination in _ARRIVED else _ROLL_BACK
    # MIGRATED or ABSENT. libvirt undefines the domain on the source only
    # when the guest runs at the destination.
    if destination in _GONE:
        return _LOST
    return _STUCK if destination is Presence.HELD else _FINISH
