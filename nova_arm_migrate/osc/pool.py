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

"""Commands about migration pools."""

import argparse
from collections.abc import Iterable
import json
from typing import Any

from osc_lib.command import command

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.render import baseline_lines
from nova_arm_migrate.core.apart import apart
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.columns import Names
from nova_arm_migrate.osc.columns import Numbers
from nova_arm_migrate.osc.columns import Shown
from nova_arm_migrate.osc.fleet import CloudFleet
from nova_arm_migrate.osc.fleet import fleet_of
from nova_arm_migrate.osc.fleet import pool_core
from nova_arm_migrate.osc.fleet import records_of
from nova_arm_migrate.osc.records import printable

#: Other pools that people see in a table, the nearest first.
_MOST_POOLS = 10
_NOTHING = 'nothing'


class _PoolCommand(Arm64Command):
    compares = True

    def pools(self, options: Options) -> CloudFleet:
        """Return the pools; says how many hosts are in none."""
        hosts = self.cloud.hosts()
        records = records_of(hosts)
        without = len(hosts) - len(records)
        if without:
            self.log.warning(
                '%d host%s without a usable record: see arm64 host list',
                without,
                's' if without > 1 else '',
            )
        return fleet_of(records, options)


class ListPool(_PoolCommand, command.Lister):
    """List the migration pools of the cloud, the largest first.

    Guests move in both directions between the hosts of one pool. The numbers
    of the pools change if hosts come, go or change.
    """

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the rows."""
        found = self.pools(self.options(parsed_args))
        return (
            'Pool',
            'Hosts',
            'Profiles',
            'Core',
            'One Way To',
            'Names',
        ), [
            (
                place + 1,
                len(pool.names),
                len(pool.profiles),
                pool_core(pool),
                Numbers([there + 1 for there in found.onward(place)]),
                Names(sorted(pool.names)),
            )
            for place, pool in enumerate(found.pools)
        ]


class ShowPool(_PoolCommand, command.ShowOne):
    """Show a migration pool, its baseline, and what keeps others apart.

    The baseline is the most that a guest may have to run on every host of the
    pool. For each other pool, ``apart`` has the fewest fields that must change
    before guests can move there, and before guests of the other pool can move
    here.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'pool',
            metavar='<pool>',
            help='name of one of its hosts, or its number',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the fields and their values."""
        options = self.options(parsed_args)
        found = self.pools(options)
        place = _place(found, parsed_args.pool)
        pool = found.pools[place]
        common = baseline([profile.host for profile in pool.profiles])
        distances = _distances(found, place, options)
        fields: dict[str, Any] = {
            'pool': place + 1,
            'host_count': len(pool.names),
            'hosts': Names(sorted(pool.names)),
            'profile_count': len(pool.profiles),
            'core': pool_core(pool),
            'one_way_to': Numbers([one + 1 for one in found.onward(place)]),
            'one_way_from': Numbers(
                sorted(i + 1 for i, j in found.fleet.one_way if j == place)
            ),
            'switch_off': ' '.join(sorted(common.guest.disabled)),
            'baseline': Shown(
                json.loads(dump_guest(common.guest)),
                lambda: '\n'.join(baseline_lines(common.guest)),
            ),
            'apart': Shown(distances, lambda: _text(distances)),
        }
        return tuple(fields), tuple(fields.values())


def _place(found: CloudFleet, given: str) -> int:
    """Return the place of the pool that the user means.

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
        f'no pool {printable(given)}: give a number from 1 to'
        f' {len(found.pools)}, or the name of a host that has a record'
    )


def _distances(
    found: CloudFleet, place: int, options: Options
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


def _text(distances: list[dict[str, Any]]) -> str:
    lines = []
    for one in distances[:_MOST_POOLS]:
        lines += [
            f'to {one["pool"]}: {_listed(one["to"])}',
            f'from {one["pool"]}: {_listed(one["from"])}',
        ]
    more = len(distances) - _MOST_POOLS
    if more > 0:
        lines.append(f'{more} more pools: see -f json')
    return '\n'.join(lines)


def _listed(fields: Iterable[str]) -> str:
    """Return the names of fields for people: the first ones."""
    return Names(list(fields)).human_readable() or _NOTHING
