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

"""What the parts of a baseline say where hosts are unusual."""

import dataclasses
import unittest

from nova_arm_migrate.core import baseline_changes
from nova_arm_migrate.core import crossing
from nova_arm_migrate.core import crossing_pools
from nova_arm_migrate.core import crossing_words
from nova_arm_migrate.core.baseline_changes import Direction
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.cpu_baseline import with_implementation
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.verdict import Severity
from tests.present import present
from tests.unit.core import synthetic as s
from tests.unit.core.test_crossing import capable
from tests.unit.core.test_crossing import NEOVERSE_V2

CASES = {
    'BMAP': s.CODES['VENDOR_HYP_BMAP'],
    'PSCI': s.CODES['PSCI_VERSION'],
}


def baseline(**changes: object) -> CpuBaseline:
    return dataclasses.replace(
        crossing.common([capable(s.host())], name='pool').baseline,
        **changes,  # type: ignore[arg-type]
    )


def directions(
    before: CpuBaseline, after: CpuBaseline
) -> dict[str, Direction]:
    return {
        one.name: one.direction for one in baseline_changes.diff(before, after)
    }


class TestDirections(unittest.TestCase):
    def of(self, code: int, before: int, after: int) -> list[Direction]:
        registers = dict(baseline().registers)
        old, new = (
            baseline(registers=Values(registers | {code: value}))
            for value in (before, after)
        )
        return list(directions(old, new).values())

    def test_features(self) -> None:
        more, less = (
            baseline(features=frozenset(names))
            for names in (('pmu', 'sve'), ('pmu',))
        )
        self.assertIn(Direction.LOWER, directions(more, less).values())
        self.assertIn(Direction.HIGHER, directions(less, more).values())

    def test_bitmaps(self) -> None:
        for before, after, expected in (
            (3, 1, Direction.LOWER),
            (1, 3, Direction.HIGHER),
            (1, 2, Direction.OTHER),
        ):
            self.assertEqual([expected], self.of(CASES['BMAP'], before, after))

    def test_numbers(self) -> None:
        for before, after, expected in (
            (0x10002, 0x10001, Direction.LOWER),
            (0x10001, 0x10003, Direction.HIGHER),
        ):
            self.assertEqual([expected], self.of(CASES['PSCI'], before, after))

    def test_what_only_one_baseline_says(self) -> None:
        (change,) = baseline_changes.diff(
            baseline(icc_ctlr=0x400), baseline(icc_ctlr=None)
        )
        self.assertEqual(
            ('0x400', 'none', Direction.OTHER),
            (change.before, change.after, change.direction),
        )

    def test_bits_that_have_no_field(self) -> None:
        # ID_AA64ISAR0_EL1[3:0] is reserved.
        self.assertEqual([Direction.OTHER], self.of(s.ISAR0, 0x10, 0x11))


class TestUnusualHosts(unittest.TestCase):
    def test_registers_that_are_not_recorded(self) -> None:
        host = capable(s.host(reg_list=None))
        found = crossing.common([host, host], name='pool')
        self.assertIsNone(found.baseline.reg_list)

    def test_an_implementation_that_kvm_does_not_take(self) -> None:
        host = capable(s.host(), writable=Values())
        wanted = {**s.host().values, s.MIDR: NEOVERSE_V2}
        self.assertIs(host, with_implementation(host, Values(wanted)))

    def test_a_register_of_a_feature_switches_the_feature_off(self) -> None:
        v1 = capable(s.host())
        other = capable(
            s.host(reg_list=s.LISTED - {s.APIAKEYLO}), qemu='10.0.2'
        )
        found = crossing.common([v1, other], name='pool')
        self.assertNotIn('pauth', found.baseline.features)

    def test_pools_of_hosts_that_show_only_their_own_core(self) -> None:
        v1, v2 = s.host(), s.host({s.MIDR: NEOVERSE_V2})
        self.assertTrue(crossing_pools.partition([v1, v2]))
        self.assertTrue(crossing.common([v1, v2], name='pool').refusals)

    def test_registers_of_hosts_without_32_bit_code(self) -> None:
        pfr0 = 'ID_AA64PFR0_EL1.EL0'
        old = s.with_field(capable(s.host()), pfr0, 1)
        new = s.with_field(
            capable(s.host(reg_list=s.LISTED | {s.TCR2})), pfr0, 1
        )
        found = crossing.common([old, new], name='pool')
        self.assertFalse(found.baseline.has_32bit_el0)
        self.assertNotIn(s.TCR2, present(found.baseline.reg_list))


class TestWords(unittest.TestCase):
    """Every kind of refusal has a sentence and a short form."""

    def said(
        self, cause: Cause, starts: bool, **values: object
    ) -> tuple[str, str]:
        finding = Finding(
            cause,
            Severity.BLOCKS,
            'ID_AA64PFR0_EL1',
            **values,  # type: ignore[arg-type]
        )
        refusal = crossing.Refusal(finding, starts)
        return (
            crossing_words.sentence(refusal, 'host-b'),
            crossing_words.brief(refusal, 'host-b'),
        )

    def test_what_a_guest_gets_there(self) -> None:
        self.assertEqual(
            (
                'A guest that starts on host-b has ID_AA64PFR0_EL1.SVE = 1,'
                ' and nothing can change it there. The baseline has 0.',
                'ID_AA64PFR0_EL1.SVE: baseline 0, host-b 1',
            ),
            self.said(Cause.FIXED, True, field='SVE', guest=1, host=0),
        )

    def test_what_is_not_recorded_there(self) -> None:
        self.assertEqual(
            (
                "ID_AA64PFR0_EL1 of host-b can't be judged: no dump.",
                'ID_AA64PFR0_EL1: no dump',
            ),
            self.said(Cause.NOT_RECORDED, True, detail='no dump'),
        )

    def test_registers(self) -> None:
        for starts, where in ((True, 'the baseline'), (False, 'host-b')):
            sentence, brief = self.said(Cause.MISSING, starts, code=s.PFR0)
            self.assertIn('has the register' if starts else 'have', sentence)
            self.assertTrue(brief.endswith(f': not on {where}'), brief)

    def test_what_helps(self) -> None:
        for cause, words in (
            (Cause.CACHE_ZERO, 'No firmware setting changes it.'),
            (Cause.SVE_LENGTHS, 'ZCR_EL3.LEN'),
            (Cause.TIMER, 'in the firmware of all members'),
            (Cause.IMPLEMENTATION, 'since 6.15'),
        ):
            with self.subTest(cause):
                sentence, _ = self.said(cause, False, guest=1, host=2)
                self.assertIn(words, sentence)

    def test_a_finer_cache_line(self) -> None:
        finding = Finding(
            Cause.ABOVE,
            Severity.BLOCKS,
            'CTR_EL0',
            field='DminLine',
            guest=4,
            host=3,
        )
        self.assertIn(
            'lower the field in the baseline',
            crossing_words.sentence(crossing.Refusal(finding, False), 'b'),
        )
