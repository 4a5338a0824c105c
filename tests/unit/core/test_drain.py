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

"""A plan for emptying a host, against the definition of a plan.

The oracle tries every way to place a few servers.
"""

import itertools
import random
import unittest

import hypothesis
from hypothesis import strategies as st

from nova_arm_migrate.core.drain import Leaving
from nova_arm_migrate.core.drain import Plan
from nova_arm_migrate.core.drain import plan
from nova_arm_migrate.core.drain import Resource
from nova_arm_migrate.core.drain import Room

HOSTS = ('a', 'b', 'c', 'd')
_amounts = st.integers(1, 3)


def memory(host: str) -> Resource:
    return host, 'MEMORY_MB'


def room(host: str, amount: int = 1) -> Room:
    return Room(host, ((memory(host), amount),))


def server(key: str, *rooms: Room) -> Leaving:
    return Leaving(key, rooms)


def used(steps: list[Room]) -> dict[Resource, int]:
    """Return what rooms take in total."""
    total: dict[Resource, int] = {}
    for one in steps:
        for resource, amount in one.needs:
            total[resource] = total.get(resource, 0) + amount
    return total


def fits(rooms: list[Room], free: dict[Resource, int]) -> bool:
    return all(
        amount <= free.get(resource, 0)
        for resource, amount in used(rooms).items()
    )


def most(servers: list[Leaving], free: dict[Resource, int]) -> int:
    """Return the largest number of servers that can leave together."""
    choices = [(None, *one.rooms) for one in servers]
    return max(
        len(chosen)
        for some in itertools.product(*choices)
        if fits(chosen := [one for one in some if one], free)
    )


@st.composite
def needs(draw: st.DrawFn, host: str, shared: bool) -> Room:
    """A room on a host; its storage may be of a provider that hosts share."""
    found = [(memory(host), draw(_amounts))]
    if shared and draw(st.booleans()):
        found.append((('pool', 'DISK_GB'), draw(_amounts)))
    return Room(host, tuple(found))


@st.composite
def fleets(
    draw: st.DrawFn, equal: bool
) -> tuple[list[Leaving], dict[Resource, int]]:
    free = {memory(host): draw(st.integers(0, 4)) for host in HOSTS}
    free['pool', 'DISK_GB'] = draw(st.integers(0, 8))
    servers = []
    for number in range(draw(st.integers(0, 5))):
        hosts = draw(st.lists(st.sampled_from(HOSTS), unique=not equal))
        servers.append(
            Leaving(
                f's{number}',
                tuple(
                    room(host) if equal else draw(needs(host, True))
                    for host in (dict.fromkeys(hosts) if equal else hosts)
                ),
            )
        )
    return servers, free


class TestPlan(unittest.TestCase):
    def check(self, servers: list[Leaving], free: dict[Resource, int]) -> Plan:
        """What holds for every plan."""
        found = plan(servers, free)
        self.assertEqual(
            sorted(one.key for one in servers),
            sorted(
                [one.key for one, _ in found.steps]
                + [one.key for one in found.staying]
            ),
        )
        chosen = [there for _, there in found.steps]
        self.assertTrue(fits(chosen, free))
        for one, there in found.steps:
            self.assertIn(there, one.rooms)
        for one in found.staying:
            for there in one.rooms:
                self.assertFalse(fits([*chosen, there], free), one.key)
        return found

    @hypothesis.given(fleets(equal=False))
    def test_never_more_than_placement_has(
        self, given: tuple[list[Leaving], dict[Resource, int]]
    ) -> None:
        self.check(*given)

    @hypothesis.given(fleets(equal=True))
    def test_as_many_equal_servers_as_possible(
        self, given: tuple[list[Leaving], dict[Resource, int]]
    ) -> None:
        found = self.check(*given)
        self.assertEqual(most(*given), len(found.steps))

    @hypothesis.given(fleets(equal=False), st.integers())
    def test_the_order_in_which_servers_are_given_does_not_matter(
        self, given: tuple[list[Leaving], dict[Resource, int]], seed: int
    ) -> None:
        servers, free = given
        expected = plan(servers, free)
        shuffled = list(servers)
        random.Random(seed).shuffle(shuffled)
        self.assertEqual(expected, plan(shuffled, free))

    def test_the_server_with_the_least_room_leaves_first(self) -> None:
        free = {memory('a'): 4, memory('b'): 4}
        found = self.check(
            [
                server('anywhere', room('a'), room('b')),
                server('large', room('a', 3), room('b', 3)),
                server('only-a', room('a')),
            ],
            free,
        )
        self.assertEqual(
            ['large', 'only-a', 'anywhere'],
            [one.key for one, _ in found.steps],
        )

    def test_servers_go_where_most_is_left(self) -> None:
        free = {memory('a'): 3, memory('b'): 2}
        found = self.check(
            [server(key, room('a'), room('b')) for key in ('x', 'y', 'z')],
            free,
        )
        self.assertEqual(
            ['a', 'a', 'b'], sorted(there.host for _, there in found.steps)
        )

    def test_a_server_makes_room_for_one_that_comes_later(self) -> None:
        """Of those that come first, each takes the room the next one needs."""
        free = {memory('a'): 1, memory('b'): 1, memory('c'): 1}
        found = self.check(
            [
                server('1', room('b'), room('a')),
                server('2', room('c'), room('b')),
                server('3', room('b'), room('c')),
            ],
            free,
        )
        self.assertEqual((), found.staying)

    def test_what_hosts_share_is_counted_once_for_all(self) -> None:
        free = {memory('a'): 9, memory('b'): 9, ('pool', 'DISK_GB'): 1}
        found = self.check(
            [
                Leaving(
                    key,
                    tuple(
                        Room(
                            host,
                            ((memory(host), 1), (('pool', 'DISK_GB'), 1)),
                        )
                        for host in ('a', 'b')
                    ),
                )
                for key in ('x', 'y')
            ],
            free,
        )
        self.assertEqual(1, len(found.steps))
        self.assertEqual(1, len(found.staying))

    def test_one_that_moves_over_keeps_what_hosts_share(self) -> None:
        disk = 'pool', 'DISK_GB'
        free = {memory('a'): 1, memory('b'): 1, disk: 2}
        twice = Room('a', ((memory('a'), 1), (disk, 2)))
        found = self.check(
            [
                Leaving(
                    '1',
                    tuple(
                        Room(host, ((memory(host), 1), (disk, 1)))
                        for host in ('a', 'b')
                    ),
                ),
                server('2', twice, twice),
            ],
            free,
        )
        self.assertEqual(['2'], [one.key for one in found.staying])

    def test_a_server_that_is_too_small_makes_no_room(self) -> None:
        found = self.check(
            [
                server('1', room('a')),
                server('2', room('b', 2)),
                server('3', room('a', 2), room('b')),
            ],
            {memory('a'): 1, memory('b'): 2},
        )
        self.assertEqual(['3'], [one.key for one in found.staying])

    def test_no_room_at_all(self) -> None:
        found = self.check([server('x'), server('y', room('a'))], {})
        self.assertEqual(['x', 'y'], [one.key for one in found.staying])
        self.assertEqual(('a',), found.staying[1].hosts)
