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

from collections.abc import Mapping
import typing

from nova_arm_migrate.core.guest_view import GuestView
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.trial import Trial


class HostProbe(typing.Protocol):
    """A host that is probed again at every call. Thread-safe."""

    def host(self) -> Host:
        """Return the host's profile.

        :raises ProbeError: if the host can't be probed
        """
        ...

    def guest_view(
        self,
        disabled: frozenset[str],
        gic: int | None = None,
        written: Mapping[int, int] | None = None,
    ) -> GuestView:
        """Return what KVM shows to a guest that starts here now.

        :param disabled: as `Guest.disabled`
        :param gic: version of its GIC; None for the newest that KVM has
        :param written: registers that are written first, by code, in their
            order; None if the guest has no baseline
        :raises ProbeError: if KVM can't be used, or refuses a register
        """
        ...

    def trial(self, guest: Guest) -> Trial:
        """Write the guest's registers to a new scratch vCPU.

        If the trial is not possible, `Trial.why_not` gives the reason.
        """
        ...
