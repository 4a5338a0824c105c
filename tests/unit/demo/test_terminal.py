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

import io
import os
import pathlib
import stat
import sys
import tempfile
import unittest
from unittest import mock

from demo import terminal

CLIENT = """#!/bin/sh
echo "$# arguments: $*"
env | grep ^OS_ | sort
echo told >&2
[ "$1" = fail ] && exit 3
exit 0
"""


class TestTerminal(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        client = pathlib.Path(directory.name) / 'openstack'
        client.write_text(CLIENT)
        client.chmod(client.stat().st_mode | stat.S_IXUSR)
        self.out = io.StringIO()
        with mock.patch.dict(os.environ, {'OS_CLOUD': 'another'}):
            self.terminal = terminal.Terminal(
                {'OS_TOKEN': 'x'}, self.out, str(client)
            )

    def test_a_command_is_shown_as_typed_with_its_output(self) -> None:
        result = self.terminal.openstack('show "a b" c')
        self.assertEqual(0, result.status)
        self.assertEqual(
            '\n$ openstack show "a b" c\n'
            '3 arguments: show a b c\nOS_TOKEN=x\ntold\n',
            self.out.getvalue(),
        )

    def test_the_status_of_a_failure_is_kept_and_its_output_whole(
        self,
    ) -> None:
        result = self.terminal.openstack('fail', trim=lambda output: 'trimmed')
        self.assertEqual(3, result.status)
        self.assertIn('told', self.out.getvalue())
        self.assertNotIn('trimmed', self.out.getvalue())

    def test_output_is_trimmed_on_the_screen_only(self) -> None:
        result = self.terminal.openstack('ok', trim=lambda output: 'trimmed')
        self.assertIn('told', result.output)
        self.assertTrue(self.out.getvalue().endswith('\ntrimmed\n'))

    def test_nothing_is_wider_than_the_screen(self) -> None:
        self.terminal.openstack('ok ' + 'word ' * 60)
        self.terminal.say('word ' * 60)
        command, *lines = self.out.getvalue().strip().splitlines()
        self.assertTrue(command.startswith('$ openstack ok'))
        self.assertLessEqual(max(map(len, lines)), terminal.WIDTH)

    def test_a_missing_client_is_said_in_one_line(self) -> None:
        with (
            mock.patch.object(sys, 'executable', '/none/python'),
            mock.patch.dict(os.environ, {'PATH': '/none'}),
            self.assertRaisesRegex(terminal.ClientMissing, 'pip install'),
        ):
            terminal.program_path()
