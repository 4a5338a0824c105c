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

"""All registers that this project judges, as one table of data.

``aarch64_id``       the AArch64 ID registers and CTR_EL0;
``aarch32_id``       the AArch32 ID registers;
``special``          registers with a rule of their own;
``gic``              registers of the interrupt controller;
``values``           the architecture's names for values;
``names``            names of registers that the other tables lack;
``writable``         the bits that userspace can write;
``features``         the registers and bits that belong to a vCPU feature;
``hidden``           registers that KVM hides from guests without a field;
``qemu``             what QEMU does with registers, in addition to KVM;
``implementations``  what a guest's kernel decides by MIDR_EL1 and REVIDR_EL1.
"""

import re

from nova_arm_migrate.core.registers import COPROC_BITMAP
from nova_arm_migrate.core.registers import COPROC_FIRMWARE
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.tables.aarch32_id import AARCH32_ID_REGISTERS
from nova_arm_migrate.core.tables.aarch64_id import AARCH64_ID_REGISTERS
from nova_arm_migrate.core.tables.names import REGISTER_NAMES
from nova_arm_migrate.core.tables.special import CACHE_REGISTERS
from nova_arm_migrate.core.tables.special import COUNTER_REGISTERS
from nova_arm_migrate.core.tables.special import FIRMWARE_REGISTERS
from nova_arm_migrate.core.tables.special import IMPLEMENTATION_REGISTERS

#: ID registers that no kernel has allocated: they read as 0, and only 0 can be
#: written (ID_UNALLOCATED). A newer kernel may have allocated more of them.
_ID_SPACE = tuple(
    sysreg(3, 0, 0, crm, op2) for crm in range(1, 8) for op2 in range(8)
)


def _name(code: int) -> str:
    """Return a name for a register that is not in a table."""
    if code in REGISTER_NAMES:
        return REGISTER_NAMES[code]
    if code >> 16 == COPROC_FIRMWARE:
        return f'FW_REG({code & 0xFFFF})'
    if code >> 16 == COPROC_BITMAP:
        return f'FW_FEAT_BMAP_REG({code & 0xFFFF})'
    if code >> 16:
        return f'KVM_REG({code:#x})'
    return (
        f'S{code >> 14}_{code >> 11 & 7}_C{code >> 7 & 15}'
        f'_C{code >> 3 & 15}_{code & 7}'
    )


def _table() -> dict[int, Register]:
    known = (
        AARCH64_ID_REGISTERS
        + AARCH32_ID_REGISTERS
        + IMPLEMENTATION_REGISTERS
        + CACHE_REGISTERS
        + COUNTER_REGISTERS
        + FIRMWARE_REGISTERS
    )
    table = {code: Register(_name(code), code) for code in _ID_SPACE}
    table.update((register.code, register) for register in known)
    return table


#: Code to register: those whose values a profile keeps.
REGISTERS = _table()

_BY_NAME = {register.name: register for register in REGISTERS.values()}
_FIELD = re.compile(r'(?P<register>[A-Z0-9_\[\]]+)(?:\.(?P<field>\w+))?')


def keeps_value(code: int) -> bool:
    """Whether a profile keeps the value of this register.

    It keeps the values of identity, cache and firmware registers, including
    those of future kernels. Of all other registers it keeps only that they
    exist.
    """
    return code in REGISTERS or code >> 16 in (COPROC_FIRMWARE, COPROC_BITMAP)


def register_of(code: int) -> Register:
    """Return the register with this code; an unknown one is guest state."""
    register = REGISTERS.get(code)
    if register is None:
        register = Register(_name(code), code, judge=Judge.STATE)
    return register


def check_field_name(name: str) -> str:
    """Return ``REGISTER.FIELD`` or ``REGISTER`` if the table has it.

    :raises ValueError: if the table does not have it; the text is one line
    """
    match = _FIELD.fullmatch(name)
    register = _BY_NAME.get(match['register']) if match else None
    if match is None or register is None:
        raise ValueError(f'no register has the name {name[:60]!r}')
    if match['field']:
        try:
            register.field(match['field'])
        except KeyError:
            raise ValueError(
                f'{register.name} has no field {match["field"][:30]!r}'
            ) from None
    return name
