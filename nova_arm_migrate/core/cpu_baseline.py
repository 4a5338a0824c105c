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

"""A guest CPU baseline: the CPU that guests see on every host of a pool.

A guest that starts on a baseline has the same registers, vCPU features and
vector lengths on each member, whatever core it runs on. So it can move between
the members, and back.

``meet`` of ``baseline`` computes the values; ``crossing`` makes baselines of
hosts; ``baseline_file`` reads and writes them; ``shim`` renders one for the
library that writes the registers.
"""

from collections.abc import Iterator
import dataclasses
import functools
import hashlib
import json

from nova_arm_migrate.core.attributes import attribute
from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.baseline_forms import BASELINE_REGISTERS
from nova_arm_migrate.core.baseline_forms import Implementations
from nova_arm_migrate.core.baseline_forms import MidrPairs
from nova_arm_migrate.core.baseline_forms import NamedRegisters
from nova_arm_migrate.core.forms import U32
from nova_arm_migrate.core.forms import U64
from nova_arm_migrate.core.implementation import Implementation
from nova_arm_migrate.core.implementation import implementation_of
from nova_arm_migrate.core.implementation import MidrPair
from nova_arm_migrate.core.implementation import targets
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record_baselines import BaselineName
from nova_arm_migrate.core.record_forms import Codes
from nova_arm_migrate.core.record_forms import Flag
from nova_arm_migrate.core.record_forms import Names
from nova_arm_migrate.core.record_forms import Number
from nova_arm_migrate.core.record_forms import PageSize
from nova_arm_migrate.core.record_forms import VectorLengths
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables.aarch32_id import AARCH32_ID_CODES
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.core.tables.hidden import HIDDEN
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import has_32bit_el0

_IMPLEMENTATION = tuple(
    register.code for register in special.IMPLEMENTATION_REGISTERS
)
_CODES = frozenset(BASELINE_REGISTERS.values())
_LEVELS = (Judge.LEVEL, Judge.LEVEL_WORKAROUND_2)
_EL0 = REGISTERS[ID_AA64PFR0_EL1].field('EL0')
_MOST_COUNTERS = 31
_MOST_VERSION = 1_000_000
#: 64 bits: a digest finds files that differ by mistake.
_DIGEST_DIGITS = 16
_NOT_IN_DIGEST = frozenset({'name', 'version', 'acknowledged', 'given_up'})


