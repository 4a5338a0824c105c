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

"""A plan that empties a host: where each server goes, and in which order.

What a host has room for comes from Placement: its allocation candidates say
which hosts can take a server alone, and from which resources. The same answer
says how much of each resource is free. The plan never gives out more than
that, so its servers fit together.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses

#: A resource: its provider and its class, as Placement names them.
Resource = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """One way in which a host can take a server: an allocation candidate.

    :ivar host: the host
    :ivar needs: what the server takes there: a resource, an amount above 0
    """

    host: str
    needs: tuple[tuple[Resource, int], ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Leaving:
    """A server that has to leave.

    :ivar key: identifies the server
    :ivar rooms: where it may go: hosts that accept its guest and have room
    """

    key: str
    rooms: tuple[Room, ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts to which it may go, sorted."""
        return tuple(sorted({room.host for room in self.rooms}))


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Where each server goes.

    :ivar steps: the servers that can leave, in order, each with its room
    :ivar staying: the servers that cannot leave beside the others: they have
        no room at all, or the servers of ``steps`` take it
    """

    steps: tuple[tuple[Leaving, Room], ...]
    staying: tuple[Leaving, ...]


def plan(servers: Iterable[Leaving], free: Mapping[Resource, int]) -> Plan:
    """Find a destination for as many servers as possible.

    Servers with the least room come first, and each goes to the host that has
    the most room. If a server finds no room, those that were placed before it
    make room if they can go elsewhere. If all servers need the same, no plan
    moves more of them. With different needs, a plan that moves more may exist.

    :param free: how much of each resource is free
    """
    order = sorted(
        servers,
        key=lambda one: (
            sum(_copies(room, free) for room in one.rooms),
            one.key,
        ),
    )
    board = _Board(free)
    hopeless: set[tuple[Room, ...]] = set()
    staying = []
    for one in order:
        # Do not search again for an equal server. If all servers need the
        # same, the search would fail again.
        if one.rooms in hopeless or not board.place(one):
            hopeless.add(one.rooms)
            staying.append(one)
    return Plan(
        tuple(
            (one, board.placed[one.key])
            for one in order
            if one.key in board.placed
        ),
        tuple(staying),
    )


def _copies(room: Room, free: Mapping[Resource, int]) -> int:
    """Return how many servers with the same needs would fit."""
    return min(
        (free.get(resource, 0) // amount for resource, amount in room.needs),
        default=0,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Wish:
    """A server that would take a room if another server left it.

    :ivar before: the wish of the server for which this one has to leave
    """

    server: Leaving
    room: Room
    before: '_Wish | None'


class _Board:
    """The servers that have been placed, and what is still free."""

    def __init__(self, free: Mapping[Resource, int]) -> None:
        self.placed: dict[str, Room] = {}
        self._free = dict(free)
        self._on: dict[str, list[Leaving]] = {}

    def place(self, server: Leaving) -> bool:
        """Place a server. Move other servers if that makes room for it.

        The search is breadth first. It looks at each host's servers once.
        """
        seen: set[str] = set()
        queue: list[tuple[Leaving, _Wish | None]] = [(server, None)]
        for one, before in queue:
            room = max(
                one.rooms,
                key=lambda room: _copies(room, self._free),
                default=None,
            )
            if (
                room is not None
                and _copies(room, self._free)
                and self._settle(_Wish(one, room, before))
            ):
                return True
            for room in one.rooms:
                if room.host not in seen:
                    movers = list(self._making_room(room))
                    if movers:
                        seen.add(room.host)
                    wish = _Wish(one, room, before)
                    queue += [(other, wish) for other in movers]
        return False

    def _making_room(self, room: Room) -> Iterator[Leaving]:
        """Yield the servers on a host without which a room would fit."""
        for other in self._on.get(room.host, ()):
            back = dict(self.placed[other.key].needs)
            if all(
                self._free.get(resource, 0) + back.get(resource, 0) >= amount
                for resource, amount in room.needs
            ):
                yield other

    def _settle(self, wish: _Wish | None) -> bool:
        """Fulfil a wish and those before it; False if they do not all fit."""
        wishes = []
        while wish is not None:
            wishes.append(wish)
            wish = wish.before
        change: dict[Resource, int] = {}
        for one in wishes:
            for resource, amount in one.room.needs:
                change[resource] = change.get(resource, 0) - amount
            old = self.placed.get(one.server.key)
            for resource, amount in old.needs if old else ():
                change[resource] = change.get(resource, 0) + amount
        left = {
            resource: self._free.get(resource, 0) + amount
            for resource, amount in change.items()
        }
        if min(left.values()) < 0:
            return False
        self._free |= left
        for one in wishes:
            old = self.placed.get(one.server.key)
            if old is not None:
                self._on[old.host].remove(one.server)
            self._on.setdefault(one.room.host, []).append(one.server)
            self.placed[one.server.key] = one.room
        return True
