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

"""Which implementation stands for a pool.

The expected lists are read from Linux's source by hand, and not taken from the
tables.
"""

from collections.abc import Iterable
import random
import unittest

import hypothesis
from hypothesis import strategies as st

from nova_arm_migrate.core.implementation import choose
from nova_arm_migrate.core.implementation import differences
from nova_arm_migrate.core.implementation import Implementation
from nova_arm_migrate.core.implementation import targets
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.tables.implementations import ALLOWED
from nova_arm_migrate.core.tables.implementations import Cores
from nova_arm_migrate.core.tables.implementations import ERRATA
from nova_arm_migrate.core.tables.implementations import Listed
from nova_arm_migrate.core.tables.implementations import LOOP_COUNTS
from tests.unit.core import synthetic as s


def core(midr: int, revidr: int = 0) -> Implementation:
    return Implementation(midr, revidr, 0)


N1 = core(0x413FD0C1, 0xFF)
N1_R4P1 = core(0x414FD0C1)
V1 = core(0x411FD401, 0x1)
V2 = core(0x410FD4F1, 0x17)
N2 = core(0x410FD493)
A76 = core(0x413FD0B1)
A72 = core(0x410FD083)
A710 = core(0x412FD471)
A64FX = core(0x461F0010)
TSV110 = core(0x481FD010)
HIP09 = core(0x480FD020)
AMPEREONE = core(0xC00FAC30)
V3_R0P1 = core(0x410FD841)
V3_R0P2 = core(0x410FD842)
X4 = core(0x410FD823)
A510_R1P1 = core(0x411FD461)
EVERY = (N1, N1_R4P1, V1, V2, N2, A76, A72, A710, A64FX, TSV110, HIP09)

#: CSV2 and CSV3 are 1; DIC, CnP and BBM are 0.
PLAIN = Values({s.PFR0: 0x1100000000111112})
MMFR2 = s.CODES['ID_AA64MMFR2_EL1']


def in_lists(
    implementation: Implementation, lists: Iterable[Listed]
) -> set[str]:
    return {
        one.name
        for one in lists
        if any(
            cores.has(implementation.midr, implementation.revidr)
            for cores in one.cores
        )
    }


class TestTables(unittest.TestCase):
    def test_loop_counts(self) -> None:
        for expected, implementations in (
            (132, (V2,)),
            (32, (N2, V1, TSV110, A710)),
            (24, (N1, HIP09, A76)),
            (11, (AMPEREONE,)),
            (8, (A72,)),
            (None, (A64FX, V3_R0P2)),
        ):
            for one in implementations:
                found = [
                    count
                    for count, cores in LOOP_COUNTS
                    if any(c.has(one.midr, one.revidr) for c in cores)
                ]
                self.assertEqual(
                    expected, found[0] if found else None, one.name
                )

    def test_errata(self) -> None:
        for one, with_, without in (
            (N1, {'1418040', '1542419', 'SPECULATIVE_SSBS'}, {'DISABLE_CNP'}),
            (N1_R4P1, {'1542419', 'REPEAT_TLBI_SYNC'}, {'1418040'}),
            (HIP09, {'DISABLE_CNP'}, {'SPECULATIVE_SSBS'}),
            (N2, {'TSB_FLUSH_FAILURE', 'TRBE_WRITE_OUT_OF_RANGE'}, set()),
            (V1, {'SPECULATIVE_SSBS'}, {'TSB_FLUSH_FAILURE', '1542419'}),
            (AMPEREONE, {'AMPERE_AC03_CPU_38'}, {'AMPERE_AC04_CPU_23'}),
            (A64FX, {'FUJITSU_010001'}, {'SPECULATIVE_SSBS'}),
        ):
            found = in_lists(one, ERRATA)
            self.assertLessEqual(with_, found, one.name)
            self.assertFalse(without & found, one.name)

    def test_allow_lists(self) -> None:
        self.assertEqual(set(), in_lists(V3_R0P1, ALLOWED))
        self.assertEqual({'bbml3'}, in_lists(V3_R0P2, ALLOWED))
        self.assertEqual({'bbml3'}, in_lists(AMPEREONE, ALLOWED))
        self.assertEqual({'kpti_safe'}, in_lists(A72, ALLOWED))
        self.assertEqual(
            {'kpti_safe', 'spectre_v2_safe'}, in_lists(TSV110, ALLOWED)
        )

    def test_an_erratum_that_revidr_says_is_fixed(self) -> None:
        fixed = A510_R1P1._replace(revidr=1 << 25)
        self.assertIn('2658417', in_lists(A510_R1P1, ERRATA))
        self.assertNotIn('2658417', in_lists(fixed, ERRATA))

    def test_revisions_are_ordered_by_variant_first(self) -> None:
        cores = Cores(0x41, 0xD0C, (0, 1), (3, 1))
        for midr, expected in (
            (0x410FD0C0, False),
            (0x410FD0C1, True),
            (0x412FD0CF, True),
            (0x413FD0C1, True),
            (0x413FD0C2, False),
            (0x513FD0C1, False),
        ):
            self.assertIs(expected, cores.has(midr, 0), hex(midr))

    def test_names_are_unique(self) -> None:
        names = [one.name for one in (*ERRATA, *ALLOWED)]
        self.assertEqual(len(names), len(set(names)))


