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


"""Compare the figures of a run with the last committed ones.

::

    python benchmarks/bench_filter.py -o filter.json
    python benchmarks/ratios.py --compare filter.json

Figures of different runs are comparable only as ratios. Each figure is
divided by that of the cheapest of Nova's own filters, for one host, in the
same file. A figure is the least of its values: other processes can only add
to one, and add more to some than to others. ``ratios.tsv`` has the committed
ratios; ``--write`` replaces those that the files have.

Exit status: 0; 1 if a ratio has grown beyond the tolerance; 2 if the files
cannot be compared, with the reason in one line.
"""

import argparse
import csv
import pathlib
import sys

COMMITTED = pathlib.Path(__file__).parent / 'ratios.tsv'
#: The names of Nova's filters, of which the cheapest is the reference.
REFERENCES = (
    'IoOpsFilter',
    'NumInstancesFilter',
    'ComputeCapabilitiesFilter, no specs',
)
#: Other figures of Nova's, which are not compared.
NOVAS = 'ComputeCapabilitiesFilter'
#: How much larger a ratio may be than the committed one.
TOLERANCE = 1.5
COLUMNS = ('benchmark', 'ratio')


class NotComparable(Exception):
    """The text says why, in one line."""


def to_ratios(least: dict[str, float]) -> dict[str, float]:
    """Return our figures as multiples of the reference.

    :param least: the fewest seconds by the name of the benchmark, all of
        one run
    :raises NotComparable: Nova's filters are not among them
    """
    if not set(REFERENCES) <= least.keys():
        raise NotComparable("Nova's filters were not measured in the same run")
    reference = min(least[name] for name in REFERENCES)
    return {
        name: seconds / reference
        for name, seconds in least.items()
        if name not in REFERENCES and not name.startswith(NOVAS)
    }


def read(path: pathlib.Path) -> dict[str, float]:
    """Return the committed ratios.

    :raises NotComparable: the file cannot be read or has another form
    """
    try:
        with path.open(newline='') as file:
            rows = csv.DictReader(file, delimiter='\t')
            return {row['benchmark']: float(row['ratio']) for row in rows}
    except (OSError, KeyError, TypeError, ValueError) as exc:
        raise NotComparable(f'{path}: {exc}') from None


def write(path: pathlib.Path, ratios: dict[str, float]) -> None:
    """Write ratios, with three digits that count."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file, delimiter='\t', lineterminator='\n')
        writer.writerow(COLUMNS)
        writer.writerows(
            (name, f'{ratio:.3g}') for name, ratio in ratios.items()
        )


def compare(
    then: dict[str, float], now: dict[str, float], tolerance: float
) -> tuple[list[str], bool]:
    """Return a table's lines, and whether no ratio is beyond the tolerance.

    :param tolerance: the largest quotient of a ratio now and then
    :raises NotComparable: no benchmark is in both
    """
    if not then.keys() & now.keys():
        raise NotComparable('no benchmark of the files has a committed ratio')
    lines = [f'{"benchmark":45} {"then":>8} {"now":>8} {"now/then":>8}']
    held = True
    for name, ratio in now.items():
        if name not in then:
            lines.append(f'{name:45} {"-":>8} {ratio:8.3g} {"new":>8}')
            continue
        change = ratio / then[name]
        slower = change > tolerance
        held = held and not slower
        mark = f'  slower than {tolerance:g} times' if slower else ''
        lines.append(
            f'{name:45} {then[name]:8.3g} {ratio:8.3g} {change:8.2f}{mark}'
        )
    return lines, held


def measured(paths: list[pathlib.Path]) -> dict[str, float]:
    """Return the ratios of pyperf's files, each with its own reference.

    :raises NotComparable: a file cannot be read, or lacks the reference
    """
    try:
        import pyperf
    except ImportError as exc:
        raise NotComparable(f'{exc}; see README.rst') from None
    found: dict[str, float] = {}
    for path in paths:
        try:
            suite = pyperf.BenchmarkSuite.load(str(path))
            found |= to_ratios(
                {
                    one.get_name(): min(one.get_values())
                    for one in suite.get_benchmarks()
                }
            )
        except (OSError, KeyError, ValueError) as exc:
            raise NotComparable(f'{path}: {exc}') from None
        except NotComparable as exc:
            raise NotComparable(f'{path}: {exc}') from None
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description='Compare benchmarks with the last committed figures.'
    )
    parser.add_argument('files', nargs='+', type=pathlib.Path, metavar='FILE')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        '--compare',
        action='store_true',
        help='print then, now and their quotient; exit with 1 if a ratio has '
        'grown beyond the tolerance',
    )
    what.add_argument(
        '--write', action='store_true', help='replace the committed ratios'
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=TOLERANCE,
        help='the largest quotient that passes (default: %(default)s)',
    )
    parser.add_argument(
        '--committed', type=pathlib.Path, default=COMMITTED, metavar='TSV'
    )
    arguments = parser.parse_args(argv)
    if arguments.tolerance <= 0:
        parser.error('the tolerance is not above 0')
    try:
        now = measured(arguments.files)
        if arguments.write:
            then = (
                read(arguments.committed)
                if arguments.committed.exists()
                else {}
            )
            write(arguments.committed, then | now)
            return 0
        lines, held = compare(
            read(arguments.committed), now, arguments.tolerance
        )
    except NotComparable as exc:
        print(f'ratios: {exc}', file=sys.stderr)
        return 2
    print('Multiples of the cheapest of the filters of Nova, for one host:')
    print('\n'.join(lines))
    return 0 if held else 1


if __name__ == '__main__':
    sys.exit(main())
