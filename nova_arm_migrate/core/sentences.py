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

"""The sentences an operator reads, one for each cause of a finding."""

import enum


class Cause(enum.Enum):
    """Why there is a finding."""

    ABOVE = "above the destination's limit"
    BELOW = "below the destination's limit"
    FIXED = "fixed on the destination"
    NOT_ALLOWED = "not a value the destination accepts"
    RESERVED = "unknown bits differ"
    STALE = "may be a stale value"
    IMPLEMENTATION = "another implementation"
    SEVERAL_CORES = "several kinds of cores"
    MISSING = "register missing"
    DROPPED = "register dropped"
    MAY_BE_DROPPED = "register may be dropped"
    FIRMWARE_LEVEL = "firmware level"
    FIRMWARE_BITS = "firmware calls missing"
    PSCI_VERSION = "PSCI version unknown to the destination"
    CACHE = "cache description"
    COUNTERS = "event counters missing"
    SVE_LENGTHS = "SVE vector lengths"
    PASSED_VECTORS = "longer SVE vectors on the way"
    WIDE_VECTORS = "SVE registers too wide for QEMU"
    TIMER = "timer frequency"
    CACHE_ZERO = "cache zeroing block"
    ADDRESSES = "guest addresses do not fit"
    SMALLER_PAGES = "smaller pages"
    LARGER_PAGES = "larger pages"
    GIC = "interrupt controller"
    GIC_INTERFACE = "interrupt controller's interface"
    GIC_REVISION = "interrupt controller's revision"
    INFERRED = "taken from the current host"
    NOT_RECORDED = "not recorded"
    TRIAL_REFUSED = "refused in the trial"
    TRIAL_MISSING = "missing in the trial"
    TRIAL_ACCEPTED = "accepted in the trial"


_ELSEWHERE = ("Choose another destination, or restart the guest (hard"
              " reboot) on the lesser host, so that it never sees more.")

