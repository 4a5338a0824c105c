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


"""``nova-arm-migrate baseline``: what a fleet has in common.

``cpu_baseline`` has the actions on guest CPU baselines.
"""

import argparse
import json
import sys
from typing import Any

from nova_arm_migrate.cli import cpu_baseline
from nova_arm_migrate.cli import picture
from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.formats import add_format
from nova_arm_migrate.cli.formats import Shown
from nova_arm_migrate.cli.formats import write
from nova_arm_migrate.cli.matrix import matrix_dict
from nova_arm_migrate.cli.matrix import matrix_table
from nova_arm_migrate.cli.records import host_name
from nova_arm_migrate.cli.records import read_text
from nova_arm_migrate.cli.render import fleet_table
from nova_arm_migrate.core.baseline import Baseline
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.matrix import matrix
from nova_arm_migrate.core.pools import Fleet
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.verdict import Severity


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser: argparse.ArgumentParser = commands.add_parser(
        'baseline',
        help='print what a guest may have to run on all hosts',
        usage='nova-arm-migrate baseline [OPTION]... HOST...\n'
        '       nova-arm-migrate baseline --name NAME [OPTION]... HOST...\n'
        '       nova-arm-migrate baseline check [OPTION]... FILE HOST...\n'
        '       nova-arm-migrate baseline diff [OPTION]... FILE FILE',
        description='Print the baseline: the most that a guest may have if'
        ' it is to run on every host. Also print the findings against the'
        ' baseline, and the pools of hosts between which guests move in'
        ' both directions. With --matrix, print instead from which hosts'
        ' guests can move to which hosts; hosts with equal records share a'
        ' row. The exit code is about the baseline in both cases: 0 if all'
        ' hosts take it, 1 if not, 3 if that is not known, 2 for bad input.',
    )
    parser.add_argument(
        'hosts',
        metavar='HOST',
        nargs='+',
        help="hosts' profiles; the file's name is the host's name: a.json."
        ' After "check" and "diff", FILE is a guest CPU baseline',
    )
    parser.add_argument(
        '--matrix',
        action='store_true',
        help='print the matrix of sources and destinations',
    )
    parser.add_argument(
        '--picture',
        metavar='FILE',
        help='also write the matrix to FILE; the suffix .html makes a page'
        ' that shows the fields and remedies of each cell, .png, .svg or .pdf'
        ' a picture of at most 40 rows, which needs matplotlib (pip install'
        ' nova-arm-migrate[picture])',
    )
    add_format(parser, 'table')
    cpu_baseline.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compute, print, return the exit code.

    :raises CommandError: if a file does not contain a host's profile, or the
        picture can't be drawn or written
    """
    if (
        arguments.hosts[0] in cpu_baseline.ACTIONS
        or arguments.name is not None
    ):
        return cpu_baseline.run(arguments)
    if arguments.output is not None or arguments.acknowledge:
        raise CommandError('baseline: -o and --acknowledge need --name')
    if arguments.picture is not None:
        picture.check(arguments.picture)
    hosts: dict[str, Any] = {}
    records: list[tuple[str, str]] = []
    for path in arguments.hosts:
        name = host_name(path)
        if any(name == other for other, _ in records):
            name = path
        try:
            host = load_host(read_text(path))
        except ProfileError as error:
            raise CommandError(f'{path}: {error}') from None
        text = dump_host(host)
        hosts.setdefault(text, (host, name))
        records.append((name, text))
    names = [name for _, name in hosts.values()]
    common = baseline([host for host, _ in hosts.values()])
    pools = fleet(records)
    shown = Shown(
        data=lambda: _as_dict(common, pools, names),
        table=lambda: fleet_table(common, pools, names),
    )
    if arguments.matrix or arguments.picture is not None:
        moves = matrix(pools)
        if arguments.picture is not None:
            note = picture.write(moves, arguments.picture)
            if note:
                sys.stderr.write(
                    f'nova-arm-migrate: --picture: {note}; --matrix prints'
                    ' all of them\n'
                )
        if arguments.matrix:
            shown = Shown(
                data=lambda: matrix_dict(moves),
                table=lambda: matrix_table(moves),
            )
    write(arguments, shown)
    return _exit_code(common)


def _exit_code(common: Baseline) -> int:
    severities = {conflict.finding.severity for conflict in common.conflicts}
    if severities & {Severity.BLOCKS, Severity.HAZARD}:
        return 1
    return 3 if severities else 0


def _as_dict(
    common: Baseline, pools: Fleet, names: list[str]
) -> dict[str, Any]:
    return {
        'baseline': json.loads(dump_guest(common.guest)),
        'conflicts': [
            {'destination': names[conflict.host]} | conflict.finding.to_dict()
            for conflict in common.conflicts
        ],
        'pools': [list(pool.names) for pool in pools.pools],
        'one_way': sorted(list(pair) for pair in pools.one_way),
    }
