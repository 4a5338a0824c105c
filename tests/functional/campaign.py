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

"""Make every call of Nova's live migration fail, one by one.

``python -m tests.functional.campaign`` runs the points of `campaign_points`
with the stock driver and with ours, and prints the result of each.
`test_campaign` runs them with ours and checks that the invariant holds.

After each point, and after the computes' periodic tasks, all data about the
server are compared (see `truth`). The result is one of `OUTCOMES`.
"""

import argparse
import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import importlib
import inspect
import json
import os
import subprocess
import sys
import threading
import time
import types
from typing import Any
import unittest
from unittest import mock

from cinderclient import exceptions as cinder_exceptions
from keystoneauth1 import exceptions as keystone_exceptions
from neutronclient.common import exceptions as neutron_exceptions
from nova import exception
from nova import utils
from nova.compute import manager
from nova.tests.fixtures import libvirt as fakelibvirt
import nova.virt.libvirt.driver
from oslo_db import exception as db_exceptions
import oslo_messaging

from simulated import job as jobs
from tests.functional import base
from tests.functional import campaign_points
from tests.functional import failures_base
from tests.functional.truth import Truth

#: The guest does not run exactly once.
LOST = 'lost'
#: It runs once, but not where the database says.
MISPLACED = 'misplaced'
#: Nova does not end the migration.
HANGS = 'hangs'
#: ACTIVE, or migrating for ever, and something disagrees.
SILENT = 'silent'
#: ERROR, and something disagrees, but no event names it.
WRONG = 'wrong'
#: ERROR, and all agree, or an event names what does not.
TOLD = 'told'
#: ACTIVE, and all agree.
SETTLED = 'settled'
#: The call was not made.
NOT_REACHED = 'not reached'

#: The worst first.
OUTCOMES = (LOST, MISPLACED, HANGS, SILENT, WRONG, TOLD, SETTLED)

ERRORS = {
    campaign_points.DB: db_exceptions.DBConnectionError(
        'campaign: the database is away'
    ),
    campaign_points.RPC: oslo_messaging.MessagingTimeout(
        'campaign: no answer'
    ),
    campaign_points.CINDER: cinder_exceptions.ClientException(
        503, 'campaign: Cinder is away'
    ),
    campaign_points.NEUTRON: neutron_exceptions.ServiceUnavailable(
        'campaign: Neutron is away'
    ),
    campaign_points.PLACEMENT: keystone_exceptions.ConnectFailure(
        'campaign: Placement is away'
    ),
    campaign_points.LIBVIRT: fakelibvirt.make_libvirtError(
        fakelibvirt.libvirtError,
        'campaign: libvirt is away',
        error_code=fakelibvirt.VIR_ERR_SYSTEM_ERROR,
        error_domain=fakelibvirt.VIR_FROM_RPC,
    ),
    campaign_points.OS: OSError(28, 'campaign: No space left on device'),
    campaign_points.NOVA: exception.NovaException('campaign: unexpected'),
}

#: Seconds that a migration may take on a busy machine.
PATIENCE = 60

_OWNERS = (
    manager.ComputeManager,
    nova.virt.libvirt.driver.LibvirtDriver,
)


def _methods(name: str) -> list[Any]:
    return [
        inspect.unwrap(getattr(owner, name))
        for owner in _OWNERS
        if hasattr(owner, name)
    ]


def of_this_nova(
    points: Iterable[campaign_points.Point],
) -> Iterator[campaign_points.Point]:
    """Give the points the names of this Nova, and leave out those it lacks.

    Before Nova 34, a method and what it does under a lock are one method, and
    ``nova.utils`` starts the threads.
    """
    for point in points:
        if not _methods(point.method):
            point = dataclasses.replace(
                point, method=point.method.removeprefix('_do_')
            )
        module, _, called = point.callee.rpartition('.')
        if module == 'nova.thread_pool_factory' and hasattr(utils, called):
            point = dataclasses.replace(point, callee=f'nova.utils.{called}')
        if point.after or any(
            f'{called}(' in inspect.getsource(method)
            for method in _methods(point.method)
        ):
            yield point


GROUPS = {
    name: tuple(of_this_nova(points))
    for name, points in campaign_points.GROUPS.items()
}


@dataclasses.dataclass
class Result:
    """The result of one point."""

    point: str
    outcome: str
    faults: list[str] = dataclasses.field(default_factory=list)
    status: str = ''
    said: str = ''
    seconds: float = 0.0

    def broken(self, point: campaign_points.Point) -> bool:
        """Whether the invariant is broken.

        A fault that lasts until the end may leave a disagreement, if an event
        names it.
        """
        if self.outcome in (SETTLED, NOT_REACHED):
            return False
        return not (self.outcome == TOLD and (point.always or not self.faults))


