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

"""The functional tests print nothing but the logs of failed tests."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import unittest

TOP = pathlib.Path(__file__).parents[2]


class TestLogs(unittest.TestCase):
    def test_only_of_a_test_that_fails_and_all_of_it(self) -> None:
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'unittest',
                'tests.functional.logs_example',
            ],
            cwd=TOP,
            env=os.environ | {'PYTHONPATH': str(TOP)},
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr
        self.assertEqual(1, done.returncode, printed)
        self.assertIn('Ran 2 tests', printed)
        self.assertIn('test_b_fails began', printed)
        if importlib.util.find_spec('nova.thread_pool_factory'):
            # Also from the clean-up, after the end of Nova's own fixture.
            self.assertRegex(printed, r'test_b_fails\.\w+ is shutdown')
        self.assertNotIn('test_a_passes', printed)
