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

import testtools

from tests.lab import witness


def line(number: int, rounds: int, wrong: int = 0, more: str = '') -> str:
    return f'witness {number} fp={rounds}/{wrong} timer={rounds}/0{more}\r\n'


def lines(first: int, last: int) -> str:
    return ''.join(line(n, 10 * n + 10) for n in range(first, last + 1))


class ReportsTest(testtools.TestCase):
    def test_a_line_is_read(self) -> None:
        (report,) = witness.reports(line(3, 40, 1, ' dead=sve:9'))
        self.assertEqual(3, report.sequence)
        self.assertEqual({'fp': (40, 1), 'timer': (40, 0)}, report.workers)
        self.assertEqual({'sve': 9}, report.dead)

    def test_a_line_that_was_cut_is_not_read(self) -> None:
        self.assertEqual([], witness.reports('witness 3 fp=1/0 tim'))

    def test_slowness_is_no_complaint(self) -> None:
        self.assertEqual(
            '',
            witness.complaint(
                '[9.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!'
            ),
        )


class JudgeTest(testtools.TestCase):
    def assertReason(self, words: str, before: str, after: str = '') -> None:
        self.assertIn(words, witness.judge(before, after).reason)

    def test_a_guest_that_goes_on_is_well(self) -> None:
        self.assertTrue(witness.judge(lines(0, 5), lines(6, 9)).well)

    def test_a_line_cut_in_two_by_the_move_counts(self) -> None:
        cut = line(6, 70)
        self.assertTrue(
            witness.judge(lines(0, 5) + cut[:14], cut[14:] + lines(7, 9)).well
        )

    def test_a_guest_that_was_not_moved(self) -> None:
        self.assertTrue(witness.judge(lines(0, 5)).well)

    def test_silence_after_the_move(self) -> None:
        self.assertReason('no report after the move', lines(0, 5), '\n')

    def test_silence(self) -> None:
        self.assertReason('no report', 'Booting Linux\n')

    def test_a_gap(self) -> None:
        self.assertReason(
            'report 5 is followed by 7', lines(0, 5), lines(7, 9)
        )

    def test_a_report_that_the_kernel_wrote_into_is_there(self) -> None:
        self.assertTrue(
            witness.judge(
                lines(0, 5),
                'witness 6 fp=[9.1] rcu: INFO: self-detected stall'
                '\n70/0 timer=70/0\n' + lines(7, 9),
            ).well
        )

    def test_a_repeated_report(self) -> None:
        self.assertReason(
            'report 5 is followed by 5', lines(0, 5), lines(5, 9)
        )

    def test_a_worker_that_stands_still(self) -> None:
        after = ''.join(line(n, 60) for n in range(6, 9))
        self.assertReason('stands still', lines(0, 5), after)

    def test_a_worker_that_saw_something_wrong(self) -> None:
        self.assertReason(
            'fp: 2 wrong', lines(0, 5), line(6, 70, 2) + line(7, 80, 2)
        )

    def test_what_a_worker_says_comes_first(self) -> None:
        self.assertReason(
            'lengths: vector length 32 became 16',
            lines(0, 5),
            'wrong lengths: vector length 32 became 16\n' + line(6, 70),
        )

    def test_a_worker_that_was_killed(self) -> None:
        self.assertReason(
            'sve was killed by signal 9',
            lines(0, 5),
            line(6, 70) + line(7, 80, 0, ' dead=sve:9'),
        )

    def test_a_kernel_that_complains(self) -> None:
        self.assertReason(
            'kernel: [55.5] WARNING: CPU: 0',
            lines(0, 5),
            '[55.5] WARNING: CPU: 0 PID: 1 at fpsimd.c\n' + lines(6, 9),
        )


class SplitTest(testtools.TestCase):
    LINES = tuple(f'witness {n} memory={n}/0\r\n' for n in range(6))

    def test_each_host_has_a_file_of_its_own(self) -> None:
        before, after = ''.join(self.LINES[:3]), ''.join(self.LINES[3:])
        self.assertEqual(
            (before.replace('\r', ''), after.replace('\r', '')),
            witness.split(before, after),
        )

    def test_both_hosts_write_into_one_file(self) -> None:
        before = ''.join(self.LINES[:3]) + 'witness 3 mem'
        for rest in (
            ''.join(self.LINES[3:]),
            'ory=3/0\n' + ''.join(self.LINES[4:]),
        ):
            old = 'ess 0 memory=0/0\nwitness 0\n' + self.LINES[1]
            before = ''.join(self.LINES[:2]) + before  # read twice
            for console in ('\0' * 40 + old + rest, rest + '\0' * 40 + old):
                parts = witness.split(before, console)
                self.assertNotIn(self.LINES[1], parts[1])
                self.assertEqual('', witness.judge(*parts).reason)

    def test_a_complaint_in_the_one_file(self) -> None:
        parts = witness.split(
            ''.join(self.LINES[:3]),
            '\0' + self.LINES[1] + 'BUG: it\n' + ''.join(self.LINES[3:]),
        )
        self.assertEqual('kernel: BUG: it', witness.judge(*parts).reason)

    def test_a_report_is_missing_in_the_one_file(self) -> None:
        parts = witness.split(
            ''.join(self.LINES[:3]),
            '\0' + self.LINES[1] + ''.join(self.LINES[4:]),
        )
        self.assertEqual(
            'report 2 is followed by 4', witness.judge(*parts).reason
        )

    def test_the_destination_says_nothing(self) -> None:
        parts = witness.split(''.join(self.LINES[:3]), '\0' + self.LINES[2])
        self.assertEqual([], witness.reports(parts[1]))

    def test_nothing_was_reported_yet(self) -> None:
        self.assertEqual(('', 'x'), witness.split('', 'x'))
