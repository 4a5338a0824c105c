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

"""What a host offers, and what a guest has: the two sides compared."""

import dataclasses
import operator
import re

from nova_arm_migrate.core.attributes import attribute
from nova_arm_migrate.core.attributes import Meet
from nova_arm_migrate.core.attributes import Part
from nova_arm_migrate.core.forms import U32
from nova_arm_migrate.core.forms import U64
from nova_arm_migrate.core.record_baselines import BaselineId
from nova_arm_migrate.core.record_baselines import BaselineIds
from nova_arm_migrate.core.record_baselines import BaselineName
from nova_arm_migrate.core.record_baselines import Digest
from nova_arm_migrate.core.record_baselines import Digests
from nova_arm_migrate.core.record_forms import Capabilities
from nova_arm_migrate.core.record_forms import Codes
from nova_arm_migrate.core.record_forms import Cores
from nova_arm_migrate.core.record_forms import Flag
from nova_arm_migrate.core.record_forms import Hexadecimals
from nova_arm_migrate.core.record_forms import HugePageSizes
from nova_arm_migrate.core.record_forms import Names
from nova_arm_migrate.core.record_forms import Number
from nova_arm_migrate.core.record_forms import Numbers
from nova_arm_migrate.core.record_forms import PageSize
from nova_arm_migrate.core.record_forms import Reasons
from nova_arm_migrate.core.record_forms import Registers
from nova_arm_migrate.core.record_forms import Text
from nova_arm_migrate.core.record_forms import VectorLengths
from nova_arm_migrate.core.record_tried import Answers
from nova_arm_migrate.core.record_tried import Gics
from nova_arm_migrate.core.record_tried import OneGic
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.values import Core
from nova_arm_migrate.core.values import several_kinds
from nova_arm_migrate.core.values import Values

__all__ = [
    'DISABLED_NAMES',
    'Core',
    'Guest',
    'Host',
    'Values',
    'version_of',
]

_VERSION = re.compile(r'(\d{1,4})\.(\d{1,4})')


#: ARM64_MIN_PARANGE_BITS: KVM gives a guest at least this IPA size.
_LEAST_IPA_BITS = 32

#: What a domain can switch off, with the names in Guest.disabled.
DISABLED_NAMES = frozenset(FEATURES) | frozenset(SVE_LENGTH_PROPERTIES)

