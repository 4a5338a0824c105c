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

"""Every way of installing Nova beside every way of installing this package.

Nova as wheel and as editable install, times this package as wheel and as
editable install. Each layout gets a virtual environment of its own whose
dependencies are links into the environment that runs the tests, so that pip
installs and uninstalls two packages for real and nothing else.
"""

from collections.abc import Iterable
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import textwrap
from typing import Any

import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOVA = '34.0.0'
# Left out of the links: what pip installs, and what would lead back to it.
OURS = ('nova', 'nova_arm_migrate', '__editable__', '__pycache__', 'etc')

LOAD = """
import importlib, json, os, sys
started = sorted(
    name for name in sys.modules
    if name.partition('.')[0] in ('nova', 'eventlet', 'oslo_service'))
finders = sum('ArmMigrateFinder' in repr(f) for f in sys.meta_path)
os.environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = 'true'
from nova import monkey_patch
monkey_patch.patch()
from nova.tests.fixtures import libvirt
sys.modules['libvirt'] = libvirt
from nova.virt import driver
from nova.virt.libvirt import driver as parent
loaded = driver.load_compute_driver(None, 'arm_migrate.ArmLibvirtDriver')
ours = importlib.import_module('nova_arm_migrate.nova.driver')
print(json.dumps({
    'started': started,
    'finders': finders,
    'class': type(loaded) is ours.ArmLibvirtDriver,
    'module': sys.modules['nova.virt.arm_migrate'] is ours,
    'parent': isinstance(loaded, parent.LibvirtDriver),
    'nova': sys.modules['nova'].__file__,
    'package': sys.modules['nova_arm_migrate'].__file__,
}))
"""

WITHOUT = """
import importlib, json, os, sys
finders = sum('ArmMigrateFinder' in repr(f) for f in sys.meta_path)
os.environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = 'true'
from nova import monkey_patch
monkey_patch.patch()
from nova.tests.fixtures import libvirt
sys.modules['libvirt'] = libvirt
from nova.virt import driver
loaded = driver.load_compute_driver(None, 'libvirt.LibvirtDriver')
try:
    importlib.import_module('nova.virt.arm_migrate')
except ModuleNotFoundError as error:
    missing = error.name
print(json.dumps({
    'finders': finders,
    'class': type(loaded).__name__,
    'missing': missing,
}))
"""


def _run(
    *command: str | pathlib.Path, **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        **kwargs,
    )
    if done.returncode:
        raise AssertionError(
            f'{command} ended with {done.returncode}\n'
            f'{done.stdout}\n{done.stderr}'
        )
    return done


def _copy_of_the_project(target: pathlib.Path) -> pathlib.Path:
    """A clone with what is uncommitted on top, for builds that leave files."""
    _run('git', 'clone', '--quiet', ROOT, target)
    listed = _run(
        'git',
        'ls-files',
        '-z',
        '--cached',
        '--others',
        '--exclude-standard',
        cwd=ROOT,
    ).stdout
    for name in filter(None, listed.split('\0')):
        source, copy = ROOT / name, target / name
        if source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
        else:
            copy.unlink(missing_ok=True)
    _run('git', 'add', '--all', cwd=target)
    return target


