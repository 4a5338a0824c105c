# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

from typing import Any

import testtools

from tests.lab import table


def row(
    outcome: str = table.HEALTHY, static: str = 'compatible', **changes: Any
) -> table.Row:
    values = {
        'source': 'neoverse-n1',
        'destination': 'neoverse-v1',
        'midr': 'differs',
        'static': static,
        'trial': 'accepts',
        'verdict': static,
        'scheduler': 'passes',
        'libvirt': 'identical',
        'hypervisor': 'error: unsupported',
        'outcome': outcome,
    }
    return table.Row(**(values | changes))


class AgreementTest(testtools.TestCase):
    def test_a_verdict_agrees_with_what_it_means(self) -> None:
        for outcome, static, agreement in (
            (table.HEALTHY, 'compatible', 'yes'),
            (table.HEALTHY, 'incompatible', 'no'),
            (table.BROKEN, 'incompatible', 'yes'),
            (table.BROKEN, 'compatible', 'no'),
            (table.REFUSED, 'incompatible', 'yes'),
            (table.REFUSED, 'compatible', 'no'),
            (table.NOT_TRIED, 'compatible', '-'),
        ):
            self.assertEqual(agreement, row(outcome, static).agreement)

    def test_not_knowing_is_no_agreement(self) -> None:
        self.assertEqual('no', row(static='unknown').agreement)
        self.assertEqual('no', row(verdict='unknown').agreement)

    def test_the_trial_settles_what_the_rule_can_not(self) -> None:
        self.assertEqual(
            'yes', row(static='unknown', verdict='compatible').agreement
        )

    def test_the_scheduler_must_not_drop_where_a_guest_moves(self) -> None:
        for outcome, verdict, scheduler, agreement in (
            (table.HEALTHY, 'compatible', table.DROPS, 'no'),
            (table.REFUSED, 'incompatible', table.DROPS, 'yes'),
            (table.REFUSED, 'incompatible', table.PASSES, 'yes'),
        ):
            self.assertEqual(
                agreement, row(outcome, verdict, scheduler=scheduler).agreement
            )

    def test_rule_and_trial_must_both_agree(self) -> None:
        self.assertEqual('no', row(verdict='incompatible').agreement)


class FormTest(testtools.TestCase):
    def test_tsv_and_back(self) -> None:
        rows = [row(), row(table.REFUSED, 'incompatible', why='a "c" \\d')]
        self.assertEqual(rows, table.from_tsv(table.to_tsv(rows)))

    def test_each_row_is_one_line(self) -> None:
        text = table.to_tsv([row(detail='one\ntwo')])
        self.assertEqual(2, len(text.splitlines()))

    def test_a_damaged_line_is_passed_over(self) -> None:
        text = table.to_tsv([row()]) + 'neoverse-n1\n'
        self.assertEqual([row()], table.from_tsv(text))

    def test_new_rows_take_the_place_of_old_ones(self) -> None:
        old = [row(), row(source='a64fx')]
        new = row(table.BROKEN)
        self.assertEqual([new, old[1]], table.merged(old, [new]))

    def test_counts(self) -> None:
        rows = [
            row(),
            row(table.REFUSED, 'compatible', midr='equal'),
            row(table.NOT_TRIED),
        ]
        self.assertEqual(
            {
                'pairs': 2,
                'equal MIDR': 1,
                table.HEALTHY: 1,
                table.BROKEN: 0,
                table.REFUSED: 1,
                'agree': 1,
                'disagree': 1,
                table.NOT_TRIED: 1,
            },
            table.counts(rows),
        )

    def test_text_has_a_line_for_each_row(self) -> None:
        text = table.to_text([row(), row(table.BROKEN)])
        self.assertEqual(3, len(text.splitlines()))
        self.assertIn('moved, broken', text.splitlines()[2])

    def test_a_page_of_the_documentation(self) -> None:
        text = table.to_rst(
            [
                row(detail='a*b'),
                row(table.REFUSED, source='x,sve=off', midr='equal'),
            ]
        )
        self.assertIn('   * - moved, healthy\n     - 1\n', text)
        self.assertIn('a\\*b', text)
        self.assertLess(text.index('"x,sve=off"'), text.index('neoverse-n1'))
