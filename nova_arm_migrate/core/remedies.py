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

"""What an operator can do about a finding.

`CANDIDATES` has the remedies of each cause. The remedy that changes least
comes first. `_HELPS` decides from both records whether a remedy helps: it must
be for the side that has to change, and not be done already. A remedy that is
not in `_HELPS` always helps.
"""

from collections.abc import Callable
import enum

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.field_rules import accepts
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import MAY_USE
from nova_arm_migrate.core.finding import Pair
from nova_arm_migrate.core.incoming import knows_switch
from nova_arm_migrate.core.incoming import tolerated
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.rules import cache_is_fine
from nova_arm_migrate.core.rules import invents_caches
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables import writable
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1
from nova_arm_migrate.core.tables.qemu import TOLERANT_SINCE


class Remedy(enum.Enum):
    """What to do, in the words that an operator reads."""

    UPDATE_QEMU = (
        "update the destination's QEMU ({host_qemu}) to"
        f' {TOLERANT_SINCE[0]}.{TOLERANT_SINCE[1]} or newer, which'
        ' drops missing registers'
    )
    UPDATE_KERNEL = (
        "update the destination's kernel ({host_kernel}) to"
        " the version of the guest's first host ({guest_kernel}) or"
        ' newer'
    )
    UPDATE_KERNEL_FOR_FIELD = (
        "update the destination's kernel ({host_kernel}) to"
        f' {writable.KERNEL[0]}.{writable.KERNEL[1]} or newer, which makes'
        ' this field writable'
    )
    UPDATE_KERNEL_FOR_CACHES = (
        "update the destination's kernel ({host_kernel}) to 6.3 or newer,"
        ' which accepts other cache descriptions'
    )
    KVM_MODE = (
        'boot both hosts in the same mode (kvm-arm.mode on the'
        " kernel's command line)"
    )
    HOST_SETTINGS = (
        "check the destination's firmware settings and kernel"
        ' command line: one of them hides it, because the cores are'
        ' the same and the kernel is not older'
    )
    UPDATE_FIRMWARE = (
        "update the destination's firmware or kernel, so that"
        ' it has the mitigation'
    )
    REBOOT_UPDATED = (
        "update the kernel and firmware of the guest's host to the"
        " destination's versions, which know that these cores are"
        ' affected, and hard-reboot the guest there'
    )
    FEATURE_OFF = (
        'switch {feature} off for the guest ({how}) and hard-reboot it'
    )
    SHORTER_VECTORS = (
        'switch vector lengths of {length} bits and more off for the'
        ' guest ([libvirt] cpu_model_extra_flags = -sve{length} and so'
        ' on) and hard-reboot it'
    )
    STEAL_TIME = (
        'boot the destination with a kernel that measures how long'
        ' tasks wait (CONFIG_SCHEDSTATS), which KVM needs for steal'
        ' time'
    )
    NO_SWITCH = (
        'choose a destination that has {feature}; or stop switching {feature}'
        ' off ({how}) and cold-migrate the guest: it starts without {feature}'
        ' on a destination that does not have it'
    )
    UPDATE_LIBVIRT = (
        "update the destination's libvirt to the version of the guest's host"
        ' or newer'
    )
    OFFER_BASELINE = (
        'choose a destination that offers the baseline. The log of'
        ' nova-compute says at its start why it does not offer one'
    )
    RECORD_BASELINE = (
        'install the same version of nova-arm-migrate on both hosts. A host'
        ' records the contents of its baselines when nova-compute starts, and'
        ' a guest at its next hard reboot. The destination itself compares'
        ' its file with the guest'
    )
    TRIAL = (
        'run a trial on the destination: set [arm_migrate] trial = true'
        ' there and let nova-compute open /dev/kvm, or run'
        ' nova-arm-migrate trial'
    )
    SAME_CORES = (
        'choose a destination with the same cores of the same revision'
    )
    SAME_VALUE = 'choose a destination with the same value'
    ONE_KIND = (
        'keep only cores of one kind online on that host, and'
        ' hard-reboot the guest if it started there'
    )
    MORE_ADDRESSES = 'choose a destination with at least {guest} address bits'
    AS_LARGE_PAGES = (
        'choose a destination with pages of at least {guest} bytes'
    )
    SAME_GIC = 'choose a destination that emulates a GICv{guest}'
    RECORD_GUEST = (
        'hard-reboot the guest on a host with nova-arm-migrate,'
        ' which then writes a new record of the guest'
    )
    RECORD_HOST = (
        'make sure that nova-arm-migrate runs on that host and can'
        ' read this there (the nova-compute log there says why it'
        ' could not)'
    )
    COLD = (
        'cold-migrate the guest to the destination: it starts there with'
        " that host's values"
    )

    def text(self, finding: Finding) -> str:
        """Return what to do about this finding."""
        pair = finding.pair
        feature = _feature(finding)
        return self.value.format(
            name=finding.name,
            guest=finding.shown(finding.guest).removeprefix(MAY_USE),
            host=finding.shown(finding.host),
            guest_kernel=(pair and pair.guest.kernel) or 'its version',
            host_kernel=(pair and pair.host.kernel) or 'its version',
            host_qemu=(pair and pair.host.qemu) or 'its version',
            feature=feature or 'the feature',
            how=_HOW.get(feature, 'hw_pmu, cpu_model_extra_flags'),
            length=_first_length_off(finding),
        )


