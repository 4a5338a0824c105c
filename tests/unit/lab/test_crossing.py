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

import dataclasses
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree

from tests import silicon
from tests.lab import crossing
from tests.lab import guest
from tests.lab import hops
from tests.lab import pace
from tests.lab import table

QEMU = '{http://libvirt.org/schemas/domain/qemu/1.0}'
#: Of a guest that started on neoverse-n2, shortened.
START = (
    'witness starts: hwcap 1 0\r\n'
    'witness sees midr_el1=410fd493 ctr_el0=b444c004 hwcap=1\r\n'
    'witness 0 fp=1/0\r\n'
)


def row(**changes: str) -> crossing.Row:
    return crossing.Row(
        **{
            'source': 'a@next',
            'destination': 'b@next',
            'baseline': 'exists',
            'off': 'pauth',
            'outcome': table.HEALTHY,
            'sees': 'yes',
            **changes,
        }
    )


class TestRow(unittest.TestCase):
    def test_with_a_baseline_the_guest_has_to_move(self) -> None:
        self.assertTrue(row().agrees)
        for changes in (
            {'outcome': table.BROKEN},
            {'outcome': table.REFUSED},
            {'outcome': table.NOT_TRIED},
            {'sees': 'no'},
        ):
            self.assertFalse(row(**changes).agrees, changes)

    def test_without_one_a_host_has_to_refuse_the_start(self) -> None:
        none = {'baseline': 'none', 'sees': '-'}
        self.assertTrue(row(**none, outcome='not started on b@next').agrees)
        for ended in ('refused there', 'broken back'):
            self.assertTrue(row(**none, outcome=ended).agrees)
        for ended in (table.HEALTHY, table.NOT_TRIED, 'not started or lost'):
            self.assertFalse(row(**none, outcome=ended).agrees)

    def test_rows_are_kept(self) -> None:
        rows = [row(), row(source='c@next', why='a reason, and more')]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / 'rows.tsv'
            self.assertEqual([], crossing.read(path))
            path.write_text(crossing.to_tsv(rows))
            self.assertEqual(rows, crossing.read(path))

    def test_the_table_counts(self) -> None:
        text = crossing.to_text([row(), row(outcome=table.BROKEN)])
        self.assertIn('2 ordered pairs, 1 as the baseline says', text)


class TestSees(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        members = [
            silicon.lab_host(f'neoverse-{name}_forky') for name in ('v1', 'n2')
        ]
        self.baseline = crossing.acknowledged(members).baseline

    def test_the_last_line_counts(self) -> None:
        later = START.replace('410fd493', '411fd402')
        self.assertEqual(
            0x411FD402, crossing.identity(START + later)['midr_el1']
        )
        self.assertEqual({}, crossing.identity('witness sees nothing\n'))

    def test_the_same_cpu_each_time(self) -> None:
        seen = crossing.identity(START)
        self.assertEqual('yes', crossing.sees([seen, seen], self.baseline))
        for change in ({'midr_el1': 0x411FD402}, {'hwcap': 3}):
            other = seen | change
            self.assertEqual('no', crossing.sees([seen, other], self.baseline))
        other = seen | {'midr_el1': 0x411FD402}
        self.assertEqual('no', crossing.sees([other, other], self.baseline))
        self.assertEqual('no', crossing.sees([{}, {}], self.baseline))
        self.assertEqual('no', crossing.sees([], self.baseline))

    def test_every_line_is_read(self) -> None:
        later = START.replace('410fd493', '411fd402')
        self.assertEqual(
            [0x410FD493, 0x411FD402],
            [one['midr_el1'] for one in crossing.identities(START + later)],
        )

    def test_a_field_that_kvm_does_not_know(self) -> None:
        """CTR_EL0.TminLine, bits 37:32."""
        other = START.replace('b444c004', '4b444c004')
        self.assertEqual(crossing.identity(START), crossing.identity(other))


class TestDomain(unittest.TestCase):
    def environment(self, **variables: str) -> dict[str | None, str | None]:
        text = guest.domain_xml('g', {}, environment=variables)
        tree = xml.etree.ElementTree.fromstring(text)
        return {
            one.get('name'): one.get('value')
            for one in tree.findall(f'{QEMU}commandline/{QEMU}env')
        }

    def test_the_environment_of_qemu(self) -> None:
        self.assertEqual({}, self.environment())
        variables = {'LD_PRELOAD': '/a.so', 'NOVA_ARM_BASELINE': '1;"<x>";;;'}
        self.assertEqual(variables, self.environment(**variables))

    def test_another_host_has_its_own_environment(self) -> None:
        here = guest.domain_xml(
            'g', {'sve': False}, environment={'LD_PRELOAD': '/a.so', 'A': '1'}
        )
        there = guest.for_host(here, {'A': '2;<b>'})
        tree = xml.etree.ElementTree.fromstring(there)
        self.assertEqual(
            [('A', '2;<b>')],
            [
                (one.get('name'), one.get('value'))
                for one in tree.findall(f'{QEMU}commandline/{QEMU}env')
            ],
        )
        self.assertEqual(
            [('sve', 'disable')],
            [
                (one.get('name'), one.get('policy'))
                for one in tree.findall('cpu/feature')
            ],
        )
        self.assertEqual('g', tree.findtext('name'))


class TestHops(unittest.TestCase):
    def test_the_result_is_told_in_words(self) -> None:
        result = hops.Result(('a', 'b'), ('pauth',), (2.0, 9.5, 3.0), 7, '')
        self.assertEqual(
            [
                'pool: a b',
                'off: pauth',
                'moves: 3',
                'seconds: 2.0 to 9.5, median 3.0',
                'the guest has read its CPU 7 times',
                'healthy; it saw one CPU, the baseline',
            ],
            str(result).splitlines(),
        )
        wrong = dataclasses.replace(result, seconds=(), wrong='it is lost')
        self.assertEqual(
            ['moves: 0', 'the guest has read its CPU 7 times', 'it is lost'],
            str(wrong).splitlines()[2:],
        )


class TestPace(unittest.TestCase):
    def test_medians_and_ratio(self) -> None:
        text = pace.to_text(
            {
                pace.PLAIN: [
                    pace.Sample(10.0, 4.0, 100.0),
                    pace.Sample(12.0, 5.0, 300.0),
                    pace.Sample(11.0, 9.0, 200.0),
                ],
                pace.BASELINE: [pace.Sample(11.0, 5.0, 220.0)],
            }
        )
        self.assertEqual(
            'start: plain 11.0 s (10.0 to 12.0), baseline 11.0 s (11.0 to'
            ' 11.0), ratio 1.00',
            text.splitlines()[0],
        )
        self.assertEqual(
            'downtime: plain 200.0 ms (100.0 to 300.0), baseline 220.0 ms'
            ' (220.0 to 220.0), ratio 1.10',
            text.splitlines()[2],
        )
