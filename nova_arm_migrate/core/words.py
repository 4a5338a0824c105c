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

"""What was found: a few short sentences for each cause.

The remedies depend on both records and are in `remedies`.
"""

from nova_arm_migrate.core.causes import Cause

#: By cause. ``{name}`` is the register and field. ``{label}`` is the same,
#: with the number of further registers. ``{guest}`` and ``{host}`` are the
#: values.
WORDS = {
    Cause.ABOVE: (
        'The guest has {name} = {guest}. The destination offers at most'
        ' {host}.'
    ),
    Cause.BELOW: (
        'The guest has {name} = {guest}. The destination needs at least'
        ' {host}.'
    ),
    Cause.FIXED: (
        'The guest has {name} = {guest}, the destination has {host}. The'
        " destination's KVM does not let a guest have another value."
    ),
    Cause.NOT_ALLOWED: (
        'The guest has {name} = {guest}. The destination has {host}, and'
        " does not accept the guest's value."
    ),
    Cause.RESERVED: (
        'The guest has {name} = {guest}, the destination has {host}. This'
        ' version of nova-arm-migrate does not know the bits that differ.'
    ),
    Cause.STALE: (
        'The guest has {name} = {guest}, a value that older kernels showed.'
        " The destination's kernel hides it. KVM accepts the value if the"
        " destination's hardware has the same one."
    ),
    Cause.MASK_UNKNOWN: (
        'The guest has {name} = {guest}, the destination has {host}. KVM'
        ' accepts the value if the field is writable. It is not recorded'
        ' whether it is ({detail}).'
    ),
    Cause.IMPLEMENTATION: (
        'The guest runs on {detail}. {name} is {guest} in the guest and'
        ' {host} on the destination. QEMU needs equal values.'
    ),
    Cause.SEVERAL_CORES: (
        '{detail}. A guest sees one of them. Which one depends on where its'
        ' vCPUs run.'
    ),
    Cause.MISSING: (
        "The guest has {label}{detail}. The destination's KVM has no such"
        ' register, so the QEMU there does not load the guest.'
    ),
    Cause.DROPPED: (
        "The guest has {label}. The destination's KVM has no such register."
        ' The QEMU there drops it without harm.'
    ),
    Cause.MAY_BE_DROPPED: (
        "The guest has {label}. The destination's KVM has no such register."
        ' It is not known whether the QEMU there drops it without harm.'
    ),
    Cause.QEMU_UNKNOWN: (
        "The guest has {label}. The destination's KVM has no such register."
        " The QEMU there may drop it without harm. That depends on QEMU's"
        ' version, which is not recorded.'
    ),
    Cause.FIRMWARE_LEVEL: (
        'The guest has {name} = {guest}. The destination has {host}. The'
        ' guest would run there without a protection that it relies on.'
    ),
    Cause.FIRMWARE_BITS: (
        'The guest may use the hypercalls {name} = {guest}. The destination'
        ' offers {host}.'
    ),
    Cause.PSCI_VERSION: (
        'The guest uses {name} {guest}. The destination supports {host}.'
    ),
    Cause.CACHE: (
        '{name} is {guest} in the guest and {host} on the destination. The'
        " destination's KVM refuses the guest's cache description."
    ),
    Cause.CACHE_UNKNOWN: (
        '{name} is {guest} in the guest and {host} on the destination.'
        " It is not recorded whether the destination's KVM accepts another"
        ' cache description.'
    ),
    Cause.COUNTERS: (
        'The guest has {guest} event counters ({name}), the destination has'
        ' {host}. Nothing refuses the move, but the guest loses counters.'
    ),
    Cause.SVE_LENGTHS: (
        'The guest may use SVE vectors of {guest} bits, the destination has'
        ' {host}. Nothing refuses the move, but programs in the guest are'
        ' killed.'
    ),
    Cause.VISITED_VECTORS: (
        'The guest has been on a host with SVE vectors of {guest} bits. If'
        ' it rebooted from inside, it now uses them; Nova cannot tell. The'
        ' destination has {host}.'
    ),
    Cause.VISITED_WIDE_VECTORS: (
        'The guest has been on a host with SVE vectors of {guest} bits. If'
        ' it rebooted from inside, it now uses them; Nova cannot tell. QEMU'
        ' migrates only {host} bits of an SVE register.'
    ),
    Cause.WIDE_VECTORS: (
        'The guest has SVE registers of {guest} bits. QEMU migrates only'
        ' {host} of them. Nothing refuses the move, but programs that use'
        ' the other bits compute wrong results.'
    ),
    Cause.SME: (
        "{name} can't be judged: {detail}. No released QEMU migrates them."
    ),
    Cause.TIMER: (
        "The guest's timer runs at {guest} Hz, the destination's at {host}"
        ' Hz. Nothing refuses the move, but time runs at the wrong speed in'
        ' the guest.'
    ),
    Cause.CACHE_ZERO: (
        '{name} is {guest} in the guest and {host} on the destination.'
        ' Nothing refuses the move, but the guest clears memory in blocks'
        ' of the wrong size.'
    ),
    Cause.MEMORY: (
        "The guest's memory needs {guest} address bits. The destination has"
        ' {host}, so QEMU does not start there.'
    ),
    Cause.WINDOWS: (
        "The guest's device windows, above its memory, need {guest} address"
        ' bits. The destination has {host}. QEMU there leaves out the windows'
        ' that do not fit. Nothing refuses the move, but the guest loses'
        ' devices.'
    ),
    Cause.VISITED_WINDOWS: (
        'The guest has been on a host with device windows up to {guest}'
        ' address bits. If it rebooted from inside, it now uses them; Nova'
        ' cannot tell. The destination has {host} address bits.'
    ),
    Cause.MEMORY_UNKNOWN: (
        "The guest's memory size is not recorded. A guest of at most 255 GiB"
        ' needs {guest} address bits. The destination has {host}.'
    ),
    Cause.SMALLER_PAGES: (
        'The guest has run on a host with pages of {guest} bytes. The'
        " destination has pages of {host} bytes. QEMU rounded the guest's"
        ' memory blocks up to the larger pages. The QEMU on the destination'
        ' refuses blocks of that size.'
    ),
    Cause.LARGER_PAGES: (
        'The guest has run only on hosts with pages of {guest} bytes. The'
        ' destination has pages of {host} bytes. The guest can move there,'
        ' but it cannot move back until it is restarted on a host with the'
        ' smaller pages.'
    ),
    Cause.GIC: 'The guest has a GICv{guest}. The destination emulates {host}.',
    Cause.GIC_INTERFACE: (
        "The guest's interrupt controller has {name} = {guest}, the"
        " destination's has {host}. The destination's KVM refuses the guest's"
        ' value, so QEMU does not load the guest.'
    ),
    Cause.GIC_UNKNOWN: (
        "The guest's interrupt controller has {name} = {guest}. It is not"
        " known which values the destination's KVM accepts ({detail})."
    ),
    Cause.GIC_REVISION: (
        '{name} is {guest} in the guest and {host} on the destination. QEMU'
        ' does not migrate it, and nothing refuses the move. A guest reads it'
        ' when it boots.'
    ),
    Cause.GIC_FIELD: (
        "{name} is {guest} in the guest's record and {host} on the"
        ' destination. The record was made without an interrupt controller,'
        ' so the guest may have another value, which the destination accepts.'
    ),
    Cause.STEAL_TIME: (
        'The guest has steal time, and QEMU keeps a RAM block for it'
        ' (pvtime). The destination has no steal time, so the QEMU there'
        ' refuses the block.'
    ),
    Cause.SWITCH: (
        "The guest's domain switches {name} off, and the destination does not"
        ' have {name}. The QEMU there does not know the property that switches'
        ' it off, and does not start the guest.'
    ),
    Cause.SWITCH_UNKNOWN: (
        "The guest's domain switches {name} off, and the destination does not"
        ' have {name}. Some versions of QEMU then do not know the property'
        ' that switches it off. It is not known whether the QEMU there does.'
    ),
    Cause.BASELINE: (
        'The guest has the CPU baseline {guest}. The destination does not'
        ' offer it{detail}.'
    ),
    Cause.BASELINE_UNKNOWN: (
        'The guest has the CPU baseline {guest}, and the destination offers'
        ' one of that name and version. It is not recorded whether both have'
        ' the same contents: the record of {detail} is too old.'
    ),
    Cause.INFERRED: (
        'The guest has no record of its own, because it started before'
        ' nova-arm-migrate was installed. It is judged by the record of its'
        ' current host.'
    ),
    Cause.GUEST_NOT_RECORDED: "{name} can't be judged: {detail}.",
    Cause.NOT_RECORDED: "{name} can't be judged: {detail}.",
    Cause.LIBVIRT: (
        "The destination's libvirt does not take the CPU features of the"
        " guest's domain ({guest}): {host}."
    ),
    Cause.TRIAL_REFUSED: (
        'KVM on the destination refuses {name} = {guest} ({detail}). The'
        ' rule accepts it. Report this as a bug, with both records.'
    ),
    Cause.TRIAL_MISSING: (
        'KVM on the destination does not have the register {label}.'
    ),
    Cause.TRIAL_ACCEPTED: (
        'KVM on the destination accepts {name} = {guest}. The rule refuses'
        ' it ({detail}). The trial decides.'
    ),
}
