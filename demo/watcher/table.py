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

"""The table at the end."""

from __future__ import annotations

import collections.abc
import typing as ty

from demo.watcher import plan


class Row(ty.NamedTuple):
    """What a strategy did under one configuration.

    :ivar broken: guests in ERROR afterwards
    """

    strategy: str
    configuration: str
    planned: int
    succeeded: int
    failed: int
    skipped: int
    broken: int


HEAD: ty.Final = (
    'Strategy',
    'Configuration',
    'Planned',
    'Succeeded',
    'Failed',
    'Skipped',
    'In ERROR',
)


def row_of(
    strategy: str,
    configuration: str,
    actions: collections.abc.Sequence[plan.Action],
    broken: collections.abc.Sized,
) -> Row:
    """Return the row of a strategy's actions.

    :param broken: the guests that are in ERROR
    """
    counts = plan.states(actions)
    return Row(
        strategy,
        configuration,
        planned=len(actions),
        succeeded=counts.get('SUCCEEDED', 0),
        failed=counts.get('FAILED', 0),
        skipped=counts.get('SKIPPED', 0),
        broken=len(broken),
    )


def failures(
    rows: collections.abc.Iterable[Row], configuration: str
) -> list[str]:
    """Return what a configuration promises and does not keep.

    It promises that actions are planned, that all of them succeed, and that
    no guest is in ERROR.
    """
    return [
        f'{row.strategy}: {row.failed} of {row.planned} actions failed,'
        f' {row.broken} guests are in ERROR'
        for row in rows
        if row.configuration == configuration
        and (not row.planned or row.succeeded != row.planned or row.broken)
    ]


def render(rows: collections.abc.Sequence[Row]) -> str:
    """Return a simple table in the format of reStructuredText."""
    cells = [HEAD, *(tuple(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = '  '.join('=' * width for width in widths)
    lines = [
        '  '.join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(
                zip(row, widths, strict=True)
            )
        ).rstrip()
        for row in cells
    ]
    return '\n'.join([rule, lines[0], rule, *lines[1:], rule])
