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

"""The scripts are run by hand, so a fault at their import stays unseen."""

import pathlib
import subprocess
import sys
import unittest

BENCHMARKS = pathlib.Path(__file__).parents[3] / 'benchmarks'


class TestScripts(unittest.TestCase):
    def test_each_can_be_imported(self) -> None:
        """Import all in one process; pyperf is not in this environment."""
        scripts = BENCHMARKS.glob('bench_*.py')
        names = ['reference', *sorted(path.stem for path in scripts)]
        self.assertIn('bench_filter', names)
        lines = (
            'import sys; from unittest import mock',
            'sys.modules["pyperf"] = mock.MagicMock()',
            *(f'import {name}' for name in names),
        )
        ran = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', '\n'.join(lines)],
            cwd=BENCHMARKS,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.assertEqual(0, ran.returncode, ran.stderr)
