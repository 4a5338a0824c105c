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

import pathlib
import signal
import subprocess
import sys

import testtools

ROOT = pathlib.Path(__file__).parents[3]
# A command that is told to end while it works, and again while it cleans up.
PROGRAM = """
import os, signal, sys
from unittest import mock
from tests.lab import cli

def work(args):
    try:
        os.kill(os.getpid(), signal.{first})
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        print('down', flush=True)

with mock.patch.object(cli, 'cmd_list', work):
    cli.main(['list'])
"""


class EndTest(testtools.TestCase):
    def test_a_second_signal_does_not_cut_the_end_short(self) -> None:
        for first in ('SIGTERM', 'SIGHUP'):
            done = subprocess.run(
                [sys.executable, '-c', PROGRAM.format(first=first)],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            self.assertEqual('down\n', done.stdout, done.stderr)
            self.assertEqual(128 + getattr(signal, first), done.returncode)