_same = operator.attrgetter


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """What KVM on one host gives a guest there.

    The registers are those of a scratch vCPU that is set up as by QEMU's
    ``-cpu host``: with PMU, SVE and pointer authentication if the host has
    them, and with the newest GIC that KVM emulates (without a GIC in records
    of schema 1). What could not be read is None (or missing from a mapping),
    and ``absent`` gives the reason under the attribute's name.

    :ivar cores: one item for each implementation
    :ivar values: identity, cache and firmware registers. Those that are 0
        are left out; they are in ``reg_list``, unlike registers that don't
        exist
    :ivar writable: the masks of KVM_ARM_GET_REG_WRITABLE_MASKS; a register
        without a mask accepts only the value that it has
    :ivar reg_list: codes of all registers that KVM lists, without CPU state
    :ivar features: the vCPU features that the scratch vCPU has: ``pauth``,
        ``pmu``, ``sve``
    :ivar sve_lengths: bits, ascending; empty without SVE
    :ivar capabilities: KVM capabilities by the name of their constant,
        ``KVM_CAP_ARM_`` left out
    :ivar gic: versions of the GIC that KVM emulates
    :ivar vgics: each of these GICs, ascending; None in records of schema 1
    :ivar tried: KVM's answers that differ from the tables; None if the probe
        did not try any value (schema 1)
    :ivar hypercalls: all bits that may be written to a hypercall bitmap, by
        its code, if they are more than its value; None as for ``tried``
    :ivar own_caches: whether KVM accepts a description of a guest's caches
        (CLIDR_EL1, CCSIDR_EL1) that differs from the host's; None as for
        ``tried``
    :ivar ipa_bits: largest guest physical address, in bits
    :ivar page_size: bytes
    :ivar huge_page_sizes: bytes, ascending
    :ivar cntfrq: CNTFRQ_EL0, Hz
    :ivar dczid: DCZID_EL0
    :ivar hwcap: AT_HWCAP, AT_HWCAP2 and so on
    :ivar kernel: release, ``6.12.41``; qemu and libvirt likewise
    :ivar baselines: the guest CPU baselines that its nova-compute offers, by
        name and version: ``pool-1/2``
    :ivar baseline_digests: their contents (`CpuBaseline.digest`), by name and
        version; a record of an earlier version has none
    :ivar baseline_default: the name of the baseline of guests that name none;
        None if there is none, or it is not recorded
    :ivar absent: the reasons why attributes could not be read, by attribute
    """

    cores: tuple[Core, ...] = attribute(
        'cores', Cores(), (), always=True, title='cores', part=Part.ALONE
    )
    values: Values = attribute(
        'values', Registers(), Values(), always=True, part=Part.OWN
    )
    reg_list: frozenset[int] | None = attribute(
        'listed', Codes(), title='registers', part=Part.OWN
    )
    sve_lengths: tuple[int, ...] | None = attribute(
        'sve',
        VectorLengths(),
        title='SVE lengths',
        part=Part.ALONE,
        registers=frozenset({ID_AA64PFR0_EL1}),
    )
    writable: Values | None = attribute('writable', Registers(), part=Part.OWN)
    features: frozenset[str] = attribute(
        'features',
        Names(frozenset(FEATURES)),
        frozenset(),
        always=True,
        title='vCPU features',
        part=Part.ALONE,
    )
    capabilities: tuple[tuple[str, int], ...] = attribute(
        'caps', Capabilities(), (), always=True, title='capabilities'
    )
    gic: tuple[int, ...] | None = attribute(
        'gic', Numbers(2, 15), title='GIC', part=Part.ALONE
    )
    vgics: tuple[Vgic, ...] | None = attribute(
        'vgic', Gics(), since=2, title='GIC registers'
    )
    tried: Tried | None = attribute(
        'tried', Answers(), since=2, title='unlike tables'
    )
    hypercalls: Values | None = attribute('hvc', Registers(), since=2)
    own_caches: bool | None = attribute('caches', Flag(), since=2)
    ipa_bits: int | None = attribute(
        'ipa',
        Number(_LEAST_IPA_BITS, 64, 'bits'),
        title='IPA size',
        part=Part.ALONE,
    )
    page_size: int | None = attribute(
        'page', PageSize(), title='page size', part=Part.ALONE
    )
    huge_page_sizes: tuple[int, ...] | None = attribute(
        'huge', HugePageSizes(), title='huge pages', part=Part.NONE
    )
    cntfrq: int | None = attribute(
        'cntfrq', Number(0, U32, 'Hz'), title='timer', part=Part.ALONE
    )
    dczid: int | None = attribute(
        'dczid', Number(0, U64, base=16), title='DCZID_EL0', part=Part.ALONE
    )
    hwcap: tuple[int, ...] | None = attribute(
        'hwcap', Hexadecimals(), title='HWCAP', part=Part.NONE
    )
    kernel: str | None = attribute(
        'kernel', Text(), title='kernel', part=Part.OWN
    )
    qemu: str | None = attribute('qemu', Text(), title='QEMU', part=Part.OWN)
    libvirt: str | None = attribute(
        'libvirt', Text(), title='libvirt', part=Part.NONE
    )
    baselines: frozenset[str] = attribute(
        'baselines',
        BaselineIds(),
        frozenset(),
        title='baselines',
        part=Part.NONE,
    )
    baseline_digests: tuple[tuple[str, str], ...] = attribute(
        'baseline_digests', Digests(), (), part=Part.NONE
    )
    baseline_default: str | None = attribute(
        'baseline_default', BaselineName(), part=Part.NONE
    )
    absent: tuple[tuple[str, str], ...] = attribute(
        'absent',
        # The key is the one of records that earlier versions wrote.
        Reasons((('reg_list', 'listed'),)),
        (),
        part=Part.NONE,
    )

    @property
    def steal_time(self) -> bool | None:
        """Whether a guest has steal time there; None if it is not recorded.

        Source: ``kvm_arm_steal_time_finalize`` in QEMU's
        ``target/arm/kvm.c``.
        """
        if self.reg_list is None:
            # The probe has read nothing from KVM.
            return None
        return self.capability('STEAL_TIME') > 0

    def capability(self, name: str) -> int:
        """Return a KVM capability's value, 0 if the host lacks it."""
        return dict(self.capabilities).get(name, 0)

    def vgic(self, version: int | None) -> Vgic | None:
        """Return the GIC of a version, None if the record does not have it."""
        for vgic in self.vgics or ():
            if vgic.version == version:
                return vgic
        return None

    def baseline_digest(self, identity: str | None) -> str | None:
        """Return the digest of an offered baseline; None if it is not known.

        :param identity: its name and version
        """
        return dict(self.baseline_digests).get(identity or '')

    def why_absent(self, attribute: str) -> str:
        """Return why an attribute could not be read."""
        return dict(self.absent).get(attribute, "not in the host's record")


