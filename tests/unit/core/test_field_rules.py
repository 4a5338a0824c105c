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

"""The rule, field by field: tables of (what, guest, host, refused)."""

from collections.abc import Iterable
import itertools
import unittest

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.field_rules import accepts
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.verdict import Severity
from tests.unit.core import kvm_rule
from tests.unit.core import synthetic as s


def judge(code: int, value: int, host: Host) -> list[Finding]:
    register = REGISTERS[code]
    return JUDGES[register.judge](register, value, host)


class TestAccepts(unittest.TestCase):
    def check(
        self,
        field: Field,
        accepted: Iterable[int],
        refused: Iterable[int],
        limit: int,
    ) -> None:
        for value in accepted:
            self.assertTrue(accepts(field, value, limit), value)
        for value in refused:
            self.assertFalse(accepts(field, value, limit), value)

    def test_lower_safe(self) -> None:
        self.check(Field('F', 0), range(4), range(4, 16), 3)

    def test_lower_safe_signed(self) -> None:
        field = Field('F', 0, signed=True)
        self.check(field, (-8, -1, 0), (1, 7), 0)
        self.check(field, (-1,), (0, 1), -1)

    def test_higher_safe(self) -> None:
        self.check(Field('F', 0, rule=Rule.HIGHER_SAFE), (3, 15), (0, 2), 3)

    def test_higher_or_zero_safe(self) -> None:
        field = Field('F', 0, rule=Rule.HIGHER_OR_ZERO_SAFE)
        self.check(field, (0, 4, 5), (1, 3), 4)
        self.check(field, (0,), (1, 15), 0)

    def test_exact(self) -> None:
        field = Field('F', 0, rule=Rule.EXACT, safe=2)
        self.check(field, (2, 3), (0, 1), 3)

    def test_equal(self) -> None:
        self.check(Field('F', 0, rule=Rule.EQUAL), (3,), (0, 2, 4), 3)

    def test_every_value_as_the_kernel_has_it(self) -> None:
        for rule, signed, least, or_zero in itertools.product(
            Rule, (False, True), (0, 1, 6), (False, True)
        ):
            field = Field(
                'F',
                0,
                rule=rule,
                signed=signed,
                safe=2,
                least=least,
                or_zero=or_zero,
            )
            values = kvm_rule.every_value(field)
            for value, limit in itertools.product(values, values):
                if least and signed:
                    continue  # no field has both
                self.assertEqual(
                    kvm_rule.takes(field, value, limit),
                    accepts(field, value, limit),
                    (field, value, limit),
                )

    def test_least(self) -> None:
        self.check(Field('F', 0, least=6), (6, 7, 8), (0, 5, 9), 8)

    def test_least_or_zero(self) -> None:
        field = Field('F', 0, least=3, or_zero=True)
        self.check(field, (0, 3, 4), (1, 2, 5), 4)


class TestFields(unittest.TestCase):
    def test_sign_extension(self) -> None:
        field = Field('F', 4, signed=True)
        self.assertEqual(-1, field.of(0xF0))
        self.assertEqual(7, field.of(0x70))
        self.assertEqual(0xFE, Field('F', 4).into(0x1E, 15))
        self.assertEqual(0xF0, field.into(0, -1))

    def test_tables_are_well_formed(self) -> None:
        for register in REGISTERS.values():
            seen = 0
            for field in register.fields:
                self.assertFalse(
                    seen & field.mask, f'{register.name}.{field.name} overlaps'
                )
                seen |= field.mask
            self.assertLessEqual(seen, s.ALL)
            names = [field.name for field in register.fields]
            self.assertEqual(len(set(names)), len(names), register.name)


