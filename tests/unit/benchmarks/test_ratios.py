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

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

BENCHMARKS = pathlib.Path(__file__).parents[3] / 'benchmarks'
# They are scripts, which import what is beside them.
with mock.patch.object(sys, 'path', [str(BENCHMARKS), *sys.path]):
    import ratios

NOVA = {
    'IoOpsFilter': 4e-6,
    'NumInstancesFilter': 2e-6,
    'ComputeCapabilitiesFilter, no specs': 3e-6,
    'ComputeCapabilitiesFilter, a cpu_info spec': 9e-6,
}


class TestRatios(unittest.TestCase):
    def test_a_figure_is_a_multiple_of_the_cheapest_of_novas(self) -> None:
        self.assertEqual(
            {'warm': 0.5}, ratios.to_ratios({**NOVA, 'warm': 1e-6})
        )

    def test_the_speed_of_the_machine_does_not_matter(self) -> None:
        slow = {name: 8 * seconds for name, seconds in NOVA.items()}
        self.assertEqual(
            ratios.to_ratios({**NOVA, 'warm': 1e-6}),
            ratios.to_ratios({**slow, 'warm': 8e-6}),
        )

    def test_without_novas_figures_nothing_is_compared(self) -> None:
        with self.assertRaisesRegex(ratios.NotComparable, 'same run'):
            ratios.to_ratios({'warm': 1e-6})

    def test_the_committed_ratios_can_be_read(self) -> None:
        self.assertIn('ArmMigrateFilter, warm', ratios.read(ratios.COMMITTED))


class TestMain(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.committed = pathlib.Path(directory.name) / 'ratios.tsv'
        self.now: dict[str, float] = {}
        measured = mock.patch.object(
            ratios,
            'measured',
            autospec=True,
            side_effect=lambda paths: self.now,
        )
        measured.start()
        self.addCleanup(measured.stop)

    def main(self, *arguments: str) -> tuple[int, list[str], str]:
        """Run it. :return: exit status, lines of output, errors"""
        out, errors = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
        ):
            status = ratios.main(
                [
                    'run.json',
                    '--committed',
                    str(self.committed),
                    *arguments,
                ]
            )
        return status, out.getvalue().splitlines(), errors.getvalue()

    def compared(
        self, then: dict[str, float], now: dict[str, float], *arguments: str
    ) -> tuple[int, list[str], str]:
        ratios.write(self.committed, then)
        self.now = now
        return self.main('--compare', *arguments)

    def test_what_is_within_the_tolerance_passes(self) -> None:
        status, lines, _errors = self.compared(
            {'one': 10.0, 'two': 10.0}, {'one': 14.9, 'two': 0.1}
        )
        self.assertEqual(0, status)
        self.assertEqual(['one', '10', '14.9', '1.49'], lines[2].split())

    def test_what_is_slower_fails_and_is_marked(self) -> None:
        status, lines, _errors = self.compared(
            {'one': 10.0, 'two': 10.0}, {'one': 15.1, 'two': 10.0}
        )
        self.assertEqual(1, status)
        self.assertIn('slower', lines[2])
        self.assertNotIn('slower', lines[3])

    def test_the_tolerance_can_be_chosen(self) -> None:
        for tolerance, status in (('1.2', 1), ('1.4', 0)):
            with self.subTest(tolerance=tolerance):
                self.assertEqual(
                    status,
                    self.compared(
                        {'one': 10.0}, {'one': 13.0}, '--tolerance', tolerance
                    )[0],
                )

    def test_a_new_benchmark_is_shown_and_does_not_fail(self) -> None:
        status, lines, _errors = self.compared(
            {'one': 10.0}, {'one': 10.0, 'two': 99.0}
        )
        self.assertEqual(0, status)
        self.assertEqual(['two', '-', '99', 'new'], lines[3].split())

    def test_what_cannot_be_compared_is_said_in_one_line(self) -> None:
        self.assertEqual(
            (2, 'ratios: no benchmark of the files has a committed ratio\n'),
            self.compared({'one': 10.0}, {'two': 10.0})[::2],
        )
        self.committed.write_text('benchmark\tratio\none\tmany\n')
        status, _lines, errors = self.main('--compare')
        self.assertEqual(2, status)
        self.assertRegex(errors, r"^ratios: .*ratios.tsv: .*'many'\n$")
        self.committed.unlink()
        self.assertEqual(2, self.main('--compare')[0])

    def test_write_replaces_what_was_measured_and_keeps_the_rest(self) -> None:
        ratios.write(self.committed, {'one': 1.0, 'two': 2.0})
        self.now = {'two': 0.123456, 'three': 3.0}
        self.assertEqual(0, self.main('--write')[0])
        self.assertEqual(
            {'one': 1.0, 'two': 0.123, 'three': 3.0},
            ratios.read(self.committed),
        )
