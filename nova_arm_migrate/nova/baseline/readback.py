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

"""Whether a guest has its baseline.

Its QEMU is asked for the vCPU's features, and whether it has loaded the
library. Nothing outside of a running QEMU can read its vCPU's registers, so
they are read from a new vCPU with the same features to which the same
registers are written. The library itself reads back each register that it
writes, and does not let the vCPU run if one differs.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

from nova_arm_migrate.core import shim
from nova_arm_migrate.core.baseline_forms import BASELINE_REGISTERS
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.cpu_baseline import start
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.nova.baseline.backends import Plan
from nova_arm_migrate.nova.baseline.catalogue import joined
from nova_arm_migrate.nova.baseline.running import RunningQemu
from nova_arm_migrate.nova.records.domain import Domain


class NotTheBaseline(Exception):
    """A guest does not have its baseline; the text is one line."""


def guest(
    plan: Plan,
    domain: Domain,
    qemu: RunningQemu,
    host: Host,
    started: Callable[[Domain, Plan], Guest],
) -> Guest:
    """Return the record of a guest that has its baseline.

    :param domain: what its XML says
    :param host: the profile of the host on which it has started
    :param started: returns the record of a guest of a plan, from a new vCPU
    :raises NotTheBaseline: if it has something else
    :raises ProbeError: if that cannot be read
    """
    process(plan, domain, qemu)
    record = started(domain, plan)
    faults = [*_registers(start(plan.baseline, host), record)]
    if faults:
        raise NotTheBaseline(joined(faults))
    return dataclasses.replace(
        record,
        # On every member, also what this one does not have.
        disabled=record.disabled | plan.baseline.disabled,
        baseline=plan.baseline.identity,
        baseline_digest=plan.baseline.digest,
    )


def process(plan: Plan, domain: Domain, qemu: RunningQemu) -> None:
    """Check what a running QEMU itself can be asked.

    This is all that can be checked of a guest that has arrived: its registers
    are those that its first host gave it, and KVM has accepted them.

    :raises NotTheBaseline: if the guest has something else
    :raises ProbeError: if that cannot be read
    """
    faults = [*_features(plan, qemu), *_library(plan, qemu)]
    wrong = domain.gic != plan.baseline.gic and plan.baseline.gic is not None
    if wrong:
        faults.append(f'GIC: v{domain.gic}, not v{plan.baseline.gic}')
    if faults:
        raise NotTheBaseline(joined(faults))


def _features(plan: Plan, qemu: RunningQemu) -> Iterator[str]:
    """Compare the features and vector lengths of QEMU's vCPU."""
    lengths = plan.baseline.sve_lengths or ()
    wanted = {name: name in plan.baseline.features for name in FEATURES}
    if 'sve' in plan.baseline.features:
        wanted |= {
            name: bits in lengths
            for name, bits in SVE_LENGTH_PROPERTIES.items()
        }
    for name, on in wanted.items():
        if qemu.property(name) is not on:
            yield f'vCPU feature {name}: {_switch(not on)}, not {_switch(on)}'


def _switch(on: bool) -> str:
    return 'on' if on else 'off'


def _library(plan: Plan, qemu: RunningQemu) -> Iterator[str]:
    """Compare what QEMU's process was started with."""
    if not plan.library:
        return
    if not qemu.has_loaded(plan.library):
        yield f'QEMU has not loaded {plan.library}'
    elif (
        qemu.environment().get(shim.VARIABLE)
        != plan.environment[shim.VARIABLE]
    ):
        yield f'QEMU has another value of {shim.VARIABLE}'


def another(record: Guest, baseline: CpuBaseline) -> str:
    """Return in what a guest's baseline differs from another of its name.

    Someone may have changed the file on one host and kept the version. The
    registers name what differs. What KVM itself may change in a move is not
    compared, and records of earlier versions have no digest.

    :param record: of a guest on a baseline of that name and version
    :returns: one line; empty if they are the same
    """
    if record.baseline_digest == baseline.digest:
        return ''
    faults = []
    features = FEATURES.keys() - record.disabled
    if features != baseline.features:
        faults.append(
            f'vCPU features: guest {_list(features)},'
            f' file {_list(baseline.features)}'
        )
    lengths = baseline.sve_lengths or ()
    if (record.sve_lengths or ()) != lengths:
        faults.append(
            f'SVE lengths: guest {record.sve_lengths}, file {lengths}'
        )
    for code in sorted(BASELINE_REGISTERS.values()):
        register = register_of(code)
        has, wanted = record.values.read(code), baseline.registers.read(code)
        if register.judge is Judge.IMPLEMENTATION and has != wanted:
            faults.append(f'{register.name}: guest {has:#x}, file {wanted:#x}')
        elif register.judge is Judge.FEATURES:
            faults += [
                f'{register.name}.{field.name}: guest {field.of(has)}, file'
                f' {field.of(wanted)}'
                for field in register.fields
                if (has ^ wanted) & field.mask
                and not field.stale
                and field.as_zero is None
            ]
    if not faults and record.baseline_digest is not None:
        faults.append(
            f'digest: guest {record.baseline_digest}, file {baseline.digest}'
        )
    return joined(faults)


def _list(names: Iterable[str]) -> str:
    return ', '.join(sorted(names)) or 'none'


def _registers(expected: Guest, got: Guest) -> Iterator[str]:
    """Compare the registers of a vCPU with those that it should have."""
    for code in sorted(expected.values.keys() | got.values.keys()):
        wanted, has = expected.values.read(code), got.values.read(code)
        if wanted != has:
            yield f'{register_of(code).name}: {has:#x}, not {wanted:#x}'
    if expected.sve_lengths != got.sve_lengths:
        yield f'SVE lengths: {got.sve_lengths}, not {expected.sve_lengths}'
