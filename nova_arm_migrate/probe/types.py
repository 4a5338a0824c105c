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


"""The interface of a host probe, real or recorded."""

import dataclasses
import typing

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_own_gic


@dataclasses.dataclass(frozen=True, slots=True)
class GuestView:
    """What KVM shows to a vCPU with some features off.

    :ivar values: as `Guest.values`
    :ivar listed: as `Guest.listed`
    :ivar features: as `Host.features`; only those that are on
    :ivar sve_lengths: bits, ascending; empty without SVE
    """

    values: Values
    listed: frozenset[int]
    features: frozenset[str]
    sve_lengths: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """The result of a trial.

    :ivar ran: whether the trial was done; if not, the other attributes have
        no meaning
    :ivar why_not: the reason in one line; empty if the trial was done
    :ivar refused: (register code, name of the errno), in the order of the
        writes; each would fail the load in QEMU
    :ivar missing: codes of registers that the guest has, this host does not
        have, and the QEMU here does not drop; each would fail the load
    :ivar unjudged: codes of missing registers for which it is not known
        whether the QEMU here drops them: its version, or the behaviour of that
        version, is not known
    :ivar written: the number of registers written, refused ones included
    """

    ran: bool = True
    why_not: str = ''
    refused: tuple[tuple[int, str], ...] = ()
    missing: tuple[int, ...] = ()
    unjudged: tuple[int, ...] = ()
    written: int = 0

    @property
    def accepted(self) -> bool | None:
        """Whether QEMU would load the guest here; None if not known."""
        if not self.ran:
            return None
        if self.refused or self.missing:
            return False
        return None if self.unjudged else True


class HostProbe(typing.Protocol):
    """A host that is probed again at every call. Thread-safe."""

    def host(self) -> Host:
        """Return the host's profile.

        :raises ProbeError: if the host can't be probed
        """
        ...

    def guest_view(
        self, disabled: frozenset[str], gic: int | None = None
    ) -> GuestView:
        """Return what KVM shows to a guest that starts here now.

        :param disabled: as `Guest.disabled`
        :param gic: version of its GIC; None for the newest that KVM has
        :raises ProbeError: if KVM can't be used
        """
        ...

    def trial(self, guest: Guest) -> Trial:
        """Write the guest's registers to a new scratch vCPU.

        If the trial is not possible, `Trial.why_not` gives the reason.
        """
        ...


def guest_seen(
    host: Host,
    view: GuestView,
    *,
    disabled: frozenset[str],
    gic: int | None = None,
    memory: int | None = None,
) -> Guest:
    """Return the record of a guest that has just started on the host.

    :param view: taken with the guest's own features
    :param disabled: as `Guest.disabled`
    :param gic: version of its GIC; None if not known
    :param memory: bytes; None if not known
    """
    return with_own_gic(
        dataclasses.replace(
            guest_started_on(host, disabled=disabled, gic=gic, memory=memory),
            values=view.values,
            listed=view.listed,
            sve_lengths=view.sve_lengths,
        )
    )
