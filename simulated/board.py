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

"""The machine that QEMU builds around the vCPUs on a given host.

This is written from QEMU's sources, independently of `core.checks` and
`core.memmap`, which have the same knowledge: ``virt_set_memmap`` and
``virt_set_high_memmap`` in ``hw/arm/virt.c``,
``kvm_arm_steal_time_finalize`` and ``arm_cpu_sve_finalize`` in
``target/arm``, ``parse_ramblock`` in ``migration/ram.c``, and
``vmstate_zreg_hi_reg`` in ``target/arm/machine.c``.
"""

from __future__ import annotations

import dataclasses
import re

from lxml import etree

from nova_arm_migrate.core import profile

#: The high windows, ordered by address; each is aligned to its size.
_WINDOWS = (
    ('redistributors', 26),
    ('PCI configuration space', 28),
    ('PCI memory', 39),
)
_VECTORS = re.compile(r'sve(\d+)')
#: ARM_MAX_VQ is 16, and 2 of the 32 doublewords of a register are left out.
_CARRIED_BITS = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Board:
    """One guest's machine; None means that the record does not say.

    :ivar fits: whether the memory fits in the host's address space; otherwise
        QEMU does not start
    :ivar windows: the high device windows
    :ivar steal_time: whether there is a RAM block for steal time, ``pvtime``
    :ivar vectors: SVE vector lengths, bits
    """

    fits: bool = True
    windows: frozenset[str] | None = None
    steal_time: bool | None = None
    vectors: frozenset[int] | None = None


def build(
    domain_xml: str, disabled: frozenset[str], host: profile.Host
) -> Board:
    """Return what QEMU builds for a domain on a host.

    :param disabled: vCPU features that the domain switches off
    """
    fits, windows = True, None
    memory = _memory(domain_xml)
    if memory is not None and host.ipa_bits is not None:
        fits, windows = _map(memory, 1 << host.ipa_bits)
    return Board(
        fits,
        windows,
        None
        if host.reg_list is None
        else dict(host.capabilities).get('STEAL_TIME', 0) > 0,
        None
        if host.sve_lengths is None
        else _vectors(host.sve_lengths, disabled),
    )


def refuses(guest: Board, own: Board) -> list[str]:
    """Return why QEMU refuses a guest's machine.

    :param own: what QEMU has built for the guest's domain here
    """
    reasons = []
    if not own.fits:
        reasons.append('memory: beyond the address space')
    if guest.steal_time and own.steal_time is False:
        reasons.append('pvtime: unknown RAM block')
    return reasons


def breaks(guest: Board, own: Board) -> list[str]:
    """Return what a guest loses without a check by QEMU or KVM."""
    losses = []
    if guest.windows is not None and own.windows is not None:
        losses += [
            f'{name}: missing here'
            for name in sorted(guest.windows - own.windows)
        ]
    if guest.vectors and own.vectors is not None:
        longest = max(guest.vectors)
        if guest.vectors != {bits for bits in own.vectors if bits <= longest}:
            # ZCR_EL1.LEN is a number, which selects another length here.
            losses.append('SVE vector lengths: others here')
        if longest > _CARRIED_BITS:
            losses.append('SVE registers: cut off on their way')
    return losses


def arrived(guest: Board, own: Board) -> Board:
    """Return the machine of a guest that has migrated here.

    The guest uses what it found at its boot; the RAM blocks belong to the
    QEMU here.
    """
    return dataclasses.replace(
        own, windows=guest.windows, vectors=guest.vectors
    )


def _memory(domain_xml: str) -> int | None:
    tree = etree.fromstring(domain_xml)
    for name in ('maxMemory', 'memory'):
        text = tree.findtext(name)
        if text:
            # Nova writes KiB, libvirt's default, and no unit.
            return int(text) << 10
    return None


def _map(memory: int, limit: int) -> tuple[bool, frozenset[str]]:
    """Place memory and windows below a limit.

    :param memory: bytes, from 1 GiB on
    """
    gib = 1 << 30
    top = gib + memory + -memory % gib
    if top > limit:
        return False, frozenset()
    place = max(top, 256 * gib)
    fitting = set()
    for name, bits in _WINDOWS:
        size = 1 << bits
        end = place + -place % size + size
        if end <= limit:
            fitting.add(name)
            place = end
    return True, frozenset(fitting)


def _vectors(
    lengths: tuple[int, ...], disabled: frozenset[str]
) -> frozenset[int]:
    """Return the lengths; one that is off switches off all longer ones.

    This applies only to lengths that the host has: QEMU checks no others.
    """
    if 'sve' in disabled:
        return frozenset()
    off = {
        int(match[1])
        for name in disabled
        if (match := _VECTORS.fullmatch(name))
    } & {*lengths}
    return frozenset(bits for bits in lengths if not off or bits < min(off))
