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

"""What QEMU does with a guest's register that the destination lacks.

Source: ``cpu_post_load`` in ``target/arm/machine.c`` of QEMU.

Up to QEMU 10.2 it goes through both lists, sorted by KVM's number, until one
of them ends. A register that the destination lacks fails the load. QEMU does
not look at a register whose number is above all those of the destination. A
list that is longer than the destination's fails earlier
(``cpreg_vmstate_array_len``).

Since QEMU 11.1 every missing register fails the load, except those that
`tables.qemu` names. The sources that have these exceptions keep the result of
the last register only (``fail =`` in ``cpu_post_load``): a tolerated register
clears the failure of those before it. The guest is then loaded and loses their
values without an error. This module does not follow that: it judges each
register by itself.
"""

import enum
import functools

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.tables.qemu import IN_ORDER_UNTIL
from nova_arm_migrate.core.tables.qemu import SWITCHES_ALL_UNTIL
from nova_arm_migrate.core.tables.qemu import SWITCHES_OWN_SINCE
from nova_arm_migrate.core.tables.qemu import SWITCHES_WITH_FEATURE
from nova_arm_migrate.core.tables.qemu import Tolerance
from nova_arm_migrate.core.tables.qemu import TOLERANT_SINCE
from nova_arm_migrate.core.tables.qemu import TOLERATED


class LoadResult(enum.Enum):
    """What QEMU does with a missing register."""

    # Members are singletons; Enum would hash their names, in Python.
    __hash__ = object.__hash__

    FAILS = 'fails the load'
    DROPPED = 'is dropped without harm'
    UNKNOWN = 'is not known'


def missing_register_result(
    code: int, guest: Guest, reg_list: frozenset[int], qemu: str | None
) -> LoadResult:
    """Return what QEMU does with a register that the destination lacks.

    :param code: the code of one of the guest's registers
    :param reg_list: the registers that the destination has
    :param qemu: version of the destination's QEMU, None if not known
    """
    in_order = _in_order(code, guest, reg_list)
    tolerant = (
        LoadResult.DROPPED if tolerated(code, guest) else LoadResult.FAILS
    )
    version = version_of(qemu)
    if version is None or IN_ORDER_UNTIL < version < TOLERANT_SINCE:
        return in_order if in_order is tolerant else LoadResult.UNKNOWN
    return in_order if version <= IN_ORDER_UNTIL else tolerant


def knows_switch(feature: str, host: Host) -> bool | None:
    """Return whether a host's QEMU can switch a vCPU feature off.

    :param host: with all its features
    :returns: None if it is not known: its version is not recorded, or was
        never seen (`tables.qemu.SWITCHES_WITH_FEATURE`)
    """
    if feature not in SWITCHES_WITH_FEATURE or feature in host.features:
        return True
    version = version_of(host.qemu)
    if version is None or SWITCHES_ALL_UNTIL < version < SWITCHES_OWN_SINCE:
        return None
    return version <= SWITCHES_ALL_UNTIL


def tolerated(code: int, guest: Guest) -> bool:
    """Whether QEMU, since 11.1, drops the register if it is missing."""
    tolerance = TOLERATED.get(code)
    return tolerance is Tolerance.ALWAYS or (
        tolerance is Tolerance.IF_ZERO and _is_zero(code, guest)
    )


def _in_order(code: int, guest: Guest, reg_list: frozenset[int]) -> LoadResult:
    if len(guest.reg_list or ()) > len(reg_list) or kvm_id(code) < _last(
        reg_list
    ):
        return LoadResult.FAILS
    # It is not known what the guest loses with a value other than 0.
    return LoadResult.DROPPED if _is_zero(code, guest) else LoadResult.UNKNOWN


def _is_zero(code: int, guest: Guest) -> bool:
    return keeps_value(code) and not guest.values.read(code)


@functools.lru_cache(maxsize=256)
def _last(reg_list: frozenset[int]) -> int:
    """KVM's highest number. Cached: a filter asks for it for every host."""
    return max(map(kvm_id, reg_list), default=0)
