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

"""The memory map that QEMU's ``virt`` machine gives a guest.

Source: ``virt_set_memmap``, ``virt_set_high_memmap`` and ``extended_memmap``
in ``hw/arm/virt.c``, read in QEMU 10.0. Three windows are above the guest's
memory, in this order, each aligned to its own size. QEMU leaves out a window
that does not fit into the host's IPA size, without a message. The window for
CXL that QEMU has since 10.2 is off by default. It fits into a gap.
``compact-highmem``, which machines have since virt-7.2, matters only if one of
the windows was switched off by hand.
"""

_GIB = 1 << 30
_RAM_BASE = _GIB

#: LEGACY_RAMLIMIT_BYTES: the windows never lie below this much memory.
LEAST_MEMORY = 255 * _GIB

#: Bytes: GICv3 redistributors, PCI configuration space, PCI memory.
_WINDOWS = (64 << 20, 256 << 20, 512 * _GIB)


def memory_bits(memory: int) -> int:
    """Return the address bits that QEMU needs to start.

    :param memory: bytes
    """
    return (_memory_top(memory) - 1).bit_length()


def map_bits(memory: int, ipa_bits: int | None) -> int:
    """Return the address bits of a guest's map: memory and windows.

    :param memory: bytes
    :param ipa_bits: of the host where the map was made; None if it is not
        known, which means that all windows fit
    """
    top = _memory_top(memory)
    base = max(top, _RAM_BASE + LEAST_MEMORY)
    for size in _WINDOWS:
        base = _round_up(base, size) + size
        if ipa_bits is not None and base > 1 << ipa_bits:
            break
        top = base
    return (top - 1).bit_length()


def _memory_top(memory: int) -> int:
    return _round_up(_RAM_BASE + memory, _GIB)


def _round_up(number: int, size: int) -> int:
    return -(-number // size) * size
