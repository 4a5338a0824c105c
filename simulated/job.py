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

"""One outgoing migration job of the simulated libvirt, driven by a test.

`migrations` has what a job does. This module has the point that the job has
reached, what it waits for, and the events in the meantime.  Nothing depends
on time: a job that is held at a point waits there for `go`, for an abort, for
the switch to post-copy, or for the end of its QEMU process.
"""

from __future__ import annotations

import collections
import collections.abc
import threading
import typing as ty

from nova.tests.fixtures import libvirt as fakelibvirt

from simulated import libvirt_names

#: ``migrateToURI3`` has been accepted: libvirt runs a job from now on.
BEGUN: ty.Final = 'begun'
#: Memory is being copied, the guest runs on the source.
COPYING: ty.Final = 'copying'
#: The guest is paused on the source, the rest is being sent. Only its own
#: failure can still stop the job.
SWITCH_OVER: ty.Final = 'switch-over'
#: The guest runs on the destination, and fetches memory from the source.
POST_COPY: ty.Final = 'post-copy'
#: The guest is on the destination, and no longer on the source.
LANDED: ty.Final = 'landed'

POINTS: ty.Final = (BEGUN, COPYING, SWITCH_OVER, POST_COPY, LANDED)

#: A forgotten job must not keep its thread for ever.
_PATIENCE = 120

#: The possible answers to ``abortJob``, see `Job.abort_answer`.
ACCEPTED: ty.Final = 'accepted'
REFUSED: ty.Final = 'refused'
LOCKED: ty.Final = 'locked'
IGNORED: ty.Final = 'ignored'

Hook: ty.TypeAlias = collections.abc.Callable[['Job'], object]


class Job:
    """A migration job, from before its begin until its end.

    Get it from the source's connection (``connection.job(uuid)``) before the
    migration is requested, and set the points where it is to be held.

    :ivar abort_answer: what libvirt says to an ``abortJob`` while memory is
        copied: `ACCEPTED`; `LOCKED`, refused by the state change lock (which
        another API call holds); `IGNORED`, accepted when QEMU had nothing
        left to cancel.
    :ivar switch_over_answer: the same at the switch-over: `REFUSED`, or
        `IGNORED`.
    :ivar aborts: the answer to each ``abortJob``.
    :ivar restarts: whether QEMU can start the vCPUs again on the source
        once the job has failed.
    :ivar recovers: whether a broken post-copy can be continued; otherwise
        the text of the failure.
    :ivar recoveries: the number of attempts to continue.
    :ivar points: the points that it has reached, in order.
    :ivar error: the exception that ``migrateToURI3`` has raised.
    :ivar ended: ``migrateToURI3`` has returned or raised.
    """

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.abort_answer: str = ACCEPTED
        self.switch_over_answer: str = REFUSED
        self.aborts: list[str] = []
        self.restarts = True
        self.recovers: bool | str = True
        self.recoveries = 0
        self.points: list[str] = []
        self.error: Exception | None = None
        self.ended = threading.Event()
        # Events while the job runs; the hypervisor reads these.
        self.canceled = False
        self.post_copy_wanted = False
        self.broken: str | None = None
        self.state_before = fakelibvirt.VIR_DOMAIN_RUNNING
        self.flags = 0
        self._changed = threading.Condition()
        self._held: set[str] = set()
        self._hooks: dict[str, list[Hook]] = collections.defaultdict(list)

    # Called by a test

    def hold(self, *points: str) -> Job:
        """Make the job wait when it has reached these points."""
        self._check(*points)
        with self._changed:
            self._held.update(points)
        return self

    def go(self, *points: str) -> None:
        """Let a held job continue, from these points or from all."""
        self._check(*points)
        with self._changed:
            self._held.difference_update(points or POINTS)
            self._changed.notify_all()

    def at(self, point: str, hook: Hook) -> Job:
        """Call something in the job's thread when it reaches a point.

        ``migrateToURI3`` fails with the exception that it raises.
        """
        self._check(point)
        self._hooks[point].append(hook)
        return self

    def fail(self, point: str, text: str = 'unexpectedly failed') -> Job:
        """Make the job fail when it reaches a point."""

        def hook(_job: Job) -> None:
            raise error(
                f"operation failed: job 'migration out' {text}",
                'VIR_ERR_OPERATION_FAILED',
            )

        return self.at(point, hook)

    def wait(self, point: str) -> None:
        """Return when the job has reached a point.

        :raises TimeoutError: the job ends before, or never reaches it.
        """
        self._check(point)
        with self._changed:
            self._changed.wait_for(
                lambda: point in self.points or self.ended.is_set(), _PATIENCE
            )
            if point not in self.points:
                raise TimeoutError(
                    f'the job has reached {self.points}, not'
                    f' {point}: {self.error}'
                )

    def wait_end(self) -> None:
        """Return when ``migrateToURI3`` has returned or raised.

        :raises TimeoutError: the job does not end.
        """
        if not self.ended.wait(_PATIENCE):
            raise TimeoutError(f'the job does not end: {self.points}')

    def break_post_copy(self, destination: str = 'running') -> None:
        """Cut the connection of a job that is in post-copy.

        :param destination: ``running`` until it needs a page that is not
            there yet, or ``paused``.
        """
        self.poke(broken=destination)
        self.go(POST_COPY)

    # Called by the hypervisor

    @property
    def point(self) -> str | None:
        """The point where the job is now."""
        return self.points[-1] if self.points else None

    def poke(self, **changes: ty.Any) -> None:
        """Set attributes, and wake up the job's thread."""
        with self._changed:
            for name, value in changes.items():
                setattr(self, name, value)
            self._changed.notify_all()

    def reach(
        self,
        point: str,
        interrupted: collections.abc.Callable[[], object] = lambda: False,
    ) -> None:
        """Reach a point, and wait there while it is held.

        :param interrupted: whether there is a reason to continue at once.
        """
        with self._changed:
            self.points.append(point)
            self._changed.notify_all()
        for hook in self._hooks[point]:
            hook(self)
        with self._changed:
            if not self._changed.wait_for(
                lambda: point not in self._held or interrupted(), _PATIENCE
            ):
                raise TimeoutError(f'the job is still held at {point}')

    def copy(
        self, seconds: float, interrupted: collections.abc.Callable[[], object]
    ) -> None:
        """Copy memory for some time, unless something stops it."""
        with self._changed:
            self._changed.wait_for(interrupted, seconds)

    def end(self, failure: Exception | None = None) -> None:
        """Note how the job has ended."""
        with self._changed:
            self.error = failure
            self.ended.set()
            self._changed.notify_all()

    @staticmethod
    def _check(*points: str) -> None:
        unknown = set(points) - set(POINTS)
        if unknown:
            raise ValueError(f'a job has no such points: {unknown}')


def error(text: str, code: str) -> Exception:
    """Make an error of libvirt's QEMU driver.

    :param code: the name of the error code.
    """
    made: Exception = fakelibvirt.make_libvirtError(
        fakelibvirt.libvirtError,
        text,
        error_message=text,
        error_code=libvirt_names.number(code),
        error_domain=fakelibvirt.VIR_FROM_QEMU,
    )
    return made
