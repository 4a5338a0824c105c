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

"""Which remedies help against a finding.

`CANDIDATES` has the remedies of each cause. The remedy that changes least
comes first. `_HELPS` decides from both records whether a remedy helps: it must
be for the side that has to change, and not be done already. A remedy that is
not in `_HELPS` always helps.
"""

from collections.abc import Callable

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.field_rules import accepts
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Pair
from nova_arm_migrate.core.incoming import knows_switch
from nova_arm_migrate.core.incoming import tolerated
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.remedy import feature_of
from nova_arm_migrate.core.remedy import field_of
from nova_arm_migrate.core.remedy import lacks_vectors
from nova_arm_migrate.core.remedy import may_use
from nova_arm_migrate.core.remedy import Remedy
from nova_arm_migrate.core.remedy import TOO_WIDE
from nova_arm_migrate.core.rules import cache_is_fine
from nova_arm_migrate.core.rules import invents_caches
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables import writable
from nova_arm_migrate.core.tables.qemu import TOLERANT_SINCE

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
    field, code = field_of(finding), finding.code or 0
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
    feature = feature_of(finding)
    if finding.cause is Cause.SVE_LENGTHS and pair.host.sve_lengths:
        return False
    return (
        bool(feature)
        and feature not in pair.guest.disabled
        and knows_switch(feature, pair.host) is True
        and _same_cores(pair)
    )


def _shorter_vectors(finding: Finding, pair: Pair) -> bool:
    lengths = may_use(finding, pair.guest)
    off = lacks_vectors(finding, pair.guest)
    return (
        _same_cores(pair)
        and 0 < len(off) < len(lengths)
        and (finding.cause in TOO_WIDE or pair.host.sve_lengths is not None)
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
