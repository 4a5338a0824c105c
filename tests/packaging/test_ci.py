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

"""Drive .ci/run with a stub of make and of the lab."""

from collections.abc import Sequence
import os
import pathlib
import subprocess
import sys
import tempfile

import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]

CASES = """
import unittest


class CasesTest(unittest.TestCase):
    def test_one(self):
        pass

    def test_two(self):
        pass

    def test_fails(self):
        self.fail('broken')

    def test_skipped(self):
        self.skipTest('not here')
"""

# Two runs of stestr after each other, as coverage and packaging are.
MAKE = """#!/bin/sh
[ "$1" = test ] && [ -d cases ] || exit "$MAKE_STATUS"
python -m stestr --test-path ./cases run --serial
python -m stestr --test-path ./cases run --serial test_one
exit "$MAKE_STATUS"
"""

# What it is asked for is in a file; one more run of stestr.
TOX = """#!/bin/sh
echo "$*" > asked
[ ! -d cases ] || python -m stestr --test-path ./cases run --serial test_two
exit "$TOX_STATUS"
"""

LAB = """
import os
import pathlib
import sys

if sys.argv[1] == 'ci':
    pathlib.Path(sys.argv[3]).write_text(os.environ['LAB_TSV'])
    print(os.environ['LAB_LOG'])
    sys.exit(int(os.environ['LAB_STATUS']))
"""

HEADER = (
    'source\tdestination\tmidr\tstatic\ttrial\tverdict\tscheduler\tlibvirt\t'
    'hypervisor\tstock\tworkaround\toutcome\tagree\twhy\tdetail\n'
)


def pair(verdict: str, outcome: str, agree: str) -> str:
    """Return a line of the lab's table."""
    return (
        f'a\tb\tequal\t{verdict}\taccepts\t{verdict}\tpasses\t-\t-\trefused\t'
        f'accepted\t{outcome}\t{agree}\t\t\n'
    )


AGREES = pair('compatible', 'moved, healthy', 'yes')
DISAGREES = pair('compatible', 'moved, broken', 'no')
UNTRIED = pair('compatible', 'not tried', '-')


class RunTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        self.top = pathlib.Path(top.name)
        for name in (
            '.ci/run',
            'tools/ci_results.py',
            'tests/__init__.py',
            'tests/lab/__init__.py',
            'tests/lab/table.py',
        ):
            self.write(name, (ROOT / name).read_text())
        (self.top / '.ci/run').chmod(0o755)
        self.write('tests/lab/__main__.py', LAB)
        for name, text in (
            ('bin/make', MAKE),
            ('.venv-tox/bin/tox', TOX),
            ('.tox/all/bin/python', f'#!/bin/sh\nexec {sys.executable} "$@"'),
        ):
            self.write(name, text)
            (self.top / name).chmod(0o755)

    def write(self, name: str, text: str) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run_ci(
        self,
        make: int = 0,
        lab: int = 0,
        tsv: Sequence[str] = (AGREES,),
        log: str = '',
        tox: int = 0,
        before: int = 60,
    ) -> tuple[int, str, str]:
        """Run it. :return: exit status, last line of output, errors"""
        programs = [
            str(self.top / 'bin'),
            str(pathlib.Path(sys.executable).parent),
        ]
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(('OS_', 'PYTHON'))
            and name not in ('CI', 'TESTS')
        }
        done = subprocess.run(
            ['bash', str(self.top / '.ci/run')],
            env=kept
            | {
                'PATH': os.pathsep.join([*map(str, programs), kept['PATH']]),
                'MAKE_STATUS': str(make),
                'TOX_STATUS': str(tox),
                'CI_NOVA31_BEFORE': str(before),
                'XDG_STATE_HOME': str(self.top),
                'LAB_STATUS': str(lab),
                'LAB_TSV': HEADER + ''.join(tsv),
                'LAB_LOG': log,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout.splitlines()[-1], done.stderr

    def test_every_run_and_every_pair_counts(self) -> None:
        """Of stestr 2, 1 and 1 pass, 1 fails, 1 is skipped; then the lab.

        A run from before does not count.
        """
        self.write('cases/__init__.py', '')
        self.write('cases/test_cases.py', CASES)
        subprocess.run(
            [sys.executable, '-m', 'stestr', '--test-path', './cases', 'run'],
            cwd=self.top,
            stdout=subprocess.DEVNULL,
            timeout=300,
        )
        status, line, errors = self.run_ci(
            make=2,
            lab=1,
            tsv=(AGREES, AGREES, DISAGREES, UNTRIED),
            log='PASS one (1 s)\nFAIL two (1 s) lost\nSKIP three (1 s) late',
        )
        self.assertEqual((2, '7 passed, 3 failed, 3 skipped'), (status, line))
        self.assertIn('FAILED cases.test_cases.CasesTest.test_fails', errors)

    def test_the_oldest_nova_counts_if_there_is_time(self) -> None:
        asked = self.top / 'asked'
        status, _, errors = self.run_ci(tox=1, before=0)
        self.assertEqual(0, status)
        self.assertFalse(asked.exists())
        self.assertIn('Nova 31: skipped: ', errors)
        self.assertEqual(1, self.run_ci(tox=1)[0])
        self.assertEqual('run -e ci-nova31', asked.read_text().strip())

    def test_the_times_are_shown_and_kept(self) -> None:
        times = r'make test \d+ s, Nova 31 \d+ s, lab \d+ s, \d+ s in all'
        for count in (1, 2):
            self.assertRegex(self.run_ci()[2], f'(?m)^{times}$')
            kept = self.top / 'nova-arm-migrate/ci-times'
            lines = kept.read_text().splitlines()
            self.assertEqual(count, len(lines))
            self.assertRegex(lines[-1], f'^20[-0-9T:+]+ {times}$')

    def test_times_that_cannot_be_kept_are_no_failure(self) -> None:
        self.write('nova-arm-migrate', 'not a directory')
        self.assertEqual(0, self.run_ci()[0])

    def test_an_untried_pair_alone_is_no_failure(self) -> None:
        self.assertEqual(
            (0, '1 passed, 0 failed, 1 skipped'),
            self.run_ci(lab=1, tsv=(AGREES, UNTRIED))[:2],
        )

    def test_a_disagreement_is_a_failure(self) -> None:
        self.assertEqual(
            (1, '1 passed, 1 failed, 1 skipped'),
            self.run_ci(lab=1, tsv=(AGREES, DISAGREES, UNTRIED))[:2],
        )

    def test_a_finding_without_a_row_is_a_failure(self) -> None:
        self.assertEqual(
            (1, '1 passed, 0 failed, 1 skipped'),
            self.run_ci(lab=1, log='SKIP scenarios no memory')[:2],
        )

    def test_a_lab_that_cannot_run_is_skipped(self) -> None:
        for status in (77, 2):
            with self.subTest(status=status):
                self.assertEqual(
                    (0, '0 passed, 0 failed, 1 skipped'),
                    self.run_ci(lab=status)[:2],
                )

    def test_results_that_cannot_be_counted_are_no_pass(self) -> None:
        (self.top / '.tox/all/bin/python').unlink()
        self.assertEqual(
            (1, '1 passed, 0 failed, 0 skipped'), self.run_ci()[:2]
        )
