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
"""Pools and changes of pools: rows that the offline tool and osc share.

A cell is a value of JSON, or `Both` if people see something else. People see
the first items of a list.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.errors import one_line
from nova_arm_migrate.cli.render import baseline_lines
from nova_arm_migrate.core.apart import apart
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.pools import Fleet
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.pools import Pool
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.core.verdict import Options

#: Items of a list that people see, and other pools, the nearest first.
_MOST = 5
_MOST_POOLS = 10
_LONGEST = 255

POOL_COLUMNS = ('Pool', 'Hosts', 'Profiles', 'Core', 'One Way To', 'Names')
WHAT_IF_COLUMNS = (
    'Before',
    'After',
    'Changed',
    'Hosts',
    'Destinations Before',
    'Destinations After',
    'Names',
)
#: What ``what-if`` needs: the names of the hosts, and the record's file.
HOST_HELP = (
    'host that gets the record, or the name of a new host; may be repeated'
)
PROFILE_HELP = 'record of a host, as nova-arm-migrate probe writes it'


@dataclasses.dataclass(frozen=True, slots=True)
class Both:
    """A value for programs, with a function that makes a text for people."""

    value: Any
    text: Callable[[], str]


@dataclasses.dataclass(frozen=True, slots=True)
class PlacedFleet:
    """The pools, and the place of each host's pool by the host's name."""

    fleet: Fleet
    places: Mapping[str, int]

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools, the largest first."""
        return self.fleet.pools

    def number(self, name: str) -> int | None:
        """Return the number of a host's pool, from 1; None without record."""
        place = self.places.get(name)
        return None if place is None else place + 1

    def onward(self, place: int) -> list[int]:
        """Return the places of the pools to which a pool's guests can go."""
        return sorted(j for i, j in self.fleet.one_way if i == place)

    def destinations(self, place: int) -> int:
        """Return to how many other hosts a guest of a pool can move."""
        return (
            sum(
                len(self.pools[there].names)
                for there in (place, *self.onward(place))
            )
            - 1
        )


def placed(
    records: Mapping[str, str], options: Options = Options()
) -> PlacedFleet:
    """Return the pools of hosts.

    :param records: the canonical text of each host's record, by its name
    """
    found = fleet(records.items(), options)
    return PlacedFleet(
        found,
        {
            name: place
            for place, pool in enumerate(found.pools)
            for name in pool.names
        },
    )


def cores_of(host: Host) -> str:
    """Return the names of a host's kinds of cores."""
    return ', '.join(
        dict.fromkeys(core_name(core.midr) for core in host.cores)
    )


def first_of(items: Sequence[Any]) -> str:
    """Return the first items, and the number of others."""
    shown = ', '.join(str(item) for item in items[:_MOST])
    more = len(items) - _MOST
    return f'{shown} and {more} more' if more > 0 else shown


def pool_rows(found: PlacedFleet) -> list[tuple[Any, ...]]:
    """Return a row for each pool: `POOL_COLUMNS`."""
    return [
        (
            place + 1,
            len(pool.names),
            len(pool.profiles),
            _core(pool),
            [there + 1 for there in found.onward(place)],
            sorted(pool.names),
        )
        for place, pool in enumerate(found.pools)
    ]


def pool_fields(
    found: PlacedFleet, place: int, options: Options
) -> dict[str, Any]:
    """Return the fields of a pool, and what keeps the others apart."""
    pool = found.pools[place]
    common = baseline([profile.host for profile in pool.profiles])
    distances = _distances(found, place, options)
    return {
        'pool': place + 1,
        'host_count': len(pool.names),
        'hosts': sorted(pool.names),
        'profile_count': len(pool.profiles),
        'core': _core(pool),
        'one_way_to': [one + 1 for one in found.onward(place)],
        'one_way_from': sorted(
            i + 1 for i, j in found.fleet.one_way if j == place
        ),
        'switch_off': ' '.join(sorted(common.guest.disabled)),
        'baseline': Both(
            json.loads(dump_guest(common.guest)),
            lambda: '\n'.join(baseline_lines(common.guest)),
        ),
        'apart': Both(distances, lambda: _text(distances)),
    }


def place_of(found: PlacedFleet, given: str) -> int:
    """Return the place of the pool that the user means.

    :param given: the name of one of its hosts, or its number
    :raises CommandError: if there is none
    """
    place = found.places.get(given)
    if place is not None:
        return place
    if given.isascii() and given.isdigit() and len(given) < 10:
        number = int(given)
        if 1 <= number <= len(found.pools):
            return number - 1
    raise CommandError(
        f'no pool {one_line(given[:_LONGEST])}: give a number from 1 to'
        f' {len(found.pools)}, or the name of a host that has a record'
    )


def what_if_rows(
    before: PlacedFleet, after: PlacedFleet
) -> list[tuple[Any, ...]]:
    """Return a row for the hosts that go from one pool to one pool."""
    groups: dict[tuple[int, int], list[str]] = {}
    for name, place in after.places.items():
        groups.setdefault((before.places.get(name, -1), place), []).append(
            name
        )
    return [
        (
            old + 1 if old >= 0 else None,
            new + 1,
            old < 0 or _hosts(before, old) != _hosts(after, new),
            len(names),
            before.destinations(old) if old >= 0 else None,
            after.destinations(new),
            sorted(names),
        )
        for (old, new), names in sorted(groups.items())
    ]


def _hosts(found: PlacedFleet, place: int) -> frozenset[str]:
    return frozenset(found.pools[place].names)


def _core(pool: Pool) -> str:
    """Return the names of the cores of a pool's first profile."""
    return cores_of(pool.profiles[0].host)


def _distances(
    found: PlacedFleet, place: int, options: Options
) -> list[dict[str, Any]]:
    """Return what keeps each other pool apart, the nearest first."""
    here = found.pools[place]
    distances = [
        {
            'pool': there + 1,
            'to': [f.name for f in apart(here, pool, options)],
            'from': [f.name for f in apart(pool, here, options)],
        }
        for there, pool in enumerate(found.pools)
        if there != place
    ]
    distances.sort(key=_distance)
    return distances


def _distance(one: dict[str, Any]) -> tuple[int, int]:
    return len(one['to']) + len(one['from']), one['pool']


def _text(distances: Iterable[dict[str, Any]]) -> str:
    lines = []
    shown = list(distances)
    for one in shown[:_MOST_POOLS]:
        lines += [
            f'to {one["pool"]}: {first_of(one["to"]) or "nothing"}',
            f'from {one["pool"]}: {first_of(one["from"]) or "nothing"}',
        ]
    more = len(shown) - _MOST_POOLS
    if more > 0:
        lines.append(f'{more} more pools: see -f json')
    return '\n'.join(lines)
