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

"""What follows from what is seen of a migration job: every combination."""

from collections.abc import Callable
import itertools
from typing import Any
import unittest

from nova_arm_migrate.core.job import Decision
from nova_arm_migrate.core.job import JobType
from nova_arm_migrate.core.job import next_step
from nova_arm_migrate.core.job import Observation
from nova_arm_migrate.core.job import Place
from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.core.job import Step
from nova_arm_migrate.core.job import Thread

BOTH = (False, True)
ENDED = (Thread.RETURNED, Thread.RAISED)
ALIVE = (Presence.RUNNING, Presence.POST_COPY, Presence.POST_COPY_FAILED)


def failed(
    source: Presence, destination: Presence | None = None, **kwargs: Any
) -> Decision:
    """A job that libvirt has begun, and that has raised."""
    return next_step(
        Observation(
            Thread.RAISED, source=source, destination=destination, **kwargs
        )
    )


class TestEveryObservation(unittest.TestCase):
    every: list[tuple[Observation, Decision]]

    """Laws that hold for each of 115,200 observations."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        every = itertools.starmap(
            Observation,
            itertools.product(
                Thread,
                BOTH,
                Presence,
                [None, *Presence],
                JobType,
                BOTH,
                BOTH,
                BOTH,
                BOTH,
                BOTH,
            ),
        )
        cls.every = [(seen, next_step(seen)) for seen in every]

    def check(
        self,
        condition: Callable[[Observation, Decision], object],
        holds: Callable[[Observation, Decision], object],
    ) -> None:
        """Check a law for the observations that it is about."""
        broken, count = [], 0
        for seen, decision in self.every:
            if condition(seen, decision):
                count += 1
                if not holds(seen, decision):
                    broken.append((seen, decision))
        self.assertEqual([], broken[:3])
        self.assertGreater(count, 0)

    def test_nobody_touches_the_domains_while_libvirt_works(self) -> None:
        self.check(
            lambda seen, _: seen.thread is Thread.RUNNING,
            lambda _, decision: decision.step in (Step.WAIT, Step.ABORT),
        )

    def test_post_copy_is_never_aborted(self) -> None:
        self.check(
            lambda seen, _: seen.post_copy,
            lambda _, decision: decision.step is not Step.ABORT,
        )

    def test_no_rollback_destroys_a_guest_that_runs_there(self) -> None:
        # libvirt's word that it was never asked to migrate is stronger.
        self.check(
            lambda seen, decision: (
                seen.begun
                and seen.thread in ENDED
                and decision.step is Step.ROLL_BACK
            ),
            lambda seen, _: seen.destination not in ALIVE,
        )

    def test_a_failed_job_is_finished_only_if_the_guest_has_arrived(
        self,
    ) -> None:
        # With the stock driver, the destination does not say.
        self.check(
            lambda seen, decision: (
                seen.thread is Thread.RAISED and decision.step is Step.FINISH
            ),
            lambda seen, _: (
                seen.destination in (Presence.RUNNING, Presence.PAUSED)
                or (
                    seen.destination
                    in (Presence.UNKNOWN, Presence.MIGRATED, Presence.STOPPED)
                    and seen.source in (Presence.ABSENT, Presence.MIGRATED)
                )
            ),
        )

    def test_a_guest_that_runs_here_is_never_finished_after_a_failure(
        self,
    ) -> None:
        self.check(
            lambda seen, _: (
                seen.thread is Thread.RAISED
                and seen.source is Presence.RUNNING
            ),
            lambda _, decision: decision.step is not Step.FINISH,
        )

    def test_a_job_that_never_began_has_never_left(self) -> None:
        self.check(
            lambda seen, _: (
                not seen.begun and seen.thread is not Thread.RUNNING
            ),
            lambda _, decision: decision.step in (Step.ROLL_BACK, Step.WAIT),
        )

    def test_broken_post_copy_is_continued_or_left_alone(self) -> None:
        self.check(
            lambda seen, _: (
                seen.begun
                and seen.thread is Thread.RAISED
                and seen.source
                in (Presence.POST_COPY, Presence.POST_COPY_FAILED)
            ),
            lambda seen, decision: (
                decision.step
                in (
                    (Step.RECOVER,)
                    if seen.recoverable
                    else (Step.LEAVE, Step.ASK)
                )
                or seen.deleting
            ),
        )

    def test_it_comes_to_an_end(self) -> None:
        self.check(
            lambda seen, _: (
                seen.thread in ENDED
                and not seen.patient
                and not seen.recoverable
                and seen.destination is not None
            ),
            lambda _, decision: (
                decision.step in (Step.FINISH, Step.ROLL_BACK, Step.LEAVE)
            ),
        )

    def test_the_destination_is_asked_once(self) -> None:
        self.check(
            lambda seen, _: seen.destination is not None,
            lambda _, decision: decision.step is not Step.ASK,
        )

    def test_who_leaves_it_says_why(self) -> None:
        self.check(
            lambda *_: True,
            lambda _, decision: (
                bool(decision.why) == (decision.step is Step.LEAVE)
            ),
        )

    def test_finish_and_roll_back_say_where_the_guest_is(self) -> None:
        self.check(
            lambda _, decision: decision.step is Step.FINISH,
            lambda _, decision: decision.guest is Place.DESTINATION,
        )
        self.check(
            lambda _, decision: decision.step is Step.ROLL_BACK,
            lambda _, decision: (
                decision.guest in (Place.SOURCE, Place.NOWHERE)
            ),
        )


class TestCases(unittest.TestCase):
    """The cases that have been seen."""

    def test_a_migration_that_works(self) -> None:
        seen = Observation(Thread.RUNNING)
        self.assertIs(Step.WAIT, next_step(seen).step)
        for source in (Presence.ABSENT, Presence.MIGRATED, Presence.UNKNOWN):
            self.assertIs(
                Step.FINISH,
                next_step(Observation(Thread.RETURNED, source=source)).step,
            )

    def test_a_migration_that_qemu_refuses(self) -> None:
        self.assertIs(Step.ASK, failed(Presence.RUNNING).step)
        for there in (
            Presence.ABSENT,
            Presence.HELD,
            Presence.STOPPED,
            Presence.UNKNOWN,
        ):
            decision = failed(Presence.RUNNING, there)
            self.assertEqual(
                (Step.ROLL_BACK, Place.SOURCE), (decision.step, decision.guest)
            )

    def test_a_monitor_that_fails(self) -> None:
        seen = Observation(Thread.RUNNING, monitored=False)
        self.assertIs(Step.ABORT, next_step(seen).step)

    def test_the_call_fails_and_the_guest_has_landed(self) -> None:
        # "internal error: client socket is closed", seen with libvirt 11.3.
        self.assertIs(
            Step.FINISH, failed(Presence.ABSENT, Presence.RUNNING).step
        )

    def test_the_answer_of_the_destination_is_lost(self) -> None:
        self.assertIs(
            Step.LEAVE, failed(Presence.RUNNING, Presence.RUNNING).step
        )
        self.assertIs(
            Step.FINISH, failed(Presence.HELD, Presence.RUNNING).step
        )
        self.assertIs(
            Step.ROLL_BACK, failed(Presence.HELD, Presence.HELD).step
        )
        self.assertIs(Step.LEAVE, failed(Presence.HELD, Presence.UNKNOWN).step)

    def test_the_domain_is_missing_before_the_job(self) -> None:
        for thread in (Thread.NOT_STARTED, Thread.RAISED):
            decision = next_step(
                Observation(thread, begun=False, source=Presence.ABSENT)
            )
            self.assertEqual(
                (Step.ROLL_BACK, Place.NOWHERE),
                (decision.step, decision.guest),
            )

    def test_the_guest_powers_itself_off(self) -> None:
        self.assertIs(
            Step.ROLL_BACK, failed(Presence.STOPPED, Presence.ABSENT).step
        )

    def test_the_destination_ends_a_guest_in_post_copy(self) -> None:
        decision = failed(Presence.POST_COPY_FAILED, Presence.ABSENT)
        self.assertEqual(
            (Step.LEAVE, Place.NOWHERE), (decision.step, decision.guest)
        )
        self.assertIn('reboot --hard', decision.why)
        decision = failed(Presence.POST_COPY_FAILED, Presence.POST_COPY_FAILED)
        self.assertIn('--postcopy-resume', decision.why)

    def test_a_paused_guest_lands(self) -> None:
        self.assertIs(
            Step.FINISH, failed(Presence.ABSENT, Presence.PAUSED).step
        )
        self.assertIs(Step.FINISH, failed(Presence.HELD, Presence.PAUSED).step)

    def test_a_guest_that_nova_has_paused_stays(self) -> None:
        self.assertIs(
            Step.ROLL_BACK, failed(Presence.PAUSED, Presence.ABSENT).step
        )

    def test_the_server_is_deleted_meanwhile(self) -> None:
        self.assertIs(
            Step.LEAVE, failed(Presence.ABSENT, Presence.ABSENT).step
        )
        self.assertIs(
            Step.ROLL_BACK,
            failed(Presence.ABSENT, Presence.ABSENT, deleting=True).step,
        )

    def test_libvirt_restarts(self) -> None:
        self.assertIs(Step.WAIT, failed(Presence.UNKNOWN, patient=True).step)
        self.assertIs(Step.LEAVE, failed(Presence.UNKNOWN).step)

    def test_half_a_domain_there_and_none_here(self) -> None:
        self.assertIs(Step.LEAVE, failed(Presence.ABSENT, Presence.HELD).step)

    def test_libvirt_reports_a_failure_and_its_call_returns(self) -> None:
        for kind in (JobType.FAILED, JobType.CANCELLED):
            self.assertIs(
                Step.ROLL_BACK,
                next_step(
                    Observation(
                        Thread.RETURNED,
                        source=Presence.RUNNING,
                        job=kind,
                        destination=Presence.ABSENT,
                    )
                ).step,
            )

    def test_libvirt_says_that_it_moved_and_it_is_still_here(self) -> None:
        def step(source: Presence, there: Presence | None) -> Step:
            return next_step(
                Observation(Thread.RETURNED, source=source, destination=there)
            ).step

        self.assertIs(Step.ASK, step(Presence.RUNNING, None))
        self.assertIs(Step.LEAVE, step(Presence.RUNNING, Presence.RUNNING))
        self.assertIs(Step.ROLL_BACK, step(Presence.RUNNING, Presence.ABSENT))
        self.assertIs(Step.FINISH, step(Presence.HELD, Presence.RUNNING))
        self.assertIs(Step.ROLL_BACK, step(Presence.HELD, Presence.ABSENT))
        self.assertIs(Step.LEAVE, step(Presence.HELD, Presence.POST_COPY))
        self.assertIs(
            Step.FINISH,
            next_step(
                Observation(
                    Thread.RETURNED,
                    source=Presence.RUNNING,
                    job=JobType.COMPLETED,
                )
            ).step,
        )
