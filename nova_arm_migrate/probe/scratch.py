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


"""What a scratch vCPU shows, and what it lets be written."""

from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import code_of
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.tables.features import ID_AA64DFR0_EL1
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.tables.features import ID_DFR0_EL1
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.probe.interface import GuestView
from nova_arm_migrate.probe import kvm

#: The fields that kernels before 6.7, which do not tell, may let be
#: lowered: set_id_aa64pfr0_el1 (5.11), set_id_aa64dfr0_el1 and
#: set_id_dfr0_el1 (6.2).
_CANDIDATES = (
    (ID_AA64PFR0_EL1, ("CSV2", "CSV3")),
    (ID_AA64DFR0_EL1, ("PMUVer",)),
    (ID_DFR0_EL1, ("PerfMon",)),
)


def view(vcpu: kvm.ScratchVCPU, features: frozenset[str]) -> GuestView:
    """Return what a vCPU shows.

    :param features: those the vCPU was made with
    :raises KvmFailed: if KVM does not tell
    """
    values, listed = {}, set()
    for register in vcpu.register_list():
        code = code_of(register)
        if code is None:
            continue
        listed.add(code)
        if keeps_value(code):
            value = vcpu.read(register)
            if value:
                values[code] = value
    return GuestView(Values(values), frozenset(listed), features,
                     vcpu.sve_lengths)


def sve_limit(disabled: frozenset[str]) -> int | None:
    """Return the shortest vector length that is switched off, in bits.

    It goes with all longer ones: KVM can't leave gaps.
    """
    return min((SVE_LENGTH_PROPERTIES[name] for name in disabled
                if name in SVE_LENGTH_PROPERTIES), default=None)


def lowered(device: kvm.Kvm, ipa_bits: int, seen: GuestView
            ) -> dict[int, int]:
    """Return the writable bits by trying, where the kernel does not tell.

    Each try has a virtual machine of its own: an accepted value stays.

    :raises KvmFailed: if KVM makes none
    """
    masks: dict[int, int] = {}
    for code, names in _CANDIDATES:
        value = seen.values.read(code)
        for field in map(register_of(code).field, names):
            if code in seen.listed and field.of(value) and _takes(
                    device, ipa_bits, seen.features, code,
                    _less(field, value)):
                masks[code] = masks.get(code, 0) | field.mask
    return masks


def _less(field: Field, value: int) -> int:
    return field.into(value, field.of(value) - 1)


def _takes(device: kvm.Kvm, ipa_bits: int, features: frozenset[str],
           code: int, value: int) -> bool:
    with (device.scratch_vm(ipa_bits) as machine,
          machine.scratch_vcpu(features) as vcpu):
        return not vcpu.write(kvm_id(code), value)
