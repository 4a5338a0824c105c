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

"""The file of a guest CPU baseline: what is refused, and all at once."""

import dataclasses
import json
import unittest

from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core import crossing
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.tables import register_of
from tests import silicon


class TestFile(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        hosts = [
            silicon.lab_host(name)
            for name in ('neoverse-v1_forky', 'neoverse-n2_forky')
        ]
        self.baseline = crossing.common(hosts, name='v1-n2').baseline
        self.text = baseline_file.dump(self.baseline)
        self.record = json.loads(self.text)

    def problems(self, text: object) -> tuple[str, ...]:
        with self.assertRaises(baseline_file.BaselineError) as raised:
            baseline_file.load(
                text if isinstance(text, str) else json.dumps(text)
            )
        self.assertEqual(
            '; '.join(raised.exception.problems), str(raised.exception)
        )
        return raised.exception.problems

    def test_round_trip(self) -> None:
        self.assertEqual(self.baseline, baseline_file.load(self.text))
        self.assertLess(len(self.text), baseline_file.LONGEST / 4)
        self.assertEqual(
            (1, 'cpu-baseline', 'v1-n2', 1),
            tuple(
                self.record[key]
                for key in ('schema', 'kind', 'name', 'version')
            ),
        )

    def test_digest(self) -> None:
        ours = self.baseline
        self.assertRegex(ours.digest, r'\A[0-9a-f]{16}\Z')
        field = register_of(0xC030).field('TS')
        registers = dict(ours.registers)
        registers[0xC030] = field.into(registers[0xC030], 0)
        for same, changed in (
            (True, {'name': 'other', 'version': 7}),
            (True, {'acknowledged': frozenset({(1, 2)})}),
            (False, {'registers': Values(registers)}),
            (False, {'sve_lengths': (128, 256)}),
            (False, {'implementations': ours.implementations[:1]}),
            (False, {'cntfrq': None}),
        ):
            with self.subTest(changed):
                other = dataclasses.replace(ours, **changed)
                self.assertIs(same, ours.digest == other.digest)
        # Written, read and made again, it is the same.
        self.assertEqual(ours.digest, baseline_file.load(self.text).digest)

    def test_not_a_baseline(self) -> None:
        for text, expected in (
            ('', 'file is not JSON'),
            ('[]', 'not an object'),
            ('{}', 'schema None'),
            ('{"schema": 2}', 'schema 2'),
            ('{"schema": true}', 'schema True'),
            ('{"schema": 1, "kind": "host"}', "'host', not a cpu-baseline"),
            ('{"a": 1, "a": 2}', 'twice'),
            ('{"a": NaN}', 'not JSON'),
            ('[' * 100000, 'more than'),
        ):
            (problem,) = self.problems(text)
            self.assertIn(expected, problem)

    def test_every_part_is_checked(self) -> None:
        for key, value in (
            ('name', 'two words'),
            ('name', ''),
            ('version', 0),
            ('version', '1'),
            ('features', ['pmu', 'mte']),
            ('features', ['sve', 'pmu']),
            ('sve', [100]),
            ('counters', 32),
            ('gic', 1),
            ('cntfrq', -1),
            ('dczid', '4'),
            ('ipa', 16),
            ('page', 8192),
            ('steal', 1),
            ('implementations', ['0x410fd493']),
            ('implementations', ['0x411fd402/0x0/0x0', '0x410fd493/0x0/0x0']),
            ('implementations', ['0x1410fd493/0x0/0x0']),
            ('acknowledged', ['0x410fd493']),
            ('registers', {'MIDR_EL1': 1}),
            ('registers', {'MIDR_EL1': '0X1'}),
            ('registers', {'PMCR_EL0': '0x3000'}),
            ('registers', {'SCTLR_EL1': '0x1'}),
            ('registers', []),
            ('listed', 'x'),
        ):
            (problem,) = self.problems(self.record | {key: value})
            self.assertTrue(problem.startswith(key), (key, value, problem))

    def test_all_problems_at_once(self) -> None:
        bad = self.record | {'name': '', 'gic': 1, 'register': {}}
        del bad['features']
        problems = self.problems(bad)
        self.assertEqual(4, len(problems))
        for part in ('name', 'gic', 'register', 'features: missing'):
            self.assertTrue(any(part in one for one in problems), part)

    def test_parts_that_do_not_agree(self) -> None:
        registers = self.record['registers'] | {'MIDR_EL1': '0x413fd0c1'}
        problems = self.problems(self.record | {'registers': registers})
        self.assertIn('not among the implementations', problems[0])
        for change in ({'features': ['sve']}, {'features': ['pmu']}):
            (problem,) = self.problems(self.record | change)
            self.assertIn('do not agree', problem)

    def test_a_difference_that_is_not_acknowledged(self) -> None:
        more = sorted([*self.record['implementations'], '0x413fd0c1/0xff/0x0'])
        changed = self.record | {'implementations': more}
        self.assertIn('0x410fd493,0x413fd0c1', self.problems(changed)[0])
        baseline_file.load(
            json.dumps(changed | {'acknowledged': ['0x410fd493,0x413fd0c1']})
        )

    def test_an_allow_list_cannot_be_acknowledged(self) -> None:
        ampere = '0xc00fac30/0x0/0x0'
        changed = self.record | {
            'implementations': [*self.record['implementations'], ampere],
            'acknowledged': ['0x410fd493,0xc00fac30'],
            'registers': self.record['registers'] | {'MIDR_EL1': '0xc00fac30'},
        }
        self.assertIn('bbml3', ' '.join(self.problems(changed)))

    def test_registers_that_are_0_can_be_written_or_left_out(self) -> None:
        registers = self.record['registers'] | {'REVIDR_EL1': '0x0'}
        self.assertEqual(
            self.baseline,
            baseline_file.load(
                json.dumps(self.record | {'registers': registers})
            ),
        )
