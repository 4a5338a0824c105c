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

"""The command that shows which hosts' guests can move to which hosts."""

import argparse
from collections.abc import Sequence
from typing import Any

from cliff import columns
from osc_lib.command import command

from nova_arm_migrate.cli import picture
from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.fleets import placed
from nova_arm_migrate.cli.matrix import label
from nova_arm_migrate.cli.matrix import MARKS
from nova_arm_migrate.core.matrix import Matrix
from nova_arm_migrate.core.matrix import matrix
from nova_arm_migrate.core.matrix import MatrixCell
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.columns import Shown
from nova_arm_migrate.osc.fleet import records_of

#: Hosts by host: a million cells.
MOST_HOSTS = 1000

#: What has a row: what people see, what programs get, place in the matrix.
_Row = tuple[str, Any, int]


class Cell(columns.FormattableColumn[Any]):
    """A verdict: people see its mark, programs get the first field too."""

    def human_readable(self) -> str:
        """Return the mark."""
        return MARKS[self._value.mark]

    def machine_readable(self) -> str:
        """Return the verdict and the first field that prevents the move."""
        return f'{self._value.mark.value}{_because(": ", self._value)}'


class ShowMatrix(Arm64Command, command.Lister):
    """Show where a guest that starts on one host can move.

    A row is where a guest is started, a column is where it goes. Hosts with
    the same record are one class and share a row. In a table, + means
    compatible, x incompatible, ! a silent hazard, ? unknown; the other formats
    also have the first field that prevents the move. ``--long`` prints one
    line for each cell.
    """

    compares = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--by',
            choices=('class', 'host'),
            default='class',
            help='what has a row: hosts with the same record (class, the'
            f' default), or each host (at most {MOST_HOSTS})',
        )
        parser.add_argument(
            '--long',
            action='store_true',
            help='one line for each source and destination',
        )
        parser.add_argument(
            '--output',
            metavar='<file>',
            help='also write the classes to a file; the suffix .html makes a'
            ' page that shows the fields and remedies of each cell, .png, .svg'
            f' or .pdf a picture of at most {picture.MOST} rows, which needs'
            ' matplotlib (pip install nova-arm-migrate[picture])',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the rows; also draw the picture."""
        options = self.options(parsed_args)
        if parsed_args.output is not None:
            picture.check(parsed_args.output, '--output')
        records = records_of(self.cloud.hosts())
        if parsed_args.by == 'host' and len(records) > MOST_HOSTS:
            raise CommandError(
                f'{len(records)} hosts are too many for --by host (at most'
                f' {MOST_HOSTS}); use --by class'
            )
        moves = matrix(placed(records, options).fleet, options)
        if parsed_args.output is not None:
            note = picture.write(
                moves,
                parsed_args.output,
                '--output',
                ('openstack arm64 compare', ''),
            )
            if note:
                self.log.warning('--output: %s', note)
        rows = _rows(moves, parsed_args.by == 'host')
        return _long(moves, rows) if parsed_args.long else _wide(moves, rows)


def _rows(moves: Matrix, by_host: bool) -> list[_Row]:
    if by_host:
        return [
            (name, name, place)
            for place, profile in enumerate(moves.profiles)
            for name in sorted(profile.names)
        ]
    return [
        (label(profile), list(profile.names), place)
        for place, profile in enumerate(moves.profiles)
    ]


def _wide(
    moves: Matrix, rows: Sequence[_Row]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    cells = [[Cell(cell) for cell in row] for row in moves.cells]
    return (
        '#',
        'Hosts',
        'Pool',
        *(str(number) for number, _ in enumerate(rows, 1)),
    ), [
        (
            number,
            _hosts(text, value),
            moves.pools[place] + 1,
            *(cells[place][there] for _, _, there in rows),
        )
        for number, (text, value, place) in enumerate(rows, 1)
    ]


def _long(
    moves: Matrix, rows: Sequence[_Row]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    return ('Source', 'Destination', 'Verdict', 'Mark', 'Field'), [
        (
            _hosts(text, value),
            _hosts(there_text, there_value),
            cell.verdict.value,
            cell.mark.value,
            _because('', cell),
        )
        for text, value, place in rows
        for there_text, there_value, there in rows
        for cell in (moves.cells[place][there],)
    ]


def _hosts(text: str, value: Any) -> Shown:
    return Shown(value, lambda: text)


def _because(before: str, cell: MatrixCell) -> str:
    """Return the first field that prevents a move, and how many more."""
    if cell.finding is None:
        return ''
    more = f' (+{cell.more} more)' if cell.more else ''
    return f'{before}{cell.finding.name}{more}'
