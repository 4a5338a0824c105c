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

"""kolla renders its Dockerfiles with the documented override."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any
import unittest

import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]
OVERRIDE = ROOT / 'etc' / 'kolla' / 'template-override.j2'


def _run(
    *command: str | pathlib.Path, **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        **kwargs,
    )


@testtools.skipUnless(
    bool(os.environ.get('NOVA_ARM_TEST_KOLLA')), 'run it with tox -e kolla'
)
class TemplateOverrideTest(testtools.TestCase):
    dockerfiles: dict[str, str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        directory = pathlib.Path(scratch.name)
        venv = directory / 'venv'
        _run(sys.executable, '-m', 'venv', venv).check_returncode()
        installed = _run(
            venv / 'bin' / 'pip',
            'install',
            '--quiet',
            '--constraint',
            ROOT / 'constraints' / 'kolla.txt',
            'kolla',
            # kolla-build imports it, even where it builds no image.
            'docker',
        )
        if installed.returncode:
            why = (installed.stdout.splitlines() or ['no text'])[-1]
            raise unittest.SkipTest(f'kolla cannot be installed: {why}')
        work = directory / 'work'
        built = _run(
            venv / 'bin' / 'kolla-build',
            '--template-only',
            '--base',
            'debian',
            '--template-override',
            OVERRIDE,
            '--work-dir',
            work,
            cwd=directory,
            # Without the tests' own packages.
            env={'PATH': os.environ['PATH'], 'HOME': str(directory)},
        )
        if built.returncode:
            raise AssertionError(built.stdout)
        cls.dockerfiles = {
            path.parent.name: path.read_text().replace('\\\n', ' ')
            for path in work.rglob('Dockerfile')
        }

    def _installs(self, image: str) -> list[tuple[str, list[str]]]:
        """What pip installs in *image*, for each RUN, and as which user."""
        user = 'root'
        found: list[tuple[str, list[str]]] = []
        for line in self.dockerfiles[image].splitlines():
            if line.startswith('USER '):
                user = line.split()[1]
            for packages in re.findall(
                r'pip --no-cache-dir install --upgrade '
                r'-c /requirements/upper-constraints.txt ([^&;]*)',
                line,
            ):
                found.append((user, packages.split()))
        return found

    def test_nova_compute_has_the_package_beside_its_own(self) -> None:
        self.assertIn(
            ('root', ['oslo-vmware', 'nova-arm-migrate']),
            self._installs('nova-compute'),
        )

    def test_nova_scheduler_has_the_package(self) -> None:
        self.assertEqual(
            [('root', ['nova-arm-migrate'])], self._installs('nova-scheduler')
        )

    def test_no_other_image_changes(self) -> None:
        self.assertEqual(
            {'nova-compute', 'nova-scheduler'},
            {
                image
                for image, text in self.dockerfiles.items()
                if 'nova-arm-migrate' in text
            },
        )
