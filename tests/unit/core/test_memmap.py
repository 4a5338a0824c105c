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

"""QEMU's memory map, worked out by hand from hw/arm/virt.c."""

import unittest

from nova_arm_migrate.core import memmap

GIB = 1 << 30


class TestMemoryMap(unittest.TestCase):
    def test_memory(self) -> None:
        # RAM begins at 1 GiB and is rounded up to whole GiB.
        for gib, bits in (
            (0.5, 31),
            (1, 31),
            (2, 32),
            (3, 32),
            (3.5, 33),
            (63, 36),
            (64, 37),
            (511, 39),
            (1023, 40),
            (1024, 41),
        ):
            self.assertEqual(bits, memmap.memory_bits(int(gib * GIB)), gib)

    def test_windows_of_a_small_guest(self) -> None:
        """Redistributors at 256 GiB, ECAM behind, MMIO 512 GiB to 1 TiB."""
        for ipa_bits, bits in (
            (52, 40),
            (48, 40),
            (None, 40),
            (40, 40),
            # No room for the MMIO window: ECAM ends at 256.5 GiB.
            (39, 39),
            # No room for any: memory ends at 5 GiB.
            (38, 33),
            (36, 33),
        ):
            self.assertEqual(
                bits, memmap.map_bits(4 * GIB, ipa_bits), ipa_bits
            )

    def test_windows_of_large_guests(self) -> None:
        """The MMIO window is aligned to 512 GiB, beyond the memory."""
        for gib, ipa_bits, bits in (
            # 1 + 510 GiB, ECAM to 511.5 GiB, MMIO from 512 GiB.
            (510, 48, 40),
            # 1 + 511 GiB, the others behind, MMIO from 1 TiB.
            (511, 48, 41),
            (600, 48, 41),
            (600, None, 41),
            # The MMIO window is left out on a host of 40 bits.
            (600, 40, 40),
            # Memory ends at 1 TiB: nothing fits behind it.
            (1023, 40, 40),
            (1023, 48, 41),
            (1600, 48, 42),
        ):
            self.assertEqual(
                bits, memmap.map_bits(gib * GIB, ipa_bits), (gib, ipa_bits)
            )
