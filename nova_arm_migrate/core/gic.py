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


"""Compare a guest's interrupt controller with the destination's.

QEMU restores a GICv3 through KVM's device, register by register. If KVM
refuses a register, QEMU aborts (``kvm_device_access`` with ``error_abort`` in
``hw/intc/arm_gicv3_kvm.c``), and the move fails.
"""

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.field_rules import accepts
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1

#: Names of the findings, for overrides.
NAMES = frozenset({'GICD_IIDR', 'GICR_IIDR', ICC_CTLR_EL1.name}) | frozenset(
    f'{ICC_CTLR_EL1.name}.{field.name}' for field in ICC_CTLR_EL1.fields
)


#: The version whose CPU interface QEMU can restore through KVM.
_GICV3 = 3


def find_gic(guest: Guest, host: Host) -> list[Finding]:
    """Return the findings on the guest's GIC.

    Records of schema 1 do not have the GIC's registers. There is no finding on
    the revisions then, because those findings are only notes.
    """
    has, offers = guest.vgic, host.vgic(guest.gic)
    findings = _interface(guest, host)
    if has is None or offers is None:
        return findings
    for name, value, limit in (
        ('GICD_IIDR', has.distributor, offers.distributor),
        ('GICR_IIDR', has.redistributor, offers.redistributor),
    ):
        if value is not None and limit is not None and value != limit:
            findings.append(
                Finding(
                    Cause.GIC_REVISION,
                    Severity.NOTE,
                    name,
                    '',
                    value,
                    limit,
                    Rule.EQUAL.value,
                )
            )
    return findings


def _interface(guest: Guest, host: Host) -> list[Finding]:
    """Check ICC_CTLR_EL1 as set_gic_ctlr() does."""
    if guest.gic != _GICV3 or _GICV3 not in (host.gic or ()):
        # `checks` finds out whether the destination has the guest's GIC.
        return []
    has, offers = guest.vgic, host.vgic(guest.gic)
    if has is None or has.ctlr is None:
        # Only a note: a trial cannot write a value that is not known.
        return [
            Finding(
                Cause.GUEST_NOT_RECORDED,
                Severity.NOTE,
                ICC_CTLR_EL1.name,
                detail="the guest's value is not recorded",
            )
        ]
    if offers is None or offers.ctlr is None:
        return [
            Finding(
                Cause.GIC_UNKNOWN,
                Severity.UNKNOWN,
                ICC_CTLR_EL1.name,
                '',
                has.ctlr,
                None,
                '',
                ICC_CTLR_EL1.code,
                host.why_absent('vgics'),
            )
        ]
    findings = []
    for field in ICC_CTLR_EL1.fields:
        mine, most = field.of(has.ctlr), field.of(offers.ctlr)
        if not accepts(field, mine, most):
            findings.append(
                Finding(
                    Cause.GIC_INTERFACE,
                    Severity.BLOCKS,
                    ICC_CTLR_EL1.name,
                    field.name,
                    mine,
                    most,
                    field.rule.value,
                    ICC_CTLR_EL1.code,
                )
            )
    return findings
