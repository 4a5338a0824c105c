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
import dataclasses
import itertools
from typing import Any
import unittest
from unittest import mock

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import ccsidr
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.rules import accepts
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.tables import qemu
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables.special import ALL_CCSIDR
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


class TestImplementation(unittest.TestCase):
    def test_another_core(self) -> None:
        (finding,) = judge(s.MIDR, s.NEOVERSE_N1, s.host())
        self.assertIn('Neoverse-N1 r3p1', sentence(finding))
        self.assertIn('Neoverse-V1 r0p0', sentence(finding))

    def test_another_revision(self) -> None:
        (finding,) = judge(s.CODES['REVIDR_EL1'], 7, s.host())
        self.assertIn('another revision', sentence(finding))

    def test_no_released_qemu_writes_it(self) -> None:
        host = s.host(
            writable=Values({s.MIDR: 0xFFFFFFFF}),
            qemu='11.1.0',
            capabilities=(('WRITABLE_IMP_ID_REGS', 1),),
        )
        self.assertEqual(1, len(judge(s.MIDR, s.NEOVERSE_N1, host)))

    def test_a_qemu_that_writes_it(self) -> None:
        mask = Values({s.MIDR: 0xFFFFFFFF})
        able = s.host(
            writable=mask,
            qemu='99.1',
            capabilities=(('WRITABLE_IMP_ID_REGS', 1),),
        )
        with mock.patch.object(
            qemu, 'WRITES_IMPLEMENTATION_IDS_SINCE', (99, 0)
        ):
            self.assertEqual([], judge(s.MIDR, s.NEOVERSE_N1, able))
            self.assertEqual(1, len(judge(s.MIDR, 1 << 32, able)))
            for change in (
                {'qemu': '98.0'},
                {'qemu': None},
                {'capabilities': ()},
            ):
                host = dataclasses.replace(able, **change)
                self.assertEqual(
                    1, len(judge(s.MIDR, s.NEOVERSE_N1, host)), change
                )


class TestCaches(unittest.TestCase):
    #: A KVM that makes caches up lists all of them.
    made_up = s.LISTED | ALL_CCSIDR

    def host(
        self, values: dict[int, int] | None = None, **changes: Any
    ) -> Host:
        return s.host(values, **({'reg_list': self.made_up} | changes))

    def check(
        self, code: int, value: int, host: Host, cause: Cause | None
    ) -> None:
        causes = [finding.cause for finding in judge(code, value, host)]
        self.assertEqual(
            [] if cause is None else [cause], causes, (hex(code), hex(value))
        )

    def test_clidr(self) -> None:
        coherent = 0x0100_0004  # LoC 1, LoUU and LoUIS 0
        idc = self.host({s.CTR: s.VALUES[s.CTR] | 1 << 28})
        for value, host, cause in (
            (0x0920_0023, self.host(), None),
            (coherent, self.host(), Cause.CACHE),
            (coherent, idc, None),
            (0, self.host(), Cause.CACHE),
            (1 << 50 | 0x0920_0023, self.host(), Cause.CACHE),
        ):
            self.check(s.CLIDR, value, host, cause)

    def test_ccsidr(self) -> None:
        data, instruction = ccsidr(0), ccsidr(1)
        for code, value, cause in (
            (data, 3, None),
            (data, 1, Cause.CACHE),
            (instruction, 1, Cause.CACHE),
            (data, 1 << 32 | 3, Cause.CACHE),
        ):
            self.check(code, value, self.host(), cause)

    def test_the_list_tells_whether_caches_are_made_up(self) -> None:
        real, all_but_one = s.LISTED, self.made_up - {ccsidr(7)}
        for listed, cause in (
            (self.made_up, None),
            (real, Cause.CACHE),
            (all_but_one, Cause.CACHE),
            (None, Cause.CACHE_UNKNOWN),
        ):
            for kernel in ('5.14.0', '6.1.0', '7.2.12', None):
                host = self.host(reg_list=listed, kernel=kernel)
                self.check(s.CLIDR, 0x0920_0023, host, cause)
                self.check(ccsidr(0), 3, host, cause)

    def test_what_no_kernel_takes_needs_no_list(self) -> None:
        self.check(ccsidr(0), 1, self.host(reg_list=None), Cause.CACHE)


class TestFirmware(unittest.TestCase):
    def check(
        self,
        name: str,
        host_value: int,
        accepted: Iterable[int],
        refused: Iterable[int],
    ) -> None:
        code = s.CODES[name]
        host = s.host({code: host_value})
        for value in accepted:
            self.assertEqual([], judge(code, value, host), value)
        for value in refused:
            self.assertEqual(1, len(judge(code, value, host)), value)

    def test_levels(self) -> None:
        self.check('SMCCC_ARCH_WORKAROUND_1', 1, (0,), (2, 3))
        self.check('SMCCC_ARCH_WORKAROUND_3', 2, (0, 1), (3,))

    def test_workaround_2(self) -> None:
        self.check(
            'SMCCC_ARCH_WORKAROUND_2',
            3,
            (0, 1, 2, 0x12),
            (4, 0x10, 0x11, 0x13, 0x20, 0x22, 1 << 63),
        )
        self.check('SMCCC_ARCH_WORKAROUND_2', 1, (0,), (2, 3))

    def test_bitmap(self) -> None:
        self.check('VENDOR_HYP_BMAP', 0b1011, (0, 0b11), (0b100, 0b1111))

    def test_psci(self) -> None:
        self.check(
            'PSCI_VERSION', 0x10001, (2, 0x10000), (0, 1, 3, 0x10002, 0x10003)
        )

    def test_bitmap_that_starts_at_zero(self) -> None:
        self.check('VENDOR_HYP_BMAP_2', 0, (1, 2, 3), (4, 7))

    def test_slots_are_none_or_the_hosts(self) -> None:
        self.check('PMMIR_EL1', 8, (0,), (4, 9, 0x108))

    def test_state_is_never_judged(self) -> None:
        register = dataclasses.replace(REGISTERS[s.MIDR], judge=Judge.STATE)
        self.assertEqual([], JUDGES[register.judge](register, 5, s.host()))
