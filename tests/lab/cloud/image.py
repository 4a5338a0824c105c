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

"""The disk that the cloud's hosts boot from: the lab's, and Nova on it."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from tests.lab import build
from tests.lab import errors
from tests.lab import places
from tests.lab import rootfs
from tests.lab.cloud import debian
from tests.lab.cloud import install

GENERATION = 'trixie'
# The others have the QEMU, or the QEMU and the kernel, of Debian's backports.
# Python is the same, for which Nova is compiled.
GENERATIONS = (GENERATION, 'trixie-qemu', 'next')
DISK_SIZE = '5G'
INSIDE = '/opt/nova'
PROJECT_INSIDE = '/opt/project'

# libvirt for Python has no wheel; Nova's guests on Arm boot through UEFI
# (it always adds ACPI); some wheels need the C++ library; libvirt's ssh
# transport needs both sides of ssh.
PACKAGES = (
    'python3-libvirt',
    'libstdc++6',
    'qemu-efi-aarch64',
    'iputils-ping',
    'openvswitch-switch',
    'ovn-host',
    'nfs-common',
    'openssh-client',
    'openssh-server',
)

# What a guest loads: its network card, and its power button.
GUEST_MODULES = ('virtio_pci', 'virtio_net', 'evdev')

_SCRIPT = """\
#!/usr/bin/python3
import sys
from {module} import {function}
sys.exit({function}())
"""

_SCRIPTS = {
    'nova-compute': ('nova.cmd.compute', 'main'),
    'privsep-helper': ('oslo_privsep.daemon', 'helper_main'),
}

# Start-up files are read in "site" folders only, and both folders bring some.
_SITE = (
    f"import site; site.addsitedir('{INSIDE}'); "
    f"site.addsitedir('{PROJECT_INSIDE}')\n"
)


def host_image(
    mirror: str | None = None,
    generation: str = GENERATION,
    release: int = install.RELEASE,
) -> build.Image:
    """The image of the cloud's hosts, built now if need be.

    :param generation: one of GENERATIONS
    :param release: of Nova
    :raises LabError: if a part of it can't be fetched or made
    """
    made_by = ['cloud/image.py', 'cloud/install.py']
    if release == debian.RELEASE:
        nova = None
        name = f'debian{release}'
        made_by.append('cloud/debian.py')
    else:
        nova = install.for_hosts(INSIDE, release)
        name = nova.name
    base = build.image(generation, mirror)
    stamp = build.fingerprint(tuple(made_by))
    images = install.folder() / 'images'
    final = images / f'{base.folder.name}-{name}-{stamp}'
    with places.locked(install.folder() / 'image.lock', 'another build runs'):
        if final.is_dir():
            return build.Image(generation, final)
        images.mkdir(exist_ok=True)
        work = pathlib.Path(tempfile.mkdtemp(prefix='tmp-', dir=images))
        work.chmod(0o755)
        try:
            _make(base, nova, work, mirror or build.mirror_of_this_machine())
            os.rename(work, final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        places.say(f'cloud: host image built in {final}')
    return build.Image(generation, final)


def project_inside(release: int) -> str:
    """Return where this project is unpacked in a host with this Nova."""
    return debian.INSIDE if release == debian.RELEASE else PROJECT_INSIDE


def _make(
    base: build.Image,
    nova: pathlib.Path | None,
    work: pathlib.Path,
    mirror: str,
) -> None:
    """Write the image's files into *work*.

    :param nova: Nova from wheels; None means Debian's packages
    """
    packages = PACKAGES if nova else (*PACKAGES, *debian.PACKAGES)
    root, layer = work / 'root', work / 'layer'
    root.mkdir()
    places.say("cloud: unpacking the hosts' plain disk")
    rootfs.run(
        ['debugfs', '-R', f'rdump / {root}', str(base.disk)],
        "reading the hosts' plain disk",
    )
    if not (root / 'lab/init').exists():
        raise errors.LabError(f'{base.disk}: nothing could be read from it')
    places.say('cloud: extracting what Nova needs in a host')
    rootfs.run(
        [
            'nice',
            '-n',
            '10',
            'mmdebstrap',
            '--quiet',
            '--variant=extract',
            '--mode=root',
            '--arch=arm64',
            '--include=' + ','.join(packages),
            '--aptopt=APT::Install-Recommends "false"',
            GENERATION,
            str(layer),
            f'deb {mirror} {GENERATION} main',
        ],
        'extracting what Nova needs in a host',
    )
    rootfs.merge_usr(layer)
    rootfs.prune(layer)
    if not nova:
        debian.prune(layer)
    # What is in the plain disk stays: it belongs together.
    for name in ('usr', 'etc'):
        subprocess.run(
            [
                'cp',
                '-a',
                '--no-clobber',
                f'{layer / name}/.',
                str(root / name),
            ],
            check=True,
        )
    shutil.rmtree(layer)
    if nova:
        shutil.copytree(
            nova, root / INSIDE.lstrip('/'), symlinks=True, dirs_exist_ok=True
        )
        configure(root)
    else:
        places.say('cloud: compiling it')
        debian.configure(root)
    # The plain disk's is compiled only if the interpreter is in PATH.
    library = f'usr/lib/python{install.HOST_PYTHON}'
    install.compile_for_host(root / library, f'/{library}')
    places.say('cloud: disk')
    for name in ('kernel', 'host.initrd', 'busybox', 'about'):
        shutil.copy(base.folder / name, work / name)
    (modules,) = (root / 'usr/lib/modules').iterdir()
    shutil.copytree(modules, work / 'modules')
    build.make_disk(root, work / 'base.raw', DISK_SIZE)
    shutil.rmtree(root)


def guest_initrd(image: build.Image) -> pathlib.Path:
    """The initrd of the cloud's guests."""
    return build.guest_initrd(
        image, 'initrd-cloud-guest', image.folder / 'modules', GUEST_MODULES
    )


def configure(root: pathlib.Path) -> None:
    """Put what starts Nova into *root*."""
    site = root / 'usr/lib/python3/dist-packages/lab-cloud.pth'
    site.parent.mkdir(parents=True, exist_ok=True)
    site.write_text(_SITE)
    (root / PROJECT_INSIDE.lstrip('/')).mkdir(parents=True, exist_ok=True)
    scripts = root / 'usr/local/bin'
    scripts.mkdir(parents=True, exist_ok=True)
    for name, (module, function) in _SCRIPTS.items():
        path = scripts / name
        path.write_text(_SCRIPT.format(module=module, function=function))
        path.chmod(0o755)
    for name in ('etc/nova', 'var/lib/nova/instances', 'var/log/nova'):
        (root / name).mkdir(parents=True, exist_ok=True)
