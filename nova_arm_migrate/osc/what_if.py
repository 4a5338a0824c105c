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

"""The command that shows what a changed or new host does to the pools."""

import argparse
import collections
from typing import Any

from osc_lib.command import command

from nova_arm_migrate.cli.records import read_host
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.columns import Names
from nova_arm_migrate.osc.fleet import CloudFleet
from nova_arm_migrate.osc.fleet import fleet_of
from nova_arm_migrate.osc.records import printable


class WhatIf(Arm64Command, command.Lister):
    """Show the pools before and after hosts have another record.

    Use it before a kernel update, or before a new host joins. Each row has the
    hosts that go from one pool to one pool. Hosts whose partners change are
    marked: partners are the hosts with which a host exchanges guests in both
    directions. Destinations are the other hosts to which a guest that starts
    there can move.
    """

    compares = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--host',
            metavar='<host>',
            action='append',
            required=True,
            help='host that gets the record, or the name of a new host; may'
            ' be repeated',
        )
        parser.add_argument(
            '--profile',
            metavar='<file>',
            required=True,
            help='record of a host, as nova-arm-migrate probe writes it',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the rows."""
        options = self.options(parsed_args)
        text = dump_host(read_host(parsed_args.profile))
        hosts = self.cloud.hosts()
        records = {
            host.name: host.record.text for host in hosts if host.record.text
        }
        before = fleet_of(records, options)
        nodes = {host.node: host.name for host in hosts}
        names = {host.name for host in hosts}
        for given in parsed_args.host:
            name = printable(given)
            records[name if name in names else nodes.get(name, name)] = text
        after = fleet_of(records, options)
        groups: dict[tuple[int, int], list[str]] = collections.defaultdict(
            list
        )
        for name, place in after.places.items():
            groups[before.places.get(name, -1), place].append(name)
        return (
            'Before',
            'After',
            'Changed',
            'Hosts',
            'Destinations Before',
            'Destinations After',
            'Names',
        ), [
            (
                old + 1 if old >= 0 else None,
                new + 1,
                old < 0 or _names(before, old) != _names(after, new),
                len(names_there),
                before.destinations(old) if old >= 0 else None,
                after.destinations(new),
                Names(sorted(names_there)),
            )
            for (old, new), names_there in sorted(groups.items())
        ]


def _names(fleet: CloudFleet, place: int) -> frozenset[str]:
    return frozenset(fleet.pools[place].names)
