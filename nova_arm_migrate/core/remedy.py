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

"""What an operator can do: each remedy, in the words that an operator reads.

`remedies` says which of them help. The functions say what a finding is about.
"""

import enum

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import MAY_USE
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.tables import register_of
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
        feature = feature_of(finding)
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


def field_of(finding: Finding) -> Field | None:
    """Return the field of an ID register that a finding is about, if any."""
    if finding.code is None or not finding.field:
        return None
    if finding.code == ICC_CTLR_EL1.code:
        # It is not a vCPU register: KVM gives it through the GIC's device.
        return ICC_CTLR_EL1.field(finding.field)
    return register_of(finding.code).field(finding.field)


def feature_of(finding: Finding) -> str:
    """Return the vCPU feature that a finding belongs to; empty if none."""
    if finding.cause is Cause.SVE_LENGTHS:
        return 'sve'
    if finding.cause is Cause.COUNTERS:
        return 'pmu'
    if finding.cause in (Cause.SWITCH, Cause.SWITCH_UNKNOWN):
        return finding.name.lower()
    field = field_of(finding)
    for feature in FEATURES.values():
        bits = feature.bits.get(finding.code or 0, 0)
        if finding.code in feature.registers or (field and field.mask & bits):
            return feature.name
    return ''


#: Causes that are about lengths which QEMU does not migrate.
TOO_WIDE = (Cause.WIDE_VECTORS, Cause.VISITED_WIDE_VECTORS)


def may_use(finding: Finding, guest: Guest) -> tuple[int, ...]:
    """Return the vector lengths of the guest that a finding is about."""
    if finding.cause is Cause.VISITED_WIDE_VECTORS:
        return guest.sve_visited or ()
    return guest.sve_lengths or ()


def lacks_vectors(finding: Finding, guest: Guest) -> list[int]:
    """Return the guest's vector lengths that prevent the move."""
    lengths = may_use(finding, guest)
    if finding.cause in TOO_WIDE:
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
        lacks_vectors(finding, finding.pair.guest) if finding.pair else []
    )
    return str(lengths[0]) if lengths else 'LENGTH'
