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

"""Turn extracted Debian packages into a root file system that boots.

No maintainer script runs: what they would have done and a host needs is done
here, so nothing of the target's architecture is ever executed.
"""

import collections.abc
import lzma
import os
import pathlib
import shutil
import subprocess

from tests.lab import errors
from tests.lab import generations

FILES = pathlib.Path(__file__).parent / 'files'

PRUNED = (
    'boot',
    'usr/share/doc',
    'usr/share/man',
    'usr/share/locale',
    'usr/share/info',
    'usr/share/iso-codes',
    'usr/share/perl',
    'usr/share/perl5',
    'usr/bin/qemu-system-arm',
    'var/cache/apt',
    'var/lib/apt',
)

# Applets of busybox, for commands whose packages aren't installed.
APPLETS = (
    'clear',
    'cpio',
    'diff',
    'find',
    'gunzip',
    'gzip',
    'killall',
    'less',
    'nc',
    'netstat',
    'ping',
    'poweroff',
    'reset',
    'tar',
    'traceroute',
    'udhcpc',
    'vi',
    'watch',
    'wget',
    'which',
    'xargs',
    'zcat',
)

USERS = (
    'libvirt-qemu:x:64055:64055:Libvirt Qemu:/var/lib/libvirt:/bin/false',
)
GROUPS = ('kvm:x:994:', 'libvirt:x:993:', 'libvirt-qemu:x:64055:')

LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_rw = "none"
listen_addr = "0.0.0.0"
unix_sock_group = "root"
"""

QEMU_CONF = """\
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
hugetlbfs_mount = "/dev/hugepages"
keepalive_interval = 60
"""


def run(argv: collections.abc.Sequence[str], what: str) -> None:
    """Run *argv*; raise LabError naming *what* and its last line."""
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise errors.LabError(f'{what} failed: {(lines or ["no text"])[-1]}')


def merge_usr(root: pathlib.Path) -> None:
    """Make /bin, /sbin and /lib links into /usr, as usrmerge does."""
    for name in ('bin', 'sbin', 'lib', 'lib64'):
        old, new = root / name, root / 'usr' / name
        if old.is_symlink() or (name == 'lib64' and not old.exists()):
            continue
        new.mkdir(parents=True, exist_ok=True)
        if old.exists():
            run(
                ['cp', '-a', '--remove-destination', f'{old}/.', str(new)],
                f'merging /{name} into /usr',
            )
            shutil.rmtree(old)
        old.symlink_to(f'usr/{name}')


def _accounts(root: pathlib.Path) -> None:
    for name, extra in (('passwd', USERS), ('group', GROUPS)):
        master = root / f'usr/share/base-passwd/{name}.master'
        taken = {line.split(':')[0] for line in extra}
        lines = [
            line.replace(':*:', ':x:', 1)
            for line in master.read_text().splitlines()
            if line.split(':')[0] not in taken
        ]
        text = '\n'.join([*lines, *extra]) + '\n'
        (root / 'etc' / name).write_text(text)


def _links(root: pathlib.Path) -> None:
    for link, target in (
        ('usr/bin/awk', 'mawk'),
        ('usr/bin/sh', 'dash'),
        ('var/run', '/run'),
        ('etc/mtab', '/proc/self/mounts'),
    ):
        path = root / link
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        if not path.is_symlink():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
    busybox = next(
        path
        for path in (root / 'usr/bin/busybox', root / 'bin/busybox')
        if path.exists()
    )
    for applet in APPLETS:
        path = root / 'usr/bin' / applet
        if not path.exists() and not path.is_symlink():
            path.symlink_to(busybox.name)


def _configure(root: pathlib.Path) -> None:
    conf = root / 'etc/libvirt'
    conf.mkdir(parents=True, exist_ok=True)
    (conf / 'libvirtd.conf').write_text(LIBVIRTD_CONF)
    (conf / 'qemu.conf').write_text(QEMU_CONF)
    shutil.rmtree(conf / 'qemu/networks', ignore_errors=True)
    lab = root / 'lab'
    lab.mkdir(exist_ok=True)
    for name in ('init', 'agent'):
        shutil.copy(FILES / name, lab / name)
        (lab / name).chmod(0o755)
    (root / 'etc/resolv.conf').write_text('')
    (root / 'etc/machine-id').write_text('')


def dependencies(
    wanted: collections.abc.Iterable[str], modules_dep: str
) -> list[str]:
    """Paths of the modules *wanted* and of what they need, in load order.

    :param wanted: module names, with ``_`` for ``-``; one that isn't there
        is taken to be built in
    :param modules_dep: the text of depmod's ``modules.dep``
    """
    needs = {}
    path_of = {}
    for line in modules_dep.splitlines():
        path, _, rest = line.partition(':')
        needs[path] = rest.split()
        name = path.rsplit('/', 1)[-1].split('.ko')[0].replace('-', '_')
        path_of[name] = path
    ordered: list[str] = []
    for path in (path_of[name] for name in wanted if name in path_of):
        # depmod lists what must be loaded first last.
        for needed in [*reversed(needs[path]), path]:
            if needed not in ordered:
                ordered.append(needed)
    return ordered


def keep_modules(
    root: pathlib.Path, wanted: collections.abc.Iterable[str]
) -> pathlib.Path:
    """Reduce root's modules to *wanted*, uncompressed; return their folder.

    busybox can't load compressed modules, and a host needs few.
    """
    parent = root / 'usr/lib/modules'
    versions = [p for p in parent.iterdir() if (p / 'kernel').is_dir()]
    if len(versions) != 1:
        raise errors.LabError(f'{len(versions)} kernels instead of one')
    folder = versions[0]
    run(
        ['depmod', '-b', str(root), folder.name],
        'depmod over the kernel modules',
    )
    dep = (folder / 'modules.dep').read_text()
    kept = set(dependencies(wanted, dep))
    for path in sorted((folder / 'kernel').rglob('*.ko*')):
        if str(path.relative_to(folder)) not in kept:
            path.unlink()
        elif path.suffix == '.xz':
            path.with_suffix('').write_bytes(
                lzma.decompress(path.read_bytes())
            )
            path.unlink()
        elif path.suffix == '.zst':
            run(['zstd', '-q', '-d', '--rm', str(path)], 'zstd on a module')
    run(['depmod', '-b', str(root), folder.name], 'depmod over what is kept')
    return folder


def finish(root: pathlib.Path) -> pathlib.Path:
    """Make extracted *root* bootable; return the kernel's module folder."""
    merge_usr(root)
    _accounts(root)
    _links(root)
    _configure(root)
    for name in ('dev', 'proc', 'sys', 'run', 'tmp', 'root', 'dev/hugepages'):
        (root / name).mkdir(parents=True, exist_ok=True)
    return keep_modules(root, generations.HOST_MODULES)