@dataclasses.dataclass(frozen=True, slots=True)
class CpuBaseline:
    """The CPU that guests of a pool see.

    :ivar name: a word; version: from 1. Both name the baseline in records
    :ivar registers: identity, cache and firmware registers. Those that are 0
        are left out: a guest sees 0 there
    :ivar features: the vCPU features that guests have; every other feature is
        switched off
    :ivar given_up: those of the other features that some member has; None if
        it is not recorded, or no member has one
    :ivar sve_lengths: bits, ascending; empty without SVE
    :ivar counters: event counters of the PMU (PMCR_EL0.N); None without PMU.
        The PMU's version is in ID_AA64DFR0_EL1
    :ivar gic: version of the GIC
    :ivar icc_ctlr: ICC_CTLR_EL1 of a new vCPU; None if it is not recorded
    :ivar cntfrq: CNTFRQ_EL0, Hz
    :ivar dczid: DCZID_EL0
    :ivar ipa_bits: guest physical addresses, in bits
    :ivar page_size: of the hosts, bytes
    :ivar steal_time: whether guests have steal time
    :ivar reg_list: codes of the registers that guests have on every member
    :ivar dropped: codes of the registers that guests have if they start on
        some members, and that the QEMU of the others drops
    :ivar implementations: on which guests may run, ascending
    :ivar acknowledged: pairs of MIDR_EL1 whose known differences the operator
        accepts (`implementation.differences`)
    """

    name: str = attribute('name', BaselineName(), '', always=True)
    version: int = attribute(
        'version', Number(1, _MOST_VERSION), 0, always=True
    )
    features: frozenset[str] = attribute(
        'features',
        Names(frozenset(FEATURES)),
        frozenset(),
        always=True,
        title='vCPU features',
    )
    given_up: frozenset[str] | None = attribute(
        'given_up', Names(frozenset(FEATURES))
    )
    sve_lengths: tuple[int, ...] | None = attribute(
        'sve', VectorLengths(), title='SVE lengths'
    )
    counters: int | None = attribute(
        'counters', Number(0, _MOST_COUNTERS), title='event counters'
    )
    gic: int | None = attribute('gic', Number(2, 15), title='GIC')
    icc_ctlr: int | None = attribute(
        'icc_ctlr', Number(0, U64, base=16), title='ICC_CTLR_EL1'
    )
    cntfrq: int | None = attribute(
        'cntfrq', Number(0, U32, 'Hz'), title='timer'
    )
    dczid: int | None = attribute(
        'dczid', Number(0, U64, base=16), title='DCZID_EL0'
    )
    ipa_bits: int | None = attribute(
        'ipa', Number(32, 64, 'bits'), title='IPA size'
    )
    page_size: int | None = attribute('page', PageSize(), title='page size')
    steal_time: bool | None = attribute('steal', Flag(), title='steal time')
    implementations: tuple[Implementation, ...] = attribute(
        'implementations', Implementations(), (), always=True
    )
    acknowledged: frozenset[MidrPair] = attribute(
        'acknowledged', MidrPairs(), frozenset(), always=True
    )
    registers: Values = attribute(
        'registers', NamedRegisters(), Values(), always=True
    )
    reg_list: frozenset[int] | None = attribute('listed', Codes())
    dropped: frozenset[int] | None = attribute('dropped', Codes())

    @property
    def identity(self) -> str:
        """Name and version, as records have them: ``pool-1/2``."""
        return f'{self.name}/{self.version}'

    @property
    def digest(self) -> str:
        """A digest of all that a guest may see of it: 16 hexadecimal digits.

        Two files of one name and version have the same one if their guests
        can't tell them apart.
        """
        return _digest(self)

    @property
    def implementation(self) -> Implementation:
        """The implementation that guests see."""
        return implementation_of(self.registers)

    @property
    def targets(self) -> tuple[Implementation, ...]:
        """The implementations of which a guest is told, if it can be told.

        A guest asks with hypercalls (``kvm_arm_target_impl_cpu_init``), for
        which every member needs VENDOR_HYP_BMAP_2.
        """
        bits = special.VENDOR_HYP_BMAP_2_BITS
        if self.registers.read(special.VENDOR_HYP_BMAP_2) & bits != bits:
            return ()
        return targets(self.implementations, self.registers)

    @property
    def disabled(self) -> frozenset[str]:
        """What the domain switches off, as `Guest.disabled`."""
        longest = max(self.sve_lengths or (0,))
        lengths = (
            name
            for name, bits in SVE_LENGTH_PROPERTIES.items()
            if bits > longest
        )
        return frozenset(FEATURES.keys() - self.features).union(
            lengths if 'sve' in self.features else ()
        )

    def switched_off(self, host: Host) -> frozenset[str]:
        """Return what the domain of a guest on a host switches off.

        libvirt moves a guest only if both domains have the same CPU features.
        So a feature that another member has is switched off also on a host
        without it. The others are left out: libvirt and QEMU refuse a name
        that they do not know (libvirt 9.0 does not know ``pauth``).

        A host whose QEMU does not have the property cannot be a member
        (`crossing.refusals`).
        """
        some = host.features | (self.given_up or frozenset())
        return self.disabled - (FEATURES.keys() - some)

    @property
    def has_32bit_el0(self) -> bool:
        """Whether guests can run 32-bit code."""
        return _EL0.of(self.registers.read(ID_AA64PFR0_EL1)) == 2


@functools.lru_cache(maxsize=256)
def _digest(baseline: CpuBaseline) -> str:
    seen = {
        one.key: one.form.dump(value)
        for one in attributes_of(CpuBaseline)
        if one.name not in _NOT_IN_DIGEST
        and (value := getattr(baseline, one.name)) is not None
    }
    text = json.dumps(seen, separators=(',', ':'), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]


def settable(baseline: CpuBaseline, host: Host) -> Iterator[tuple[int, int]]:
    """Yield the registers to write on a host: code and value, by code.

    A register that a new vCPU has already with that value is left out. The
    levels of firmware mitigations are not among them: KVM keeps the host's
    (``kvm_arm_get_fw_reg``). Neither are the AArch32 ID registers if guests
    have no 32-bit code: a host without it shows 0 there, and
    ``set_id_dfr0_el1`` refuses 0 on a host with it.

    :param host: as a vCPU with the baseline's features sees it
    """
    with_32bit = baseline.has_32bit_el0 and has_32bit_el0(host)
    differ = baseline.registers.items() ^ host.values.items()
    for code in sorted(_CODES & {code for code, _ in differ}):
        register = register_of(code)
        if (
            register.judge in _LEVELS
            or (register.judge is Judge.FEATURES_32BIT and not with_32bit)
            or (host.reg_list is not None and code not in host.reg_list)
        ):
            continue
        yield code, baseline.registers.read(code)


def with_implementation(host: Host, registers: Values) -> Host:
    """Return the host as it is after a VMM has written the implementation.

    KVM accepts any value within its mask if the VMM has enabled
    KVM_CAP_ARM_WRITABLE_IMP_ID_REGS (``set_imp_id_reg``). A host without that
    capability is returned as it is.

    :param registers: with MIDR_EL1, REVIDR_EL1 and AIDR_EL1
    """
    if host.capability('WRITABLE_IMP_ID_REGS') <= 0:
        return host
    masks = host.writable or Values()
    wanted = {code: registers.read(code) for code in _IMPLEMENTATION}
    if any(
        value & ~masks.read(code) and value != host.values.read(code)
        for code, value in wanted.items()
    ):
        return host
    return dataclasses.replace(
        host, values=without_zeros(dict(host.values) | wanted)
    )


