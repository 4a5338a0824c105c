# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The rows of a truth table: the predictions, and what happened."""

import collections.abc
import csv
import dataclasses
import io
import pathlib

HEALTHY = 'moved, healthy'
BROKEN = 'moved, broken'
REFUSED = 'refused'
NOT_TRIED = 'not tried'

COMPATIBLE = 'compatible'
INCOMPATIBLE = 'incompatible'
UNKNOWN = 'unknown'

# The verdict that matches each outcome of a migration.
_MEANS = {
    HEALTHY: COMPATIBLE,
    BROKEN: INCOMPATIBLE,
    REFUSED: INCOMPATIBLE,
}

PASSES = 'passes'
DROPS = 'drops'

STOCK = 'refused'
STOCK_WORKAROUND = 'accepted'


@dataclasses.dataclass(frozen=True)
class Row:
    """One ordered pair.

    :ivar source: the specification of the host and guest it started as
    :ivar destination: the host it was moved to
    :ivar midr: ``equal`` or ``differs``
    :ivar static: the verdict of the comparison of recorded profiles
    :ivar trial: the answer of a scratch vCPU of the destination:
        ``accepts`` or ``refuses``
    :ivar verdict: of comparison and trial together
    :ivar scheduler: what ``ArmMigrateFilter`` does with the destination, with
        the default options: ``passes`` or ``drops``
    :ivar libvirt: what ``virsh cpu-compare`` says on the destination
    :ivar hypervisor: what ``virsh hypervisor-cpu-compare`` says there
    :ivar stock: Nova's own check, by its rule: on AArch64 it asks for the
        hypervisor comparison, which QEMU's driver doesn't have there
    :ivar workaround: the same with skip_cpu_compare_on_dest
    :ivar outcome: what a real live migration did
    :ivar why: the verdict's first reason
    :ivar detail: an error's text, or what broke
    """

    source: str
    destination: str
    midr: str
    static: str
    trial: str
    verdict: str
    scheduler: str
    libvirt: str
    hypervisor: str
    outcome: str
    why: str = ''
    detail: str = ''
    stock: str = STOCK
    workaround: str = STOCK_WORKAROUND

    @property
    def key(self) -> tuple[str, str]:
        return self.source, self.destination

    @property
    def agreement(self) -> str:
        """``yes``, ``no``, or ``-`` if no guest was moved.

        It is no disagreement if the rule leaves a value to the trial
        (unknown). The scheduler must not drop a host to which a guest moves
        without damage. It may pass a host that then refuses: that costs one
        pre-check.
        """
        if self.outcome == NOT_TRIED:
            return '-'
        means = _MEANS[self.outcome]
        agrees = (
            self.verdict == means
            and self.static in (means, UNKNOWN)
            and not (self.outcome == HEALTHY and self.scheduler == DROPS)
        )
        return 'yes' if agrees else 'no'


COLUMNS = (
    'source',
    'destination',
    'midr',
    'static',
    'trial',
    'verdict',
    'scheduler',
    'libvirt',
    'hypervisor',
    'stock',
    'workaround',
    'outcome',
    'agree',
    'why',
    'detail',
)


def cells(row: Row) -> list[str]:
    """Return the row's texts, one line for each of COLUMNS."""
    values = dataclasses.asdict(row) | {'agree': row.agreement}
    return [' '.join(str(values[name]).split()) for name in COLUMNS]


def to_tsv(rows: collections.abc.Iterable[Row]) -> str:
    """Return tab-separated rows, after a line of column names."""
    return tsv(COLUMNS, map(cells, rows))


def tsv(
    columns: collections.abc.Sequence[str],
    rows: collections.abc.Iterable[collections.abc.Sequence[str]],
) -> str:
    """Return tab-separated rows, after a line of column names."""
    buffer = io.StringIO()
    writer = csv.writer(
        buffer,
        delimiter='\t',
        lineterminator='\n',
        quoting=csv.QUOTE_NONE,
        quotechar=None,
        escapechar='\\',
    )
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()


def from_tsv(text: str) -> list[Row]:
    """Return the rows that to_tsv wrote; ignore other lines."""
    names = [field.name for field in dataclasses.fields(Row)]
    reader = csv.DictReader(
        io.StringIO(text),
        delimiter='\t',
        quoting=csv.QUOTE_NONE,
        quotechar=None,
        escapechar='\\',
    )
    return [
        Row(**{name: line[name] for name in names})
        for line in reader
        if line.get('outcome')
        and line.get('source')
        and all(line.get(name) is not None for name in names)
    ]


def read(path: pathlib.Path) -> list[Row]:
    return from_tsv(path.read_text()) if path.exists() else []


