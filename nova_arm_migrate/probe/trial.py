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


"""The trial: write a guest's registers to a scratch vCPU, as QEMU does."""

from collections.abc import Callable

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.registers import code_of
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.probe import incoming
from nova_arm_migrate.probe.descriptor import errno_name
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.scratch import Machine


def trial_on(machine: Machine, guest: Guest, qemu: Callable[[], str]) -> Trial:
    """Write all registers of the guest, and collect the refused ones.

    Like QEMU's ``write_list_to_kvmstate``, this continues after a refusal. The
    GIC is a separate device, which QEMU restores after the CPUs.

    :param machine: new, with the features and the GIC that QEMU would set
    :param qemu: returns the version of the QEMU here, or raises
        `ProbeError`; called only if the result depends on it
    :raises ProbeError: if KVM does not list the vCPU's registers
    """
    if guest.reg_list is None:
        return Trial(ran=False, why_not=incoming.NO_LIST)
    vcpu = machine.vcpu
    reg_list = frozenset(
        code
        for register in vcpu.register_list()
        if (code := code_of(register)) is not None
    )
    version = None
    if guest.reg_list - reg_list:
        try:
            version = qemu()
        except ProbeError:
            version = None
    fails, may_fail = incoming.missing(guest, reg_list, version)
    pairs = incoming.writes(guest, reg_list)
    refused = []
    for code, value in pairs:
        number = vcpu.write(kvm_id(code), value)
        if number:
            refused.append((code, errno_name(number)))
    vgic = machine.vgic
    untried: tuple[int, ...] = ()
    if guest.vgic is not None and guest.vgic.ctlr is not None:
        if vgic is not None and vgic.version == guest.gic:
            refused += vgic.restore(guest.vgic)
        else:
            untried = (ICC_CTLR_EL1.code,)
    return Trial(
        refused=tuple(refused),
        missing=fails,
        unjudged=may_fail + untried,
        written=len(pairs),
    )
