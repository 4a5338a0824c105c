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

"""The how-tos print what the offline tool prints.

Each command of a page's console blocks runs in this process, in a directory
with copies of the recorded profiles.
"""

from collections.abc import Iterator
import os
import pathlib
import shlex
import shutil
import textwrap
import unittest

from nova_arm_migrate.core.causes import Cause
from tests import refusals
from tests.unit.cli import base

DOCUMENTS = pathlib.Path(__file__).parents[2] / 'doc' / 'source'
BLOCK = '.. code-block:: console'


def blocks(page: str) -> Iterator[str]:
    """Yield the text of each console block of a page."""
    lines = page.splitlines()
    for place, line in enumerate(lines):
        if line != BLOCK:
            continue
        taken = []
        for one in lines[place + 1 :]:
            if one and not one.startswith(' '):
                break
            taken.append(one)
        yield textwrap.dedent('\n'.join(taken)).strip('\n')


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a block with what it prints."""
    for part in f'\n{block}'.split('\n$ ')[1:]:
        command, _, printed = part.replace('\\\n', ' ').partition('\n')
        yield command, printed


class TestPages(base.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        for path in base.PROFILES.glob('*.json'):
            shutil.copy(path, self.directory)
        self.addCleanup(os.chdir, pathlib.Path.cwd())
        os.chdir(self.directory)

    def words(self, command: str) -> list[str]:
        """Return a command's words, patterns of file names replaced."""
        return [
            word
            for given in shlex.split(command)
            for word in (
                sorted(path.name for path in self.directory.glob(given))
                if '?' in given
                else [given]
            )
        ]

    def check_page(self, name: str) -> None:
        ran = 0
        for block in blocks((DOCUMENTS / name).read_text()):
            for command, printed in commands(block):
                program, *arguments = self.words(command)
                if program == 'cp':
                    shutil.copy(*arguments)
                    continue
                self.assertEqual('nova-arm-migrate', program)
                _, out, err = self.run_command(*arguments)
                self.assertEqual('', err)
                self.assertEqual(printed.rstrip(), out.rstrip(), command)
                ran += 1
        self.assertGreater(ran, 2)

    def test_update_kernels(self) -> None:
        self.check_page('admin/update-kernels.rst')

    def test_new_machine(self) -> None:
        self.check_page('admin/new-machine.rst')


class TestCauses(unittest.TestCase):
    def test_each_has_an_example(self) -> None:
        found = refusals.examples()
        self.assertEqual(set(Cause), set(found))
        for cause, examples in found.items():
            self.assertEqual({cause}, {one.finding.cause for one in examples})
        # What operators meet most is shown as recorded.
        for cause in (Cause.ABOVE, Cause.IMPLEMENTATION, Cause.SVE_LENGTHS):
            self.assertNotEqual('', found[cause][0].guest)
