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

"""The rules of registers that have one of their own."""

from collections.abc import Iterable
import dataclasses
from typing import Any
import unittest
from unittest import mock

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import ccsidr
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.tables import qemu
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables.special import ALL_CCSIDR
from tests.unit.core import synthetic as s


def judge(code: int, value: int, host: Host) -> list[Finding]:
    register = REGISTERS[code]
    return JUDGES[register.judge](register, value, host)


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
