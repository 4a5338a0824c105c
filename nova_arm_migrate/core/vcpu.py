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

"""What a host offers a vCPU with features switched off.

A host's profile is read with every feature on. It also determines what the
host shows a guest without PMU, SVE or pointer authentication, because KVM
derives both from the same sanitised registers (``tables.features`` names the
functions). The lab compares the two on real kernels.
"""

from collections.abc import Iterator
import dataclasses
import functools

from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables.features import Feature
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tables.features import ID_AA64PFR2_EL1
from nova_arm_migrate.core.tables.features import ID_PFR1_EL1
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.core.tried import answer_on
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic


def with_features_off(host: Host, disabled: frozenset[str]) -> Host:
    """Return the host as a vCPU without the ``disabled`` features sees it.

    :param disabled: as `Guest.disabled`; unknown names are ignored
    """
    off = [FEATURES[name] for name in sorted(disabled) if name in FEATURES]
    values = dict(host.values)
    reg_list = host.reg_list
    for feature in off:
        for code, bits in feature.bits.items():
            if code in values:
                values[code] &= ~bits
        for code in feature.registers:
            values.pop(code, None)
        if reg_list is not None:
            reg_list = reg_list - feature.registers
    return dataclasses.replace(
        host,
        values=Values({c: v for c, v in values.items() if v}),
        reg_list=reg_list,
        features=host.features - {feature.name for feature in off},
        tried=_tried(host.tried, off),
        sve_lengths=_lengths(host.sve_lengths, disabled),
    )


def _tried(tried: Tried | None, off: list[Feature]) -> Tried | None:
    """The answers that hold if some features are off."""
    if tried is None:
        return None
    for feature in off:
        tried = tried.without(feature.bits)
    return tried


def _lengths(
    lengths: tuple[int, ...] | None, disabled: frozenset[str]
) -> tuple[int, ...] | None:
    """The vector lengths that remain: KVM can only remove the longest ones.

    Source: set_sve_vls() in arch/arm64/kvm/guest.c. If a length that the host
    has is switched off, QEMU's arm_cpu_sve_finalize() also switches off all
    longer ones.
    """
    if lengths is None or 'sve' in disabled:
        return lengths if lengths is None else ()
    cut = [
        bits
        for name in disabled
        if (bits := SVE_LENGTH_PROPERTIES.get(name)) in lengths
    ]
    return tuple(bits for bits in lengths if not cut or bits < min(cut))


def longer_vectors(host: Host) -> tuple[str, ...]:
    """Return the QEMU properties of vector lengths above the host's own.

    A guest that starts there with these switched off never gets them.

    QEMU gives a vCPU of an incoming guest all lengths of the new host that are
    not switched off (``arm_cpu_sve_finalize``). It does not send the guest's
    lengths: ``kvm_arm_init_cpreg_list`` leaves out ``KVM_REG_ARM64_SVE_VLS``.
    If the guest reboots from inside on a host with longer vectors, it uses
    them; Nova cannot tell. It then breaks on a host that lacks them.

    :return: shortest first; empty if the host has no SVE, or if that is not
        known
    """
    if not host.sve_lengths:
        return ()
    return tuple(
        name
        for name, bits in SVE_LENGTH_PROPERTIES.items()
        if bits > host.sve_lengths[-1]
    )


@functools.lru_cache(maxsize=256)
def with_features_off_cached(host: Host, disabled: frozenset[str]) -> Host:
    """`with_features_off`, cached: a filter calls it for every host."""
    return with_features_off(host, disabled)


def guest_started_on(
    host: Host,
    *,
    disabled: frozenset[str] = frozenset(),
    gic: int | None = None,
    memory: int | None = None,
    inferred: bool = False,
) -> Guest:
    """Return what a guest has if it starts on this host.

    :param disabled: as `Guest.disabled`
    :param gic: version of the guest's GIC; None if not known
    :param memory: bytes; None if not known
    :param inferred: as `Guest.inferred`
    """
    seen = with_features_off(host, disabled)
    vgic = host.vgic(gic)
    taken = {
        one.name: one.start(seen)
        for one in attributes_of(Guest)
        if one.start is not None
    }
    return with_own_gic(
        Guest(
            **taken,
            disabled=disabled,
            gic=gic,
            vgic=None if vgic is None else vgic.of_guest(),
            memory=memory,
            inferred=inferred,
        ),
        host,
    )


