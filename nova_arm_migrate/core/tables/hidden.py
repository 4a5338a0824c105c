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

"""Registers that KVM hides if a guest's ID register does not have a field.

Source: ``tcr2_visibility``, ``s1pie_visibility``, ``s1poe_visibility``,
``sctlr2_visibility`` and ``fp8_visibility`` in ``arch/arm64/kvm/sys_regs.c``
of Linux 7.3. Older kernels list TCR2_EL1, PIR_EL1 and PIRE0_EL1 always, even
if a guest has neither feature (seen on 6.12). A kernel that has another
interface of later releases hides them.
"""

from typing import NamedTuple

from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.tables.features import ID_AA64PFR2_EL1
from nova_arm_migrate.core.tables.special import VENDOR_HYP_BMAP_2

_MMFR3 = sysreg(3, 0, 0, 7, 3)


class Hidden(NamedTuple):
    """Registers that are hidden if a field is 0.

    :ivar registers: their codes
    :ivar code: of the ID register
    :ivar field: the name of its field
    :ivar witness: the code of a register; a KVM that lists it hides these.
        None if every KVM that has them hides them
    """

    registers: frozenset[int]
    code: int
    field: str
    witness: int | None = None


HIDDEN = (
    Hidden(
        frozenset({sysreg(3, 0, 2, 0, 3)}), _MMFR3, 'TCRX', VENDOR_HYP_BMAP_2
    ),
    Hidden(
        # PIRE0_EL1, PIR_EL1
        frozenset({sysreg(3, 0, 10, 2, 2), sysreg(3, 0, 10, 2, 3)}),
        _MMFR3,
        'S1PIE',
        VENDOR_HYP_BMAP_2,
    ),
    Hidden(
        # POR_EL1, POR_EL0
        frozenset({sysreg(3, 0, 10, 2, 4), sysreg(3, 3, 10, 2, 4)}),
        _MMFR3,
        'S1POE',
    ),
    Hidden(frozenset({sysreg(3, 0, 1, 0, 3)}), _MMFR3, 'SCTLRX'),
    Hidden(frozenset({sysreg(3, 3, 4, 4, 2)}), ID_AA64PFR2_EL1, 'FPMR'),
)
