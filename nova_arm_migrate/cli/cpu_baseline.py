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

"""``nova-arm-migrate baseline``: baselines as files.

``baseline HOST... --name NAME`` makes one, ``baseline check`` compares one
with hosts, ``baseline diff`` compares two.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from nova_arm_migrate.cli import files
from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.formats import Shown
from nova_arm_migrate.cli.formats import write
from nova_arm_migrate.cli.records import host_name
from nova_arm_migrate.cli.records import read_bounded
from nova_arm_migrate.cli.records import read_host
from nova_arm_migrate.cli.render_baseline import changes_table
from nova_arm_migrate.cli.render_baseline import common_table
from nova_arm_migrate.cli.render_baseline import refusals_table
from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core import baseline_forms
from nova_arm_migrate.core import crossing_words
from nova_arm_migrate.core import record_baselines
from nova_arm_migrate.core.baseline_changes import Change
from nova_arm_migrate.core.baseline_changes import diff
from nova_arm_migrate.core.baseline_changes import given_up
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.crossing import Common
from nova_arm_migrate.core.crossing import common
from nova_arm_migrate.core.crossing import Refusal
from nova_arm_migrate.core.crossing import refusals
from nova_arm_migrate.core.crossing_pools import Partition
from nova_arm_migrate.core.crossing_pools import partition
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.profile import Host

#: The first words that select another action than making a baseline.
ACTIONS = ('check', 'diff')


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for baselines as files."""
    group = parser.add_argument_group(
        'guest CPU baselines',
        'With --name, make a guest CPU baseline: what guests see on all of'
        ' these hosts, if a VMM writes it to their vCPUs, and cores may'
        ' differ. If no such baseline exists, print which fields prevent it,'
        ' and which pools are possible. If a file is named check or diff,'
        ' write ./check or ./diff.',
    )
    group.add_argument('--name', help='name of the baseline: a word')
    group.add_argument(
        '--version',
        type=int,
        default=1,
        metavar='N',
        help='version of the baseline (default: 1)',
    )
    group.add_argument(
        '--acknowledge',
        action='append',
        default=[],
        metavar='MIDR,MIDR',
        help='accept the known differences between two cores; the command'
        ' prints the pairs',
    )
    group.add_argument(
        '-o',
        '--output',
        metavar='FILE',
        help='write the baseline to FILE; without it, the baseline goes to'
        ' standard output',
    )


def run(arguments: argparse.Namespace) -> int:
    """Run one of the actions; return the exit code.

    :raises CommandError: for bad input
    """
    action, *rest = arguments.hosts
    if action not in ACTIONS:
        return _make(arguments)
    if arguments.name is not None or arguments.output is not None:
        raise CommandError(f'baseline {action}: --name and -o make a baseline')
    return (_check if action == 'check' else _diff)(arguments, rest)


def read_baseline(path: str) -> CpuBaseline:
    """Return the baseline of a file.

    :raises CommandError: if there is none in the file; with all problems
    """
    text = read_bounded(path, baseline_file.LONGEST, 'a baseline')
    try:
        return baseline_file.load(text)
    except ProfileError as error:
        raise CommandError(f'{path}: {error}') from None


def _hosts(paths: Sequence[str]) -> tuple[list[str], list[Host]]:
    names: list[str] = []
    for path in paths:
        name = host_name(path)
        names.append(path if name in names else name)
    return names, [read_host(path) for path in paths]