_SENTENCES = {
    Cause.ABOVE:
        "The guest has {name} = {guest}, the destination offers at most"
        " {host}. " + _ELSEWHERE,
    Cause.BELOW:
        "The guest has {name} = {guest}, the destination needs at least"
        " {host}. " + _ELSEWHERE,
    Cause.FIXED:
        "The guest has {name} = {guest}, the destination {host}, and its"
        " kernel does not let a guest differ there. Choose a destination"
        " with the same value, or update its kernel (6.7 and newer let many"
        " fields be lowered).",
    Cause.NOT_ALLOWED:
        "The guest has {name} = {guest}; beside its own {host} the"
        " destination accepts no such value. Choose a destination with the"
        " same value.",
    Cause.RESERVED:
        "{name} is {guest} in the guest and {host} on the destination, in"
        " bits that this version has no name for. Choose a destination of"
        " the same kind, or update nova-arm-migrate.",
    Cause.STALE:
        "The guest has {name} = {guest}, which the destination hides from"
        " guests; it accepts the value if its hardware has the same, which"
        " only a trial on the destination can tell. Allow the trial"
        " ([arm_migrate] trial).",
    Cause.IMPLEMENTATION:
        "The guest runs on {detail}: {name} is {guest} in the guest and"
        " {host} on the destination, and QEMU needs it equal. Choose a"
        " destination with the same cores, revision included.",
    Cause.SEVERAL_CORES:
        "The destination has several kinds of cores ({detail}); which of"
        " them a guest sees depends on where it is scheduled. Pin the"
        " guest's vCPUs to cores of one kind, or choose another"
        " destination.",
    Cause.MISSING:
        "The guest has the register {name}{detail}, which the destination's"
        " KVM does not have. Choose a destination with the same or a newer"
        " kernel and the same vCPU features.",
    Cause.DROPPED:
        "The guest has the register {name}, which the destination's KVM"
        " does not have; its QEMU drops it without harm.",
    Cause.MAY_BE_DROPPED:
        "The guest has the register {name}, which the destination's KVM"
        " does not have; it is not known whether its QEMU drops it without"
        " harm. Choose a destination with the same or a newer kernel.",
    Cause.FIRMWARE_LEVEL:
        "The guest was told that {name} is at level {guest}, the"
        " destination is at {host}: the guest would run without that"
        " mitigation. Update the destination's firmware or kernel, or"
        " choose another one.",
    Cause.FIRMWARE_BITS:
        "The guest was offered hypercalls ({name} = {guest}) that the"
        " destination lacks ({host}). Choose a destination with the same or"
        " a newer kernel.",
    Cause.PSCI_VERSION:
        "The guest uses {name} {guest}, newer than the destination's"
        " {host}. Choose a destination with the same or a newer kernel.",
    Cause.CACHE:
        "{name} is {guest} in the guest and {host} on the destination,"
        " whose KVM refuses such a cache description. Choose a destination"
        " with the same cores.",
    Cause.COUNTERS:
        "The guest has {guest} event counters ({name}), the destination"
        " {host}; nothing refuses the move, and the guest loses counters it"
        " uses. Choose another destination, or switch the guest's PMU off"
        " (hw_pmu).",
    Cause.SVE_LENGTHS:
        "The guest may use SVE vector lengths of {guest} bits, the"
        " destination has {host}; nothing refuses the move, and programs in"
        " the guest are killed. Choose a destination with the same lengths"
        " up to the guest's longest, or switch the longer ones off in the"
        " guest.",
    Cause.PASSED_VECTORS:
        "The guest's SVE vector lengths are {guest} bits: it has run on a"
        " host with longer ones, and has those if it booted again there by"
        " itself, which nobody records. The destination has {host}. Choose a"
        " destination with the same lengths, or restart the guest (hard"
        " reboot).",
    Cause.WIDE_VECTORS:
        "The guest has SVE registers of {guest} bits, of which QEMU carries"
        " {host}: a program that uses the rest computes wrong results after"
        " the move, and nobody refuses it. Restart the guest without the"
        " longer vector lengths (sve2048=off and the like).",
    Cause.TIMER:
        "The guest's timer runs at {guest} Hz, the destination's at {host}"
        " Hz; nothing refuses the move, and time runs wrong in the guest."
        " Choose a destination with the same timer frequency.",
    Cause.CACHE_ZERO:
        "{name} is {guest} in the guest and {host} on the destination;"
        " nothing refuses the move, and the guest clears memory in blocks"
        " of the wrong size. Choose a destination with the same value.",
    Cause.ADDRESSES:
        "The guest's memory map needs {guest} address bits, the destination"
        " offers {host}. Choose a destination with a larger IPA size.",
    Cause.SMALLER_PAGES:
        "The guest has run on a host with pages of {guest} bytes, the"
        " destination's have {host}: QEMU has rounded the guest's memory"
        " blocks up, and refuses them there. Choose a destination with pages"
        " at least as large, or restart the guest (hard reboot) on one with"
        " the smaller ones.",
    Cause.LARGER_PAGES:
        "The guest has run on hosts with pages of {guest} bytes only, the"
        " destination's have {host}: it moves, and can't move back before it"
        " is restarted on a host with the smaller ones.",
    Cause.GIC:
        "The guest has a GICv{guest}, the destination emulates {host}."
        " Choose a destination with that GIC.",
    Cause.GIC_INTERFACE:
        "The guest's interrupt controller has {name} = {guest}, the"
        " destination's {host}; KVM refuses it there, and QEMU ends. Choose"
        " a destination with the same interrupt controller.",
    Cause.GIC_REVISION:
        "{name} was {guest} where the guest started and is {host} on the"
        " destination; QEMU does not carry it over, and the guest reads it"
        " when it boots only.",
    Cause.INFERRED:
        "The guest has no record of its own (it started before"
        " nova-arm-migrate): it is judged by its current host's profile. A"
        " hard reboot writes the record.",
    Cause.NOT_RECORDED:
        "{name} can't be judged: {detail}. Probe the hosts again, or set"
        " [arm_migrate] unknown.",
    Cause.TRIAL_REFUSED:
        "KVM on the destination refuses {name} = {guest} ({detail})"
        " although the rule lets it pass. Choose another destination, and"
        " report this with both profiles.",
    Cause.TRIAL_MISSING:
        "KVM on the destination does not have the register {name}. Choose a"
        " destination with the same or a newer kernel.",
    Cause.TRIAL_ACCEPTED:
        "KVM on the destination accepts {name} = {guest} although the rule"
        " says {detail}; the trial has the last word.",
}

#: Causes that say what the destination does not have at all.
LACKING = frozenset({
    Cause.MISSING, Cause.DROPPED, Cause.MAY_BE_DROPPED, Cause.TRIAL_MISSING,
})

#: Causes whose values are whole registers and read best in hexadecimal.
HEXADECIMAL = frozenset({
    Cause.RESERVED, Cause.IMPLEMENTATION, Cause.FIRMWARE_BITS,
    Cause.PSCI_VERSION, Cause.CACHE, Cause.CACHE_ZERO, Cause.GIC_REVISION,
    Cause.TRIAL_REFUSED, Cause.TRIAL_ACCEPTED,
})


def sentence(cause: Cause, *, name: str, guest: str, host: str,
             detail: str) -> str:
    """Return the sentence for a cause, remedy included."""
    return _SENTENCES[cause].format(
        name=name, guest=guest, host=host, detail=detail)
