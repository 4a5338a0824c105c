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


"""Create a scratch machine as QEMU does, and read its vCPU."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses

from nova_arm_migrate.core.guest_view import GuestView
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import code_of
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.features import GIC_REGISTERS
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.probe import kvm
from nova_arm_migrate.probe.descriptor import errno_name
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.vgic import VgicDevice


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """A scratch VM with the vCPU and the GIC that QEMU would create.

    :ivar vm: the machine
    :ivar vcpu: its only vCPU
    :ivar vgic: None if KVM emulates no GIC
    """

    vm: kvm.ScratchVM
    vcpu: kvm.ScratchVCPU
    vgic: VgicDevice | None


@contextlib.contextmanager
def machine(
    device: kvm.Kvm,
    features: frozenset[str],
    sve_off: Collection[int] = (),
    gic: int | None = None,
    baseline: bool = False,
) -> Iterator[Machine]:
    """Create a machine in the order of QEMU's ``virt``.

    :param features: of the vCPU
    :param sve_off: as for `ScratchVM.scratch_vcpu`
    :param gic: the version that the guest has. If it is None, or KVM does not
        emulate it, the newest version that KVM emulates is used
    :param baseline: let its implementation be written, as for a guest on a
        baseline
    :raises KvmFailed: if KVM creates none
    """
    with contextlib.ExitStack() as stack:
        vm = stack.enter_context(device.scratch_vm(device.ipa_bits()))
        vm.turn_on_as_qemu()
        if baseline:
            vm.let_write_implementation()
        vcpu = stack.enter_context(vm.scratch_vcpu(features, sve_off))
        vgic = None
        versions = vm.gic_versions()
        if versions:
            version = gic if gic in versions else versions[-1]
            vgic = stack.enter_context(vm.vgic(version))
            if 'pmu' in features:
                vcpu.start_pmu()
        yield Machine(vm, vcpu, vgic)


def write(vcpu: kvm.ScratchVCPU, registers: Mapping[int, int]) -> None:
    """Write the registers of a baseline to a new vCPU, in their order.

    :param registers: values by code
    :raises ProbeError: if KVM refuses one; with its name
    """
    for code, value in registers.items():
        number = vcpu.write(kvm_id(code), value)
        if number:
            raise ProbeError(
                f'{register_of(code).name} = {value:#x}: {errno_name(number)}'
            )


def view(vcpu: kvm.ScratchVCPU, features: frozenset[str]) -> GuestView:
    """Return the registers and lengths that a vCPU shows.

    :param features: the features with which the vCPU was created
    :raises KvmFailed: if KVM does not return them
    """
    values, reg_list = {}, set()
    for register in vcpu.register_list():
        code = code_of(register)
        if code is None:
            continue
        reg_list.add(code)
        if keeps_value(code):
            value = vcpu.read(register)
            if value:
                values[code] = value
    return GuestView(
        Values(values), frozenset(reg_list), features, vcpu.sve_lengths
    )


def sve_lengths_off(disabled: frozenset[str]) -> frozenset[int]:
    """Return the vector lengths that are switched off, in bits."""
    return frozenset(
        SVE_LENGTH_PROPERTIES[name]
        for name in disabled
        if name in SVE_LENGTH_PROPERTIES
    )


def shown_with(
    vcpu: kvm.ScratchVCPU, seen: GuestView
) -> tuple[tuple[int, int], ...]:
    """Return the ID registers that differ with another GIC.

    :param vcpu: of the machine with that GIC
    :param seen: the view in the host's profile
    :raises KvmFailed: if KVM does not return them
    """
    values = [
        (code, vcpu.read(kvm_id(code)))
        for code in GIC_REGISTERS
        if code in seen.reg_list
    ]
    return tuple(
        sorted(
            (code, value)
            for code, value in values
            if value != seen.values.read(code)
        )
    )
