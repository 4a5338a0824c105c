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

"""Where the lab keeps its files, its locks and its progress lines."""

import collections.abc
import contextlib
import fcntl
import os
import pathlib
import shutil
import sys
import time

from tests.lab import errors

# program -> the Debian package that contains it
TOOLS: dict[str, str] = {
    'mmdebstrap': 'mmdebstrap',
    'depmod': 'kmod',
    'cpio': 'cpio',
    'mke2fs': 'e2fsprogs',
    'qemu-img': 'qemu-utils',
    'ip': 'iproute2',
    'unshare': 'util-linux',
    'nsenter': 'util-linux',
    'virsh': 'libvirt-clients',
    'socat': 'socat',
    'zstd': 'zstd',
    'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
}

_STARTED = time.monotonic()


def cache_dir() -> pathlib.Path:
    """The lab's only place on disk.

    ``$NOVA_ARM_LAB_DIR`` if set, else ``nova-arm-migrate-lab`` under
    ``$XDG_CACHE_HOME`` (or ``~/.cache``).
    """
    own = os.environ.get('NOVA_ARM_LAB_DIR')
    if own:
        return pathlib.Path(own).absolute()
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return pathlib.Path(base).absolute() / 'nova-arm-migrate-lab'


def images_dir() -> pathlib.Path:
    return cache_dir() / 'images'


def run_dir() -> pathlib.Path:
    return cache_dir() / 'run'


def say(text: str) -> None:
    """Print one progress line, with the seconds since the start."""
    seconds = time.monotonic() - _STARTED
    print(f'[{seconds:6.1f}] {text}', file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(path: pathlib.Path, waiting: str) -> collections.abc.Iterator[None]:
    """Hold an exclusive lock on *path*; say *waiting* if another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'a') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def check_machine(purpose: str) -> None:
    """Raise LabSkip unless this machine can run the lab.

    :param purpose: what the lab would do, for the error's text
    """
    if sys.platform != 'linux':
        raise errors.LabSkip(f'the lab needs Linux; it would {purpose}')
    if os.geteuid() != 0:
        raise errors.LabSkip(
            'the lab needs root (network namespace, tap devices, file '
            f'ownership in root file systems); it would {purpose}'
        )
    missing = {
        package
        for tool, package in TOOLS.items()
        if shutil.which(tool) is None
    }
    if missing:
        raise errors.LabSkip(
            'the lab needs these Debian packages: ' + ' '.join(sorted(missing))
        )
    if not os.path.exists('/dev/net/tun'):
        raise errors.LabSkip('the lab needs /dev/net/tun for tap devices')