_HOW = {'pmu': 'hw_pmu=false in its image or flavor'} | {
    name: f'[libvirt] cpu_model_extra_flags = -{name}'
    for name in FEATURES
    if name != 'pmu'
}


CANDIDATES: dict[Cause, tuple[Remedy, ...]] = {
    Cause.ABOVE: (
        Remedy.KVM_MODE,
        Remedy.UPDATE_KERNEL,
        Remedy.HOST_SETTINGS,
        Remedy.FEATURE_OFF,
        Remedy.COLD,
    ),
    Cause.BELOW: (Remedy.UPDATE_KERNEL, Remedy.SAME_VALUE, Remedy.COLD),
    Cause.FIXED: (
        Remedy.KVM_MODE,
        Remedy.UPDATE_KERNEL,
        Remedy.UPDATE_KERNEL_FOR_FIELD,
        Remedy.FEATURE_OFF,
        Remedy.SAME_VALUE,
        Remedy.COLD,
    ),
    Cause.NOT_ALLOWED: (Remedy.UPDATE_KERNEL, Remedy.SAME_VALUE, Remedy.COLD),
    Cause.RESERVED: (Remedy.UPDATE_KERNEL, Remedy.SAME_VALUE, Remedy.COLD),
    Cause.STALE: (Remedy.TRIAL, Remedy.COLD),
    Cause.MASK_UNKNOWN: (Remedy.TRIAL,),
    Cause.IMPLEMENTATION: (Remedy.SAME_CORES, Remedy.COLD),
    Cause.SEVERAL_CORES: (Remedy.ONE_KIND,),
    Cause.MISSING: (
        Remedy.UPDATE_QEMU,
        Remedy.UPDATE_KERNEL,
        Remedy.FEATURE_OFF,
        Remedy.COLD,
    ),
    Cause.DROPPED: (),
    Cause.MAY_BE_DROPPED: (
        Remedy.UPDATE_QEMU,
        Remedy.UPDATE_KERNEL,
        Remedy.COLD,
    ),
    Cause.QEMU_UNKNOWN: (Remedy.TRIAL, Remedy.UPDATE_KERNEL, Remedy.COLD),
    Cause.FIRMWARE_LEVEL: (
        Remedy.UPDATE_FIRMWARE,
        Remedy.REBOOT_UPDATED,
        Remedy.COLD,
    ),
    Cause.FIRMWARE_BITS: (Remedy.UPDATE_KERNEL, Remedy.COLD),
    Cause.PSCI_VERSION: (Remedy.UPDATE_KERNEL, Remedy.COLD),
    Cause.CACHE: (
        Remedy.UPDATE_KERNEL,
        Remedy.UPDATE_KERNEL_FOR_CACHES,
        Remedy.SAME_VALUE,
        Remedy.COLD,
    ),
    Cause.CACHE_UNKNOWN: (Remedy.TRIAL,),
    Cause.COUNTERS: (Remedy.FEATURE_OFF, Remedy.COLD),
    Cause.SVE_LENGTHS: (
        Remedy.SHORTER_VECTORS,
        Remedy.FEATURE_OFF,
        Remedy.COLD,
    ),
    Cause.VISITED_VECTORS: (Remedy.COLD,),
    Cause.VISITED_WIDE_VECTORS: (Remedy.SHORTER_VECTORS,),
    Cause.WIDE_VECTORS: (Remedy.SHORTER_VECTORS,),
    Cause.SME: (),
    Cause.TIMER: (Remedy.SAME_VALUE, Remedy.COLD),
    Cause.CACHE_ZERO: (Remedy.SAME_VALUE, Remedy.COLD),
    Cause.MEMORY: (Remedy.MORE_ADDRESSES,),
    Cause.WINDOWS: (Remedy.MORE_ADDRESSES, Remedy.COLD),
    Cause.VISITED_WINDOWS: (Remedy.MORE_ADDRESSES, Remedy.COLD),
    Cause.MEMORY_UNKNOWN: (),
    Cause.SMALLER_PAGES: (Remedy.AS_LARGE_PAGES, Remedy.COLD),
    Cause.LARGER_PAGES: (),
    Cause.GIC: (Remedy.SAME_GIC, Remedy.COLD),
    Cause.GIC_INTERFACE: (Remedy.SAME_VALUE, Remedy.COLD),
    Cause.GIC_UNKNOWN: (Remedy.TRIAL,),
    Cause.GIC_REVISION: (),
    Cause.GIC_FIELD: (Remedy.COLD,),
    Cause.STEAL_TIME: (Remedy.STEAL_TIME, Remedy.COLD),
    Cause.SWITCH: (Remedy.NO_SWITCH,),
    Cause.SWITCH_UNKNOWN: (Remedy.NO_SWITCH,),
    Cause.BASELINE: (Remedy.OFFER_BASELINE, Remedy.COLD),
    Cause.BASELINE_UNKNOWN: (Remedy.RECORD_BASELINE,),
    Cause.INFERRED: (Remedy.RECORD_GUEST,),
    Cause.GUEST_NOT_RECORDED: (Remedy.RECORD_GUEST,),
    Cause.NOT_RECORDED: (Remedy.RECORD_HOST,),
    Cause.LIBVIRT: (Remedy.UPDATE_LIBVIRT,),
    Cause.TRIAL_REFUSED: (Remedy.COLD,),
    Cause.TRIAL_MISSING: (
        Remedy.UPDATE_QEMU,
        Remedy.UPDATE_KERNEL,
        Remedy.COLD,
    ),
    Cause.TRIAL_ACCEPTED: (),
}


