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

Source: ``cpu_post_load`` in ``target/arm/machine.c`` of QEMU. Up to 10.2 it
goes through both lists, sorted by KVM's number, until one of them ends: a
register that the destination lacks fails the load, but one behind all that
the destination has is never looked at. A longer list than the destination's
fails before that (``cpreg_vmstate_array_len``). Since 11.1 every such register
fails the load, but for the tolerances in `tables.qemu`.
"""

from collections.abc import Mapping
import enum

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.tables.qemu import IN_ORDER_UNTIL
from nova_arm_migrate.core.tables.qemu import Tolerance
from nova_arm_migrate.core.tables.qemu import TOLERANT_SINCE
from nova_arm_migrate.core.tables.qemu import TOLERATED


class Fate(enum.Enum):
    """What becomes of an incoming register."""

    FAILS = "fails the load"
    DROPPED = "is dropped without harm"
    UNKNOWN = "is not known"


def fates(guest: Guest, listed: frozenset[int],
          qemu: str | None) -> Mapping[int, Fate]:
    """Return what becomes of each register that the destination lacks.

    :param listed: the registers that the destination has
    :param qemu: version of the destination's QEMU, None if not known
    :returns: by code, in QEMU's order; empty if the guest's are not known
    """
    incoming = guest.listed or frozenset()
    lacks = sorted(incoming - listed, key=kvm_id)
    if not lacks:
        return {}
    version = version_of(qemu)
    fits = len(incoming) <= len(listed)
    last = max(map(kvm_id, listed), default=0)
    found = {}
    for code in lacks:
        zero = keeps_value(code) and not guest.values.read(code)
        in_order = Fate.FAILS
        if fits and kvm_id(code) > last:
            # What a guest loses with a value there, nobody has looked at.
            in_order = Fate.DROPPED if zero else Fate.UNKNOWN
        tolerance = TOLERATED.get(code)
        tolerant = Fate.DROPPED if tolerance is Tolerance.ALWAYS or (
            tolerance is Tolerance.IF_ZERO and zero) else Fate.FAILS
        if in_order is tolerant or version and version <= IN_ORDER_UNTIL:
            found[code] = in_order
        else:
            found[code] = tolerant if version and version >= TOLERANT_SINCE \
                else Fate.UNKNOWN
    return found
