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

"""What KVM shows a guest, and the guest's record made from it."""

import dataclasses

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_own_gic


@dataclasses.dataclass(frozen=True, slots=True)
class GuestView:
    """What KVM shows a vCPU with some features switched off.

    :ivar values: as `Guest.values`
    :ivar reg_list: as `Guest.reg_list`
    :ivar features: as `Host.features`: the features that are on
    :ivar sve_lengths: bits, ascending; empty without SVE
    """

    values: Values
    reg_list: frozenset[int]
    features: frozenset[str]
    sve_lengths: tuple[int, ...]


def guest_seen(
    host: Host,
    view: GuestView,
    *,
    disabled: frozenset[str],
    gic: int | None = None,
    memory: int | None = None,
) -> Guest:
    """Return the record of a guest that has just started on the host.

    :param view: with the guest's own features
    :param disabled: as `Guest.disabled`
    :param gic: version of its GIC; None if not known
    :param memory: bytes; None if not known
    """
    return with_own_gic(
        dataclasses.replace(
            guest_started_on(host, disabled=disabled, gic=gic, memory=memory),
            values=view.values,
            reg_list=view.reg_list,
            sve_lengths=view.sve_lengths,
        )
    )