def merged(
    old: collections.abc.Iterable[Row], new: collections.abc.Iterable[Row]
) -> list[Row]:
    """Return *old*, with *new* rows replacing those of the same pair."""
    rows = {row.key: row for row in old}
    rows.update((row.key, row) for row in new)
    return list(rows.values())


def counts(rows: collections.abc.Sequence[Row]) -> dict[str, int]:
    """Return the number of rows of each kind."""
    tried = [row for row in rows if row.outcome != NOT_TRIED]
    return {
        'pairs': len(tried),
        'equal MIDR': sum(row.midr == 'equal' for row in tried),
        HEALTHY: sum(row.outcome == HEALTHY for row in tried),
        BROKEN: sum(row.outcome == BROKEN for row in tried),
        REFUSED: sum(row.outcome == REFUSED for row in tried),
        'agree': sum(row.agreement == 'yes' for row in tried),
        'disagree': sum(row.agreement == 'no' for row in tried),
        NOT_TRIED: len(rows) - len(tried),
    }


def summary(rows: collections.abc.Sequence[Row]) -> str:
    return ', '.join(f'{name} {n}' for name, n in counts(rows).items())


def to_text(rows: collections.abc.Iterable[Row]) -> str:
    """Return a short table: the verdicts and the outcome, no details."""
    shown = (
        'source',
        'destination',
        'static',
        'trial',
        'scheduler',
        'libvirt',
        'workaround',
        'outcome',
        'agree',
    )
    lines = [list(shown)]
    for row in rows:
        by_name = dict(zip(COLUMNS, cells(row)))
        lines.append([by_name[name] for name in shown])
    return columns(lines)


def columns(
    lines: collections.abc.Sequence[collections.abc.Sequence[str]],
) -> str:
    """Return lines of cells as text, each column as wide as it needs."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return '\n'.join(
        '  '.join(
            cell.ljust(width) for cell, width in zip(line, widths)
        ).rstrip()
        for line in lines
    )


_RST_HEAD = """\
..
    Written by: python3 -m tests.lab report --rst doc/source/lab-truth.tsv

===========================
What live migrations did
===========================

Every ordered pair was judged, then really migrated between two emulated
Arm64 hosts with real KVM, and the guest was looked at from inside. The hosts'
CPUs are QEMU's models, not silicon. ``stock`` is what Nova's own check says
by its rule; it refuses every pair, each host to itself included, and with
``skip_cpu_compare_on_dest`` it accepts every pair. ``libvirt`` is what
``virsh cpu-compare`` really said; its ``hypervisor-cpu-compare``, which Nova
uses, knows no KVM on Arm. What libvirt says of a refused migration is only in
the file ``lab-truth.tsv``: for one cause it differs from run to run.
``scheduler`` is what ``ArmMigrateFilter`` does with the destination, by its
rule and with the default options: it has no trial, and must not drop a host to
which the guest moves healthy. It and ``why`` are worked out from the recorded
hosts by the code as it is; the unit tests do so again.

*A via B* is a guest that started on A, moved to B and was moved on from there.

A pair that only a silent hazard speaks against is tried until a guest breaks,
up to eight times: a guest of ``max`` has SVE registers of 2048 bits, of which
QEMU carries 1024, and it takes a move in the midst of their use to see it.

"""

_RST_COLUMNS = (
    'source',
    'destination',
    'verdict',
    'scheduler',
    'why',
    'libvirt',
    'outcome',
    'detail',
)


def to_rst(rows: collections.abc.Sequence[Row]) -> str:
    """Return the table as a page of the documentation."""
    lines = [_RST_HEAD, '.. list-table::', '   :header-rows: 1', '']
    for name, number in counts(rows).items():
        first = not lines[-1]
        if first:
            lines += ['   * - what', '     - number']
        lines += [f'   * - {name}', f'     - {number}']
    for title, midr in (
        ('The same core on both sides', 'equal'),
        ('Different cores', 'differs'),
    ):
        chosen = [row for row in rows if row.midr == midr]
        if not chosen:
            continue
        lines += ['', title, '-' * len(title), '', '.. csv-table::']
        lines += [f'   :header: {", ".join(_RST_COLUMNS)}', '']
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator='\n')
        for row in chosen:
            by_name = dict(zip(COLUMNS, cells(row)))
            if row.outcome == REFUSED:
                # It differs from run to run for the same cause.
                by_name['detail'] = ''
            writer.writerow(_literal(by_name[name]) for name in _RST_COLUMNS)
        lines += [f'   {line}' for line in buffer.getvalue().splitlines()]
    return '\n'.join(lines) + '\n'


def _literal(text: str) -> str:
    """Return a text without mark-up."""
    return ''.join(f'\\{c}' if c in '\\`*|_' else c for c in text)