@dataclasses.dataclass(frozen=True, slots=True)
class Guest:
    """What a guest got when its QEMU started, and keeps while it runs.

    :ivar values: as `Host.values`, under the guest's own vCPU features
    :ivar reg_list: as `Host.reg_list`
    :ivar disabled: the features that its domain switches off, by the name of
        QEMU's property: ``pauth``, ``pmu``, ``sve``, ``sve256`` ... They
        stay off on every host. A feature that only the first host lacked is
        not among them: the next host's QEMU switches it on
    :ivar sve_lengths: bits, ascending; empty without SVE
    :ivar sve_visited: SVE lengths of the visited host with the longest
        vectors, if they are longer than those the guest started with. If it
        rebooted from inside there, it now uses them; Nova cannot tell. Bits,
        ascending; None if there is no such host
    :ivar gic: version of its GIC
    :ivar vgic: that GIC as on the host where the guest started; None if it is
        not recorded
    :ivar cores: those of the host where it started, if they are of several
        kinds: its values are those of one kind, and it is not known of which.
        Empty if all cores are of one kind
    :ivar memory: bytes, hot-pluggable memory included
    :ivar ipa_bits: `Host.ipa_bits` of the host where it started
    :ivar ipa_visited: the largest `Host.ipa_bits` of the visited hosts, if it
        is larger than ``ipa_bits``. If the guest rebooted from inside there,
        it now uses that address space; Nova cannot tell. None if there is no
        such host
    :ivar steal_time: whether its QEMU keeps a RAM block for steal time
        (``pvtime``); None if that is not known
    :ivar cntfrq: CNTFRQ_EL0 of the host where it started, Hz
    :ivar dczid: DCZID_EL0 of the same host
    :ivar page_size: bytes; the largest of the hosts on which it ran
    :ivar kernel: of the host where it started; qemu likewise
    :ivar inferred: not recorded at its start, but taken from the host on which
        it runs now. That is right unless it came there by live migration
    :ivar baseline: the guest CPU baseline on which it started, as in
        `Host.baselines`; None if it has the CPU of its first host
    :ivar baseline_digest: its contents then (`CpuBaseline.digest`); None if
        they are not recorded
    """

    values: Values = attribute(
        'values', Registers(), Values(), always=True, start=_same('values')
    )
    reg_list: frozenset[int] | None = attribute(
        'listed', Codes(), start=_same('reg_list')
    )
    sve_lengths: tuple[int, ...] | None = attribute(
        'sve', VectorLengths(), start=_same('sve_lengths')
    )
    disabled: frozenset[str] = attribute(
        'disabled', Names(DISABLED_NAMES), frozenset(), always=True
    )
    sve_visited: tuple[int, ...] | None = attribute(
        'sve_passed', VectorLengths()
    )
    gic: int | None = attribute('gic', Number(2, 15))
    vgic: Vgic | None = attribute('vgic', OneGic(), since=2)
    cores: tuple[Core, ...] = attribute(
        'cores',
        Cores(),
        (),
        start=lambda host: host.cores if several_kinds(host.cores) else (),
    )
    memory: int | None = attribute('memory', Number(0, 1 << 52))
    ipa_bits: int | None = attribute(
        'ipa',
        Number(_LEAST_IPA_BITS, 64),
        start=_same('ipa_bits'),
        meet=Meet.LEAST,
    )
    ipa_visited: int | None = attribute(
        'ipa_passed', Number(_LEAST_IPA_BITS, 64)
    )
    steal_time: bool | None = attribute(
        'steal', Flag(), start=_same('steal_time'), meet=Meet.ALL
    )
    cntfrq: int | None = attribute(
        'cntfrq', Number(0, U32), start=_same('cntfrq'), meet=Meet.FIRST
    )
    dczid: int | None = attribute(
        'dczid', Number(0, U64), start=_same('dczid'), meet=Meet.FIRST
    )
    page_size: int | None = attribute(
        'page', PageSize(), start=_same('page_size'), meet=Meet.LEAST
    )
    kernel: str | None = attribute(
        'kernel', Text(), start=_same('kernel'), meet=Meet.FIRST
    )
    qemu: str | None = attribute(
        'qemu', Text(), start=_same('qemu'), meet=Meet.FIRST
    )
    inferred: bool = attribute('inferred', Flag(), False)
    baseline: str | None = attribute('baseline', BaselineId())
    baseline_digest: str | None = attribute('baseline_digest', Digest())


def version_of(text: str | None) -> tuple[int, int] | None:
    """Return (major, minor) of a text, None if it is not a version."""
    match = _VERSION.match(text or '')
    return (int(match[1]), int(match[2])) if match else None
