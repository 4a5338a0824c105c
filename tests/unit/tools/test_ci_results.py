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
import subprocess
import sys
import tempfile
import unittest

from tests.lab import table
from tools import ci_results


def row(outcome: str, verdict: str = 'compatible') -> table.Row:
    return table.Row(
        source='a',
        destination='b',
        midr='equal',
        static=verdict,
        trial='accepts',
        verdict=verdict,
        scheduler='passes',
        libvirt='-',
        hypervisor='-',
        outcome=outcome,
    )


class TestLab(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.rows = pathlib.Path(directory.name) / 'lab.tsv'
        self.log = pathlib.Path(directory.name) / 'lab.log'
        self.log.write_text('')

    def counted(self) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = ci_results.main(['lab', str(self.rows), str(self.log)])
        self.assertEqual(0, status)
        return out.getvalue()

    def test_pairs_count_by_agreement(self) -> None:
        self.rows.write_text(
            table.to_tsv(
                [row(table.HEALTHY)] * 3
                + [row(table.BROKEN)] * 2
                + [row(table.NOT_TRIED)]
            )
        )
        self.assertEqual('3 2 1 1\n', self.counted())

    def test_scenarios_count_by_the_first_word_of_their_line(self) -> None:
        self.rows.write_text(table.to_tsv([]))
        self.log.write_text(
            '== busy: a guest that dirties its memory\n'
            '   NOT: PASS is no result here\n'
            'PASS busy (12 s)\n'
            'FAIL aborted (3 s) the guest stopped\n'
            'SKIP reboots (1 s) host-a does not answer\n'
            'SKIP scenarios no memory\n'
            'PASSED is another word\n'
        )
        self.assertEqual('1 1 2 0\n', self.counted())

    def test_a_lab_without_a_table_has_no_pairs(self) -> None:
        self.assertEqual('0 0 0 0\n', self.counted())

    def test_the_standard_library_is_enough_for_the_lab(self) -> None:
        self.rows.write_text(table.to_tsv([row(table.HEALTHY)]))
        done = subprocess.run(
            [
                sys.executable,
                '-S',
                '-m',
                'tools.ci_results',
                'lab',
                str(self.rows),
                str(self.log),
            ],
            cwd=pathlib.Path(ci_results.__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual('1 0 0 0\n', done.stdout)