def _make(arguments: argparse.Namespace) -> int:
    if arguments.matrix or arguments.picture is not None:
        raise CommandError('baseline: --matrix and --picture need no --name')
    try:
        name = record_baselines.BaselineName().load('--name', arguments.name)
        pairs = [
            baseline_forms.load_pair('--acknowledge', given)
            for given in arguments.acknowledge
        ]
    except ProfileError as error:
        raise CommandError(str(error)) from None
    if arguments.version < 1:
        raise CommandError('--version: not a number from 1')
    names, hosts = _hosts(arguments.hosts)
    found = common(
        hosts, name=name, version=arguments.version, acknowledged=pairs
    )
    text = baseline_file.dump(found.baseline)
    if found.taken and arguments.output is None:
        print(text)
        return 0
    pools = None if found.taken else partition(hosts)
    if found.taken:
        files.replace(arguments.output, f'{text}\n'.encode('ascii'))
    write(
        arguments,
        Shown(
            data=lambda: _as_dict(found, pools, names, hosts),
            table=lambda: common_table(found, pools, names, hosts),
        ),
    )
    if found.unacknowledged:
        return 1
    return _exit_code([refusal for _, refusal in found.refusals])


def _check(arguments: argparse.Namespace, paths: Sequence[str]) -> int:
    if len(paths) < 2:
        raise CommandError('baseline check: give FILE and HOST')
    baseline = read_baseline(paths[0])
    names, hosts = _hosts(paths[1:])
    found = [
        (place, refusal)
        for place, host in enumerate(hosts)
        for refusal in refusals(baseline, host)
    ]
    write(
        arguments,
        Shown(
            data=lambda: {
                'baseline': _named(baseline),
                'members': [
                    name
                    for place, name in enumerate(names)
                    if not any(place == other for other, _ in found)
                ],
                'refusals': _refusals(found, names),
            },
            table=lambda: refusals_table(baseline, found, names),
        ),
    )
    return _exit_code([refusal for _, refusal in found])


def _diff(arguments: argparse.Namespace, paths: Sequence[str]) -> int:
    if len(paths) != 2:
        raise CommandError('baseline diff: give two files of baselines')
    before, after = (read_baseline(path) for path in paths)
    changes = diff(before, after)
    write(
        arguments,
        Shown(
            data=lambda: {
                'before': _named(before),
                'after': _named(after),
                'changes': _changes(changes),
            },
            table=lambda: changes_table(changes),
        ),
    )
    return 1 if changes else 0


def _exit_code(found: Sequence[Refusal]) -> int:
    severities = {refusal.finding.severity for refusal in found}
    if severities & {Severity.BLOCKS, Severity.HAZARD}:
        return 1
    return 3 if severities else 0


def _named(baseline: CpuBaseline) -> dict[str, Any]:
    return {'name': baseline.name, 'version': baseline.version}


def _changes(changes: Sequence[Change]) -> list[dict[str, str]]:
    return [
        {
            'field': change.name,
            'before': change.before,
            'after': change.after,
            'direction': change.direction.value,
        }
        for change in changes
    ]


def _refusals(
    found: Sequence[tuple[int, Refusal]], names: Sequence[str]
) -> list[dict[str, str]]:
    return [
        {
            'host': names[place],
            'field': refusal.finding.name,
            'severity': refusal.finding.severity.value,
            'sentence': crossing_words.sentence(refusal, names[place]),
        }
        for place, refusal in found
    ]


def _as_dict(
    found: Common,
    pools: Partition | None,
    names: Sequence[str],
    hosts: Sequence[Host],
) -> dict[str, Any]:
    result: dict[str, Any] = {
        'baseline': _named(found.baseline),
        'taken': found.taken,
        'implementation': None
        if found.choice.implementation is None
        else str(found.choice.implementation),
        'refusals': _refusals(found.refusals, names),
        'differences': [
            {
                'pair': baseline_forms.dump_pair(difference.pair),
                'name': difference.name,
                'sentence': difference.sentence,
                'acknowledged': difference not in found.unacknowledged,
            }
            for difference in found.choice.differences
        ],
    }
    if pools is None:
        result['gives_up'] = {
            name: _changes(given_up(found.baseline, host))
            for name, host in zip(names, hosts, strict=True)
        }
    else:
        result['pools'] = [
            [names[place] for place in pool] for pool in pools.pools
        ]
        result['one_way'] = sorted(list(pair) for pair in pools.one_way)
    return result
