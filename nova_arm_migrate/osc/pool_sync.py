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
"""The command that keeps a host aggregate for each pool."""

import argparse
from typing import Any

from osc_lib import exceptions
from osc_lib.command import command

from nova_arm_migrate.cli.fleets import placed
from nova_arm_migrate.osc.aggregates import Aggregates
from nova_arm_migrate.osc.aggregates import changes
from nova_arm_migrate.osc.aggregates import names_of
from nova_arm_migrate.osc.aggregates import Step
from nova_arm_migrate.osc.base import API_ERRORS
from nova_arm_migrate.osc.base import api_message
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.fleet import records_of
from nova_arm_migrate.osc.records import printable


class SyncPool(Arm64Command, command.Lister):
    """Keep a host aggregate for each migration pool.

    Aggregates are created, renamed and deleted, and hosts moved, so that each
    pool has one. Only aggregates with the metadata ``arm64_pool`` of this
    command are changed. A pool that changes keeps its aggregate, and so its
    ID. The name has the core and a digest of the pool's baseline. A host
    without a usable record is in none.

    Rows are the changes that were made. Look at them with ``--dry-run`` first.
    If a change fails, the next run completes the rest.
    """

    compares = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._problem = ''

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--dry-run',
            action='store_true',
            help='show the changes and make none',
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the changes that were made come before an error.

        :raises osc_lib.exceptions.CommandError: also if a change failed
        """
        code = super().run(parsed_args)
        if self._problem:
            raise exceptions.CommandError(self._problem)
        return code

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the changes."""
        hosts = self.cloud.hosts()
        pools = placed(records_of(hosts), self.options(parsed_args)).pools
        services = {host.name: host.service for host in hosts}
        wanted = {
            name: frozenset(services[one] for one in pool.names)
            for name, pool in zip(names_of(pools), pools, strict=True)
        }
        manager: Any = self.app.client_manager
        aggregates = Aggregates(manager.arm64)
        steps = changes(wanted, aggregates.all())
        done: list[Step] = []
        for step in steps:
            if not parsed_args.dry_run:
                try:
                    aggregates.apply(step)
                except API_ERRORS as error:
                    self._problem = (
                        f'{step.action.value} {printable(step.what)}'
                        f' ({printable(step.aggregate)}):'
                        f' {api_message(error)}; {len(done)} of'
                        f' {len(steps)} changes were made'
                    )
                    break
            done.append(step)
        if not steps:
            self.log.warning('every pool has its aggregate: nothing to change')
        return ('Aggregate', 'Change', 'What'), [
            (
                printable(step.aggregate),
                step.action.value,
                printable(step.what),
            )
            for step in done
        ]
