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


from collections.abc import Iterable
import dataclasses
import types
from typing import Any

import testtools

from tests.lab.cloud import failures
from tests.lab.cloud import scenarios
from tests.lab.cloud import trial

RUNS = trial.Place('running (migrated)', 'S', frozenset({'disk'}))
NOTHING = trial.Place()
TRIAL: Any = types.SimpleNamespace(
    source=types.SimpleNamespace(name='h1'),
    target=types.SimpleNamespace(name='h2'),
)
STAYED = trial.Outcome(
    'ACTIVE', 'h1', '', 'error', 'why', {'h1': RUNS, 'h2': NOTHING}, 'h1', ''
)
LANDED = trial.Outcome(
    'ACTIVE', 'h2', '', 'completed', '', {'h1': NOTHING, 'h2': RUNS}, 'h2', ''
)
OFF = dataclasses.replace(
    STAYED,
    status='SHUTOFF',
    places={'h1': trial.Place(files=frozenset({'disk'})), 'h2': NOTHING},
)
BROKEN = dataclasses.replace(
    STAYED,
    status='ERROR',
    ill='no guest runs',
    places={
        'h1': trial.Place('paused (post-copy failed)', 'S'),
        'h2': trial.Place('paused (post-copy failed)', 'S'),
    },
)


class PlaceTest(testtools.TestCase):
    def test_a_running_guest_with_its_disk(self) -> None:
        found = trial.place('running (booted)\n--\nS\n--\nconsole.log\ndisk\n')
        self.assertEqual(
            trial.Place(
                'running (booted)', 'S', frozenset({'console.log', 'disk'})
            ),
            found,
        )
        self.assertTrue(found.runs)
        self.assertEqual(
            'running (booted), QEMU process S, its disk', str(found)
        )

    def test_nothing(self) -> None:
        found = trial.place('--\n--\n')
        self.assertEqual(trial.Place(), found)
        self.assertFalse(found.runs)
        self.assertEqual('no domain, no QEMU, no disk', str(found))

    def test_files_without_a_domain(self) -> None:
        found = trial.place('--\n--\ndisk\n')
        self.assertEqual('no domain, no QEMU, its disk', str(found))

    def test_a_paused_guest_does_not_run(self) -> None:
        self.assertFalse(
            trial.place('paused (post-copy failed)\n--\nS\n--\n').runs
        )

    def test_a_domain_that_lost_its_process_does_not_run(self) -> None:
        self.assertFalse(trial.place('running (booted)\n--\n--\n').runs)


class OutcomeTest(testtools.TestCase):
    def test_where_the_guest_runs(self) -> None:
        self.assertEqual(['h1'], STAYED.runs_on)
        self.assertEqual([], BROKEN.runs_on)

    def test_says_what_is_wrong(self) -> None:
        self.assertIn('guest runs nowhere', str(BROKEN))
        self.assertIn('no guest runs', str(BROKEN))
        self.assertIn('the events give the reason', str(BROKEN))
        self.assertIn('guest runs h2', str(LANDED))
        self.assertIn('no reason in the events', str(LANDED))


class RightTest(testtools.TestCase):
    """What is right for each row, and that its opposite is not."""

    def check(self, name: str, right: Iterable[Any], *wrong: Any) -> None:
        rows = {row.name: row for row in failures.ROWS}
        _words, judge = rows[name].right
        for seen in right:
            self.assertTrue(judge(TRIAL, seen), seen)
        for seen in wrong:
            self.assertFalse(judge(TRIAL, seen), seen)

    def test_a_refused_abort(self) -> None:
        self.check(
            'abort',
            [LANDED],
            STAYED,
            BROKEN,
            dataclasses.replace(LANDED, status='ERROR'),
            dataclasses.replace(LANDED, bound='h1'),
            dataclasses.replace(LANDED, ill='report 3 is followed by 5'),
        )

    def test_broken_post_copy(self) -> None:
        self.check(
            'post-copy',
            [LANDED, BROKEN],
            STAYED,
            dataclasses.replace(BROKEN, status='ACTIVE'),
            dataclasses.replace(BROKEN, reason=''),
            dataclasses.replace(
                BROKEN, places={**BROKEN.places, 'h2': NOTHING}
            ),
        )

    def test_paused_and_not_watched(self) -> None:
        self.check(
            'paused',
            [STAYED],
            LANDED,
            BROKEN,
            dataclasses.replace(
                STAYED, places={'h1': RUNS, 'h2': BROKEN.places['h2']}
            ),
        )

    def test_a_rollback_without_neutron(self) -> None:
        self.check(
            'neutron',
            [STAYED, dataclasses.replace(STAYED, status='ERROR', bound='')],
            dataclasses.replace(STAYED, bound='h2'),
            dataclasses.replace(STAYED, status='ERROR', reason=''),
            BROKEN,
        )

    def test_a_guest_that_is_off(self) -> None:
        self.check(
            'off',
            [OFF],
            STAYED,
            dataclasses.replace(OFF, status='ERROR'),
            dataclasses.replace(OFF, places={'h1': NOTHING, 'h2': NOTHING}),
        )


class ScenarioTest(testtools.TestCase):
    def test_it_is_one_of_those_that_run(self) -> None:
        (found,) = scenarios.chosen(['failures'])
        self.assertIs(failures.failures, found.play)
