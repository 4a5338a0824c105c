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

"""Build and cache the images of the hosts: ``lab build``."""

import collections.abc
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from tests.lab import errors
from tests.lab import generations
from tests.lab import places
from tests.lab import rootfs

DEFAULT_MIRROR = 'http://deb.debian.org/debian'
DISK_SIZE = '3G'
NEEDED_BYTES = 4 << 30
# Increase this by hand when this file builds images differently.
RECIPE = 1
HOST_INPUTS = (
    repr((generations.HOST_PACKAGES, generations.HOST_MODULES)),
    'rootfs.py',
    'files/init',
    'files/agent',
    'files/initrd-host',
)
EMULATOR_INPUTS = (
    repr((generations.EMULATOR.suites, generations.EMULATOR_PACKAGES)),
)

# The compiler may use only instructions of every Arm64 CPU. The program
# names others itself, and uses them only if the guest has them.
CC = (
    'aarch64-linux-gnu-gcc',
    '-O2',
    '-static',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-march=armv8-a',
    '-mbranch-protection=none',
    '-mno-outline-atomics',
)


@dataclasses.dataclass(frozen=True)
class Image:
    """The image from which hosts of one generation boot."""

    generation: str
    folder: pathlib.Path

    @property
    def kernel(self) -> pathlib.Path:
        return self.folder / 'kernel'

    @property
    def initrd(self) -> pathlib.Path:
        return self.folder / 'host.initrd'

    @property
    def busybox(self) -> pathlib.Path:
        return self.folder / 'busybox'

    @property
    def disk(self) -> pathlib.Path:
        return self.folder / 'base.raw'

    @property
    def about(self) -> str:
        """Kernel and package versions, as ``name version`` lines."""
        return (self.folder / 'about').read_text()


