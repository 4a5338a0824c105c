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

"""The causes of findings, and what follows from the cause alone."""

import enum


class Cause(enum.Enum):
    """Why there is a finding."""

    # Members are singletons; Enum would hash their names, in Python.
    __hash__ = object.__hash__

    ABOVE = "above the destination's limit"
    BELOW = "below the destination's limit"
    FIXED = 'fixed on the destination'
    NOT_ALLOWED = 'not a value the destination accepts'
    RESERVED = 'unknown bits differ'
    STALE = 'may be a stale value'
    MASK_UNKNOWN = 'not known whether the field is writable'
    IMPLEMENTATION = 'another implementation'
    SEVERAL_CORES = 'several kinds of cores'
    MISSING = 'register missing'
    DROPPED = 'register dropped'
    MAY_BE_DROPPED = 'register may be dropped'
    QEMU_UNKNOWN = 'version of QEMU not known'
    FIRMWARE_LEVEL = 'firmware level'
    FIRMWARE_BITS = 'firmware calls missing'
    PSCI_VERSION = 'PSCI version unknown to the destination'
    CACHE = 'cache description'
    CACHE_UNKNOWN = 'not known which cache descriptions are accepted'
    COUNTERS = 'event counters missing'
    SVE_LENGTHS = 'SVE vector lengths'
    VISITED_VECTORS = 'longer SVE vectors on a visited host'
    VISITED_WIDE_VECTORS = 'SVE registers of a visited host too wide for QEMU'
    WIDE_VECTORS = 'SVE registers too wide for QEMU'
    SME = 'SME not judged'
    TIMER = 'timer frequency'
    CACHE_ZERO = 'cache zeroing block'
    MEMORY = 'guest memory does not fit'
    WINDOWS = 'device windows do not fit'
    VISITED_WINDOWS = 'more device windows on a visited host'
    MEMORY_UNKNOWN = 'guest memory not recorded'
    SMALLER_PAGES = 'smaller pages'
    LARGER_PAGES = 'larger pages'
    GIC = 'interrupt controller'
    GIC_INTERFACE = "interrupt controller's interface"
    GIC_UNKNOWN = 'not known what the interrupt controller accepts'
    GIC_REVISION = "interrupt controller's revision"
    GIC_FIELD = 'recorded without an interrupt controller'
    STEAL_TIME = 'steal time missing'
    SWITCH = 'feature that the destination cannot switch off'
    SWITCH_UNKNOWN = 'not known whether the feature can be switched off'
    BASELINE = 'baseline not offered'
    BASELINE_UNKNOWN = 'contents of the baseline not recorded'
    INFERRED = 'taken from the current host'
    GUEST_NOT_RECORDED = "the guest's value is not recorded"
    NOT_RECORDED = 'not recorded'
    LIBVIRT = 'CPU features that libvirt does not take'
    TRIAL_REFUSED = 'refused in the trial'
    TRIAL_MISSING = 'missing in the trial'
    TRIAL_ACCEPTED = 'accepted in the trial'


#: Causes of UNKNOWN findings that a trial on the destination settles: it
#: writes the register, or asks for the version of its own QEMU. The
#: scheduler does not reject a host for them.
SETTLED_BY_TRIAL = frozenset(
    {
        Cause.STALE,
        Cause.MASK_UNKNOWN,
        Cause.CACHE_UNKNOWN,
        Cause.QEMU_UNKNOWN,
        Cause.GIC_UNKNOWN,
    }
)

#: Causes that name what the destination does not have at all.
LACKING = frozenset(
    {
        Cause.MISSING,
        Cause.DROPPED,
        Cause.MAY_BE_DROPPED,
        Cause.QEMU_UNKNOWN,
        Cause.TRIAL_MISSING,
    }
)

#: Causes whose values are whole registers, shown in hexadecimal.
HEXADECIMAL = frozenset(
    {
        Cause.RESERVED,
        Cause.IMPLEMENTATION,
        Cause.FIRMWARE_BITS,
        Cause.PSCI_VERSION,
        Cause.CACHE,
        Cause.CACHE_UNKNOWN,
        Cause.CACHE_ZERO,
        Cause.GIC_UNKNOWN,
        Cause.GIC_REVISION,
        Cause.TRIAL_REFUSED,
        Cause.TRIAL_ACCEPTED,
    }
)
