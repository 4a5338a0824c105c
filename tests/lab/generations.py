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

"""The host generations: which Debian release gives which kernel and QEMU."""

import dataclasses

KERNEL = 'linux-image-arm64'


@dataclasses.dataclass(frozen=True)
class Generation:
    """One kind of Arm64 host.

    ``suites`` are the Debian suites of its packages; with more than one, the
    last is preferred: for all packages, or for those in ``newer`` alone.
    ``stale`` means that the suite's Release file may be past its Valid-Until
    date (an unfinished release whose mirror isn't refreshed). ``kernel`` is
    the package of its kernel.
    """

    name: str
    suites: tuple[str, ...]
    about: str
    stale: bool = False
    kernel: str = KERNEL
    newer: tuple[str, ...] = ()

    @property
    def codename(self) -> str:
        return self.suites[0]


GENERATIONS: dict[str, Generation] = {
    g.name: g
    for g in (
        Generation('bookworm', ('bookworm',), 'Linux 6.1, QEMU 7.2'),
        Generation(
            'bookworm-backports',
            ('bookworm', 'bookworm-backports'),
            'Linux 6.12, QEMU 10.0',
        ),
        Generation('trixie', ('trixie',), 'Linux 6.12, QEMU 10.0'),
        Generation(
            'trixie-16k',
            ('trixie',),
            'Linux 6.12 with pages of 16 KiB, QEMU 10.0',
            kernel='linux-image-arm64-16k',
        ),
        Generation('forky', ('forky',), 'Linux 7, QEMU 11', stale=True),
        # A host whose QEMU is already that of `next`, and its kernel not.
        Generation(
            'trixie-qemu',
            ('trixie', 'trixie-backports'),
            'Linux 6.12, QEMU 11.1',
            newer=(
                'qemu-system-arm',
                'qemu-system-common',
                'qemu-system-data',
                'qemu-utils',
            ),
        ),
        # The newest kernel and QEMU that Debian builds for a release.
        Generation(
            'next',
            ('trixie', 'trixie-backports'),
            'Linux 7.3, QEMU 11.1',
        ),
    )
}

DEFAULT = 'trixie'

# The emulator that runs the hosts. All hosts use the same one, so that a CPU
# model has the same registers with any kernel. Debian 12's own QEMU 7.2 has
# neither neoverse-v1 nor neoverse-n2.
EMULATOR = Generation('emulator', ('trixie',), 'QEMU 10.0 for this machine')

HOST_PACKAGES: tuple[str, ...] = (
    'base-files',
    'base-passwd',
    'bash',
    'busybox-static',
    'coreutils',
    'dash',
    'grep',
    'hostname',
    'iproute2',
    'ipxe-qemu',
    'kmod',
    'libvirt-clients',
    'libvirt-daemon',
    'libvirt-daemon-driver-qemu',
    'linux-image-arm64',
    'mawk',
    'mount',
    'netbase',
    'numactl',
    'procps',
    'python3',
    'qemu-system-arm',
    'qemu-utils',
    'sed',
    'socat',
    'util-linux',
)

EMULATOR_PACKAGES: tuple[str, ...] = ('base-files', 'qemu-system-arm')

# Loaded by the initrd, to reach the root disk.
INITRD_MODULES: tuple[str, ...] = (
    'virtio_pci',
    'virtio_mmio',
    'virtio_blk',
    'crc32c_generic',
    'ext4',
)

# Kept in a host's root file system, with their dependencies.
HOST_MODULES: tuple[str, ...] = (
    *INITRD_MODULES,
    'virtio_net',
    'virtio_rng',
    'virtio_console',
    'tun',
    'tap',
    'macvtap',
    'bridge',
    'veth',
    'dummy',
    'overlay',
    'loop',
    'nfs',
    'nfsv4',
    'vhost_net',
    'vfio',
    'openvswitch',
    'fuse',
    'evdev',
)
