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

Source: ``cpu_post_load`` in ``target/arm/machine.c`` of QEMU: an incoming
register that is not in the destination's list fails the load, but for the
tolerances in `tables.qemu`.
"""

import enum

from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.tables.qemu import DROPPED
from nova_arm_migrate.core.tables.qemu import Tolerance


class Fate(enum.Enum):
    """What becomes of an incoming register."""

    FAILS = "fails the load"
    DROPPED = "is dropped"
    UNKNOWN = "is dropped by newer QEMUs"


def fate_of(code: int, value: int, qemu: str | None) -> Fate:
    """Return what becomes of a register that the destination lacks.

    :param code: the register's
    :param value: what the guest has in it
    :param qemu: version of the destination's QEMU, None if not known
    """
    dropped = DROPPED.get(code)
    if dropped is None or (
            dropped.tolerance is Tolerance.IF_ZERO and value):
        return Fate.FAILS
    version = version_of(qemu)
    if version is None:
        return Fate.UNKNOWN
    return Fate.DROPPED if version >= dropped.since else Fate.FAILS
