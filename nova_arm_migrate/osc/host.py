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

"""Commands about hosts."""

import argparse
import json
from typing import Any

from osc_lib.command import command

from nova_arm_migrate.cli import fleets
from nova_arm_migrate.cli.render import host_table
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.columns import Age
from nova_arm_migrate.osc.columns import Shown
from nova_arm_migrate.osc.fleet import host_named
from nova_arm_migrate.osc.records import CloudHost

_USABLE = 'usable'


class ListHost(Arm64Command, command.Lister):
    """List the Arm64 hosts with their records.

    A host without a usable record is a row that says why. Age is the time
    since the compute service reported; the record is from that time or up to
    a minute older. Pools are those of ``arm64 pool list``.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--long',
            action='store_true',
            help='also show the hypervisor, the versions of QEMU and libvirt,'
            ' and the vCPU features',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the rows."""
        hosts = self.cloud.hosts(ages=True)
        pools = _pools(hosts)
        columns: tuple[str, ...] = (
            'Host',
            'State',
            'Status',
            'Age',
            'Schema',
            'Pool',
            'Core',
            'Kernel',
            'Record',
        )
        if parsed_args.long:
            columns += ('Hypervisor', 'QEMU', 'libvirt', 'Features')
        rows = []
        for host in hosts:
            profile = host.record.host
            row: tuple[Any, ...] = (
                host.name,
                host.state,
                host.status,
                Age(host.age),
                host.record.schema,
                pools.number(host.name),
                host.record.core,
                profile.kernel if profile else None,
                host.record.why or _USABLE,
            )
            if parsed_args.long:
                row += (host.node, *_more(host))
            rows.append(row)
        return columns, rows


class ShowHost(Arm64Command, command.ShowOne):
    """Show an Arm64 host with its record."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'host',
            metavar='<host>',
            help='name of the compute host, or of its hypervisor',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the fields and their values."""
        hosts = self.cloud.hosts(ages=True)
        host = host_named(hosts, parsed_args.host)
        profile = host.record.host
        qemu, libvirt, features = _more(host)
        shown: Any = host.record.why
        if profile is not None:
            found = profile
            shown = Shown(
                json.loads(host.record.text), lambda: host_table(found)
            )
        fields: dict[str, Any] = {
            'host': host.name,
            'hypervisor': host.node,
            'state': host.state,
            'status': host.status,
            'age': Age(host.age),
            'schema': host.record.schema,
            'pool': _pools(hosts).number(host.name),
            'core': host.record.core,
            'kernel': profile.kernel if profile else None,
            'qemu': qemu,
            'libvirt': libvirt,
            'features': features,
            'record': shown,
        }
        return tuple(fields), tuple(fields.values())


def _more(host: CloudHost) -> tuple[str | None, str | None, str | None]:
    profile = host.record.host
    if profile is None:
        return None, None, None
    return profile.qemu, profile.libvirt, ' '.join(sorted(profile.features))


def _pools(hosts: list[CloudHost]) -> fleets.PlacedFleet:
    """Return the pools; no error if no host has a record."""
    return fleets.placed(
        {host.name: host.record.text for host in hosts if host.record.text}
    )