def mirror_of_this_machine() -> str:
    """Return the Debian mirror of this machine's apt, or the official one."""
    done = subprocess.run(
        [
            'apt-get',
            'indextargets',
            '--format',
            '$(REPO_URI) $(RELEASE)',
            'Created-By: Packages',
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        uri = line.split(' ')[0].rstrip('/')
        if uri.startswith('http') and uri.endswith('/debian'):
            return uri
    return DEFAULT_MIRROR


@functools.cache
def fingerprint(inputs: tuple[str, ...]) -> str:
    """Return a digest that changes with anything that affects an image.

    It is computed once: an edit while hosts run must not change the image of
    other hosts.

    :param inputs: texts; the name of a file beside this one means the file's
        content
    """
    digest = hashlib.sha256(str(RECIPE).encode())
    folder = pathlib.Path(__file__).parent
    for one in inputs:
        is_file = '(' not in one
        digest.update((folder / one).read_bytes() if is_file else one.encode())
    return digest.hexdigest()[:12]


def _extract(
    generation: generations.Generation,
    arch: str,
    packages: collections.abc.Sequence[str],
    target: pathlib.Path,
    mirror: str,
) -> None:
    newer = [f'{name}/{generation.suites[-1]}' for name in generation.newer]
    argv = [
        'mmdebstrap',
        '--variant=extract',
        '--mode=root',
        f'--arch={arch}',
        '--include=' + ','.join([*packages, *newer]),
        '--aptopt=APT::Install-Recommends "false"',
    ]
    if generation.stale:
        argv.append('--aptopt=Acquire::Check-Valid-Until "false"')
    if len(generation.suites) > 1:
        # The suite that is preferred for what `newer` does not name.
        preferred = generation.suites[0 if newer else -1]
        argv.append(f'--aptopt=APT::Default-Release "{preferred}"')
    argv += [generation.codename, str(target)]
    argv += [f'deb {mirror} {suite} main' for suite in generation.suites]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        log = places.cache_dir() / 'failed' / f'{generation.name}.log'
        with contextlib.suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(done.stderr)
        raise errors.LabError(
            f'extracting {generation.name} from {mirror} failed: '
            f'{what_went_wrong(done.stderr)} (see {log})'
        )


def what_went_wrong(text: str) -> str:
    """Return the line of mmdebstrap's output that helps the user.

    With a full disk its last line says only that tar failed.
    """
    lines = text.splitlines() or ['no text']
    full = [line for line in lines if 'No space left' in line]
    wrong = [line for line in lines if line.startswith('E:')]
    return (full or wrong or lines)[0]


def make_disk(root: pathlib.Path, disk: pathlib.Path, size: str) -> None:
    """Write an ext4 file system with the content of *root* to *disk*.

    It has no journal: no host writes to it, each has a layer of its own.

    :param size: as mke2fs takes it, such as ``3G``
    :raises LabError: if it cannot be made
    """
    rootfs.run(
        [
            'mke2fs',
            '-q',
            '-t',
            'ext4',
            '-O',
            '^has_journal',
            '-d',
            str(root),
            str(disk),
            size,
        ],
        'making the disk',
    )


def _versions(root: pathlib.Path, kernel: str) -> str:
    """Return ``name version`` lines, from the packages' own files.

    Extraction writes no package database, but the changelogs exist.
    """
    lines = [f'linux {kernel}']
    for package in ('qemu-system-arm', 'libvirt-daemon', 'python3'):
        for log in ('changelog.Debian.gz', 'changelog.gz'):
            path = root / 'usr/share/doc' / package / log
            if path.exists():
                with gzip.open(path, 'rt', errors='replace') as handle:
                    first = handle.readline()
                version = first.partition('(')[2].partition(')')[0]
                lines.append(f'{package} {version}')
                break
    return '\n'.join(lines) + '\n'


def _compile_python(root: pathlib.Path) -> None:
    """Compile the standard library in advance, if this machine can.

    Python in an emulated host is 12-23 times slower than here. Only an
    interpreter of the same minor version writes files that it can use.
    """
    for folder in (root / 'usr/lib').glob('python3.*'):
        interpreter = shutil.which(folder.name)
        if interpreter and (folder / 'os.py').exists():
            subprocess.run(
                [
                    interpreter,
                    '-m',
                    'compileall',
                    '-q',
                    '-s',
                    str(root),
                    '--invalidation-mode',
                    'unchecked-hash',
                    str(folder),
                ],
                capture_output=True,
                check=False,
            )


def _host_image(
    generation: generations.Generation, work: pathlib.Path, mirror: str
) -> None:
    root = work / 'root'
    places.say(f'{generation.name}: extracting packages')
    packages = [
        generation.kernel if one == generations.KERNEL else one
        for one in generations.HOST_PACKAGES
    ]
    _extract(generation, 'arm64', packages, root, mirror)
    # Debian keeps the kernel in /boot up to trixie, with its modules later.
    kernels = [
        *root.glob('boot/vmlinuz-*'),
        *root.glob('usr/lib/modules/*/vmlinuz'),
    ]
    if not kernels:
        raise errors.LabError(f'{generation.name}: no kernel was extracted')
    shutil.copy(kernels[-1], work / 'kernel')
    places.say(f'{generation.name}: root file system and initrds')
    modules = rootfs.finish(root)
    (work / 'about').write_text(_versions(root, modules.name))
    rootfs.prune(root)
    _compile_python(root)
    files = rootfs.FILES
    busybox = work / 'busybox'
    shutil.copy(root / 'usr/bin/busybox', busybox)
    rootfs.initrd(
        busybox,
        modules,
        (files / 'initrd-host').read_text(),
        work / 'host.initrd',
    )
    shutil.copy(work / 'kernel', root / 'lab/kernel')
    places.say(f'{generation.name}: disk')
    make_disk(root, work / 'base.raw', DISK_SIZE)
    shutil.rmtree(root)


def _emulator_image(
    generation: generations.Generation, work: pathlib.Path, mirror: str
) -> None:
    places.say('emulator: extracting packages')
    root = work / 'root'
    _extract(generation, 'amd64', generations.EMULATOR_PACKAGES, root, mirror)
    for name in ('usr/share/doc', 'usr/share/man', 'usr/share/locale'):
        shutil.rmtree(root / name, ignore_errors=True)


def _built(
    generation: generations.Generation,
    make: collections.abc.Callable[
        [generations.Generation, pathlib.Path, str], None
    ],
    inputs: tuple[str, ...],
    mirror: str,
) -> pathlib.Path:
    """Return the finished image's folder; build it if it is missing."""
    images = places.images_dir()
    images.mkdir(parents=True, exist_ok=True)
    final = images / f'{generation.name}-{fingerprint(inputs)}'
    if final.is_dir():
        return final
    lock = images / f'{generation.name}.lock'
    with places.locked(lock, f'{generation.name}: another build runs'):
        if final.is_dir():
            return final
        free = shutil.disk_usage(images).free
        if free < NEEDED_BYTES:
            raise errors.LabError(
                f'{images} has {free >> 20} MiB free; a build needs '
                f'{NEEDED_BYTES >> 20}'
            )
        for left in images.glob(f'{generation.name}.tmp-*'):
            shutil.rmtree(left)  # only this lock's holder makes them
        work = pathlib.Path(
            tempfile.mkdtemp(prefix=f'{generation.name}.tmp-', dir=images)
        )
        work.chmod(0o755)
        try:
            make(generation, work, mirror)
            os.rename(work, final)
        except OSError as exc:
            raise errors.LabError(f'{generation.name}: {exc}') from exc
        finally:
            shutil.rmtree(work, ignore_errors=True)
        places.say(f'{generation.name}: built in {final}')
    return final


def image(name: str, mirror: str | None = None) -> Image:
    """Return the image of generation *name*; build it if it is missing.

    :raises LabError: for an unknown generation or a failed build
    """
    generation = generations.GENERATIONS.get(name)
    if generation is None:
        known = ', '.join(generations.GENERATIONS)
        raise errors.LabError(f'no generation {name!r}; there are {known}')
    folder = _built(
        generation,
        _host_image,
        HOST_INPUTS,
        mirror or mirror_of_this_machine(),
    )
    return Image(name, folder)


def guest_initrd(
    image: Image,
    script: str = 'initrd-guest',
    modules: pathlib.Path | None = None,
    wanted: tuple[str, ...] = (),
) -> pathlib.Path:
    """The initrd of the guests that hosts of *image* run.

    :param script: its /init, a file of rootfs.FILES
    :param modules: the kernel's modules; only those *wanted* are included
    """
    inputs = ('rootfs.py', f'files/{script}', 'files/witness.c', repr(wanted))
    target = image.folder / f'guest-{fingerprint(inputs)}.initrd'
    if target.exists():
        return target
    with places.locked(image.folder / 'guest.lock', 'another build runs'):
        work = image.folder / 'guest.tmp'
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        witness = work / 'witness'
        rootfs.run(
            [*CC, '-o', str(witness), str(rootfs.FILES / 'witness.c')],
            'compiling the guest program',
        )
        rootfs.initrd(
            image.busybox,
            modules,
            (rootfs.FILES / script).read_text(),
            work / 'guest.initrd',
            {'/bin/witness': witness},
            wanted,
        )
        os.rename(work / 'guest.initrd', target)
        shutil.rmtree(work)
    return target


def emulator(mirror: str | None = None) -> list[str]:
    """Return the command line prefix of the emulator that runs hosts.

    It is started through its own release's dynamic loader: no chroot, so no
    mounts, and the host's files have the same paths inside.
    """
    folder = _built(
        generations.EMULATOR,
        _emulator_image,
        EMULATOR_INPUTS,
        mirror or mirror_of_this_machine(),
    )
    root = folder / 'root'
    libraries = root / 'usr/lib/x86_64-linux-gnu'
    return [
        str(libraries / 'ld-linux-x86-64.so.2'),
        '--library-path',
        str(libraries),
        str(root / 'usr/bin/qemu-system-aarch64'),
        '-L',
        str(root / 'usr/share/qemu'),
    ]


def emulator_version() -> str:
    """Return the version text of the emulator that runs hosts."""
    done = subprocess.run(
        [*emulator(), '--version'], capture_output=True, text=True
    )
    return (done.stdout.splitlines() or ['unknown'])[0]


def build(
    names: collections.abc.Iterable[str], mirror: str | None = None
) -> list[Image]:
    """Build the emulator and the images of *names*."""
    emulator(mirror)
    return [image(name, mirror) for name in names]


def _used() -> str:
    """Return the command lines of all processes, in one text."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            found.append(path.read_bytes().decode(errors='replace'))
        except OSError:
            continue  # it has ended
    return '\n'.join(found)


def prune() -> list[str]:
    """Remove images that this version of the lab would not use.

    An image that a running host uses stays.

    :return: the names of those removed
    """
    images = places.images_dir()
    current = {
        f'{name}-{fingerprint(HOST_INPUTS)}'
        for name in generations.GENERATIONS
    } | {f'{generations.EMULATOR.name}-{fingerprint(EMULATOR_INPUTS)}'}
    used = _used()
    removed = []
    for path in sorted(images.glob('*-????????????')):
        if path.name in current or str(path) in used:
            continue
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path)
        removed.append(path.name)
    return removed
