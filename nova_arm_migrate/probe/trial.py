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


"""Write a guest's registers to a scratch vCPU: what QEMU will do."""

from collections.abc import Callable

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.registers import code_of
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe import incoming
from nova_arm_migrate.probe.interface import Trial
from nova_arm_migrate.probe import kvm


def trial_on(vcpu: kvm.ScratchVCPU, guest: Guest,
             qemu: Callable[[], str]) -> Trial:
    """Write all that the guest has, and collect what is refused.

    QEMU's ``write_list_to_kvmstate`` also goes on after a refusal.

    :param vcpu: fresh, with the features that QEMU would set
    :param qemu: returns the version of the QEMU here, or raises
        `ProbeError`; asked only where it matters
    :raises ProbeError: if KVM does not list the vCPU's registers
    """
    if guest.listed is None:
        return Trial(ran=False, why_not=incoming.NO_LIST)
    listed = frozenset(code for register in vcpu.register_list()
                       if (code := code_of(register)) is not None)
    version = None
    if guest.listed - listed:
        try:
            version = qemu()
        except ProbeError:
            version = None
    fails, may_fail = incoming.missing(guest, listed, version)
    pairs = incoming.writes(guest, listed)
    refused = []
    for code, value in pairs:
        number = vcpu.write(kvm_id(code), value)
        if number:
            refused.append((code, kvm.errno_name(number)))
    return Trial(refused=tuple(refused), missing=fails, unjudged=may_fail,
                 written=len(pairs))
