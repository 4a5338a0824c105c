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

"""Hosts whose Nova and whose copy of this project are Debian packages.

Packages are unpacked; their maintainer scripts do not run. What these would
have done and a host needs is done here.
"""

import pathlib
import shutil
import subprocess

from tests.lab import errors
from tests.lab.cloud import install

# The release of Nova in trixie, of which the hosts are.
RELEASE = 31
# The libvirtd that nova-compute-kvm installs does not run on a host without a
# tool for the firewall. Debian installs nftables by default.
PACKAGES = ('nova-compute', 'nova-compute-kvm', 'nftables')
# Where Debian's Python looks for packages.
PYTHON = '/usr/lib/python3/dist-packages'
# The package of this project is unpacked from here.
INSIDE = '/'
FOLDERS = ('etc/nova', 'var/lib/nova/instances', 'var/log/nova')
CERTIFICATES = 'etc/ssl/certs/ca-certificates.crt'


def check_machine() -> None:
    """Raise LabSkip unless this machine can build the project's package."""
    control = install.REPOSITORY / 'debian/control'
    tool = shutil.which('dpkg-checkbuilddeps')
    if tool is None or shutil.which('git') is None:
        raise errors.LabSkip(
            f'a cloud with Nova {RELEASE} needs these Debian packages: '
            'dpkg-dev git'
        )
    done = subprocess.run([tool, str(control)], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().rpartition('error: ')[2]
        raise errors.LabSkip(
            f'a cloud with Nova {RELEASE} builds this project as a Debian '
            f'package: {said}'
        )


def prune(layer: pathlib.Path) -> None:
    """Remove the emulators that nova-compute-kvm brings.

    libvirt would start each of them to see what it can do, and the plain disk
    has the one for Arm.
    """
    for path in layer.glob('usr/bin/qemu-system-*'):
        path.unlink()


def configure(root: pathlib.Path) -> None:
    """Do in *root* what the packages' maintainer scripts would have done."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    # python3-requests reads this file when it is imported.
    bundle = root / CERTIFICATES
    bundle.parent.mkdir(parents=True, exist_ok=True)
    authorities = sorted((root / 'usr/share/ca-certificates').rglob('*.crt'))
    bundle.write_text(''.join(one.read_text() for one in authorities))
    install.compile_for_host(root / PYTHON.lstrip('/'), PYTHON)


def unpack(source: pathlib.Path, target: pathlib.Path) -> None:
    """Build the package of this project and unpack it into *target*.

    :param source: a copy of the work tree; it becomes a git repository,
        because the package is built from one
    :raises LabError: if it cannot be built
    """
    log = install.folder() / 'install.log'
    what = "building this project's Debian package"
    git = ['git', '-c', 'user.name=lab', '-c', 'user.email=lab@localhost']
    for words in (
        ['init', '-q'],
        ['add', '-A'],
        ['commit', '-q', '--no-verify', '-m', 'As in the work tree'],
    ):
        install.run_logged([*git, *words], log, what, cwd=source)
    built = source.parent / 'deb'
    install.run_logged([source / 'tools/build_deb.sh', built], log, what)
    (package,) = built.glob('*.deb')
    shutil.rmtree(target, ignore_errors=True)
    install.run_logged(
        ['dpkg-deb', '-x', package, target], log, f'unpacking {package.name}'
    )
    install.compile_for_host(target / PYTHON.lstrip('/'), PYTHON)