def remedies(finding: Finding) -> tuple[Remedy, ...]:
    """Return the remedies that help; the one that changes least is first.

    :param finding: if it has no pair, all remedies that may help are returned
    """
    candidates = CANDIDATES[finding.cause]
    pair = finding.pair
    if pair is None:
        return candidates
    helps = [
        remedy
        for remedy in candidates
        if remedy not in _HELPS or _HELPS[remedy](finding, pair)
    ]
    if len(helps) > 2 and Remedy.SAME_VALUE in helps:
        # If this destination can change, no other host is needed.
        helps.remove(Remedy.SAME_VALUE)
    return tuple(helps)


def _same_cores(pair: Pair) -> bool:
    """Whether both sides have the same core. If not, few remedies help."""
    return all(
        pair.guest.values.read(register.code)
        == pair.host.values.read(register.code)
        for register in special.IMPLEMENTATION_REGISTERS
    )


def _older(kernel: str | None, than: tuple[int, int] | None) -> bool:
    version = version_of(kernel)
    return version is not None and than is not None and version < than


def _field(finding: Finding) -> Field | None:
    if finding.code is None or not finding.field:
        return None
    if finding.code == ICC_CTLR_EL1.code:
        # It is not a vCPU register: KVM gives it through the GIC's device.
        return ICC_CTLR_EL1.field(finding.field)
    return register_of(finding.code).field(finding.field)


def _feature(finding: Finding) -> str:
    """The vCPU feature that a finding belongs to; empty if there is none."""
    if finding.cause is Cause.SVE_LENGTHS:
        return 'sve'
    if finding.cause is Cause.COUNTERS:
        return 'pmu'
    if finding.cause in (Cause.SWITCH, Cause.SWITCH_UNKNOWN):
        return finding.name.lower()
    field = _field(finding)
    for feature in FEATURES.values():
        bits = feature.bits.get(finding.code or 0, 0)
        if finding.code in feature.registers or (field and field.mask & bits):
            return feature.name
    return ''


#: Causes that are about lengths which QEMU does not migrate.
_TOO_WIDE = (Cause.WIDE_VECTORS, Cause.VISITED_WIDE_VECTORS)


def _may_use(finding: Finding, guest: Guest) -> tuple[int, ...]:
    """The vector lengths of the guest that a finding is about."""
    if finding.cause is Cause.VISITED_WIDE_VECTORS:
        return guest.sve_visited or ()
    return guest.sve_lengths or ()


def _lacks_vectors(finding: Finding, guest: Guest) -> list[int]:
    """The guest's vector lengths that prevent the move."""
    lengths = _may_use(finding, guest)
    if finding.cause in _TOO_WIDE:
        return [bits for bits in lengths if bits > int(finding.host or 0)]
    there = finding.pair.host.sve_lengths if finding.pair else ()
    common = 0
    for mine, theirs in zip(lengths, there or (), strict=False):
        if mine != theirs:
            break
        common += 1
    return list(lengths[common:])