class Fault:
    """Makes the call of one point fail."""

    def __init__(self, point: campaign_points.Point) -> None:
        self.hits = 0
        self._point = point
        self._calls = 0
        self._begun = False
        self._over = False
        self._lock = threading.Lock()

    def over(self) -> None:
        """End the fault: everything works again."""
        self._over = True

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        owner, name = _resolve(self._point.target)
        raw = inspect.getattr_static(owner, name)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_replaced(owner, name, raw, self._call))
            if self._point.after:
                of, called = _resolve(
                    'nova.compute.manager.ComputeManager.' + self._point.method
                )
                stack.enter_context(
                    _replaced(
                        of,
                        called,
                        inspect.getattr_static(of, called),
                        self._begin,
                    )
                )
            yield

    def _begin(
        self,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        self._begun = True
        return call(*args, **kwargs)

    def _call(
        self,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if not self._is_it(sys._getframe(2)):
            return call(*args, **kwargs)
        if self._point.lost:
            call(*args, **kwargs)
        raise ERRORS[self._point.error]

    def _is_it(self, frame: types.FrameType | None) -> bool:
        if self._over:
            return False
        if self._point.after:
            self.hits += self._begun
            return self._begun
        while frame is not None and _passes_on(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is None or frame.f_code.co_name != self._point.method:
            return False
        with self._lock:
            self._calls += 1
            hit = (
                self._calls >= self._point.call
                if self._point.always
                else self._calls == self._point.call
            )
            self.hits += hit
        return hit


def _passes_on(filename: str) -> bool:
    """Whether a file's code may be between a method and what it calls.

    That is true for our overrides, and for wrappers that tests add.
    """
    return (
        f'{os.sep}nova_arm_migrate{os.sep}' in filename
        or f'tests{os.sep}functional' in filename
        or filename.endswith(('unittest/mock.py', 'contextlib.py'))
    )


def _resolve(dotted: str) -> tuple[Any, str]:
    """Find (owner, name) of a dotted name."""
    parts = dotted.split('.')
    for count in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module('.'.join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:-1]:
            owner = getattr(owner, part)
        getattr(owner, parts[-1])
        return owner, parts[-1]
    raise ValueError(dotted)


@contextlib.contextmanager
def _replaced(
    owner: Any, name: str, raw: Any, around: Callable[..., Any]
) -> Iterator[None]:
    """Wrap a function around a method, with any kind of attribute."""
    if isinstance(raw, mock.NonCallableMock):
        # A fixture's, called without its owner.
        def side_effect(*args: Any, **kwargs: Any) -> Any:
            return around(raw, args, kwargs)

        with mock.patch.object(
            owner, name, mock.Mock(side_effect=side_effect)
        ):
            yield
        return
    kind = type(raw) if isinstance(raw, (classmethod, staticmethod)) else None
    function = raw.__func__ if kind else raw

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return around(function, args, kwargs)

    with mock.patch.object(owner, name, kind(wrapper) if kind else wrapper):
        yield


class Campaign(failures_base.FailuresTestBase):
    """One cloud that runs points until one of them has damaged it.

    The caller keeps the remaining points and the results of the others,
    because Nova's test case forgets its attributes.
    """

    volumes = ports = block = True
    driver = base.OURS
    todo: collections.deque[campaign_points.Point]
    results: list[Result]
    tell: Callable[[Result], None]

    def play(self) -> None:
        self.cloud(self.driver, names='ab')
        while self.todo:
            self.watchdog.again()
            point = self.todo.popleft()
            started = time.monotonic()
            try:
                result = self.play_one(point)
            except Exception as error:
                result = Result(point.name, HANGS, [repr(error)])
            result.seconds = time.monotonic() - started
            self.results.append(result)
            self.tell(result)
            if result.outcome not in (SETTLED, NOT_REACHED):
                self.clock.stop()
                return

    def play_one(self, point: campaign_points.Point) -> Result:
        """Migrate the server while one call fails."""
        # Its present host.
        here = self.instance(self.server).host
        there = 'b' if here != 'b' else 'a'
        fault = Fault(point)
        job = self.job(here).hold(jobs.COPYING)
        if point.fails:
            job.fail(jobs.SWITCH_OVER)
        release = self._release_when_looked_at(job, here)
        with fault.at_work(), release:
            try:
                self._migrate(job, there)
            except TimeoutError as error:
                return Result(point.name, HANGS, [str(error)])
            finally:
                job.go()
        fault.over()
        result = self._judge(point, self.truth())
        if not fault.hits:
            result.outcome = (
                NOT_REACHED
                if result.outcome == SETTLED
                else f'{NOT_REACHED}, {result.outcome}'
            )
        return result

    def _migrate(self, job: jobs.Job, there: str) -> None:
        self.request(there)
        try:
            self.threads.wait(PATIENCE / 6)
        except TimeoutError:
            # It may only wait for the end of the job.
            job.go()
            self.threads.wait(PATIENCE)

    @contextlib.contextmanager
    def _release_when_looked_at(
        self, job: jobs.Job, host: str
    ) -> Iterator[None]:
        """Let the job continue when the monitor has seen it.

        The monitor saves statistics and sets the downtime when it has seen
        a running job. If it does not get there, the abort that follows ends
        the job; if that is refused, the job continues.
        """
        domain = self.domain_on(host)
        stats, abort, looks = domain.jobStats, domain.abortJob, []

        def look(flags: int = 0) -> dict[str, Any]:
            if job.point == jobs.COPYING:
                looks.append(1)
                if len(looks) >= 4:
                    job.go()
            return stats(flags)

        def and_go(*args: Any) -> None:
            try:
                abort(*args)
            finally:
                if not job.canceled:
                    job.go()

        monitor = nova.virt.libvirt.driver.LibvirtDriver._live_migration

        @functools.wraps(monitor)
        def watched(*args: Any, **kwargs: Any) -> Any:
            try:
                return monitor(*args, **kwargs)
            finally:
                job.go()

        domain.jobStats, domain.abortJob = look, and_go
        with mock.patch.object(
            nova.virt.libvirt.driver.LibvirtDriver, '_live_migration', watched
        ):
            yield

    def _judge(self, point: campaign_points.Point, now: Truth) -> Result:
        faults = [f'{part}: {text}' for part, text in now.faults]
        said = '; '.join(
            event['details'] for event in self.all_events() if event['details']
        )
        if len(now.runs_on) != 1 or len(now.processes_on) != 1:
            outcome = LOST
        elif now.runs_on != [now.host]:
            outcome = MISPLACED
        elif now.status == 'ACTIVE':
            outcome = SILENT if faults else SETTLED
        elif now.status != 'ERROR' or now.task_state is not None:
            outcome = SILENT
        else:
            # The name of an exception's class does not name a part.
            outcome = WRONG if faults and ' ' not in said else TOLD
        return Result(point.name, outcome, faults, now.status, said)


def run(
    points: Iterable[campaign_points.Point],
    driver: str,
    tell: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run points, in as many clouds as needed.

    :param tell: is called with each `Result` when it is known
    :returns: the results
    """
    todo = collections.deque(points)
    results: list[Result] = []
    while todo:
        case = Campaign('play')
        case.driver = driver
        case.todo, case.results, case.tell = todo, results, tell
        left = len(todo)
        outcome = unittest.TestResult()
        case.run(outcome)
        if len(todo) == left:
            # No cloud at all.
            details = [
                text for _, text in [*outcome.errors, *outcome.failures]
            ]
            raise RuntimeError('\n'.join(details) or 'no cloud')
    return results


def _run_group(name: str, driver: str) -> dict[campaign_points.Point, Result]:
    """Run one group in a separate process, which may hang."""
    command = [
        sys.executable,
        '-m',
        'tests.functional.campaign',
        '--group',
        name,
        '--driver',
        driver,
        '--json',
    ]
    points = GROUPS[name]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60 + 2 * PATIENCE * len(points),
            check=False,
            text=True,
        )
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b'').decode()
    played = {}
    for line in output.splitlines():
        if line.startswith('{'):
            result = Result(**json.loads(line))
            played[result.point] = result
    return {
        point: played.get(point.name, Result(point.name, HANGS))
        for point in points
    }


def _table(groups: Iterable[str]) -> None:
    """Print the results of stock and ours for the points, and counts."""
    counts: dict[str, collections.Counter[str]] = {
        driver: collections.Counter() for driver in (base.STOCK, base.OURS)
    }
    broken = worse = lost_by_stock = tried = 0
    print(f'{"point":96} {"stock":12} ours')
    for name in groups:
        print(f'-- {name}')
        both = {
            driver: _run_group(name, driver)
            for driver in (base.STOCK, base.OURS)
        }
        for point in GROUPS[name]:
            stock, ours = (both[driver][point] for driver in both)
            print(
                f'{point.name:96} {stock.outcome:12} {ours.outcome}',
                flush=True,
            )
            for driver in both:
                counts[driver][both[driver][point].outcome] += 1
            if ours.faults or ours.said:
                print(f'    ours: {ours.status} {ours.faults} {ours.said}')
            tried += 1
            broken += ours.broken(point)
            if stock.outcome in OUTCOMES and ours.outcome in OUTCOMES:
                ranks = (
                    OUTCOMES.index(stock.outcome),
                    OUTCOMES.index(ours.outcome),
                )
                worse += ranks[1] < ranks[0]
                lost_by_stock += ranks[0] < ranks[1]
    print(f'\npoints tried: {tried}')
    for driver, counter in counts.items():
        print(f'{driver}: {dict(counter)}')
    print(f'invariant broken by ours: {broken}')
    print(f'worse than stock: {worse}; better than stock: {lost_by_stock}')


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--group', choices=list(GROUPS))
    parser.add_argument('--driver', default=None)
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--point', help='a part of the name of a point')
    args = parser.parse_args(arguments)
    if not args.json:
        _table([args.group] if args.group else list(GROUPS))
        return
    points = [
        point
        for point in GROUPS[args.group]
        if not args.point or args.point in point.name
    ]
    # The original, not the replacement of Nova's test case.
    output = sys.stdout
    run(
        points,
        args.driver,
        lambda result: print(
            json.dumps(dataclasses.asdict(result)), file=output, flush=True
        ),
    )
    # Threads of a migration that hangs must not keep this process.
    os._exit(0)


if __name__ == '__main__':
    main()
