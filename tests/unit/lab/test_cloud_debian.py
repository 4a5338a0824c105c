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

import json
import pathlib
import shutil
import tempfile
from unittest import mock

import fixtures
import testtools

from tests.lab import errors
from tests.lab import host as hosts
from tests.lab import network
from tests.lab.cloud import cloud
from tests.lab.cloud import debian
from tests.lab.cloud import image
from tests.lab.cloud import install
from tests.lab.cloud import services

# Packs what is committed of module.py.
_BUILD = f"""#!/bin/sh
set -e
cd "$(dirname "$0")/.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/DEBIAN" "$root{debian.PYTHON}" "$1"
git show HEAD:module.py > "$root{debian.PYTHON}/module.py"
printf '%s\\n' 'Package: p' 'Version: 1' 'Architecture: all' \\
    'Maintainer: p <p@localhost>' 'Description: p' > "$root/DEBIAN/control"
dpkg-deb -b "$root" "$1/p.deb" > /dev/null
"""


class ReleaseTest(testtools.TestCase):
    def test_the_services_and_their_hosts_have_the_same_release(self) -> None:
        one = cloud.host_spec('neoverse-n1', debian.RELEASE)
        self.assertEqual(debian.RELEASE, one.nova)

    def test_a_release_that_nova_does_not_support_is_refused(self) -> None:
        for text, release in (
            ('neoverse-n1+nova=34', debian.RELEASE),
            ('neoverse-n1+nova=31', install.RELEASE),
        ):
            wrong = self.assertRaises(
                errors.LabError, cloud.host_spec, text, release
            )
            self.assertIn('hosts of the cloud have Nova', str(wrong))

    def test_every_cloud_has_all_services(self) -> None:
        sets = [
            {one.partition('=')[0] for one in install.packages(release)}
            for release in install.CLOUDS
        ]
        self.assertLessEqual({'nova', 'keystone', 'neutron'}, sets[0])
        self.assertEqual(sets[:1] * len(sets), sets)

    def test_a_running_cloud_knows_its_release(self) -> None:
        folder = self.useFixture(fixtures.TempDir()).path
        (pathlib.Path(folder) / 'cloud.json').write_text(
            json.dumps({'environment': '/e', 'image': '/i', 'release': 31})
        )
        lab = mock.Mock(folder=pathlib.Path(folder))
        lab.net.command.return_value = ['openstack']
        with mock.patch.object(
            hosts.Lab, 'open', autospec=True, return_value=lab
        ):
            found = cloud.Cloud.open()
        self.assertEqual(31, found.release)
        self.assertEqual(31, found.services.release)

    def test_the_project_is_where_its_package_has_it(self) -> None:
        self.assertEqual('/', image.project_inside(debian.RELEASE))
        self.assertEqual(
            image.PROJECT_INSIDE, image.project_inside(install.RELEASE)
        )


class ApiTest(testtools.TestCase):
    def _workers(self, name: str, release: int) -> tuple[object, object]:
        one = services.Services(
            mock.Mock(spec=network.Network),
            pathlib.Path('/state'),
            pathlib.Path('/logs'),
            pathlib.Path('/environment'),
            release,
        )
        started = self.useFixture(
            fixtures.MockPatchObject(services.Services, 'start')
        ).mock
        self.useFixture(fixtures.MockPatchObject(services.Services, 'wait'))
        one.start_api(name)
        argv = started.call_args.args[1]
        processes, threads = (
            argv[argv.index(word) + 1] for word in ('--processes', '--threads')
        )
        return processes, threads

    def test_eventlet_has_no_second_thread(self) -> None:
        self.assertEqual((2, 1), self._workers('nova', 31))

    def test_what_does_not_use_eventlet_has_threads(self) -> None:
        for name, release in (('nova', 34), ('neutron', 31)):
            self.assertEqual((1, 4), self._workers(name, release))


class RootTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def test_only_other_emulators_are_removed(self) -> None:
        folder = self.root / 'usr/bin'
        folder.mkdir(parents=True)
        for name in ('qemu-system-x86_64', 'qemu-img'):
            (folder / name).touch()
        (folder / 'qemu-system-amd64').symlink_to('qemu-system-x86_64')
        debian.prune(self.root)
        self.assertEqual(['qemu-img'], [one.name for one in folder.iterdir()])

    def test_what_maintainer_scripts_would_have_done(self) -> None:
        authorities = self.root / 'usr/share/ca-certificates/mozilla'
        authorities.mkdir(parents=True)
        (authorities / 'b.crt').write_text('two\n')
        (authorities / 'a.crt').write_text('one\n')
        module = self.root / debian.PYTHON.lstrip('/') / 'nova.py'
        module.parent.mkdir(parents=True)
        module.touch()
        compiled = self.useFixture(
            fixtures.MockPatchObject(install, 'compile_for_host')
        ).mock
        debian.configure(self.root)
        self.assertEqual(
            'one\ntwo\n', (self.root / debian.CERTIFICATES).read_text()
        )
        for name in debian.FOLDERS:
            self.assertTrue((self.root / name).is_dir(), name)
        compiled.assert_called_once_with(module.parent, debian.PYTHON)


class MachineTest(testtools.TestCase):
    def _tool(self, script: str) -> None:
        folder = self.useFixture(fixtures.TempDir()).path
        for name, text in (('dpkg-checkbuilddeps', script), ('git', '')):
            path = pathlib.Path(folder) / name
            path.write_text(f'#!/bin/sh\n{text}\n')
            path.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable('PATH', folder))

    def test_what_is_missing_is_named_by_its_package(self) -> None:
        self._tool(
            'echo "dpkg-checkbuilddeps: error: Unmet build dependencies: '
            'dh-python" >&2; exit 1'
        )
        wrong = self.assertRaises(errors.LabSkip, debian.check_machine)
        self.assertTrue(
            str(wrong).endswith(': Unmet build dependencies: dh-python'),
            str(wrong),
        )

    def test_the_tool_itself_may_be_missing(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            self.useFixture(fixtures.EnvironmentVariable('PATH', name))
            wrong = self.assertRaises(errors.LabSkip, debian.check_machine)
        self.assertIn('dpkg-dev', str(wrong))

    def test_nothing_is_missing(self) -> None:
        self._tool('exit 0')
        debian.check_machine()


class PackageTest(testtools.TestCase):
    @testtools.skipUnless(bool(shutil.which('dpkg-deb')), 'dpkg-deb is needed')
    def test_the_work_trees_copy_is_committed_and_unpacked(self) -> None:
        """What was not committed in the work tree is in the package too."""
        base = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(
            fixtures.EnvironmentVariable('NOVA_ARM_LAB_DIR', str(base / 'lab'))
        )
        self.useFixture(fixtures.MockPatchObject(install, 'compile_for_host'))
        source, target = base / 'source', base / 'target'
        (source / 'tools').mkdir(parents=True)
        (source / 'module.py').write_text('new = 1\n')
        script = source / 'tools/build_deb.sh'
        script.write_text(_BUILD)
        script.chmod(0o755)
        debian.unpack(source, target)
        path = target / debian.PYTHON.lstrip('/') / 'module.py'
        self.assertEqual('new = 1\n', path.read_text())

    def test_a_package_that_cannot_be_built(self) -> None:
        base = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(
            fixtures.EnvironmentVariable('NOVA_ARM_LAB_DIR', str(base / 'lab'))
        )
        script = base / 'source/tools/build_deb.sh'
        script.parent.mkdir(parents=True)
        script.write_text('#!/bin/sh\necho "no version: an error"; exit 2\n')
        script.chmod(0o755)
        wrong = self.assertRaises(
            errors.LabError, debian.unpack, base / 'source', base / 'target'
        )
        self.assertIn('no version: an error', str(wrong))
