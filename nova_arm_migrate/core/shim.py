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

"""A baseline as the interposed library reads it: one environment variable.

The library writes the registers to each vCPU after KVM_ARM_VCPU_INIT. It gets
them in ``NOVA_ARM_BASELINE``, in printable ASCII without blanks::

    value           = "1;" name ";" flags ";" registers ";" implementations
    name            = 1*64( ALPHA / DIGIT / "." / "_" / "-" )
    flags           = [ "pauth" ]
    registers       = [ register *( "," register ) ]
    register        = 16lower-hex "=" number
    implementations = [ implementation *( "," implementation ) ]
    implementation  = number "/" number "/" number
    number          = "0x" 1*16lower-hex

The first field is the version of this form. ``pauth`` says that the values are
those of a vCPU with pointer authentication. A register is the id that
KVM_SET_ONE_REG takes, and its value. An implementation is MIDR_EL1, REVIDR_EL1
and AIDR_EL1 of a core on which the guest may run (hypercalls 0xC6000040 and
0xC6000041). There are none if the guest is not to be told.

The registers are in the order in which they must be written: MIDR_EL1,
REVIDR_EL1, AIDR_EL1; ID registers; CTR_EL0; then the description of the
caches, which KVM checks against CTR_EL0, and PMCR_EL0; PSCI_VERSION; the
hypercall bitmaps, VENDOR_HYP_BMAP_2 last.

If ID_AA64PFR0_EL1.EL0 is 1, no AArch32 ID register is in the list. QEMU itself
writes those of an incoming guest. A host without 32-bit code has sent 0, and
``set_id_dfr0_el1`` on a host with 32-bit code refuses ID_DFR0_EL1 = 0
(CopDbg). The library must skip that write: the guest does not read the
register.
"""

from collections.abc import Mapping
import re

from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.cpu_baseline import settable
from nova_arm_migrate.core.cpu_baseline import with_implementation
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import code_of
from nova_arm_migrate.core.registers import COPROC_BITMAP
from nova_arm_migrate.core.registers import COPROC_DEMUX
from nova_arm_migrate.core.registers import COPROC_FIRMWARE
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables.features import CTR_EL0
from nova_arm_migrate.core.vcpu import with_features_off

VARIABLE = 'NOVA_ARM_BASELINE'
VERSION = 1

_FIRST = (special.MIDR_EL1, special.REVIDR_EL1, special.AIDR_EL1)


def render(baseline: CpuBaseline, host: Host | None = None) -> str:
    """Return the value of `VARIABLE` for a baseline.

    :param host: on which the guest starts: registers that it does not have
        are left out, and those that are 0 in the baseline only are added.
        None renders what the baseline has, without PMCR_EL0
    """
    registers = dict(baseline.registers)
    if host is None:
        registers = {
            code: value
            for code, value in registers.items()
            if register_of(code).judge not in _NOT_WRITTEN
        }
    else:
        registers = written(baseline, host)
    items = ','.join(
        f'{kvm_id(code):016x}={registers[code]:#x}'
        for code in sorted(registers, key=_order)
    )
    flags = 'pauth' if 'pauth' in baseline.features else ''
    told = ','.join(map(str, baseline.targets))
    return f'{VERSION};{baseline.name};{flags};{items};{told}'


#: KVM keeps the host's levels of mitigations (``kvm_arm_get_fw_reg``).
_NOT_WRITTEN = (Judge.LEVEL, Judge.LEVEL_WORKAROUND_2)


def written(baseline: CpuBaseline, host: Host) -> dict[int, int]:
    """Return the registers to write on a host, by code, in their order.

    All of the implementation and what differs from a new vCPU's value.
    """
    seen = with_features_off(host, baseline.disabled)
    registers = dict(settable(baseline, seen))
    own = with_implementation(seen, baseline.registers)
    if own.values != seen.values:
        registers |= {code: baseline.registers.read(code) for code in _FIRST}
    code, field = special.PMCR_EL0, special.PMCR_N
    has = seen.values.read(code)
    if baseline.counters is not None and field.of(has) > baseline.counters:
        registers[code] = field.into(has, baseline.counters)
    return {code: registers[code] for code in sorted(registers, key=_order)}


def environment(baseline: CpuBaseline, host: Host) -> Mapping[str, str]:
    """Return the environment of a QEMU that starts a guest on a host."""
    return {VARIABLE: render(baseline, host)}


#: A line of the library: ``say`` in shim/nova_arm_baseline.c.
_LINE = re.compile(
    r'nova-arm-baseline: (?:[A-Za-z0-9._-]{1,64}: )?([ -~]{1,480})'
)
#: What it says before it stops the guest.
_STOPS = (
    'cannot be set',
    'is malformed',
    'KVM refuses',
    'cannot have a baseline',
    'does not run',
    'cannot be mapped',
)
_KVM_ID = re.compile(r'\b[0-9a-f]{16}\b')


def complaint(log: str) -> str:
    """Return why the library has stopped a guest, in one line.

    :param log: what QEMU has written to standard error, or a part of it
    :returns: its first complaint, with the names of registers; empty if there
        is none
    """
    for line in _LINE.findall(log):
        if any(words in line for words in _STOPS):
            return _KVM_ID.sub(_named, line)
    return ''


def _named(kvm_id: re.Match[str]) -> str:
    code = code_of(int(kvm_id[0], 16))
    return kvm_id[0] if code is None else register_of(code).name


def _order(code: int) -> tuple[int, int]:
    if code in _FIRST:
        return 0, _FIRST.index(code)
    if code == CTR_EL0:
        return 2, code
    if code in (special.CLIDR_EL1, special.PMCR_EL0):
        return 3, code
    return _BY_COPROCESSOR.get(code >> 16, 1), code


_BY_COPROCESSOR = {COPROC_DEMUX: 3, COPROC_FIRMWARE: 4, COPROC_BITMAP: 5}
