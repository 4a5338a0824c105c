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
"""``nova-arm-migrate pool``, ``what-if`` and ``matrix``: a fleet from files.

They have the words of ``openstack arm64`` (``nova_arm_migrate.osc``), which
asks a cloud instead.
"""

import argparse
from collections.abc import Sequence
import sys
from typing import Any

from nova_arm_migrate.cli import fleets
from nova_arm_migrate.cli import picture
from nova_arm_migrate.cli.compare import add_options
from nova_arm_migrate.cli.compare import options_of
from nova_arm_migrate.cli.errors import one_line
from nova_arm_migrate.cli.formats import add_format
from nova_arm_migrate.cli.formats import Shown
from nova_arm_migrate.cli.formats import write
from nova_arm_migrate.cli.matrix import matrix_dict
from nova_arm_migrate.cli.matrix import matrix_table
from nova_arm_migrate.cli.records import host_name
from nova_arm_migrate.cli.records import read_host
from nova_arm_migrate.cli.render import wrapped
from nova_arm_migrate.core.matrix import matrix
from nova_arm_migrate.core.record import dump_host

_HOSTS = "hosts' profiles; the file's name is the host's name: a.json"


def add_pool_parser(commands: Any) -> None:
    """Add ``pool`` to the subparsers."""
    pool = commands.add_parser(
        'pool',
        help='divide hosts into migration pools',
        description='Divide hosts into migration pools: guests move in both'
        ' directions between the hosts of one pool.',
    )
    actions = pool.add_subparsers(
        metavar='ACTION', required=True, title='actions'
    )
    listing = actions.add_parser(
        'list',
        help='list the pools, the largest first',
        description='List the migration pools, the largest first.',
    )
    showing = actions.add_parser(
        'show',
        help='show a pool, its baseline, and what keeps others apart',
        description='Show a migration pool, its baseline, and the fewest'
        ' fields that keep each other pool apart, in each direction.',
    )
    showing.add_argument(
        'pool', metavar='POOL', help='name of one of its hosts, or its number'
    )
    _add_rest(listing, _run_list)
    _add_rest(showing, _run_show)


def add_what_if_parser(commands: Any) -> None:
    """Add ``what-if`` to the subparsers."""
    parser = commands.add_parser(
        'what-if',
        help='show the pools before and after hosts have another record',
        description='Show the pools before and after hosts have another'
        ' record: before a kernel update, or before a new host joins.',
    )
    parser.add_argument(
        '--host',
        metavar='NAME',
        action='append',
        required=True,
        help=fleets.HOST_HELP,
    )
    parser.add_argument(
        '--profile', metavar='FILE', required=True, help=fleets.PROFILE_HELP
    )
    _add_rest(parser, _run_what_if)


def add_matrix_parser(commands: Any) -> None:
    """Add ``matrix`` to the subparsers."""
    parser = commands.add_parser(
        'matrix',
        help='show from which hosts guests can move to which hosts',
        description='Show where a guest that starts on one host can move.'
        ' Hosts with equal records share a row.',
    )
    parser.add_argument(
        '--output',
        metavar='FILE',
        help='also write the matrix to FILE; the suffix .html makes a page'
        ' that shows the fields and remedies of each cell, .png, .svg or .pdf'
        f' a picture of at most {picture.MOST} rows, which needs matplotlib'
        ' (pip install nova-arm-migrate[picture])',
    )
    _add_rest(parser, _run_matrix)


def _add_rest(parser: argparse.ArgumentParser, run: Any) -> None:
    parser.add_argument('hosts', metavar='HOST', nargs='+', help=_HOSTS)
    add_format(parser, 'table')
    add_options(parser)
    parser.set_defaults(run=run)


def read_records(paths: Sequence[str]) -> dict[str, str]:
    """Return the records of hosts by the names of their files.

    A file with the same name in another directory has its path as the name.

    :raises CommandError: if a file has no host's profile
    """
    records: dict[str, str] = {}
    for path in paths:
        name = host_name(path)
        records[one_line(path) if name in records else name] = dump_host(
            read_host(path)
        )
    return records


def _run_list(arguments: argparse.Namespace) -> int:
    found = fleets.placed(read_records(arguments.hosts), options_of(arguments))
    _write_rows(arguments, fleets.POOL_COLUMNS, fleets.pool_rows(found))
    return 0


def _run_show(arguments: argparse.Namespace) -> int:
    options = options_of(arguments)
    found = fleets.placed(read_records(arguments.hosts), options)
    place = fleets.place_of(found, arguments.pool)
    fields = fleets.pool_fields(found, place, options)
    write(
        arguments,
        Shown(
            data=lambda: {name: _plain(one) for name, one in fields.items()},
            table=lambda: '\n'.join(
                line
                for name, one in fields.items()
                for line in _field(name, one)
            ),
        ),
    )
    return 0


def _run_what_if(arguments: argparse.Namespace) -> int:
    options = options_of(arguments)
    text = dump_host(read_host(arguments.profile))
    records = read_records(arguments.hosts)
    changed = records | {one_line(name): text for name in arguments.host}
    _write_rows(
        arguments,
        fleets.WHAT_IF_COLUMNS,
        fleets.what_if_rows(
            fleets.placed(records, options), fleets.placed(changed, options)
        ),
    )
    return 0


def _run_matrix(arguments: argparse.Namespace) -> int:
    options = options_of(arguments)
    if arguments.output is not None:
        picture.check(arguments.output, '--output')
    records = read_records(arguments.hosts)
    moves = matrix(fleets.placed(records, options).fleet, options)
    if arguments.output is not None:
        note = picture.write(moves, arguments.output, '--output')
        if note:
            sys.stderr.write(f'nova-arm-migrate: --output: {note}\n')
    write(
        arguments,
        Shown(
            data=lambda: matrix_dict(moves),
            table=lambda: matrix_table(moves),
        ),
    )
    return 0


def _write_rows(
    arguments: argparse.Namespace,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Write rows; JSON is that of ``openstack arm64``."""
    write(
        arguments,
        Shown(
            data=lambda: [
                dict(zip(columns, map(_plain, row), strict=True))
                for row in rows
            ],
            table=lambda: _table([columns, *rows]),
        ),
    )


def _table(rows: Sequence[Sequence[Any]]) -> str:
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return '\n'.join(
        '  '.join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )


def _field(name: str, value: Any) -> list[str]:
    lines = (_text(value) or '-').split('\n')
    if len(lines) == 1:
        return [wrapped(lines[0], ' ' * 15, f'{name:<15}')]
    return [f'{name}:', *(wrapped(line, ' ' * 6, '  ') for line in lines)]


def _plain(cell: Any) -> Any:
    return cell.value if isinstance(cell, fleets.Both) else cell


def _text(cell: Any) -> str:
    if isinstance(cell, fleets.Both):
        return cell.text()
    if isinstance(cell, list):
        return fleets.first_of(cell)
    return '-' if cell is None else str(cell)