class TestIdRegisters(unittest.TestCase):
    def refusals(
        self, name: str, value: int, host: Host | None = None
    ) -> list[Finding]:
        host = host or s.host()
        guest = s.with_field(host, name, value)
        code = s.CODES[name.split('.')[0]]
        return judge(code, guest.values.read(code), host)

    def one(self, name: str, value: int, host: Host | None = None) -> Finding:
        (finding,) = self.refusals(name, value, host)
        self.assertEqual(name, finding.name)
        return finding

    def test_weaker_writable_field_passes(self) -> None:
        self.assertEqual([], self.refusals('ID_AA64ISAR0_EL1.AES', 1))

    def test_stronger_field_is_refused(self) -> None:
        finding = self.one('ID_AA64ISAR0_EL1.AES', 3)
        self.assertEqual(
            (Cause.ABOVE, 3, 2, 'LOWER_SAFE'),
            (finding.cause, finding.guest, finding.host, finding.rule),
        )

    def test_weaker_fixed_field_is_refused(self) -> None:
        finding = self.one('ID_AA64PFR0_EL1.SVE', 0)
        self.assertEqual((Cause.FIXED, 'EQUAL'), (finding.cause, finding.rule))

    def test_stronger_fixed_field_is_above_the_limit(self) -> None:
        host = s.with_field(s.host(), 'ID_AA64PFR0_EL1.SVE', 0)
        self.assertEqual(
            Cause.ABOVE, self.one('ID_AA64PFR0_EL1.SVE', 1, host).cause
        )

    def test_field_partly_writable_is_fixed(self) -> None:
        host = s.host(writable=Values({s.ISAR0: 0x30}))
        self.assertEqual(
            Cause.FIXED, self.one('ID_AA64ISAR0_EL1.AES', 1, host).cause
        )

    def test_higher_safe(self) -> None:
        host = s.with_field(s.host(), 'ID_AA64MMFR1_EL1.SpecSEI', 1)
        self.assertEqual(
            Cause.BELOW, self.one('ID_AA64MMFR1_EL1.SpecSEI', 0, host).cause
        )
        self.assertEqual(
            [], self.refusals('ID_AA64MMFR1_EL1.SpecSEI', 2, host)
        )

    def test_exact(self) -> None:
        self.assertEqual([], self.refusals('CTR_EL0.L1Ip', 2))
        self.assertEqual(Cause.NOT_ALLOWED, self.one('CTR_EL0.L1Ip', 1).cause)

    def test_no_pmu_passes_where_it_is_writable(self) -> None:
        self.assertEqual([], self.refusals('ID_DFR0_EL1.PerfMon', 0))
        self.assertEqual(
            Cause.NOT_ALLOWED, self.one('ID_DFR0_EL1.PerfMon', 2).cause
        )

    def test_implementation_defined_pmu_where_the_host_has_none(self) -> None:
        host = s.with_field(
            s.host(writable=Values()), 'ID_AA64DFR0_EL1.PMUVer', 0
        )
        self.assertEqual([], self.refusals('ID_AA64DFR0_EL1.PMUVer', 15, host))

    def test_debugver_below_the_least(self) -> None:
        self.assertEqual(
            Cause.NOT_ALLOWED, self.one('ID_AA64DFR0_EL1.DebugVer', 5).cause
        )

    def test_implementation_defined_pmu_is_none(self) -> None:
        self.assertEqual([], self.refusals('ID_AA64DFR0_EL1.PMUVer', 15))

    def test_stale_mpam_is_not_judged(self) -> None:
        finding = self.one('ID_AA64PFR0_EL1.MPAM', 1)
        self.assertEqual(
            (Cause.STALE, Severity.UNKNOWN), (finding.cause, finding.severity)
        )

    def test_mpam_that_the_host_shows_is_judged(self) -> None:
        host = s.with_field(s.host(), 'ID_AA64PFR0_EL1.MPAM', 2)
        self.assertEqual(
            Severity.BLOCKS, self.one('ID_AA64PFR0_EL1.MPAM', 1, host).severity
        )

    def test_field_without_a_rule(self) -> None:
        host = s.host(writable=Values({s.PFR0: s.ALL}))
        self.assertEqual(
            Cause.FIXED, self.one('ID_AA64PFR0_EL1.RME', 1, host).cause
        )

    def test_bits_without_a_name(self) -> None:
        value = s.host().values.read(s.ISAR0) ^ 0xE
        (finding,) = judge(s.ISAR0, value, s.host())
        self.assertEqual(
            (Cause.RESERVED, 'ID_AA64ISAR0_EL1'), (finding.cause, finding.name)
        )

    def test_unallocated_register_must_be_zero(self) -> None:
        code = next(
            code
            for code, register in REGISTERS.items()
            if register.name == 'S3_0_C0_C6_7'
        )
        (finding,) = judge(code, 1, s.host())
        self.assertEqual(Cause.RESERVED, finding.cause)

    def test_all_refusals_are_collected(self) -> None:
        names = [f.name for f in judge(s.PFR0, 0, s.host())]
        self.assertIn('ID_AA64PFR0_EL1.SVE', names)
        self.assertIn('ID_AA64PFR0_EL1.RAS', names)
        self.assertIn('ID_AA64PFR0_EL1.EL0', names)

    def test_without_masks_what_might_pass_is_unknown(self) -> None:
        host = s.host(writable=None, absent=(('writable', 'no ioctl'),))
        finding = self.one('ID_AA64ISAR0_EL1.AES', 1, host)
        self.assertEqual(
            (Severity.UNKNOWN, 'no ioctl'), (finding.severity, finding.detail)
        )
        self.assertEqual(
            Severity.BLOCKS, self.one('ID_AA64ISAR0_EL1.AES', 3, host).severity
        )

    def test_32bit_registers_are_ignored_without_32bit_el0(self) -> None:
        self.assertEqual(1, len(self.refusals('ID_DFR0_EL1.PerfMon', 6)))
        host = s.with_field(s.host(), 'ID_AA64PFR0_EL1.EL0', 1)
        self.assertEqual([], self.refusals('ID_DFR0_EL1.PerfMon', 6, host))