def after_migration(guest: Guest, host: Host) -> Guest:
    """Return what a guest has on the host to which it has moved.

    It keeps the values that it started with, as far as KVM keeps them
    (`_kept`). A register that only this host has starts with this host's
    value, and QEMU migrates it from there like any other
    (``kvm_arm_init_cpreg_list``: the list is the host's). A register that this
    host lacks is lost.

    If the guest reboots from inside here, it may use vector lengths that it
    did not start with (`longer_vectors`), or more of the address space
    (`memmap`). QEMU has rounded its memory blocks up to the largest pages of
    the visited hosts (``qemu_ram_resize``). QEMU has the RAM block for steal
    time if this host has steal time.

    :param host: the record of the host on which it runs now
    """
    here = with_features_off(host, guest.disabled)
    values, reg_list = guest.values, guest.reg_list
    if reg_list is not None and here.reg_list is not None:
        added = {
            code: value
            for code, value in here.values.items()
            if code not in reg_list
        }
        kept = {
            code: value
            for code, value in values.items()
            if code in here.reg_list
        }
        for register in (*_NOT_KEPT, *_ignoring(here)):
            if register.code in reg_list and register.code in here.reg_list:
                kept[register.code] = _kept(
                    register, values.read(register.code), here
                )
        values = Values(
            {code: value for code, value in (added | kept).items() if value}
        )
        reg_list = here.reg_list
    pages = [size for size in (guest.page_size, here.page_size) if size]
    steal_time = host.steal_time
    return with_own_gic(
        dataclasses.replace(
            guest,
            values=values,
            reg_list=reg_list,
            vgic=_vgic(guest, here),
            sve_visited=_sve_visited(guest, here),
            ipa_visited=_ipa_visited(guest, here),
            steal_time=guest.steal_time if steal_time is None else steal_time,
            page_size=max(pages, default=None),
        ),
        host,
    )


_GIC_FIELD = REGISTERS[ID_AA64PFR0_EL1].field('GIC')
_GCIE_FIELD = REGISTERS[ID_AA64PFR2_EL1].field('GCIE')
#: Register code, field, and the field's value by the version of the GIC.
_OWN_GIC: tuple[tuple[int, Field, dict[int | None, int]], ...] = (
    (ID_AA64PFR0_EL1, _GIC_FIELD, {5: 0}),
    (ID_AA64PFR2_EL1, _GCIE_FIELD, {2: 0, 3: 0}),
    (ID_PFR1_EL1, REGISTERS[ID_PFR1_EL1].field('GIC'), {5: 0}),
)

_LEVELS = (Judge.LEVEL, Judge.LEVEL_WORKAROUND_2)
_NOT_KEPT = tuple(
    register
    for register in REGISTERS.values()
    if register.judge in _LEVELS
    or any(
        field.stale or field.as_zero is not None for field in register.fields
    )
)


def _ignoring(here: Host) -> list[Register]:
    """Registers with fields that the host's KVM accepts and ignores."""
    return [
        register_of(code)
        for code, answers in (here.tried or {}).items()
        if any(answer.ignored for answer in answers)
    ]


def _kept(register: Register, value: int, here: Host) -> int:
    """The value that KVM returns after it has accepted ``value``.

    Source: ``kvm_arm_get_fw_reg``, which returns the host's level of a
    mitigation; ``set_id_aa64pfr0_el1`` and similar functions, which accept a
    field and ignore it. The host's record has these fields (`Answer.ignored`),
    or else the tables have them (`Field.stale`, `Field.as_zero`).
    """
    limit = here.values.read(register.code)
    if register.judge in _LEVELS:
        return limit
    answers = here.tried.of(register.code) if here.tried is not None else ()
    for field in register.fields:
        answer = answer_on(field, answers)
        if field.of(value) == field.as_zero:
            value &= ~field.mask
        elif answer is not None:
            if answer.ignores(field, value):
                value = field.into(value, field.raw(limit))
        elif field.stale and not field.of(limit):
            value &= ~field.mask
    return value


