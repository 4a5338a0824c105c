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

"""A fleet's matrix as text and as JSON."""

from collections.abc import Iterator
from typing import Any

from nova_arm_migrate.cli.errors import one_line
from nova_arm_migrate.cli.render import wrapped
from nova_arm_migrate.core.codes import runs
from nova_arm_migrate.core.matrix import Mark
from nova_arm_migrate.core.matrix import Matrix
from nova_arm_migrate.core.matrix import MatrixCell
from nova_arm_migrate.core.pools import EqualHosts

#: The mark of a cell in a table of text.
MARKS = {
    Mark.COMPATIBLE: '+',
    Mark.INCOMPATIBLE: 'x',
    Mark.HAZARD: '!',
    Mark.UNKNOWN: '?',
}


def label(profile: EqualHosts) -> str:
    """Return the first host's name and the number of hosts."""
    count = len(profile.names)
    return (
        f'{one_line(profile.names[0])}'
        f' ({count} host{"s" if count > 1 else ""})'
    )


def matrix_table(matrix: Matrix) -> str:
    """Return a matrix as text: one character per cell, then the fields."""
    size = len(matrix.profiles)
    digits = len(str(size))
    numbers = [str(place + 1).rjust(digits) for place in range(size)]
    lines = [
        "Guests started on a row's hosts can move to a column's hosts:",
        '  ' + ', '.join(f'{MARKS[mark]} {mark.value}' for mark in Mark),
        '',
    ]
    lines += [
        ' '.join([' ' * digits, *(n[d] for n in numbers)]).rstrip()
        for d in range(digits)
    ]
    for number, row, pool, profile in zip(
        numbers, matrix.cells, matrix.pools, matrix.profiles, strict=True
    ):
        marks = (MARKS[cell.mark] for cell in row)
        lines.append(
            ' '.join([number, *marks, f' pool {pool + 1}: {label(profile)}'])
        )
    lines += ['', 'First field that prevents a move']
    lines += list(_reasons(matrix)) or ['  nothing']
    return '\n'.join(lines)


def _reasons(matrix: Matrix) -> Iterator[str]:
    """Yield a line for each field and row; columns in the kernel's format."""
    for place, row in enumerate(matrix.cells):
        columns: dict[str, list[int]] = {}
        for there, cell in enumerate(row):
            if cell.finding is not None:
                columns.setdefault(
                    f'{MARKS[cell.mark]} {cell.finding.name}', []
                ).append(there + 1)
        for name, numbers in columns.items():
            listed = ', '.join(
                f'{first}' if first == last else f'{first}-{last}'
                for first, last in runs(numbers)
            )
            yield wrapped(f'{place + 1} to {listed}: {name}', ' ' * 6, '  ')


def matrix_dict(matrix: Matrix) -> dict[str, Any]:
    """Return a matrix as a JSON object."""
    return {
        'profiles': [
            {'hosts': list(profile.names), 'pool': pool}
            for pool, profile in zip(
                matrix.pools, matrix.profiles, strict=True
            )
        ],
        'cells': [[_cell(cell) for cell in row] for row in matrix.cells],
    }


def _cell(cell: MatrixCell) -> dict[str, Any]:
    return {
        'verdict': cell.verdict.value,
        'mark': cell.mark.value,
        'first': None if cell.finding is None else cell.finding.to_dict(),
        'more': cell.more,
    }
