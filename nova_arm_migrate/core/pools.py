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

"""Divide the hosts of a fleet into migration pools.

Hosts with the same record are one profile. The work grows with the number of
profiles, not of hosts, and much less than with its square (`core.moves`). Two
profiles are in one pool if a guest started on either can move to the other.
KVM's rule is transitive, so pools are equivalence classes. An operator's
override or an unknown can break that. A profile therefore joins a pool only if
guests can move between it and every profile of the pool.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import functools

from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.moves import Moves
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.verdict import Options


@dataclasses.dataclass(frozen=True, slots=True)
class EqualHosts:
    """Hosts that have the same record."""

    host: Host
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """Profiles between which guests move in both directions."""

    profiles: tuple[EqualHosts, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pool's hosts."""
        return tuple(
            name for profile in self.profiles for name in profile.names
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """The pools of a fleet.

    :ivar pools: the largest first
    :ivar one_way: (i, j): a guest started on any host of pool i can move to
        every host of pool j, but not back
    :ivar unreadable: the reasons why records can't be read, by host name
    """

    pools: tuple[Pool, ...]
    one_way: frozenset[tuple[int, int]]
    unreadable: Mapping[str, str]


def fleet(
    records: Iterable[tuple[str, str]], options: Options = Options()
) -> Fleet:
    """Partition hosts into migration pools.

    :param records: (host name, record as `record.dump_host` writes it)
    """
    names: dict[str, list[str]] = {}
    for name, text in records:
        names.setdefault(text, []).append(name)
    profiles, unreadable = [], {}
    for text, having in names.items():
        try:
            profiles.append(EqualHosts(load_host(text), tuple(having)))
        except ProfileError as exc:
            unreadable.update(dict.fromkeys(having, str(exc)))
    moves = Moves([profile.host for profile in profiles], options)
    members: list[list[int]] = []
    sets: list[int] = []
    for place in range(len(profiles)):
        mutual = moves.to[place] & moves.back[place]
        for number, pool in enumerate(sets):
            if not pool & ~mutual:
                members[number].append(place)
                sets[number] |= 1 << place
                break
        else:
            members.append([place])
            sets.append(1 << place)
    pools = [
        (
            Pool(tuple(profiles[place] for place in places)),
            these,
            functools.reduce(
                int.__and__, (moves.to[place] for place in places)
            ),
        )
        for places, these in zip(members, sets, strict=True)
    ]
    pools.sort(key=lambda item: (-len(item[0].names), item[0].names))
    one_way = frozenset(
        (i, j)
        for i, (_, _, reached) in enumerate(pools)
        for j, (_, there, _) in enumerate(pools)
        if i != j and not there & ~reached
    )
    return Fleet(tuple(pool for pool, _, _ in pools), one_way, unreadable)