def _vgic(guest: Guest, here: Host) -> Vgic | None:
    """The guest's GIC on this host.

    KVM keeps the incoming ICC_CTLR_EL1 (``set_gic_ctlr``). QEMU does not send
    GICD_IIDR and GICR_IIDR, so the guest gets those of the host.
    """
    vgic = here.vgic(guest.gic)
    if guest.vgic is None or vgic is None:
        return guest.vgic
    return guest.vgic._replace(
        distributor=vgic.distributor, redistributor=vgic.redistributor
    )


def _sve_visited(guest: Guest, here: Host) -> tuple[int, ...] | None:
    """`Guest.sve_visited` after a visit to this host.

    Only the lengths of the host with the longest vectors are kept. The guest's
    own lengths are among them: a move to a host where they differ needs an
    operator override.
    """
    if not guest.sve_lengths or not here.sve_lengths:
        return guest.sve_visited
    known = guest.sve_visited or guest.sve_lengths
    return (
        here.sve_lengths
        if here.sve_lengths[-1] > known[-1]
        else guest.sve_visited
    )


def _ipa_visited(guest: Guest, here: Host) -> int | None:
    """`Guest.ipa_visited` after a visit to this host."""
    if guest.ipa_bits is None or here.ipa_bits is None:
        return guest.ipa_visited
    longest = max(guest.ipa_visited or 0, here.ipa_bits)
    return longest if longest > guest.ipa_bits else None


def with_own_gic(guest: Guest, host: Host | None = None) -> Guest:
    """Return the guest with the fields that depend on its own GIC.

    A host's record has these fields for each version of the GIC
    (`Vgic.shown`). A record of schema 1 was made without an interrupt
    controller, and KVM then shows what the host could emulate. For a guest
    from such a record the version of its GIC decides. A GICv3 guest never has
    GICv5's field. A GICv5 guest has only that field. What a GICv2 guest has
    depends on the kernel (`gic_doubts`).

    Source: ``kvm_vgic_finalize_idregs`` in ``arch/arm64/kvm/vgic/
    vgic-init.c``, ``kvm_finalize_sys_regs``.

    :param host: the host on which the guest runs, with all its features; None
        if only the guest's record is available
    """
    changed = {}
    if guest.vgic is None:
        for code, field, by_version in _OWN_GIC:
            value = guest.values.read(code)
            own = by_version.get(guest.gic)
            if own is not None and field.of(value) != own:
                changed[code] = field.into(value, own)
    vgic = host.vgic(guest.gic) if host is not None else None
    if host is not None and vgic is not None:
        for code, shown in vgic.shown:
            bits = shown ^ host.values.read(code)
            value = changed.get(code, guest.values.read(code))
            changed[code] = value & ~bits | shown & bits
    if not changed:
        return guest
    return dataclasses.replace(
        guest,
        values=Values(
            {
                code: value
                for code, value in (dict(guest.values) | changed).items()
                if value
            }
        ),
    )


def gic_doubts(guest: Guest) -> Iterator[tuple[int, Field, int]]:
    """Values that the guest may have instead of a recorded GIC field.

    There are none if it started on a host whose record has the guest's GIC.

    :return: the register's code, the field and its other value
    """
    if guest.vgic is not None:
        return
    gic = _GIC_FIELD.of(guest.values.read(ID_AA64PFR0_EL1))
    gcie = _GCIE_FIELD.of(guest.values.read(ID_AA64PFR2_EL1))
    if guest.gic == 2 and gic:
        # Kernels before 6.12 did not change the field for a GICv2 guest.
        yield ID_AA64PFR0_EL1, _GIC_FIELD, 0
    elif guest.gic is None and gic and gcie:
        # A guest never has both fields.
        yield ID_AA64PFR2_EL1, _GCIE_FIELD, 0


def has_32bit_el0(host: Host) -> bool:
    """Whether a guest there can run 32-bit code at EL0.

    Source: ``kvm_supports_32bit_el0``; ID_AA64PFR0_EL1.EL0 is 2.
    """
    return host.values.read(ID_AA64PFR0_EL1) & 0xF == 2
