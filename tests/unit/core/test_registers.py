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

"""Codes and names of registers."""

import unittest

from nova_arm_migrate.core import checks
from nova_arm_migrate.core import registers
from nova_arm_migrate.core import tables


class TestCodes(unittest.TestCase):
    def test_kvm_ids(self) -> None:
        """Against the values that the kernel's uapi headers come out at."""
        for kvm_id, code in (
            (0x603000000013C020, registers.sysreg(3, 0, 0, 4, 0)),
            (0x603000000013DF11, registers.sysreg(3, 3, 14, 2, 1)),
            (0x6030000000140001, registers.firmware(1)),
            (0x6030000000160003, registers.bitmap(3)),
            (0x6020000000110001, registers.ccsidr(1)),
        ):
            self.assertEqual(code, registers.code_of(kvm_id))
            self.assertEqual(kvm_id, registers.kvm_id(code))

    def test_cpu_state_has_no_code(self) -> None:
        for kvm_id in (
            0x6030000000100042,
            0x606000000015FFFF,
            0x6080000000150000,
            0x6080000000170020,
        ):
            self.assertIsNone(registers.code_of(kvm_id))

    def test_missing_field(self) -> None:
        with self.assertRaisesRegex(KeyError, 'MIDR_EL1.Nope'):
            tables.REGISTERS[registers.sysreg(3, 0, 0, 0, 0)].field('Nope')


class TestNames(unittest.TestCase):
    def test_unknown_registers_are_named_by_number(self) -> None:
        for code, name in (
            (registers.sysreg(3, 0, 2, 0, 3), 'TCR2_EL1'),
            (registers.sysreg(2, 0, 0, 3, 5), 'DBGBCR3_EL1'),
            (registers.sysreg(3, 6, 1, 2, 3), 'S3_6_C1_C2_3'),
            (registers.firmware(9), 'FW_REG(9)'),
            (registers.bitmap(9), 'FW_FEAT_BMAP_REG(9)'),
            (0x990001, 'KVM_REG(0x990001)'),
        ):
            self.assertEqual(name, tables.register_of(code).name)

    def test_field_names_are_checked(self) -> None:
        for name in ('ID_AA64PFR0_EL1.SVE', 'MIDR_EL1', 'CCSIDR_EL1[0]'):
            self.assertEqual(name, tables.check_field_name(name))
        for name, words in (
            ('ID_AA64PFR0_EL1.NOPE', "has no field 'NOPE'"),
            ('NOPE_EL1', 'no register has the name'),
            ('a b\n', 'no register has the name'),
        ):
            with self.assertRaisesRegex(ValueError, words):
                tables.check_field_name(name)

    def test_overrides_are_checked(self) -> None:
        for name in ('SVE_LENGTHS', 'PMCR_EL0.N', 'ID_AA64PFR0_EL1.SVE'):
            self.assertEqual(name, checks.check_override(name))
        self.assertRaises(ValueError, checks.check_override, 'SVE_LENGTH')

    def test_which_values_are_kept(self) -> None:
        self.assertTrue(tables.keeps_value(registers.firmware(77)))
        self.assertFalse(tables.keeps_value(registers.sysreg(3, 0, 1, 0, 0)))
