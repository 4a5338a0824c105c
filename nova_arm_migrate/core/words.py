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

"""What was found: one or two short sentences for each cause.

The remedies, which come from both records, are in `remedies`.
"""

from nova_arm_migrate.core.causes import Cause

#: By cause. ``{name}`` is the register and field, ``{label}`` the same with
#: the number of further registers, ``{guest}`` and ``{host}`` the values.
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
        " destination's KVM does not let a guest differ there."
    ),
    Cause.NOT_ALLOWED: (
        'The guest has {name} = {guest}. The destination has {host} and'
        ' accepts no such value.'
    ),
    Cause.RESERVED: (
        'The guest has {name} = {guest}, the destination has {host}. They'
        ' differ in bits that this version of nova-arm-migrate has no name'
        ' for.'
    ),
    Cause.STALE: (
        'The guest has {name} = {guest}, a value that older kernels showed.'
        ' The destination hides it. KVM takes the value there if its own'
        ' hardware has the same one.'
    ),
    Cause.MASK_UNKNOWN: (
        'The guest has {name} = {guest}, the destination has {host}. KVM'
        ' takes the value if the field may be written, and that is not'
        ' recorded ({detail}).'
    ),
    Cause.IMPLEMENTATION: (
        'The guest runs on {detail}. {name} is {guest} in the guest and'
        ' {host} on the destination, and QEMU needs them equal.'
    ),
    Cause.SEVERAL_CORES: (
        '{detail}. Which of them a guest sees depends on where its vCPUs run.'
    ),
    Cause.MISSING: (
        "The guest has {label}{detail}. The destination's KVM has no such"
        ' register, and its QEMU does not load the guest.'
    ),
    Cause.DROPPED: (
        "The guest has {label}. The destination's KVM has no such register,"
        ' and its QEMU drops it without harm.'
    ),
    Cause.MAY_BE_DROPPED: (
        "The guest has {label}. The destination's KVM has no such register."
        ' Whether its QEMU drops it without harm is not known.'
    ),
    Cause.QEMU_UNKNOWN: (
        "The guest has {label}. The destination's KVM has no such register."
        ' Whether its QEMU drops it without harm depends on its version,'
        ' which is not recorded.'
    ),
    Cause.FIRMWARE_LEVEL: (
        'The guest was told {name} = {guest}. The destination has {host}:'
        ' the guest would run without protection it relies on.'
    ),
    Cause.FIRMWARE_BITS: (
        'The guest was offered the hypercalls {name} = {guest}. The'
        ' destination offers {host}.'
    ),
    Cause.PSCI_VERSION: (
        'The guest uses {name} {guest}. The destination knows {host}.'
    ),
    Cause.CACHE: (
        '{name} is {guest} in the guest and {host} on the destination. The'
        " destination's KVM refuses that description of a cache."
    ),
    Cause.CACHE_UNKNOWN: (
        '{name} is {guest} in the guest and {host} on the destination.'
        " Whether the destination's KVM lets caches differ is not recorded."
    ),
    Cause.COUNTERS: (
        'The guest has {guest} event counters ({name}), the destination has'
        ' {host}. Nothing refuses the move, and the guest loses counters.'
    ),
    Cause.SVE_LENGTHS: (
        'The guest may use SVE vectors of {guest} bits, the destination has'
        ' {host}. Nothing refuses the move, and programs in the guest are'
        ' killed.'
    ),
    Cause.VISITED_VECTORS: (
        'The guest has been on a host with SVE vectors of {guest} bits. If'
        ' it booted again there by itself it uses them. The destination has'
        ' {host}.'
    ),
    Cause.WIDE_VECTORS: (
        'The guest has SVE registers of {guest} bits, and QEMU carries'
        ' {host} of them. Nothing refuses the move, and programs that use'
        ' the rest compute wrong results.'
    ),
    Cause.SME: (
        "{name} can't be judged: {detail}. No released QEMU carries them."
    ),
    Cause.TIMER: (
        "The guest's timer runs at {guest} Hz, the destination's at {host}"
        ' Hz. Nothing refuses the move, and time runs wrong in the guest.'
    ),
    Cause.CACHE_ZERO: (
        '{name} is {guest} in the guest and {host} on the destination.'
        ' Nothing refuses the move, and the guest clears memory in blocks'
        ' of the wrong size.'
    ),
    Cause.MEMORY: (
        "The guest's memory needs {guest} address bits, the destination has"
        ' {host}. QEMU does not start there.'
    ),
    Cause.WINDOWS: (
        "The guest's device windows, above its memory, need {guest} address"
        ' bits. The destination has {host}, and QEMU leaves windows out'
        ' there. Nothing refuses the move, and the guest loses devices.'
    ),
    Cause.VISITED_WINDOWS: (
        'The guest has been on a host with device windows up to {guest}'
        ' address bits. If it booted again there by itself it uses them. The'
        ' destination has {host} address bits.'
    ),
    Cause.MEMORY_UNKNOWN: (
        "The guest's memory is not recorded. A guest of at most 255 GiB needs"
        ' {guest} address bits, the destination has {host}.'
    ),
    Cause.SMALLER_PAGES: (
        'The guest has run on a host with pages of {guest} bytes, the'
        " destination has pages of {host}. QEMU rounded the guest's memory"
        ' blocks up to the larger pages and refuses them there.'
    ),
    Cause.LARGER_PAGES: (
        'The guest has run on hosts with pages of {guest} bytes only, the'
        ' destination has pages of {host}. It can move there, and not back'
        ' until it is restarted on a host with the smaller pages.'
    ),
    Cause.GIC: 'The guest has a GICv{guest}. The destination emulates {host}.',
    Cause.GIC_INTERFACE: (
        "The guest's interrupt controller has {name} = {guest}, the"
        " destination's has {host}. The destination's KVM refuses that, and"
        ' QEMU does not load the guest.'
    ),
    Cause.GIC_UNKNOWN: (
        "The guest's interrupt controller has {name} = {guest}. What the"
        " destination's KVM takes there is not known ({detail})."
    ),
    Cause.GIC_REVISION: (
        '{name} is {guest} in the guest and {host} on the destination. QEMU'
        ' does not carry it over, and nothing refuses the move. A guest reads'
        ' it when it boots.'
    ),
    Cause.GIC_FIELD: (
        "{name} is {guest} in the guest's record and {host} on the"
        ' destination. The record was made without an interrupt controller:'
        ' the guest may have a value that the destination takes.'
    ),
    Cause.STEAL_TIME: (
        'The guest has steal time, and QEMU keeps a RAM block for it'
        ' (pvtime). The destination has none, and its QEMU refuses the'
        ' block.'
    ),
    Cause.INFERRED: (
        'The guest has no record of its own: it started before'
        " nova-arm-migrate. It is judged by its current host's record."
    ),
    Cause.GUEST_NOT_RECORDED: "{name} can't be judged: {detail}.",
    Cause.NOT_RECORDED: "{name} can't be judged: {detail}.",
    Cause.TRIAL_REFUSED: (
        'KVM on the destination refuses {name} = {guest} ({detail}). The'
        ' rule lets it pass: report this with both records.'
    ),
    Cause.TRIAL_MISSING: (
        'KVM on the destination does not have the register {label}.'
    ),
    Cause.TRIAL_ACCEPTED: (
        'KVM on the destination accepts {name} = {guest}. The rule says'
        ' {detail}. The trial has the last word.'
    ),
}