def start(baseline: CpuBaseline, host: Host) -> Guest:
    """Return what a guest has that starts on a host with a baseline.

    It is right if the host accepts the baseline (`crossing.refusals`). It has
    what the baseline says and, besides, what no VMM can change: levels of
    firmware mitigations, registers that KVM lists in any case, the host's
    page size, timer and the like.
    """
    host = with_implementation(host, baseline.registers)
    guest = guest_started_on(
        host, disabled=baseline.disabled, gic=baseline.gic
    )
    seen = dataclasses.replace(
        host, values=guest.values, reg_list=guest.reg_list
    )
    values = dict(guest.values) | dict(settable(baseline, seen))
    if baseline.counters is not None:
        code, field = special.PMCR_EL0, special.PMCR_N
        has = values.get(code, 0)
        values[code] = field.into(has, min(field.of(has), baseline.counters))
    vgic = guest.vgic if baseline.icc_ctlr is not None else None
    written = without_zeros(values)
    return dataclasses.replace(
        guest,
        values=written,
        reg_list=without_hidden(guest.reg_list, written),
        vgic=vgic,
        baseline=baseline.identity if baseline.name else None,
        baseline_digest=baseline.digest if baseline.name else None,
    )


def without_hidden(
    reg_list: frozenset[int] | None, values: Values
) -> frozenset[int] | None:
    """Return a vCPU's list of registers after its ID registers are written.

    :param reg_list: the list of a new vCPU
    :param values: what is written
    """
    if reg_list is None:
        return None
    hidden: frozenset[int] = frozenset()
    for one in HIDDEN:
        field = REGISTERS[one.code].field(one.field)
        if not field.of(values.read(one.code)) and (
            one.witness is None or one.witness in reg_list
        ):
            hidden |= one.registers
    return reg_list - hidden


def wanted(baseline: CpuBaseline, host: Host) -> Guest:
    """Return the guest that a baseline promises on a host.

    Without 32-bit code, the AArch32 ID registers are not a part of it
    (`settable`).
    """
    values, reg_list = dict(baseline.registers), baseline.reg_list
    if reg_list is not None and not baseline.has_32bit_el0:
        reg_list -= AARCH32_ID_CODES
    if baseline.counters is not None:
        values[special.PMCR_EL0] = special.PMCR_N.into(0, baseline.counters)
    return Guest(
        values=without_zeros(values),
        reg_list=reg_list,
        sve_lengths=baseline.sve_lengths,
        disabled=baseline.switched_off(host),
        gic=baseline.gic,
        vgic=_vgic(baseline),
        ipa_bits=baseline.ipa_bits,
        steal_time=baseline.steal_time,
        cntfrq=baseline.cntfrq,
        dczid=baseline.dczid,
        page_size=baseline.page_size,
    )


@functools.lru_cache(maxsize=64)
def as_host(baseline: CpuBaseline, qemu: str | None) -> Host:
    """Return a host that offers exactly a baseline, and accepts no less.

    What a guest that starts on a member has must be accepted there.

    :param qemu: the version of the QEMU on the member
    """
    guest = wanted(baseline, Host())
    reg_list = baseline.reg_list
    if reg_list is not None:
        reg_list |= baseline.dropped or frozenset()
    return Host(
        values=guest.values,
        reg_list=reg_list,
        writable=Values(),
        features=baseline.features | (baseline.given_up or frozenset()),
        sve_lengths=baseline.sve_lengths,
        capabilities=(('STEAL_TIME', 1),) if baseline.steal_time else (),
        gic=None if baseline.gic is None else (baseline.gic,),
        vgics=None if guest.vgic is None else (guest.vgic,),
        own_caches=True,
        ipa_bits=baseline.ipa_bits,
        page_size=baseline.page_size,
        cntfrq=baseline.cntfrq,
        dczid=baseline.dczid,
        qemu=qemu,
        baselines=frozenset({baseline.identity} if baseline.name else ()),
        baseline_digests=((baseline.identity, baseline.digest),)
        if baseline.name
        else (),
    )


def _vgic(baseline: CpuBaseline) -> Vgic | None:
    if baseline.gic is None or baseline.icc_ctlr is None:
        return None
    return Vgic(baseline.gic, ctlr=baseline.icc_ctlr)


def without_zeros(values: dict[int, int]) -> Values:
    """Return registers as profiles have them: what is 0 is left out."""
    return Values({code: value for code, value in values.items() if value})
