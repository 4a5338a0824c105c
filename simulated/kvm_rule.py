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


"""KVM's rule for a value that is written to a vCPU that has not run.

This is written from Linux's sources, independently of `core`, which has the
same knowledge in its own tables and is tested against this module:
``arm64_check_features``, ``kvm_arm64_ftr_safe_value`` and the ``set_*``
functions of ``arch/arm64/kvm/sys_regs.c``, ``kvm_arm_set_fw_reg`` of
``hypercalls.c``, and which fields are not LOWER_SAFE in
``arch/arm64/kernel/cpufeature.c``; ``kvm_vgic_finalize_idregs`` of
``vgic/vgic-init.c`` and ``set_gic_ctlr`` of ``vgic-sys-reg-v3.c``. Read in
6.1, 6.12 and 7.2, and ``set_pmmir`` in the patch that added it after that.
"""

from collections.abc import Collection
from collections.abc import Mapping
import errno

PFR0, PFR1, PFR2 = 0xC020, 0xC021, 0xC022
DFR0, MMFR2, CTR = 0xC028, 0xC03A, 0xD801
AA32_PFR1, AA32_DFR0 = 0xC009, 0xC00A
CLIDR, PMMIR = 0xC801, 0xC4F6

_HIGHER = {(0xC039, 24), (0xC016, 0)}  # SpecSEI, 64 and 32 bits
_HIGHER_OR_ZERO = {(CTR, 24), (CTR, 20)}  # CWG, ERG
_SIGNED = {
    (PFR0, 20),
    (PFR0, 16),  # AdvSIMD, FP
    (PFR1, 40),  # MTE_frac
    (0xC038, 28),
    (0xC038, 24),  # TGRAN4, TGRAN64
    (DFR0, 36),
    (0xC03C, 24),  # DoubleLock, E2H0
    (0xC00C, 28),
    (0xC00C, 8),
    (0xC01D, 0),  # InnerShr, OuterShr, MTPMU
}
_EXACT = {
    (0xC031, 8): 0,
    (0xC031, 4): 0,
    (0xC032, 12): 0,  # API, APA, APA3
    (0xC038, 40): 1,
    (0xC038, 36): 1,
    (0xC038, 32): 1,  # TGRANx_2
}
#: Registers of single-bit fields, all EXACT with safe value 0.
_BITS = {0xC025, 0xC027}
#: CTR_EL0 is not made of nibbles: (shift, width).
_CTR_FIELDS = ((0, 4), (14, 2), (16, 4), (20, 4), (24, 4), (28, 1), (29, 1))


class Refused(Exception):
    """KVM's answer: EINVAL."""

    errno = errno.EINVAL


Version = tuple[int, int]


def _nibble(value: int, shift: int) -> int:
    return value >> shift & 15


def _fields(code: int) -> tuple[tuple[int, int], ...]:
    if code == CTR:
        return _CTR_FIELDS
    if code in _BITS:
        return tuple((bit, 1) for bit in range(64))
    return tuple((shift, 4) for shift in range(0, 64, 4))


def _safe(code: int, shift: int, width: int, value: int, limit: int) -> bool:
    """Whether arm64_ftr_safe_value() returns the value unchanged."""
    if value == limit:
        return True
    if code in _BITS:
        return value == 0
    if (code, shift) == (CTR, 14):
        return value == 2
    if (code, shift) in _EXACT:
        return value == _EXACT[code, shift]
    if (code, shift) in _HIGHER:
        return value > limit
    if (code, shift) in _HIGHER_OR_ZERO:
        return value == 0 or (limit != 0 and value > limit)
    if (code, shift) in _SIGNED:
        return (value ^ 8) - 8 < (limit ^ 8) - 8
    return value < limit


def makes_up_caches(reg_list: Collection[int]) -> bool:
    """Whether a kernel accepts a guest with other caches.

    One commit made the CCSIDR registers writable. Since then
    ``write_demux_regids`` lists every CCSIDR of seven levels. Before, it
    listed those of the hardware's caches. Distributions have backported that
    commit.

    :param reg_list: codes of the registers that KVM lists
    """
    return sum(code >> 16 == 0x11 for code in reg_list) == 2 * 7


def finalized(code: int, value: int, gic: int, version: Version) -> int:
    """Return an ID register's value in a machine with a GIC version."""
    if version < (7, 0):
        return value
    three = int(gic == 3)
    if code == PFR0:
        return value & ~0xF000000 | three << 24
    if code == AA32_PFR1 and value:
        return value & ~0xF0000000 | three << 28
    if code == PFR2:
        return value & ~0xF000
    return value


class Interface:
    """The CPU interface of a new GICv3.

    :ivar value: ICC_CTLR_EL1
    """

    def __init__(self, value: int) -> None:
        self.value = self._host = value

    def write(self, value: int) -> None:
        """Write ICC_CTLR_EL1; a refusal undoes nothing.

        :raises Refused: if KVM refuses it
        """
        for mask in (0x700, 0x3800):
            if value & mask > self.value & mask:
                raise Refused
            self.value = self.value & ~mask | value & mask
        if (value ^ self._host) & 0xC000:
            raise Refused
        self.value = self.value & ~3 | value & 3


