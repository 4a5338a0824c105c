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

"""Moves between many profiles, held against comparing each with each."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import Any
import unittest

import hypothesis
from hypothesis import strategies as st

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.moves import Moves
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import ccsidr
from nova_arm_migrate.core.registers import firmware
from nova_arm_migrate.core.trial import before_trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Verdict
from tests.unit.core import synthetic as s
from tests.unit.core import test_laws

CACHES = frozenset(ccsidr(place) for place in range(14))


def field(name: str, value: int) -> Callable[[Host], Host]:
    return lambda host: s.with_field(host, name, value)


def register(code: int, value: int) -> Callable[[Host], Host]:
    return lambda host: dataclasses.replace(
        host,
        values=Values(
            {c: v for c, v in (dict(host.values) | {code: value}).items() if v}
        ),
    )


def mask(code: int, bits: int) -> Callable[[Host], Host]:
    return lambda host: dataclasses.replace(
        host, writable=Values(dict(host.writable or {}) | {code: bits})
    )


def listed(
    add: Iterable[int] = (), remove: Iterable[int] = ()
) -> Callable[[Host], Host]:
    return lambda host: dataclasses.replace(
        host,
        reg_list=None
        if host.reg_list is None
        else (host.reg_list | set(add)) - set(remove),
    )


def attributes(**changes: Any) -> Callable[[Host], Host]:
    return lambda host: dataclasses.replace(host, **changes)


#: What a host may have otherwise than the synthetic one: each of the rules
#: sees a difference, alone and together with what it looks at besides.
OTHERWISE = [
    field('ID_AA64ISAR0_EL1.AES', 1),
    field('ID_AA64ISAR0_EL1.SHA2', 1),
    mask(s.ISAR0, 0),
    field('ID_AA64PFR0_EL1.RAS', 2),
    mask(s.PFR0, s.ALL),
    field('ID_AA64PFR0_EL1.EL0', 1),
    field('ID_AA64PFR0_EL1.MPAM', 1),
    field('ID_AA64PFR0_EL1.SVE', 0),
    field('ID_AA64PFR0_EL1.GIC', 0),
    field('ID_AA64PFR1_EL1.SME', 1),
    field('ID_DFR0_EL1.PerfMon', 3),
    mask(s.DFR0_32, 0),
    register(s.CODES['ID_ISAR0_EL1'], 0x2101110),
    field('CTR_EL0.IDC', 1),
    field('CTR_EL0.CWG', 0),
    mask(s.CTR, s.ALL),
    field('CTR_EL0.DminLine', 3),
    register(s.CLIDR, 0x0100_0004),
    register(ccsidr(0), 1),
    register(ccsidr(0), 3),
    register(ccsidr(5), 2),
    listed(add=CACHES),
    listed(remove=[ccsidr(1)]),
    register(s.MIDR, s.NEOVERSE_N1),
    register(s.CODES['REVIDR_EL1'], 1),
    register(s.PMCR, 0x4103_2000),
    register(firmware(0), 0x1_0002),
    register(firmware(1), 1),
    register(bitmap(2), 1),
    register(bitmap(3), 3),
    listed(add=[bitmap(3)]),
    listed(add=[s.TCR2]),
    listed(remove=[s.APIAKEYLO]),
    listed(add=[1 << 27]),
    attributes(reg_list=None),
    attributes(writable=None),
    attributes(values=Values()),
    attributes(sve_lengths=None),
    attributes(sve_lengths=()),
    attributes(sve_lengths=(128,)),
    attributes(sve_lengths=(128, 2048)),
    attributes(cntfrq=None),
    attributes(cntfrq=1),
    attributes(dczid=None),
    attributes(dczid=5),
    attributes(dczid=20),
    attributes(ipa_bits=None),
    attributes(ipa_bits=39),
    attributes(page_size=None),
    attributes(page_size=65536),
    attributes(gic=None),
    attributes(gic=(2,)),
    attributes(qemu=None),
    attributes(qemu='9.1'),
    attributes(qemu='10.2.1'),
    attributes(qemu='11.0'),
    attributes(qemu='11.1.2'),
    attributes(kernel='6.1'),
    attributes(kernel=None),
    attributes(kernel='7.2'),
    attributes(capabilities=(('STEAL_TIME', 1),)),
    attributes(capabilities=()),
    attributes(features=frozenset()),
    attributes(
        cores=(
            Core(s.NEOVERSE_V1, 0, 0, '0-3'),
            Core(s.NEOVERSE_N1, 0, 0, '4-7'),
        )
    ),
    attributes(
        cores=(
            Core(s.NEOVERSE_V1, 0, 0, '0-3'),
            Core(s.NEOVERSE_V1, 1, 0, '4-7'),
        )
    ),
    attributes(
        libvirt='1', hwcap=None, huge_page_sizes=None, absent=(('gic', 'no'),)
    ),
]

NAMES = [
    'REGISTERS',
    'REGISTER_LIST',
    'SVE_LENGTHS',
    'CNTFRQ_EL0',
    'IPA_BITS',
    'PAGE_SIZE',
    'GIC',
    'MIDR_EL1',
    'CLIDR_EL1',
    'CTR_EL0',
    'TCR2_EL1',
    'ID_AA64ISAR0_EL1',
    'ID_AA64ISAR0_EL1.AES',
    'ID_AA64PFR0_EL1.RAS',
    'ID_AA64PFR0_EL1.SVE',
    'ID_AA64PFR0_EL1.EL0',
]

OPTIONS = st.builds(
    Options,
    hazards_block=st.booleans(),
    overrides=st.frozensets(st.sampled_from(NAMES), max_size=3),
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Host]:
    """Hosts that share most of what each has otherwise."""
    some = draw(st.lists(st.sampled_from(OTHERWISE), min_size=1, max_size=6))
    members = []
    for _ in range(draw(st.integers(1, 7))):
        host = s.host()
        for change in draw(st.lists(st.sampled_from(some), max_size=4)):
            host = change(host)
        members.append(host)
    return members


class TestMoves(unittest.TestCase):
    def check(
        self,
        hosts: Sequence[Host],
        options: Options = Options(),
        trial: bool = False,
    ) -> int:
        """Compare each with each.

        :returns: how many moves there are
        """

        def judged(guest: Guest, host: Host) -> Verdict:
            found = compare(guest, host, options)
            return (before_trial(found, options) if trial else found).verdict

        guests = [guest_started_on(host) for host in hosts]
        verdicts = [
            [judged(guest, host) for host in hosts] for guest in guests
        ]
        moves = [
            [
                verdict is Verdict.COMPATIBLE and one != other
                for other, verdict in enumerate(row)
            ]
            for one, row in enumerate(verdicts)
        ]
        found = Moves(hosts, options, trial=trial)
        self.assertEqual(moves, self.as_lists(found.to))
        self.assertEqual(
            [list(column) for column in zip(*moves)], self.as_lists(found.back)
        )
        return sum(map(sum, moves))

    def as_lists(self, sets: Sequence[int]) -> list[list[bool]]:
        return [
            [bool(these >> place & 1) for place in range(len(sets))]
            for these in sets
        ]

    def test_each_difference_alone_and_by_twos(self) -> None:
        moves = self.check(
            [s.host()] + [change(s.host()) for change in OTHERWISE]
        )
        self.assertGreater(moves, len(OTHERWISE))
        settled = self.check(
            [s.host()] + [change(s.host()) for change in OTHERWISE], trial=True
        )
        self.assertGreater(settled, moves)
        for one in OTHERWISE:
            host = one(s.host())
            self.check([host] + [change(host) for change in OTHERWISE[::7]])

    @hypothesis.given(fleets(), OPTIONS, st.booleans())
    def test_as_each_with_each(
        self, hosts: list[Host], options: Options, trial: bool
    ) -> None:
        self.check(hosts, options, trial)

    @hypothesis.given(
        st.lists(test_laws.hosts, max_size=4), OPTIONS, st.booleans()
    )
    def test_any_hosts(
        self, hosts: list[Host], options: Options, trial: bool
    ) -> None:
        self.check(hosts, options, trial)

    def test_where_none_takes_its_own_guests(self) -> None:
        self.check(
            [
                s.host(cntfrq=None),
                s.host(ipa_bits=None),
                s.host(cntfrq=None, kernel='6.12.2'),
            ]
        )
        self.assertEqual(
            6,
            self.check(
                [s.host(cntfrq=None), s.host(cntfrq=1), s.host(cntfrq=2)],
                Options(overrides=frozenset({'CNTFRQ_EL0'})),
            ),
        )

    def test_what_is_equal_everywhere_may_be_in_the_way(self) -> None:
        unknown = s.host(sve_lengths=None)
        self.assertEqual(
            0, self.check([unknown, dataclasses.replace(unknown, qemu='9.0')])
        )

    def test_none(self) -> None:
        self.assertEqual([], Moves([]).to)
        self.check([Host(), Host()])
