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

"""Install this project: from the work tree, or as it was at a commit."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from tests.lab import errors
from tests.lab import places
from tests.lab.cloud import debian
from tests.lab.cloud import image
from tests.lab.cloud import install

_VERSION = '0.0.1'  # the version is not what the lab is about


def from_work_tree(release: int, target: pathlib.Path) -> None:
    """Install the work tree: natively, and for the hosts into *target*.

    It is built from a copy, so that nothing is written into the repository:
    as a wheel, and also as a Debian package if the hosts' Nova is one.

    :param release: of the services' Nova
    """
    places.say('cloud: building and installing nova-arm-migrate')
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '-c', '-o', '--exclude-standard'],
        cwd=install.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split('\0')
    with tempfile.TemporaryDirectory() as name:
        copy = pathlib.Path(name) / 'source'
        for path in filter(None, listed):
            source = install.REPOSITORY / path
            if path.split('/')[0] not in ('tests', 'doc') and source.exists():
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy / path)
        wheel = _wheel(copy, release)
        install.run_logged(
            [
                install.native(release) / 'bin/pip',
                'install',
                '-q',
                '--no-deps',
                '--force-reinstall',
                wheel,
            ],
            _log(),
            'installing nova-arm-migrate',
        )
        if release == debian.RELEASE:
            places.say('cloud: building it as a Debian package')
            debian.unpack(copy, target)
        else:
            _unpack(wheel, image.PROJECT_INSIDE, target)


def from_commit(commit: str, inside: str, target: pathlib.Path) -> None:
    """Install an older state of the project for the hosts into *target*.

    :param inside: where it will be in a host
    :raises LabError: if the repository does not have this commit
    """
    places.say(f'cloud: building nova-arm-migrate of commit {commit}')
    with tempfile.TemporaryDirectory() as name:
        copy = pathlib.Path(name) / 'source'
        copy.mkdir()
        packed = subprocess.run(
            ['git', 'archive', commit],
            cwd=install.REPOSITORY,
            capture_output=True,
        )
        if packed.returncode:
            raise errors.LabError(
                f'{install.REPOSITORY} does not have commit {commit}; '
                'a clone with its whole history has it'
            )
        subprocess.run(
            ['tar', '-x', '-C', str(copy)], input=packed.stdout, check=True
        )
        _unpack(_wheel(copy), inside, target)


def _log() -> pathlib.Path:
    return install.folder() / 'install.log'


def _wheel(source: pathlib.Path, release: int = install.RELEASE) -> str:
    """Build the wheel beside *source*."""
    install.run_logged(
        [
            install.native(release) / 'bin/pip',
            'wheel',
            '-q',
            '--no-deps',
            '--no-build-isolation',
            '-w',
            source.parent,
            source,
        ],
        _log(),
        'building nova-arm-migrate',
        env={**os.environ, 'PBR_VERSION': _VERSION},
    )
    (wheel,) = map(str, source.parent.glob('*.whl'))
    return wheel


def _unpack(wheel: str, inside: str, target: pathlib.Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    install.run_logged(
        install.pip_for_host(install.native(), target, wheel),
        _log(),
        'unpacking nova-arm-migrate for the hosts',
    )
    install.compile_for_host(target, inside)