def _first_length_off(finding: Finding) -> str:
    lengths = (
        _lacks_vectors(finding, finding.pair.guest) if finding.pair else []
    )
    return str(lengths[0]) if lengths else 'LENGTH'


# The conditions under which each remedy helps.


def _update_qemu(finding: Finding, pair: Pair) -> bool:
    return (
        _same_cores(pair)
        and _older(pair.host.qemu, TOLERANT_SINCE)
        and all(tolerated(code, pair.guest) for code in finding.codes)
    )


def _update_kernel(finding: Finding, pair: Pair) -> bool:
    return _same_cores(pair) and _older(
        pair.host.kernel, version_of(pair.guest.kernel)
    )


def _update_kernel_for_field(finding: Finding, pair: Pair) -> bool:
    field, code = _field(finding), finding.code or 0
    return (
        field is not None
        and _same_cores(pair)
        and field.mask & writable.WRITABLE.get(code, 0) == field.mask
        and not _update_kernel(finding, pair)
        and _older(pair.host.kernel, writable.KERNEL)
        and accepts(
            field,
            field.of(pair.guest.values.read(code)),
            field.of(pair.host.values.read(code)),
        )
    )


def _update_kernel_for_caches(finding: Finding, pair: Pair) -> bool:
    code = finding.code or 0
    return (
        _same_cores(pair)
        and not _update_kernel(finding, pair)
        and invents_caches(pair.host) is False
        and _older(pair.host.kernel, (6, 3))
        and cache_is_fine(code, pair.guest.values.read(code), pair.host)
    )


def _is_mode(finding: Finding) -> bool:
    return finding.name == 'ID_AA64MMFR1_EL1.VH'


def _kvm_mode(finding: Finding, pair: Pair) -> bool:
    return _is_mode(finding) and _same_cores(pair)


def _host_settings(finding: Finding, pair: Pair) -> bool:
    return (
        _same_cores(pair)
        and not _is_mode(finding)
        and version_of(pair.host.kernel) is not None
        and not _older(pair.host.kernel, version_of(pair.guest.kernel))
    )


def _update_firmware(finding: Finding, pair: Pair) -> bool:
    return _same_cores(pair) and not _not_affected(finding)


def _reboot_updated(finding: Finding, pair: Pair) -> bool:
    return _same_cores(pair) and _not_affected(finding)


def _not_affected(finding: Finding) -> bool:
    """Whether the guest's value says that its cores are not affected."""
    most = (
        special.WORKAROUND_2_NOT_REQUIRED
        if finding.code == special.WORKAROUND_2
        else special.WORKAROUND_NOT_REQUIRED
    )
    return finding.guest == most


def _feature_off(finding: Finding, pair: Pair) -> bool:
    feature = _feature(finding)
    if finding.cause is Cause.SVE_LENGTHS and pair.host.sve_lengths:
        return False
    return (
        bool(feature)
        and feature not in pair.guest.disabled
        and knows_switch(feature, pair.host) is True
        and _same_cores(pair)
    )


def _shorter_vectors(finding: Finding, pair: Pair) -> bool:
    lengths = _may_use(finding, pair.guest)
    off = _lacks_vectors(finding, pair.guest)
    return (
        _same_cores(pair)
        and 0 < len(off) < len(lengths)
        and (finding.cause in _TOO_WIDE or pair.host.sve_lengths is not None)
    )


def _same_value(finding: Finding, pair: Pair) -> bool:
    return not _is_mode(finding)


_HELPS: dict[Remedy, Callable[[Finding, Pair], bool]] = {
    Remedy.UPDATE_QEMU: _update_qemu,
    Remedy.UPDATE_KERNEL: _update_kernel,
    Remedy.UPDATE_KERNEL_FOR_FIELD: _update_kernel_for_field,
    Remedy.UPDATE_KERNEL_FOR_CACHES: _update_kernel_for_caches,
    Remedy.KVM_MODE: _kvm_mode,
    Remedy.HOST_SETTINGS: _host_settings,
    Remedy.UPDATE_FIRMWARE: _update_firmware,
    Remedy.REBOOT_UPDATED: _reboot_updated,
    Remedy.FEATURE_OFF: _feature_off,
    Remedy.SHORTER_VECTORS: _shorter_vectors,
    Remedy.SAME_VALUE: _same_value,
}
