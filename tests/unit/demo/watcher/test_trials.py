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

import unittest

from demo.watcher import __main__ as program
from demo.watcher import table
from demo.watcher import trials


def row(
    configuration: str = 'ours',
    planned: int = 3,
    succeeded: int = 3,
    failed: int = 0,
    skipped: int = 0,
    broken: int = 0,
) -> table.Row:
    return table.Row(
        'workload_balance',
        configuration,
        planned,
        succeeded,
        failed,
        skipped,
        broken,
    )


class TestConfigurations(unittest.TestCase):
    def test_the_command_names_them_all(self) -> None:
        self.assertEqual(
            [one.name for one in trials.CONFIGURATIONS],
            list(program.CONFIGURATIONS),
        )


class TestFailures(unittest.TestCase):
    def test_nothing_may_fail_under_ours(self) -> None:
        self.assertEqual([], trials.failures([row()]))
        for bad in (
            row(succeeded=2, failed=1),
            row(succeeded=2, skipped=1),
            row(broken=1),
        ):
            with self.subTest(bad):
                self.assertEqual(1, len(trials.failures([bad])))

    def test_a_strategy_that_plans_nothing_shows_nothing(self) -> None:
        self.assertEqual(
            ['workload_balance: 0 of 0 actions failed, 0 guests are in ERROR'],
            trials.failures([row(planned=0, succeeded=0)]),
        )

    def test_the_others_may_fail(self) -> None:
        self.assertEqual(
            [],
            trials.failures(
                [
                    row('stock', succeeded=0, failed=3, broken=3),
                    row('no-scope', succeeded=1, failed=2),
                ]
            ),
        )
