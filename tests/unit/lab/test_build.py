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
import shutil
import subprocess
import unittest

import fixtures
import testtools

from tests.lab import build
from tests.lab import errors


@unittest.skipUnless(
    shutil.which('mke2fs') and shutil.which('debugfs'),
    'e2fsprogs is not installed',
)
class MakeDiskTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.root = self.folder / 'root'
        self.root.mkdir()
        (self.root / 'lab').write_text('what a host boots\n')
        self.disk = self.folder / 'base.raw'

    def debugfs(self, request: str) -> str:
        return subprocess.run(
            ['debugfs', '-R', request, self.disk],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def test_it_has_the_content_and_no_journal(self) -> None:
        build.make_disk(self.root, self.disk, '8M')
        self.assertEqual(8 << 20, self.disk.stat().st_size)
        self.assertEqual('what a host boots\n', self.debugfs('cat lab'))
        self.assertNotIn('has_journal', self.debugfs('stats'))

    def test_content_that_does_not_fit_is_one_line(self) -> None:
        (self.root / 'large').write_bytes(b'x' * (2 << 20))
        error = self.assertRaises(
            errors.LabError, build.make_disk, self.root, self.disk, '1M'
        )
        self.assertIn('making the disk failed: ', str(error))
        self.assertNotIn('\n', str(error))
