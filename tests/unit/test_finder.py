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

import importlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import textwrap
from types import ModuleType
from typing import Any
from unittest import mock

import fixtures
import testtools

from nova_arm_migrate import cli
from nova_arm_migrate import finder
from nova_arm_migrate.nova.cmd import compute
from tests.present import present

ROOT = pathlib.Path(finder.__file__).resolve().parent.parent


class FindSpecTest(testtools.TestCase):
    def test_resolves_the_one_name(self) -> None:
        spec = finder.ArmMigrateFinder.find_spec('nova.virt.arm_migrate')
        self.assertEqual('nova.virt.arm_migrate', present(spec).name)
        self.assertEqual('nova_arm_migrate.nova.driver', present(spec).origin)

    def test_leaves_every_other_name_alone(self) -> None:
        for name in (
            'nova',
            'nova.virt',
            'nova.virt.libvirt',
            'arm_migrate',
            'nova.virt.arm_migrate.driver',
            'nova.virt.arm_migrate2',
            'nova_arm_migrate',
            'nova_arm_migrate.nova.driver',
        ):
            self.assertIsNone(finder.ArmMigrateFinder.find_spec(name, []))


class InstallTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.meta_path = [
            entry
            for entry in sys.meta_path
            if getattr(entry, '__name__', '') != 'ArmMigrateFinder'
        ]
        self.useFixture(
            fixtures.MonkeyPatch('sys.meta_path', list(self.meta_path))
        )

    def test_installed_last_and_once(self) -> None:
        finder.install()
        finder.install()
        self.assertEqual(
            [*self.meta_path, finder.ArmMigrateFinder], sys.meta_path
        )

    def test_once_also_after_a_reload(self) -> None:
        self.addCleanup(
            setattr, finder, 'ArmMigrateFinder', finder.ArmMigrateFinder
        )
        finder.install()
        importlib.reload(finder)
        finder.install()
        self.assertEqual(len(self.meta_path) + 1, len(sys.meta_path))

    def test_uninstall_leaves_the_others(self) -> None:
        finder.install()
        finder.uninstall()
        self.assertEqual(self.meta_path, sys.meta_path)

    def test_the_alias_is_the_target_itself(self) -> None:
        finder.install()
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_arm_migrate.finder.TARGET', 'nova_arm_migrate.cli'
            )
        )
        nova, virt = ModuleType('nova'), ModuleType('nova.virt')
        nova.__path__ = virt.__path__ = []
        with mock.patch.dict(sys.modules, {'nova': nova, 'nova.virt': virt}):
            sys.modules.pop(finder.ALIAS, None)
            alias = importlib.import_module(finder.ALIAS)
        self.assertIs(cli, alias)
        self.assertEqual('nova_arm_migrate.cli', present(alias.__spec__).name)


