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

"""The one file that an operator copies to a bare Arm host."""

import os
import pathlib
import shutil
import subprocess
import sys

import fixtures
import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ZipappTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.scratch = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.file = self.scratch / 'nova-arm-migrate.pyz'
        self._build(ROOT, self.file)

    def _build(self, root: pathlib.Path, target: pathlib.Path) -> None:
        subprocess.run(
            [sys.executable, root / 'tools/build_zipapp.py', target],
            check=True,
            capture_output=True,
        )

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # -S: no site-packages, as on a host that has none.
        return subprocess.run(
            [sys.executable, '-I', '-S', self.file, *arguments],
            capture_output=True,
            text=True,
            cwd=self.scratch,
        )

    def test_same_sources_give_the_same_bytes(self) -> None:
        copy = self.scratch / 'copy'
        for name in ('tools', 'nova_arm_migrate'):
            shutil.copytree(
                ROOT / name, copy / name, copy_function=shutil.copyfile
            )
        for path in copy.rglob('*.py'):
            os.utime(path, (1, 1))
            path.chmod(0o700)
        again = self.scratch / 'again.pyz'
        self._build(copy, again)
        self.assertEqual(self.file.read_bytes(), again.read_bytes())

    def test_holds_no_adapter_and_no_command_over_nova(self) -> None:
        done = subprocess.run(
            [sys.executable, '-m', 'zipfile', '--list', self.file],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertIn('nova_arm_migrate/core/compare.py', done.stdout)
        self.assertNotIn('nova/', done.stdout)
        self.assertNotIn('cmd/compute.py', done.stdout)

    def test_runs_by_itself(self) -> None:
        done = subprocess.run(
            [self.file, '--help'], check=True, capture_output=True, text=True
        )
        self.assertTrue(done.stdout.startswith('usage: nova-arm-migrate'))

    def test_commands_need_nothing_installed(self) -> None:
        done = self._run('probe', '--degraded', '--output', 'host.json')
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        done = self._run(
            'compare', 'host.json', 'host.json', '--format', 'json'
        )
        self.assertIn('"verdict": ', done.stdout)
        self.assertEqual('', done.stderr)

    def test_bad_input_is_one_line_and_exit_code_2(self) -> None:
        done = self._run('compare', 'absent.json', 'absent.json')
        self.assertEqual(2, done.returncode)
        self.assertEqual('', done.stdout)
        self.assertEqual(1, len(done.stderr.splitlines()), done.stderr)

    def test_runs_its_own_code_beside_an_installed_package(self) -> None:
        code = (
            'import runpy, sys, types; '
            'sys.modules["nova_arm_migrate"] = types.ModuleType("other"); '
            f'sys.path.insert(0, {str(self.file)!r}); '
            'sys.argv[1:] = ["--help"]; '
            f'runpy.run_path({str(self.file)!r}, run_name="__main__")'
        )
        done = subprocess.run(
            [sys.executable, '-I', '-S', '-c', code],
            capture_output=True,
            text=True,
        )
        self.assertEqual((0, ''), (done.returncode, done.stderr))

    def test_old_python_is_told_so_in_one_line(self) -> None:
        done = subprocess.run(
            [
                sys.executable,
                '-I',
                '-S',
                '-c',
                'import runpy, sys; sys.version_info = (3, 9, 2); '
                f'runpy.run_path({str(self.file)!r}, run_name="__main__")',
            ],
            capture_output=True,
            text=True,
        )
        self.assertEqual(1, done.returncode)
        self.assertEqual(
            'nova-arm-migrate: Python 3.10 or newer is needed, this is 3.9\n',
            done.stderr,
        )
