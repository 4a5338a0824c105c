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

from demo.watcher import plan
from demo.watcher import table


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


class TestTable(unittest.TestCase):
    def test_columns_are_aligned(self) -> None:
        lines = table.render(
            [
                table.Row('workload_balance', 'stock', 12, 3, 9, 0, 9),
                table.Row('short', 'ours', 2, 2, 0, 0, 0),
            ]
        ).splitlines()
        rule = lines[0]
        self.assertEqual([rule, rule], [lines[2], lines[-1]])
        self.assertEqual(
            ['Strategy', 'Planned'],
            [lines[1][:16].strip(), lines[1][33:40].strip()],
        )
        self.assertEqual(
            ['workload_balance', 'stock', '12', '3', '9', '0', '9'],
            lines[3].split(),
        )
        self.assertEqual('short             ours ', lines[4][:23])
        self.assertEqual({len(rule)}, {len(line) for line in lines})

    def test_a_row_counts_the_actions(self) -> None:
        actions = [
            plan.Action('migrate', 'web', '', state)
            for state in ('SUCCEEDED', 'FAILED', 'SUCCEEDED')
        ]
        self.assertEqual(
            row('stock', succeeded=2, failed=1, broken=1),
            table.row_of('workload_balance', 'stock', actions, ['web']),
        )


class TestFailures(unittest.TestCase):
    def test_nothing_may_fail_under_ours(self) -> None:
        self.assertEqual([], table.failures([row()], 'ours'))
        for bad in (
            row(succeeded=2, failed=1),
            row(succeeded=2, skipped=1),
            row(broken=1),
        ):
            with self.subTest(bad):
                self.assertEqual(1, len(table.failures([bad], 'ours')))

    def test_a_strategy_that_plans_nothing_shows_nothing(self) -> None:
        self.assertEqual(
            ['workload_balance: 0 of 0 actions failed, 0 guests are in ERROR'],
            table.failures([row(planned=0, succeeded=0)], 'ours'),
        )

    def test_the_others_may_fail(self) -> None:
        self.assertEqual(
            [],
            table.failures(
                [
                    row('stock', succeeded=0, failed=3, broken=3),
                    row('no-scope', succeeded=1, failed=2),
                ],
                'ours',
            ),
        )