class Rule:
    """The rule of one host.

    :ivar version: of its kernel, (major, minor)
    :ivar masks: the writable bits by register code
    :ivar hardware: register code to the value that the kernel's cpufeature
        has, where KVM hides a part of it from guests
    :ivar own_caches: whether a guest may bring other caches than the host's
    """

    def __init__(
        self,
        version: Version,
        masks: Mapping[int, int],
        hardware: Mapping[int, int],
        own_caches: bool,
    ) -> None:
        self.version = version
        self.masks = masks
        self.hardware = hardware
        self.own_caches = own_caches

    def take(
        self,
        code: int,
        value: int,
        limit: int,
        shown: int,
        values: Mapping[int, int],
    ) -> int:
        """Return the value that KVM keeps.

        :param limit: what a new vCPU shows; shown: what this one does
        :param values: what a new vCPU shows of all registers, by code
        :raises Refused: if KVM refuses it
        """
        if code >> 16 == 0x14:
            return self._firmware(code & 0xFFFF, value, limit)
        if code >> 16 == 0x16:
            allowed = 3 if code & 0xFFFF == 3 else limit
            if value & ~allowed:
                raise Refused
            return value
        if code >> 16 == 0x11:
            return self._ccsidr(code & 1, value, limit, values)
        if code == CLIDR:
            return self._clidr(value, limit, values)
        if 0xC008 <= code < 0xC040 or code == CTR:
            return self._id_register(code, value, limit, values)
        if code in (0xC000, 0xC006, 0xC807) and value != shown:
            raise Refused
        if code == PMMIR and value not in (0, shown):
            raise Refused
        return value

    def _firmware(self, number: int, value: int, limit: int) -> int:
        if number == 0:
            known = {2, 0x10000, 0x10001, 0x10002, 0x10003}
            if value not in known or value > limit:
                raise Refused
        elif number == 2:
            level = value & 15
            if (
                value & ~0x1F
                or level > 3
                or (value & 16 and level != 2)
                or level >> 1 > limit >> 1
            ):
                raise Refused
        elif value > limit:
            raise Refused
        return limit if number else value

    def _ccsidr(
        self,
        instruction: int,
        value: int,
        limit: int,
        values: Mapping[int, int],
    ) -> int:
        if not self.own_caches:
            if value != limit:
                raise Refused
            return value
        least = values.get(CTR, 0) >> (0 if instruction else 16) & 15
        if (value & 7) + 4 < least + 2:
            raise Refused
        return value

    def _clidr(self, value: int, limit: int, values: Mapping[int, int]) -> int:
        if not self.own_caches:
            if value != limit:
                raise Refused
            return value
        coherent = not value >> 24 & 7 or not (
            value >> 21 & 7 or value >> 27 & 7
        )
        if value >> 47 or (coherent and not values.get(CTR, 0) >> 28 & 1):
            raise Refused
        return value

    def _id_register(
        self, code: int, value: int, limit: int, values: Mapping[int, int]
    ) -> int:
        if 0xC008 <= code < 0xC020 and values.get(PFR0, 0) & 15 != 2:
            return limit
        value = self._set(code, value)
        mask, checked = self.masks.get(code, 0), 0
        for shift, width in _fields(code):
            bits = (1 << width) - 1 << shift
            if mask & bits == bits:
                checked |= bits
                if not _safe(
                    code,
                    shift,
                    width,
                    (value & bits) >> shift,
                    (limit & bits) >> shift,
                ):
                    raise Refused
        if (value ^ limit) & ~checked:
            raise Refused
        return value

    def _set(self, code: int, value: int) -> int:
        """Do what the register's set_* function does besides the check."""
        if self.version < (6, 7):
            return value
        hidden = {PFR0: 40, PFR1: 16, MMFR2: 24}  # MPAM, MPAM_frac, NV
        since = {PFR0: (6, 12), PFR1: (6, 12), MMFR2: (6, 17)}
        if code in hidden and self.version >= since[code]:
            real = _nibble(self.hardware.get(code, 0), hidden[code])
            if _nibble(value, hidden[code]) == real:
                value &= ~(15 << hidden[code])
        if (
            code == PFR0
            and self.version >= (7, 0)
            and not (value & 15 and value & 0xF0)
        ):
            raise Refused
        if code == DFR0:
            if _nibble(value, 8) == 15:
                value &= ~0xF00
            if _nibble(value, 0) < 6:
                raise Refused
        if code == AA32_DFR0:
            if _nibble(value, 24) == 15:
                value &= ~(15 << 24)
            if _nibble(value, 24) in (1, 2) or _nibble(value, 0) < 6:
                raise Refused
        if code == CTR and (value >> 14 & 3) < 2:
            raise Refused
        return value