class Environment:
    """A virtual environment with Nova's dependencies and without Nova."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        _run(sys.executable, '-m', 'venv', '--without-pip', path)
        self.python = path / 'bin' / 'python'
        version = f'python{sys.version_info.major}.{sys.version_info.minor}'
        self.site = path / 'lib' / version / 'site-packages'
        for entry in pathlib.Path(sysconfig.get_path('purelib')).iterdir():
            if not entry.name.startswith(OURS):
                (self.site / entry.name).symlink_to(entry)

    def pip(
        self, *arguments: str | pathlib.Path
    ) -> subprocess.CompletedProcess[str]:
        return _run(
            sys.executable, '-m', 'pip', '--python', self.python, *arguments
        )

    def install(self, *arguments: str | pathlib.Path) -> None:
        self.pip(
            'install',
            '--quiet',
            '--no-deps',
            '--no-compile',
            '--no-index',
            '--no-build-isolation',
            *arguments,
        )

    def python_prints(self, code: str) -> Any:
        # Not from the root of the project, which is importable there.
        done = _run(self.python, '-c', textwrap.dedent(code), cwd=self.path)
        return json.loads(done.stdout.splitlines()[-1])

    def script(
        self, name: str, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        return _run(self.path / 'bin' / name, *arguments, cwd=self.path)

    def files(self) -> set[tuple[str, int]]:
        """Everything installed, links into the outer environment aside."""
        return {
            (str(path.relative_to(self.path)), path.stat().st_size)
            for top in (self.site, self.path / 'bin', self.path / 'etc')
            for directory, names, files in os.walk(top)
            for path in (pathlib.Path(directory, name) for name in files)
            if '__pycache__' not in path.parts and not path.is_symlink()
        }


class LayoutTest(testtools.TestCase):
    scratch: pathlib.Path
    project: pathlib.Path
    wheel: pathlib.Path
    nova_wheel: pathlib.Path
    nova_sources: pathlib.Path

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = pathlib.Path(scratch.name)
        cls.project = _copy_of_the_project(cls.scratch / 'project')
        wheels = cls.scratch / 'wheels'
        download = (
            sys.executable,
            '-m',
            'pip',
            'download',
            '--quiet',
            '--no-deps',
            '--dest',
            wheels,
            f'nova=={NOVA}',
        )
        _run(*download, '--only-binary', ':all:')
        _run(*download, '--no-binary', ':all:')
        _run(
            sys.executable,
            '-m',
            'pip',
            'wheel',
            '--quiet',
            '--no-deps',
            '--no-build-isolation',
            '--wheel-dir',
            wheels,
            cls.project,
        )
        (cls.nova_wheel,) = wheels.glob('nova-*.whl')
        (cls.wheel,) = wheels.glob('nova_arm_migrate-*.whl')
        (archive,) = wheels.glob('nova-*.tar.gz')
        with tarfile.open(archive) as sources:
            # Debian 12's Python 3.11.2 has neither this nor ``filter=``.
            if hasattr(tarfile, 'data_filter'):
                sources.extraction_filter = tarfile.data_filter
            sources.extractall(cls.scratch)
        (cls.nova_sources,) = cls.scratch.glob('nova-*')

    def _check(
        self,
        nova: Iterable[str | pathlib.Path],
        ours: Iterable[str | pathlib.Path],
    ) -> Any:
        environment = Environment(self.scratch / self.id().rpartition('.')[2])
        environment.install(*nova)
        before = environment.files()
        environment.install(*ours)

        loaded = environment.python_prints(LOAD)
        self.assertEqual([], loaded.pop('started'))
        self.assertEqual(1, loaded.pop('finders'))
        for name in ('class', 'module', 'parent'):
            self.assertTrue(loaded.pop(name), name)
        self.assertEqual(
            f'{NOVA}\n',
            environment.script('nova-compute-arm64', '--version').stdout,
        )
        opts = environment.python_prints("""
            import importlib.metadata, json
            found, = importlib.metadata.entry_points(
                group='oslo.config.opts', name='nova_arm_migrate')
            print(json.dumps([group.name for group, _ in found.load()()]))
            """)
        self.assertEqual(['arm_migrate'], opts)

        environment.pip('uninstall', '--quiet', '--yes', 'nova-arm-migrate')
        self.assertEqual(before, environment.files())
        self.assertEqual(
            {
                'finders': 0,
                'class': 'LibvirtDriver',
                'missing': 'nova.virt.arm_migrate',
            },
            environment.python_prints(WITHOUT),
        )
        self.assertEqual(
            f'{NOVA}\n', environment.script('nova-compute', '--version').stdout
        )
        return loaded

    def _assert_under(self, directory: pathlib.Path, path: str) -> None:
        self.assertTrue(
            pathlib.Path(path).is_relative_to(directory),
            f'{path} is not under {directory}',
        )

    def test_nova_wheel_ours_wheel(self) -> None:
        loaded = self._check([self.nova_wheel], [self.wheel])
        self._assert_under(
            self.scratch / 'test_nova_wheel_ours_wheel', loaded['nova']
        )
        self._assert_under(
            self.scratch / 'test_nova_wheel_ours_wheel', loaded['package']
        )

    def test_nova_wheel_ours_editable(self) -> None:
        loaded = self._check([self.nova_wheel], ['-e', self.project])
        self._assert_under(
            self.scratch / 'test_nova_wheel_ours_editable', loaded['nova']
        )
        self._assert_under(self.project, loaded['package'])

    def test_nova_editable_ours_wheel(self) -> None:
        loaded = self._check(['-e', self.nova_sources], [self.wheel])
        self._assert_under(self.nova_sources, loaded['nova'])
        self._assert_under(
            self.scratch / 'test_nova_editable_ours_wheel', loaded['package']
        )

    def test_nova_editable_ours_editable(self) -> None:
        loaded = self._check(['-e', self.nova_sources], ['-e', self.project])
        self._assert_under(self.nova_sources, loaded['nova'])
        self._assert_under(self.project, loaded['package'])

    def test_damaged_install_leaves_the_interpreter_silent(self) -> None:
        environment = Environment(self.scratch / 'damaged')
        environment.install(self.nova_wheel, self.wheel)
        package = environment.site / 'nova_arm_migrate'
        (package / 'finder.py').write_text('not Python at all')
        done = _run(environment.python, '-c', 'import nova; print("up")')
        self.assertEqual(('up\n', ''), (done.stdout, done.stderr))
        shutil.rmtree(package)
        done = _run(environment.python, '-c', 'import nova; print("up")')
        self.assertEqual(('up\n', ''), (done.stdout, done.stderr))
