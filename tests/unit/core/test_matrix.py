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

"""The matrix of a fleet."""

import dataclasses
import unittest

import hypothesis
from hypothesis import strategies as st

from nova_arm_migrate.core import record
from nova_arm_migrate.core.matrix import Mark
from nova_arm_migrate.core.matrix import Matrix
from nova_arm_migrate.core.matrix import matrix
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Verdict
from tests.present import present
from tests.unit.core import synthetic as s


def of(options: Options = Options(), /, **hosts: Host) -> Matrix:
    records = [(name, record.dump_host(host)) for name, host in hosts.items()]
    return matrix(fleet(records, options), options)


class TestMatrix(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lesser = s.with_field(s.host(), 'ID_AA64ISAR0_EL1.AES', 1)

    def marks(self, found: Matrix) -> list[list[Mark]]:
        return [[cell.mark for cell in row] for row in found.cells]

    def test_direction(self) -> None:
        found = of(greater=s.host(), lesser=self.lesser)
        self.assertEqual(
            [('greater',), ('lesser',)], [p.names for p in found.profiles]
        )
        self.assertEqual(
            [
                [Mark.COMPATIBLE, Mark.INCOMPATIBLE],
                [Mark.COMPATIBLE, Mark.COMPATIBLE],
            ],
            self.marks(found),
        )
        refused = found.cells[0][1]
        self.assertEqual(
            ('ID_AA64ISAR0_EL1.AES', 0),
            (present(refused.finding).name, refused.more),
        )
        self.assertIsNone(found.cells[0][0].finding)

    def test_hazards_have_their_own_mark(self) -> None:
        hosts = {'a': s.host(), 'b': s.host(cntfrq=1)}
        found = of(**hosts)
        self.assertEqual(
            (Mark.HAZARD, Verdict.INCOMPATIBLE),
            (found.cells[0][1].mark, found.cells[0][1].verdict),
        )
        found = of(Options(hazards_block=False), **hosts)
        self.assertEqual(
            (Mark.HAZARD, Verdict.COMPATIBLE),
            (found.cells[0][1].mark, found.cells[0][1].verdict),
        )
        self.assertEqual('CNTFRQ_EL0', present(found.cells[0][1].finding).name)

    def test_what_blocks_outweighs_hazards(self) -> None:
        found = of(a=s.host(), b=dataclasses.replace(self.lesser, cntfrq=1))
        self.assertIs(Mark.INCOMPATIBLE, found.cells[0][1].mark)

    def test_unknown(self) -> None:
        found = of(a=s.host(), b=s.host(cntfrq=None))
        self.assertEqual(
            [[Mark.COMPATIBLE, Mark.UNKNOWN], [Mark.UNKNOWN, Mark.UNKNOWN]],
            self.marks(found),
        )

    def test_more(self) -> None:
        lesser = s.with_field(self.lesser, 'ID_AA64ISAR0_EL1.SHA2', 1)
        self.assertEqual(1, of(a=s.host(), b=lesser).cells[0][1].more)

    def test_pools_of_one_core_are_neighbours(self) -> None:
        other = s.host(
            cores=(dataclasses.replace(s.host().cores[0], midr=s.NEOVERSE_N1),)
        )
        other = dataclasses.replace(
            other, values=s.host({s.MIDR: s.NEOVERSE_N1}).values
        )
        found = of(
            a=s.host(),
            b=other,
            c=s.host(),
            d=other,
            e=self.lesser,
            f=s.host(huge_page_sizes=()),
        )
        self.assertEqual(
            [('a', 'c'), ('f',), ('e',), ('b', 'd')],
            [p.names for p in found.profiles],
        )
        self.assertEqual((0, 0, 2, 1), found.pools)

    def test_first(self) -> None:
        found = of(a=s.host(), b=self.lesser)
        self.assertEqual(found, found.first(2))
        self.assertEqual(
            (found.profiles[:1], found.pools[:1], ((found.cells[0][0],),)),
            (lambda m: (m.profiles, m.pools, m.cells))(found.first(1)),
        )

    def test_of_no_hosts(self) -> None:
        self.assertEqual(((), (), ()), (of().profiles, of().pools, of().cells))


_FIELDS = (
    'ID_AA64ISAR0_EL1.AES',
    'ID_AA64ISAR0_EL1.SHA2',
    'ID_AA64PFR0_EL1.RAS',
)


@st.composite
def _hosts(draw: st.DrawFn) -> Host:
    """Complete profiles that differ in a few fields."""
    host = s.host(cntfrq=draw(st.sampled_from((1, 2))))
    for name in _FIELDS:
        host = s.with_field(host, name, draw(st.integers(0, 2)))
    return host


class TestLaws(unittest.TestCase):
    @hypothesis.settings(deadline=None, max_examples=50)
    @hypothesis.given(st.lists(_hosts(), min_size=1, max_size=6))
    def test_agrees_with_the_pools(self, hosts: list[Host]) -> None:
        found = fleet(
            [
                (f'h{place}', record.dump_host(host))
                for place, host in enumerate(hosts)
            ]
        )
        moves = matrix(found)
        self.assertCountEqual(
            [p for pool in found.pools for p in pool.profiles], moves.profiles
        )
        ok = [
            [cell.verdict is Verdict.COMPATIBLE for cell in row]
            for row in moves.cells
        ]
        places = range(len(moves.profiles))
        for i in places:
            # A host takes back its own guests.
            self.assertTrue(ok[i][i])
            for j in places:
                self.assertEqual(
                    ok[i][j], moves.cells[i][j].mark is Mark.COMPATIBLE
                )
                self.assertEqual(
                    moves.pools[i] == moves.pools[j], ok[i][j] and ok[j][i]
                )
        one_way = {
            (a, b)
            for a in set(moves.pools)
            for b in set(moves.pools)
            if a != b
            and all(
                ok[i][j]
                for i in places
                for j in places
                if (moves.pools[i], moves.pools[j]) == (a, b)
            )
        }
        self.assertEqual(found.one_way, one_way)
