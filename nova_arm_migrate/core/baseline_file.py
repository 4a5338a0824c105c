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

"""The file of a guest CPU baseline: JSON with a schema number of its own.

``dump`` returns the same text for the same baseline. ``load`` trusts nothing:
it bounds every number, refuses unknown keys and registers, and reports all
problems at once. People may lower a value in the file by hand.
"""

import json
from typing import Any

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.baseline_forms import dump_pair
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.implementation import differences

SCHEMA = 1
KIND = 'cpu-baseline'
#: Characters; the file of a baseline with SVE has about 4000.
LONGEST = 32768
_MOST_KEYS = 64
_HEAD = ('schema', 'kind')
_REQUIRED = ('name', 'version', 'features', 'implementations', 'registers')


class BaselineError(ProfileError):
    """A file is not a baseline.

    :ivar problems: all of them, a line each
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__('; '.join(problems))
        self.problems = tuple(problems)


def dump(baseline: CpuBaseline) -> str:
    """Return the JSON text of a baseline, as people edit it."""
    items: dict[str, Any] = {'schema': SCHEMA, 'kind': KIND}
    for one in attributes_of(CpuBaseline):
        value = getattr(baseline, one.name)
        if one.always or value is not None:
            items[one.key] = one.form.dump(value)
    return json.dumps(items, indent=2)


def load(text: str) -> CpuBaseline:
    """Return the baseline of a JSON text.

    :raises BaselineError: if the text is not a baseline; with all problems
    """
    record = _parse(text)
    _check_head(record)
    attributes = attributes_of(CpuBaseline)
    known = {*_HEAD, *(one.key for one in attributes)}
    problems = [
        f'{forms.quote(key)}: a baseline has no such key'
        for key in record
        if key not in known
    ]
    values = {}
    for one in attributes:
        given = record.get(one.key)
        if given is None:
            if one.key in _REQUIRED:
                problems.append(f'{one.key}: missing')
            continue
        try:
            values[one.name] = one.form.load(one.key, given)
        except ProfileError as error:
            problems.append(str(error))
    if not problems:
        baseline = CpuBaseline(**values)
        problems = _inconsistent(baseline)
        if not problems:
            return baseline
    raise BaselineError(problems)


def _check_head(record: dict[str, Any]) -> None:
    schema, kind = record.get('schema'), record.get('kind')
    if type(schema) is not int or schema != SCHEMA:
        raise BaselineError(
            [
                f'file has schema {forms.quote(schema)}; this version reads'
                f' {SCHEMA}'
            ]
        )
    if kind != KIND:
        raise BaselineError([f'file is a {forms.quote(kind)}, not a {KIND}'])


def _inconsistent(baseline: CpuBaseline) -> list[str]:
    """What contradicts itself although each part is well-formed."""
    problems = []
    if baseline.implementation not in baseline.implementations:
        problems.append(
            'registers: MIDR_EL1, REVIDR_EL1 and AIDR_EL1'
            f' ({baseline.implementation}) are not among the implementations'
        )
    problems += [
        f'acknowledged: {dump_pair(found.pair)} is missing, or its'
        f' difference cannot be accepted: {found.sentence}'
        for found in differences(
            baseline.implementation,
            baseline.implementations,
            baseline.registers,
        )
        if found.allowed or found.pair not in baseline.acknowledged
    ]
    for name, present in (
        ('sve', bool(baseline.sve_lengths)),
        ('pmu', baseline.counters is not None),
    ):
        if present is not (name in baseline.features):
            key = 'counters' if name == 'pmu' else 'sve'
            problems.append(
                f'features: {name!r} and the key {key!r} do not agree'
            )
    return problems


def _parse(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise BaselineError(
            [f'file has {len(text)} characters, more than {LONGEST}']
        )
    try:
        record = json.loads(
            text,
            object_pairs_hook=forms.unique,
            parse_constant=forms.no_constant,
        )
    except ProfileError as error:
        raise BaselineError([str(error)]) from None
    except (ValueError, RecursionError):
        raise BaselineError(['file is not JSON']) from None
    try:
        return forms.object_of('file', record, _MOST_KEYS)
    except ProfileError as error:
        raise BaselineError([str(error)]) from None
