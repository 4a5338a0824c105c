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

"""``nova-arm-migrate labels``: a record as labels of a Kubernetes node."""

import argparse
from typing import Any

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.formats import add_format
from nova_arm_migrate.cli.formats import Shown
from nova_arm_migrate.cli.formats import write
from nova_arm_migrate.cli.records import read_host
from nova_arm_migrate.core.labels import node_labels


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser: argparse.ArgumentParser = commands.add_parser(
        'labels',
        help="print a record as a Kubernetes node's labels",
        description="Print a host's record as labels of a Kubernetes node,"
        " with the keys of KubeVirt's node-labeller: features, core, vendor"
        ' and timer frequency. A table has one KEY=VALUE a line, for kubectl'
        ' label; JSON is a patch of the node, for kubectl patch. This is an'
        ' export: nothing here talks to Kubernetes. Exit code: 0, or 2 for'
        ' bad input.',
    )
    parser.add_argument(
        'record', metavar='FILE', help="a host's record; - for standard input"
    )
    add_format(parser, 'table')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, print, return the exit code.

    :raises CommandError: if there is no record in the file, or one without
        registers
    """
    host = read_host(arguments.record)
    if not host.values:
        raise CommandError(
            f'{arguments.record}: the record has no registers:'
            f' {host.why_absent("values")}'
        )
    labels = node_labels(host)
    write(
        arguments,
        Shown(
            data=lambda: {'metadata': {'labels': labels}},
            table=lambda: '\n'.join(
                f'{key}={value}' for key, value in labels.items()
            ),
        ),
    )
    return 0
