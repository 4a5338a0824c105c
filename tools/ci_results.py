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

"""Count the results of the tests, for ``.ci/run``.

``python -m tools.ci_results stestr FIRST`` counts what stestr has stored, and
needs stestr. ``python -m tools.ci_results lab TSV LOG`` counts the pairs and
the scenarios of the lab, and needs the standard library alone.

Standard output gets one line of numbers: passed, failed, skipped, and how many
pairs of the lab could not be tried (0 for stestr). Standard error gets the
names of the failed tests.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import sys
import typing

from tests.lab import table


class Results(typing.NamedTuple):
    """Numbers of tests.

    :ivar untried: those of *skipped* that are pairs of the lab
    :ivar failures: the names of the failed tests
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    untried: int = 0
    failures: tuple[str, ...] = ()


def of_stestr(first: int, folder: str | None = None) -> Results:
    """Return the results of stored runs, as stestr's own summary has them.

    :param first: the number of the first run; all later ones count too
    :param folder: the folder with ``.stestr``; None for the present one
    """
    from stestr.repository import abstract  # type: ignore[import-untyped]
    from stestr.repository import util
    import subunit  # type: ignore[import-untyped]
    import testtools

    tests: list[typing.Any] = []
    try:
        repository = util.get_repo_open(repo_url=folder)
    except abstract.RepositoryNotFound:
        return Results()
    for number in range(first, repository.count()):
        collect = testtools.StreamToDict(tests.append)
        collect.startTestRun()
        stream = repository.get_test_run(number).get_subunit_stream()
        subunit.ByteStreamToStreamResult(stream).run(collect)
        collect.stopTestRun()
    statuses = collections.Counter(test['status'] for test in tests)
    return Results(
        statuses['success'],
        statuses['fail'],
        statuses['skip'],
        failures=tuple(
            test['id']
            for test in tests
            if test['status'] in ('fail', 'uxsuccess')
        ),
    )


def of_lab(rows: pathlib.Path, log: pathlib.Path) -> Results:
    """Return the results of the lab's pairs and scenarios.

    A pair passes if the verdict agrees with what the migration did. It is
    skipped if its guest could not be tried.

    :param rows: the table of the pairs, as ``--tsv`` writes it
    :param log: what the lab printed, with one line for each scenario
    """
    pairs = collections.Counter(row.agreement for row in table.read(rows))
    lines = log.read_text(errors='replace').splitlines()
    scenarios = collections.Counter(line.partition(' ')[0] for line in lines)
    return Results(
        pairs['yes'] + scenarios['PASS'],
        pairs['no'] + scenarios['FAIL'],
        pairs['-'] + scenarios['SKIP'],
        pairs['-'],
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog='python -m tools.ci_results', description='Count test results.'
    )
    commands = parser.add_subparsers(dest='command', required=True)
    stestr = commands.add_parser('stestr', help='the runs stored by stestr')
    stestr.add_argument('first', type=int, help='number of the first run')
    lab = commands.add_parser('lab', help="the lab's pairs and scenarios")
    lab.add_argument('tsv', type=pathlib.Path)
    lab.add_argument('log', type=pathlib.Path)
    arguments = parser.parse_args(argv)
    if arguments.command == 'stestr':
        results = of_stestr(arguments.first)
    else:
        results = of_lab(arguments.tsv, arguments.log)
    for name in results.failures:
        print(f'FAILED {name}', file=sys.stderr)
    print(*results[:4])
    return 0


if __name__ == '__main__':
    sys.exit(main())
