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

"""Registers and fields: the types that the tables are made of.

A *code* identifies a register. The code of a system register is the low 16
bits of its KVM register id (op0 14, op1 11, CRn 7, CRm 3, op2 0). The code of
a firmware pseudo-register or of a demultiplexed cache register is the
coprocessor number (bits 16 and up) and the index. Codes are unique among all
registers that QEMU migrates and that are not plain CPU state.
"""

import dataclasses
import enum

# include/uapi/asm/kvm.h: KVM_REG_ARM64, KVM_REG_SIZE_*, KVM_REG_ARM_*.
KVM_REG_ARM64 = 0x6000000000000000
KVM_REG_SIZE_U32 = 0x0020000000000000
KVM_REG_SIZE_U64 = 0x0030000000000000
COPROC_CORE = 0x10
COPROC_DEMUX = 0x11
COPROC_SYSREG = 0x13
COPROC_FIRMWARE = 0x14
COPROC_SVE = 0x15
COPROC_BITMAP = 0x16
#: SME's ZA, ZT0 and vector lengths, in patches that give guests SME. No
#: released kernel has it.
COPROC_SME = 0x17
_NOT_BY_NUMBER = (COPROC_CORE, COPROC_SVE, COPROC_SME)


def sysreg(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """Return the code of the system register S<op0>_<op1>_<Cn>_<Cm>_<op2>.

    Source: ``ARM64_SYS_REG`` in the kernel's ``uapi/asm/kvm.h``.
    """
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


def firmware(number: int) -> int:
    """Return the code of firmware pseudo-register ``number``."""
    return COPROC_FIRMWARE << 16 | number


def bitmap(number: int) -> int:
    """Return the code of hypercall bitmap pseudo-register ``number``."""
    return COPROC_BITMAP << 16 | number


def ccsidr(csselr: int) -> int:
    """Return the code of CCSIDR_EL1 as selected by ``csselr``."""
    return COPROC_DEMUX << 16 | csselr


def code_of(kvm_id: int) -> int | None:
    """Return the code of a KVM register id, None for CPU state.

    CPU state is what QEMU does not migrate by number: the core registers and
    the SVE registers (``kvm_arm_reg_syncs_via_cpreg_list``), and the registers
    of SME, which are also wider than 64 bits.
    """
    coproc = kvm_id >> 16 & 0xFFF
    if coproc in _NOT_BY_NUMBER:
        return None
    if coproc == COPROC_SYSREG:
        return kvm_id & 0xFFFF
    return kvm_id & 0xFFFFFFF


def kvm_id(code: int) -> int:
    """Return the KVM register id of a code: the inverse of `code_of`."""
    if code >> 16 == COPROC_DEMUX:
        return KVM_REG_ARM64 | KVM_REG_SIZE_U32 | code
    if code >> 16:
        return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | code
    return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | COPROC_SYSREG << 16 | code


class Rule(enum.Enum):
    """How KVM judges a field that userspace may write.

    Source: ``enum ftr_type`` and ``arm64_ftr_safe_value`` in
    ``arch/arm64/kernel/cpufeature.c``. EQUAL is the rule of a field that the
    kernel's table does not have, and of every field that is not writable.
    """

    # Members are singletons; Enum would hash their names, in Python.
    __hash__ = object.__hash__

    LOWER_SAFE = 'LOWER_SAFE'
    HIGHER_SAFE = 'HIGHER_SAFE'
    HIGHER_OR_ZERO_SAFE = 'HIGHER_OR_ZERO_SAFE'
    EXACT = 'EXACT'
    EQUAL = 'EQUAL'


class Judge(enum.Enum):
    """The check that KVM makes on a write to the register."""

    # Members are singletons; Enum would hash their names, in Python.
    __hash__ = object.__hash__

    #: arm64_check_features(): an ID register or CTR_EL0.
    FEATURES = 'features'
    #: The same, but writes are ignored on a host without 32-bit EL0
    #: (aa32_id_visibility(): REG_RAZ | REG_USER_WI).
    FEATURES_32BIT = 'features32'
    #: set_imp_id_reg(): MIDR_EL1, REVIDR_EL1, AIDR_EL1.
    IMPLEMENTATION = 'implementation'
    #: set_clidr().
    CLIDR = 'clidr'
    #: set_ccsidr(), demux_c15_set() before Linux 6.3.
    CCSIDR = 'ccsidr'
    #: kvm_arm_set_fw_reg(): PSCI_VERSION.
    PSCI_VERSION = 'psci'
    #: kvm_arm_set_fw_reg(): a workaround's level, at most the host's.
    LEVEL = 'level'
    #: kvm_arm_set_fw_reg(): SMCCC_ARCH_WORKAROUND_2.
    LEVEL_WORKAROUND_2 = 'level2'
    #: kvm_arm_set_fw_reg_bmap(): no bit that the host lacks.
    BITMAP = 'bitmap'
    #: set_pmmir(): 0, or what the host has.
    SLOTS = 'slots'
    #: set_pmcr(): any value; it drops missing counters without an error.
    COUNTERS = 'counters'
    #: Any value: state of the running guest.
    STATE = 'state'


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of a register.

    :ivar name: its name in the Arm ARM
    :ivar shift: its lowest bit
    :ivar width: in bits
    :ivar rule: KVM's rule if the field is writable
    :ivar signed: two's complement, 0xF is -1 (``S_ARM64_FTR_BITS``)
    :ivar safe: the value that rule EXACT accepts
    :ivar least: KVM refuses a writable field below this (``set_id_*``)
    :ivar or_zero: KVM accepts 0 even so (``set_id_dfr0_el1``)
    :ivar as_zero: KVM reads this value as 0 (``set_id_aa64dfr0_el1``)
    :ivar stale: KVM hides the hardware's value from guests, but accepts and
        ignores it when written (``set_id_aa64pfr0_el1`` on MPAM)
    """

    name: str
    shift: int
    width: int = 4
    rule: Rule = Rule.LOWER_SAFE
    signed: bool = False
    safe: int = 0
    least: int = 0
    or_zero: bool = False
    as_zero: int | None = None
    stale: bool = False
    mask: int = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'mask', (1 << self.width) - 1 << self.shift)

    def raw(self, value: int) -> int:
        """Return this field of a register's value, not sign extended."""
        return value >> self.shift & (1 << self.width) - 1

    def of(self, value: int) -> int:
        """Return this field of a register's value, sign extended."""
        raw = self.raw(value)
        if self.signed and raw >> self.width - 1:
            return raw - (1 << self.width)
        return raw

    def into(self, value: int, field: int) -> int:
        """Return a register's value with this field replaced."""
        return value & ~self.mask | field << self.shift & self.mask


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Register:
    """One register: its name, code, fields, and the check KVM makes.

    Each is one entry of a table and equals only itself, because hashing all
    its fields would cost more than comparing them.
    """

    name: str
    code: int
    fields: tuple[Field, ...] = ()
    judge: Judge = Judge.FEATURES

    def field(self, name: str) -> Field:
        """Return a field by name. :raises KeyError: if it does not exist."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f'{self.name}.{name}')


def lower(
    name: str,
    shift: int,
    *,
    width: int = 4,
    least: int = 0,
    or_zero: bool = False,
    as_zero: int | None = None,
    stale: bool = False,
) -> Field:
    """A LOWER_SAFE field."""
    return Field(
        name,
        shift,
        width,
        Rule.LOWER_SAFE,
        least=least,
        or_zero=or_zero,
        as_zero=as_zero,
        stale=stale,
    )


def signed(name: str, shift: int) -> Field:
    """A LOWER_SAFE field in two's complement."""
    return Field(name, shift, rule=Rule.LOWER_SAFE, signed=True)


def higher(name: str, shift: int) -> Field:
    """A HIGHER_SAFE field."""
    return Field(name, shift, rule=Rule.HIGHER_SAFE)


def higher_or_zero(name: str, shift: int) -> Field:
    """A HIGHER_OR_ZERO_SAFE field."""
    return Field(name, shift, rule=Rule.HIGHER_OR_ZERO_SAFE)


def exact(name: str, shift: int, safe: int, *, width: int = 4) -> Field:
    """An EXACT field and the value that is always accepted."""
    return Field(name, shift, width, Rule.EXACT, safe=safe)


def same(name: str, shift: int, width: int = 4) -> Field:
    """A field that the kernel's table does not have."""
    return Field(name, shift, width, Rule.EQUAL)