class InterpreterTest(testtools.TestCase):
    """What a fresh interpreter does, with a Nova of two empty packages."""

    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self._write('nova/__init__.py', '')
        self._write('nova/virt/__init__.py', '')
        self._write('nova_arm_migrate/__init__.py', '')
        self._write(
            'nova_arm_migrate/finder.py',
            (ROOT / 'nova_arm_migrate/finder.py').read_text(),
        )
        self._write('nova_arm_migrate/nova/__init__.py', '')
        self._write(
            'nova_arm_migrate/nova/driver.py',
            'class ArmLibvirtDriver:\n    pass\n',
        )

    def _write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run *code* without site-packages; return what it printed."""
        prelude = f'import sys; sys.path.insert(0, {str(self.path)!r})\n'
        return subprocess.run(
            [
                sys.executable,
                '-I',
                '-S',
                '-c',
                prelude + textwrap.dedent(code),
            ],
            check=True,
            capture_output=True,
            text=True,
        )

    def _start_up_line(self) -> str:
        return (ROOT / 'nova_arm_migrate' / 'nova_arm_migrate.pth').read_text()

    def test_one_module_under_both_names(self) -> None:
        for first, second in (
            ('nova.virt.arm_migrate', finder.TARGET),
            (finder.TARGET, 'nova.virt.arm_migrate'),
        ):
            done = self._run(f"""
                {self._start_up_line()}
                import importlib, json
                first = importlib.import_module({first!r})
                second = importlib.import_module({second!r})
                import nova.virt
                print(json.dumps([
                    first is second, nova.virt.arm_migrate is first,
                    first.__name__, first.__spec__.name,
                    first.ArmLibvirtDriver.__module__]))
                """)
            self.assertEqual(
                [True, True, finder.TARGET, finder.TARGET, finder.TARGET],
                json.loads(done.stdout),
            )

    def test_start_up_imports_next_to_nothing(self) -> None:
        done = self._run(f"""
            before = set(sys.modules)
            {self._start_up_line()}
            print(*sorted(set(sys.modules) - before))
            """)
        self.assertEqual(
            {'nova_arm_migrate', 'nova_arm_migrate.finder'},
            {
                name
                for name in done.stdout.split()
                if name.partition('.')[0]
                not in (
                    'importlib',
                    '_types',
                    'types',
                    'warnings',
                    '_weakrefset',
                    '_frozen_importlib_external',
                )
            },
        )

    def test_error_in_the_driver_is_the_one_that_is_raised(self) -> None:
        self._write(
            'nova_arm_migrate/nova/driver.py', 'import no_such_library\n'
        )
        done = self._run(f"""
            {self._start_up_line()}
            try:
                import nova.virt.arm_migrate
            except ImportError as error:
                print(error.name, 'nova.virt.arm_migrate' in sys.modules)
            """)
        self.assertEqual('no_such_library False\n', done.stdout)

    def test_a_module_of_nova_itself_wins(self) -> None:
        self._write('nova/virt/arm_migrate.py', 'THEIRS = True\n')
        done = self._run(f"""
            {self._start_up_line()}
            import nova.virt.arm_migrate
            print(nova.virt.arm_migrate.THEIRS)
            """)
        self.assertEqual('True\n', done.stdout)

    def test_broken_package_does_not_break_start_up(self) -> None:
        for text in ('this is not Python', 'raise RuntimeError', ''):
            self._write('nova_arm_migrate/finder.py', text)
            done = self._run(f"""
                {self._start_up_line()}
                print('up')
                """)
            self.assertEqual(('up\n', ''), (done.stdout, done.stderr))

    def test_missing_package_does_not_break_start_up(self) -> None:
        self.path = pathlib.Path(tempfile.mkdtemp(dir=self.path))
        done = self._run(f"""
            {self._start_up_line()}
            print('up', len([f for f in sys.meta_path
                             if 'ArmMigrate' in repr(f)]))
            """)
        self.assertEqual(('up 0\n', ''), (done.stdout, done.stderr))


class NovaComputeArm64Test(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch('sys.meta_path', list(sys.meta_path))
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'sys.argv', ['/opt/bin/nova-compute-arm64', '--debug']
            )
        )

    def test_runs_nova_compute_with_the_finder_in_place(self) -> None:
        finder.uninstall()
        seen: list[object] = []

        def nova_compute() -> int:
            seen.append(list(sys.argv))
            seen.append(finder.ArmMigrateFinder in sys.meta_path)
            return 7

        nova: Any = ModuleType('nova')
        nova.cmd = ModuleType('nova.cmd')
        nova.cmd.compute = mock.Mock(main=nova_compute)
        with mock.patch.dict(
            sys.modules,
            {
                'nova': nova,
                'nova.cmd': nova.cmd,
                'nova.cmd.compute': nova.cmd.compute,
            },
        ):
            self.assertEqual(7, compute.main())
        self.assertEqual([['/opt/bin/nova-compute', '--debug'], True], seen)

    def test_without_nova_says_so_in_one_line(self) -> None:
        stderr = io.StringIO()
        self.useFixture(fixtures.MonkeyPatch('sys.stderr', stderr))
        with mock.patch.dict(sys.modules, {'nova': None}):
            self.assertEqual(1, compute.main())
        self.assertEqual(1, len(stderr.getvalue().splitlines()))
        self.assertIn('Nova cannot be imported', stderr.getvalue())
