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
from typing import Any

from osc_lib.command import command

from nova_arm_migrate.cli import fleets
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.fleet import cells
from nova_arm_migrate.osc.fleet import records_of


class _PoolCommand(Arm64Command):
    compares = True

    def pools(self, options: Options) -> fleets.PlacedFleet:
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
        return fleets.placed(records, options)


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
        return fleets.POOL_COLUMNS, [
            cells(row) for row in fleets.pool_rows(found)
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
        place = fleets.place_of(found, parsed_args.pool)
        fields = fleets.pool_fields(found, place, options)
        return tuple(fields), cells(fields.values())
