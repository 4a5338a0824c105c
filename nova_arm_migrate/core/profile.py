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

"""What a host offers, and what a guest has: the two values compared."""

from collections.abc import Mapping
import dataclasses
import re

from nova_arm_migrate.core.frozen import ByCode
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic

_VERSION = re.compile(r'(\d{1,4})\.(\d{1,4})')


class Values(ByCode[int]):
    """The values of registers by code."""

    __slots__ = ()

    def __init__(self, items: Mapping[int, int] | None = None) -> None:
        super().__init__(items or {})

    def read(self, code: int) -> int:
        """Return a register's value, 0 where none is kept."""
        return self._items.get(code, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Core:
    """The cores of a host that share one implementation.

    :ivar midr: MIDR_EL1
    :ivar revidr: REVIDR_EL1, None where the kernel does not show it
    :ivar aidr: AIDR_EL1, likewise
    :ivar cpus: which CPUs, as the kernel writes lists: ``0-3,8``
    """

    midr: int
    revidr: int | None
    aidr: int | None
    cpus: str


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """What KVM on one host gives a guest there.

    Registers are those of a scratch vCPU set up as QEMU's ``-cpu host``
    does: with PMU, SVE and pointer authentication where the host has them,
    and with the newest GIC that KVM emulates (without one in records of
    schema 1).
    What could not be read is None (or missing from a mapping), and
    ``absent`` says why under the attribute's name.

    :ivar cores: by implementation
    :ivar values: identity, cache and firmware registers; those that are 0
        are left out, ``listed`` tells them from registers that don't exist
    :ivar writable: the masks of KVM_ARM_GET_REG_WRITABLE_MASKS; a register
        without one accepts only the value it has
    :ivar listed: codes of every register KVM lists, CPU state left out
    :ivar features: the vCPU features that the scratch vCPU has: ``pauth``,
        ``pmu``, ``sve``
    :ivar sve_lengths: bits, ascending; empty without SVE
    :ivar capabilities: KVM capabilities by the name of their constant,
        ``KVM_CAP_ARM_`` left out
    :ivar gic: versions of the GIC that KVM emulates
    :ivar vgics: each of those, ascending; None in records of schema 1
    :ivar tried: what KVM answered otherwise than the tables say; None if it
        was not tried (schema 1)
    :ivar hypercalls: all bits that a hypercall bitmap may be written with,
        by its code, where that is more than its value; None as with tried
    :ivar own_caches: whether a guest may bring another description of its
        caches (CLIDR_EL1, CCSIDR_EL1) than the host's; None as with tried
    :ivar ipa_bits: largest guest physical address, in bits
    :ivar page_size: bytes
    :ivar huge_page_sizes: bytes, ascending
    :ivar cntfrq: CNTFRQ_EL0, Hz
    :ivar dczid: DCZID_EL0
    :ivar hwcap: AT_HWCAP, AT_HWCAP2 and so on
    :ivar kernel: release, ``6.12.41``; qemu and libvirt likewise
    :ivar absent: attribute to the reason why it could not be read
    """

    cores: tuple[Core, ...] = ()
    values: Values = Values()
    writable: Values | None = None
    listed: frozenset[int] | None = None
    features: frozenset[str] = frozenset()
    sve_lengths: tuple[int, ...] | None = None
    capabilities: tuple[tuple[str, int], ...] = ()
    gic: tuple[int, ...] | None = None
    vgics: tuple[Vgic, ...] | None = None
    tried: Tried | None = None
    hypercalls: Values | None = None
    own_caches: bool | None = None
    ipa_bits: int | None = None
    page_size: int | None = None
    huge_page_sizes: tuple[int, ...] | None = None
    cntfrq: int | None = None
    dczid: int | None = None
    hwcap: tuple[int, ...] | None = None
    kernel: str | None = None
    qemu: str | None = None
    libvirt: str | None = None
    absent: tuple[tuple[str, str], ...] = ()

    def capability(self, name: str) -> int:
        """Return a KVM capability's value, 0 if the host lacks it."""
        return dict(self.capabilities).get(name, 0)

    def vgic(self, version: int | None) -> Vgic | None:
        """Return the GIC of a version, None if there is none on record."""
        for vgic in self.vgics or ():
            if vgic.version == version:
                return vgic
        return None

    def why_absent(self, attribute: str) -> str:
        """Return why an attribute could not be read."""
        return dict(self.absent).get(attribute, "not in the host's record")


@dataclasses.dataclass(frozen=True, slots=True)
class Guest:
    """What a guest got when its QEMU started, and keeps while it runs.

    :ivar values: as `Host.values`, under the guest's own vCPU features
    :ivar listed: as `Host.listed`
    :ivar disabled: the features its domain switches off, by the name of
        QEMU's property: ``pauth``, ``pmu``, ``sve``, ``sve256`` ... They
        stay off on every host, while a feature that the first host merely
        lacked is switched on by the next host's QEMU
    :ivar sve_lengths: bits, ascending; empty without SVE
    :ivar sve_passed: lengths of hosts on its way that had longer vectors than
        it started with: it uses those if it booted again there by itself.
        Bits, ascending; None if there were none
    :ivar gic: version of its GIC
    :ivar vgic: that GIC as the host had it that it started on; None if not
        recorded
    :ivar cores: of the host it started on if those are of several kinds:
        its values are of one of them, and nobody knows of which. Empty if
        they are of one kind
    :ivar memory: bytes, hot-pluggable memory included
    :ivar ipa_bits: `Host.ipa_bits` of the host it started on
    :ivar ipa_passed: the largest of hosts on its way that had more: it uses
        their address space if it booted again there by itself. None if there
        were none
    :ivar steal_time: whether its QEMU keeps a RAM block for steal time
        (``pvtime``); None if that is not known
    :ivar cntfrq: CNTFRQ_EL0 of the host it started on, Hz
    :ivar dczid: DCZID_EL0, likewise
    :ivar page_size: bytes; the largest of the hosts that it ran on
    :ivar kernel: of the host it started on; qemu likewise
    :ivar inferred: not recorded at its start but taken from the host it
        runs on now, which is right unless it came there by live migration
    """

    values: Values = Values()
    listed: frozenset[int] | None = None
    disabled: frozenset[str] = frozenset()
    sve_lengths: tuple[int, ...] | None = None
    sve_passed: tuple[int, ...] | None = None
    gic: int | None = None
    vgic: Vgic | None = None
    cores: tuple[Core, ...] = ()
    memory: int | None = None
    ipa_bits: int | None = None
    ipa_passed: int | None = None
    steal_time: bool | None = None
    cntfrq: int | None = None
    dczid: int | None = None
    page_size: int | None = None
    kernel: str | None = None
    qemu: str | None = None
    inferred: bool = False


#: What a domain may switch off, as Guest.disabled names it.
DISABLED_NAMES = frozenset(FEATURES) | frozenset(SVE_LENGTH_PROPERTIES)


def version_of(text: str | None) -> tuple[int, int] | None:
    """Return (major, minor) of a version text, None if it has none."""
    match = _VERSION.match(text or '')
    return (int(match[1]), int(match[2])) if match else None
