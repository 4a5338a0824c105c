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


"""A probe that answers from a profile instead of a real host."""

from collections.abc import Mapping

from nova_arm_migrate.core.cpu_baseline import with_implementation
from nova_arm_migrate.core.cpu_baseline import without_hidden
from nova_arm_migrate.core.cpu_baseline import without_zeros
from nova_arm_migrate.core.gic import find_gic
from nova_arm_migrate.core.guest_view import GuestView
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.probe import incoming
from nova_arm_migrate.probe.errors import ProbeError


class RecordedHost:
    """Gives the answers of the host from which the profile was taken.

    `core.vcpu.with_features_off` derives what KVM shows to a guest, and
    `core.rules` what KVM refuses. The lab compares both with real kernels.
    """

    def __init__(self, profile: Host) -> None:
        self._profile = profile

    def host(self) -> Host:
        """Return the profile."""
        return self._profile

    def guest_view(
        self,
        disabled: frozenset[str],
        gic: int | None = None,
        written: Mapping[int, int] | None = None,
    ) -> GuestView:
        """Return what the host shows to a guest.

        :raises ProbeError: if the profile has no register list, or the rule
            refuses a register
        """
        seen = with_features_off(self._profile, disabled)
        if seen.reg_list is None:
            raise ProbeError(self._profile.why_absent('reg_list'))
        known = gic if gic in (self._profile.gic or ()) else None
        guest = guest_started_on(self._profile, disabled=disabled, gic=known)
        values, reg_list = guest.values, seen.reg_list
        if written is not None:
            _check(seen, written)
            values = without_zeros({**values, **written})
            reg_list = without_hidden(reg_list, values) or reg_list
        return GuestView(
            values, reg_list, seen.features, seen.sve_lengths or ()
        )

    def trial(self, guest: Guest) -> Trial:
        """Judge each of the guest's registers by its rule."""
        seen = with_features_off(self._profile, guest.disabled)
        if guest.reg_list is None:
            return Trial(ran=False, why_not=incoming.NO_LIST)
        if seen.reg_list is None:
            return Trial(ran=False, why_not=seen.why_absent('reg_list'))
        if guest.baseline is not None:
            seen = with_implementation(seen, guest.values)
        assert seen.reg_list is not None
        fails, may_fail = incoming.missing(guest, seen.reg_list, seen.qemu)
        pairs = incoming.writes(guest, seen.reg_list)
        refused = [
            code
            for code, value in pairs
            if _refuses(seen, register_of(code), value)
        ]
        untried: tuple[int, ...] = ()
        if guest.vgic is not None and guest.vgic.ctlr is not None:
            vgic = seen.vgic(guest.gic)
            if vgic is None or vgic.ctlr is None:
                untried = (ICC_CTLR_EL1.code,)
            elif any(
                finding.code is not None for finding in find_gic(guest, seen)
            ):
                refused.append(ICC_CTLR_EL1.code)
        return Trial(
            refused=tuple((code, 'EINVAL') for code in refused),
            missing=fails,
            unjudged=may_fail + untried,
            written=len(pairs),
        )


def _check(host: Host, written: Mapping[int, int]) -> None:
    """Raise what `scratch.write` raises."""
    host = with_implementation(host, Values({**host.values, **written}))
    for code, value in written.items():
        register = register_of(code)
        if _refuses(host, register, value):
            raise ProbeError(f'{register.name} = {value:#x}: EINVAL')


def _refuses(host: Host, register: Register, value: int) -> bool:
    """Whether KVM refuses the value.

    The rule can't know what the hardware hides from guests. Here there is no
    hardware, so a value that the rule can't judge counts as refused.
    """
    if value == host.values.read(register.code):
        return False
    return any(
        finding.severity in (Severity.BLOCKS, Severity.UNKNOWN)
        for finding in JUDGES[register.judge](register, value, host)
    )