class TestChoice(unittest.TestCase):
    def test_the_worst_case_stands_for_all(self) -> None:
        for expected, pool in (
            (V2, (V1, V2)),
            (N2, (V1, N2)),
            (N2, (N2,)),
            (A710, (A710, V1)),
        ):
            choice = choose(pool, PLAIN)
            self.assertEqual((expected, ()), choice)

    def test_none_is_the_worst_case(self) -> None:
        """V1 makes more loops, N1 has more errata."""
        choice = choose((N1, V1), PLAIN)
        self.assertTrue(choice.differences)
        self.assertEqual(
            {(V1.midr, N1.midr)}, {found.pair for found in choice.differences}
        )
        kinds = {found.name for found in differences(V1, (N1, V1), PLAIN)}
        self.assertEqual({'1418040'}, kinds)

    def test_fields_that_make_a_list_superfluous(self) -> None:
        clears = Values({**PLAIN, s.CODES['ID_AA64ISAR2_EL1']: 1 << 28})
        names = {found.name for found in differences(N1, (N1, V1), PLAIN)}
        self.assertIn('BHB', names)
        names = {found.name for found in differences(N1, (N1, V1), clears)}
        self.assertNotIn('BHB', names)

    def test_fields_without_which_an_erratum_does_not_matter(self) -> None:
        coherent = Values({**PLAIN, s.CTR: 1 << 29})
        for values, expected in ((PLAIN, False), (coherent, True)):
            names = {
                found.name for found in differences(V1, (N1_R4P1, V1), values)
            }
            self.assertIs(expected, '1542419' in names)

    def test_never_one_on_an_allow_list_of_its_own(self) -> None:
        choice = choose((AMPEREONE, V1), PLAIN)
        self.assertEqual(V1, choice.implementation)
        self.assertEqual(
            {'AMPERE_AC03_CPU_38'}, {f.name for f in choice.differences}
        )
        (found,) = [
            found
            for found in differences(AMPEREONE, (AMPEREONE, V1), PLAIN)
            if found.allowed
        ]
        self.assertEqual('bbml3', found.name)
        # A guest that sees BBM does not look at the list.
        shown = Values({**PLAIN, MMFR2: 3 << 52})
        self.assertFalse(
            any(
                found.allowed
                for found in differences(AMPEREONE, (AMPEREONE, V1), shown)
            )
        )

    def test_nobody_can_stand_for_two_allow_lists(self) -> None:
        vulnerable = Values({s.PFR0: 0x0100000000111112})
        choice = choose((X4, A72), vulnerable)
        self.assertIsNone(choice.implementation)
        self.assertEqual(
            {'bbml3', 'kpti_safe'}, {f.name for f in choice.differences}
        )
        self.assertEqual((), targets((X4, A72), vulnerable))

    def test_what_a_guest_may_be_told(self) -> None:
        self.assertEqual((V2, V1), targets((V1, V2), PLAIN))
        self.assertEqual((), targets((V1,), PLAIN))
        self.assertEqual((V2, V1), targets((V1, AMPEREONE, V2), PLAIN))

    def test_one_that_hosts_can_show(self) -> None:
        self.assertEqual(V1, choose((V1, V2), PLAIN, [V1]).implementation)

    @hypothesis.given(
        st.lists(st.sampled_from(EVERY), min_size=1, max_size=4, unique=True),
        st.randoms(use_true_random=False),
    )
    def test_laws(
        self, pool: list[Implementation], dice: random.Random
    ) -> None:
        choice = choose(pool, PLAIN)
        shuffled = list(pool)
        dice.shuffle(shuffled)
        self.assertEqual(choice, choose(shuffled, PLAIN))
        if choice.implementation is None:
            return
        self.assertIn(choice.implementation, pool)
        mine = in_lists(choice.implementation, ERRATA)
        named = {found.name for found in choice.differences}
        for other in pool:
            # CTR_EL0.DIC and CnP are 0 here.
            missing = in_lists(other, ERRATA) - mine
            self.assertLessEqual(
                missing - {'1542419', 'DISABLE_CNP', 'BROKEN_DBM'},
                named | {'1742098'},
            )
