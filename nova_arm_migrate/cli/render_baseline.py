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

"""Guest CPU baselines as text for people."""

from collections.abc import Iterator
from collections.abc import Sequence

from nova_arm_migrate.cli.render import wrapped
from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.baseline_changes import Change
from nova_arm_migrate.core.baseline_changes import given_up
from nova_arm_migrate.core.baseline_forms import dump_pair
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.crossing import Common
from nova_arm_migrate.core.crossing import Refusal
from nova_arm_migrate.core.crossing_pools import Partition
from nova_arm_migrate.core.crossing_words import sentence
from nova_arm_migrate.core.profile import Host


def common_table(
    found: Common,
    pools: Partition | None,
    names: Sequence[str],
    hosts: Sequence[Host],
) -> str:
    """Return a baseline, or why there is none and what is possible.

    :param pools: None if there is a baseline
    """
    lines = list(_baseline(found.baseline))
    if found.refusals:
        lines += ['', 'No common baseline. What prevents it:']
        lines += _refusals(found.refusals, names)
    lines += _differences(found)
    if pools is None:
        for name, host in zip(names, hosts, strict=True):
            lines += ['', f'{name} gives up:']
            lines += _changes(given_up(found.baseline, host)) or ['  nothing']
        return '\n'.join(lines)
    if found.refusals:
        lines += ['', 'Pools that have a common baseline']
        for place, pool in enumerate(pools.pools):
            there = sorted(j + 1 for i, j in pools.one_way if i == place)
            onward = (
                f' (one way to pool {", ".join(map(str, there))})'
                if there
                else ''
            )
            members = ', '.join(names[one] for one in pool)
            lines.append(
                wrapped(members + onward, ' ' * 6, f'  {place + 1:<4}')
            )
    return '\n'.join(lines)


def refusals_table(
    baseline: CpuBaseline,
    found: Sequence[tuple[int, Refusal]],
    names: Sequence[str],
) -> str:
    """Return which hosts take a baseline, and why the others don't."""
    lines = [f'baseline {baseline.name} version {baseline.version}']
    refusing = {place for place, _ in found}
    lines += [
        f'{name}: {"refuses it" if place in refusing else "takes it"}'
        for place, name in enumerate(names)
    ]
    if found:
        lines += ['', *_refusals(found, names)]
    return '\n'.join(lines)


def changes_table(changes: Sequence[Change]) -> str:
    """Return the differences between two baselines."""
    return '\n'.join(_changes(changes) or ['no difference'])


def _baseline(baseline: CpuBaseline) -> Iterator[str]:
    yield f'Baseline {baseline.name} version {baseline.version}'
    shown = baseline.implementation
    yield f'  guests see      {shown.name} ({shown})'
    for one in attributes_of(CpuBaseline):
        value = getattr(baseline, one.name)
        if one.title and value is not None:
            yield f'  {one.title:<16}{one.form.show(value)}'
    for place, other in enumerate(baseline.implementations):
        title = 'runs on' if not place else ''
        yield f'  {title:<16}{other.name} ({other})'
    yield '  told to guests  ' + ('yes' if baseline.targets else 'no')


def _refusals(
    found: Sequence[tuple[int, Refusal]], names: Sequence[str]
) -> list[str]:
    return [
        wrapped(sentence(refusal, names[place]), '    ', '  ')
        for place, refusal in found
    ]


def _differences(found: Common) -> Iterator[str]:
    if not found.choice.differences:
        return
    yield ''
    if found.choice.implementation is None:
        yield 'No implementation can be shown in place of the others:'
    else:
        yield 'Known differences between the cores:'
    for difference in found.choice.differences:
        yield wrapped(difference.sentence, '    ', '  ')
    if found.choice.implementation is None:
        return
    pairs = sorted({one.pair for one in found.unacknowledged})
    if pairs:
        yield 'Accept them with:'
        for pair in pairs:
            yield f'  --acknowledge {dump_pair(pair)}'


def _changes(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return []
    width = max(len(change.name) for change in changes)
    before = max(len(change.before) for change in changes)
    return [
        f'  {change.name:<{width}}  {change.before:<{before}}  ->'
        f'  {change.after}'
        for change in changes
    ]