def prune(root: pathlib.Path) -> None:
    """Remove what no host reads."""
    for name in PRUNED:
        _remove(root / name)
    for pattern in ('usr/lib/linux-image-*', 'usr/lib/modules/*/vmlinuz'):
        for path in root.glob(pattern):
            _remove(path)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def initrd(
    busybox: pathlib.Path,
    modules: pathlib.Path | None,
    init: str,
    target: pathlib.Path,
    extra: collections.abc.Mapping[str, pathlib.Path] | None = None,
    wanted: collections.abc.Iterable[str] = generations.INITRD_MODULES,
) -> None:
    """Write a compressed initrd of busybox, *modules*' drivers and *init*.

    :param init: the text of its /init; ``@MODULES@`` becomes the modules'
        paths in load order
    :param extra: more files, by their absolute path in the initrd
    :param wanted: names of the modules to put in, as far as there
    """
    tree = target.with_suffix('.tree')
    shutil.rmtree(tree, ignore_errors=True)
    for name in ('bin', 'dev', 'proc', 'sys', 'mnt', 'tmp', 'lib'):
        (tree / name).mkdir(parents=True)
    shutil.copy(busybox, tree / 'bin/busybox')
    (tree / 'bin/sh').symlink_to('busybox')
    order: list[str] = []
    if modules is not None:
        dep = (modules / 'modules.dep').read_text()
        for path in dependencies(wanted, dep):
            shutil.copy(modules / path, tree / 'lib')
            order.append('/lib/' + os.path.basename(path))
    for inside, source in (extra or {}).items():
        shutil.copy(source, tree / inside.lstrip('/'))
        (tree / inside.lstrip('/')).chmod(0o755)
    (tree / 'init').write_text(init.replace('@MODULES@', ' '.join(order)))
    (tree / 'init').chmod(0o755)
    run(
        [
            'sh',
            '-c',
            'cd "$1" && find . | cpio -o -H newc --quiet | gzip -1 > "$2"',
            'sh',
            str(tree),
            str(target),
        ],
        f'packing {target.name}',
    )
    shutil.rmtree(tree)
