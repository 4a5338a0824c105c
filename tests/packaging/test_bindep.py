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

import pathlib
import re
import shutil
import subprocess
import sys

import fixtures
import testtools

from tests.lab import places
from tests.lab.cloud import services
from tests.present import present
from tools import check_needs

ROOT = pathlib.Path(__file__).resolve().parents[2]


def named(*profiles: str) -> set[str]:
    lines = (ROOT / 'bindep.txt').read_text().splitlines()
    matches = (
        re.fullmatch(r'(\S+) \[platform:dpkg (.*)\]', line) for line in lines
    )
    return {
        match[1]
        for match in matches
        if match and set(match[2].split()) & set(profiles)
    }


class BindepTest(testtools.TestCase):
    def test_names_every_package_that_the_lab_asks_for(self) -> None:
        self.assertEqual(set(), set(places.TOOLS.values()) - named('lab'))

    def test_names_every_package_that_its_cloud_asks_for(self) -> None:
        self.assertEqual(
            set(), set(services.TOOLS.values()) - named('lab', 'lab-cloud')
        )

    def test_names_every_package_that_the_commands_check(self) -> None:
        checked = {
            *check_needs.PROGRAMS.values(),
            *check_needs.MODULES.values(),
        }
        self.assertEqual(set(), checked - named('test') & named('demo'))


class CheckNeedsTest(testtools.TestCase):
    def _make(
        self, target: str, *programs: str
    ) -> subprocess.CompletedProcess[str]:
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for program in ('sh', *programs):
            (path / program).symlink_to(present(shutil.which(program)))
        return subprocess.run(
            [
                present(shutil.which('make')),
                '--silent',
                f'PYTHON={sys.executable}',
                target,
            ],
            cwd=ROOT,
            env={'PATH': str(path)},
            capture_output=True,
            text=True,
        )

    def test_the_commands_name_the_package_that_is_missing(self) -> None:
        for target in ('demo', 'test'):
            done = self._make(target, 'git')
            self.assertEqual(2, done.returncode)
            self.assertEqual('', done.stdout)
            line, end = done.stderr.splitlines()
            self.assertEqual(
                f'make {target} needs what is not installed: '
                'apt install procps',
                line,
            )
            self.assertIn(f'needs-{target}', end)

    def test_silent_if_nothing_is_missing(self) -> None:
        done = self._make('needs-demo', 'git', 'uptime')
        self.assertEqual((0, '', ''), _result(done))


def _result(
    done: subprocess.CompletedProcess[str],
) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr
