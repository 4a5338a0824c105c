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
from typing import Any

from osc_lib.command import command

from nova_arm_migrate.cli import fleets
from nova_arm_migrate.cli.records import read_host
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.fleet import cells
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
            help=fleets.HOST_HELP,
        )
        parser.add_argument(
            '--profile',
            metavar='<file>',
            required=True,
            help=fleets.PROFILE_HELP,
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
        before = fleets.placed(records, options)
        nodes = {host.node: host.name for host in hosts}
        names = {host.name for host in hosts}
        for given in parsed_args.host:
            name = printable(given)
            records[name if name in names else nodes.get(name, name)] = text
        after = fleets.placed(records, options)
        return fleets.WHAT_IF_COLUMNS, [
            cells(row) for row in fleets.what_if_rows(before, after)
        ]
