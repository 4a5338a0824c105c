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

"""A fleet's partition into migration pools.

Hosts with the same record are one profile; the work grows with the number
of profiles, not of hosts. Two profiles are in one pool if a guest started on
either moves to the other. KVM's rule is transitive, so pools are
equivalence classes; where an operator's override or an unknown breaks that,
a profile joins a pool only if it fits all of it.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """Hosts that have the same record."""

    host: Host
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """Profiles between which guests move both ways."""

    profiles: tuple[Profile, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pool's hosts."""
        return tuple(name for profile in self.profiles
                     for name in profile.names)


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """The pools of a fleet.

    :ivar pools: the largest first
    :ivar one_way: (i, j): a guest started anywhere in pool i moves to every
        host of pool j, but not back
    :ivar unreadable: host names to why their record can't be read
    """

    pools: tuple[Pool, ...]
    one_way: frozenset[tuple[int, int]]
    unreadable: Mapping[str, str]


def fleet(records: Iterable[tuple[str, str]],
          options: Options = Options()) -> Fleet:
    """Partition hosts into migration pools.

    :param records: (host name, record as `record.dump_host` writes it)
    """
    names: dict[str, list[str]] = {}
    for name, text in records:
        names.setdefault(text, []).append(name)
    profiles, unreadable = [], {}
    for text, having in names.items():
        try:
            profiles.append(Profile(load_host(text), tuple(having)))
        except ProfileError as exc:
            unreadable.update(dict.fromkeys(having, str(exc)))
    moves = _moves(profiles, options)
    members: list[list[int]] = []
    for place in range(len(profiles)):
        for pool in members:
            if all((place, other) in moves and (other, place) in moves
                   for other in pool):
                pool.append(place)
                break
        else:
            members.append([place])
    pools = [(Pool(tuple(profiles[p] for p in pool)), pool)
             for pool in members]
    pools.sort(key=lambda item: (-len(item[0].names), item[0].names))
    one_way = frozenset(
        (i, j) for i, (_, here) in enumerate(pools)
        for j, (_, there) in enumerate(pools)
        if i != j and all((a, b) in moves for a in here for b in there))
    return Fleet(tuple(pool for pool, _ in pools), one_way, unreadable)


def _moves(profiles: list[Profile],
           options: Options) -> frozenset[tuple[int, int]]:
    """The pairs (i, j) where a guest started on i moves to j."""
    guests = [guest_started_on(profile.host) for profile in profiles]
    return frozenset(
        (i, j) for i, guest in enumerate(guests)
        for j, there in enumerate(profiles)
        if i != j and compare(guest, there.host, options).verdict
        is Verdict.COMPATIBLE)
