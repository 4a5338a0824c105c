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


"""Runs commands as a shell would, in this process."""

import contextlib
import io
import pathlib

import fixtures
import testtools

from nova_arm_migrate.cli import main

PROFILES = pathlib.Path(__file__).parents[2] / 'fixtures' / 'profiles'
V1_612 = str(PROFILES / 'neoverse-v1-linux-6.12.json')
MAX_72 = str(PROFILES / 'max-linux-7.2.json')
N1_61 = str(PROFILES / 'neoverse-n1-linux-6.1.json')


class CommandTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        # Tables are as wide as the terminal.
        self.useFixture(fixtures.EnvironmentVariable('COLUMNS', '100'))

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file; return its path."""
        path = self.directory / name
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return str(path)

    def run_command(
        self, *arguments: str
    ) -> tuple[str | int | None, str, str]:
        """Return the exit code and what went to the two outputs."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code: str | int | None = main.main(arguments)
            except SystemExit as end:
                code = end.code
        return code, out.getvalue(), err.getvalue()

    def assert_refused(self, *arguments: str) -> str:
        """The command ends with 2 and one line; return the line."""
        code, out, err = self.run_command(*arguments)
        self.assertEqual((2, ''), (code, out))
        self.assertEqual(1, err.count('\n'), err)
        self.assertTrue(err.startswith('nova-arm-migrate'), err)
        self.assertTrue(err[:-1].isprintable() and err.isascii(), err)
        return err
