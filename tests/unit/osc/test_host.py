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


from nova_arm_migrate.osc.host import ListHost
from nova_arm_migrate.osc.host import ShowHost
from tests.unit.osc import base


class TestListHost(base.CommandTestCase):
    def names(self) -> list[str]:
        return [row['Host'] for row in self.json(ListHost)]

    def test_a_row_for_each_host(self) -> None:
        self.api.hypervisors = [
            base.hypervisor('b', base.V1, state='down', status='disabled'),
            base.hypervisor('a', base.N1),
            base.hypervisor('c', base.N1),
        ]
        self.api.services = [
            {'host': 'a', 'updated_at': '2026-11-27T11:59:48.000000'},
            {'host': 'b', 'updated_at': '2026-11-27T09:00:00.000000'},
            {'host': 'c', 'updated_at': None},
        ]
        a, b, c = self.json(ListHost)
        self.assertEqual(
            {
                'Host': 'a',
                'State': 'up',
                'Status': 'enabled',
                'Age': 12,
                'Schema': 2,
                'Pool': 1,
                'Core': 'Neoverse-N1 r4p1',
                'Kernel': a['Kernel'],
                'Record': 'usable',
            },
            a,
        )
        self.assertTrue(a['Kernel'].startswith('6.12'), a)
        self.assertEqual(
            ('down', 'disabled', 10800, 2),
            (b['State'], b['Status'], b['Age'], b['Pool']),
        )
        self.assertEqual((None, 1), (c['Age'], c['Pool']))

    def test_the_age_has_a_unit_in_a_table(self) -> None:
        for number, (then, _) in enumerate(AGES):
            self.api.hypervisors.append(base.hypervisor(f'h{number}'))
            self.api.services.append(
                {'host': f'h{number}', 'updated_at': then}
            )
        printed = self.run_command(
            ListHost, '-c', 'Host', '-c', 'Age', '--sort-column', 'Age'
        )
        rows = [
            tuple(cell.strip() for cell in line.split('|')[1:-1])
            for line in printed.splitlines()[3:-1]
        ]
        self.assertEqual(
            [(f'h{number}', shown) for number, (_, shown) in enumerate(AGES)],
            rows,
        )

    def test_the_newest_microversion_that_shows_cpu_info(self) -> None:
        self.run_command(ListHost)
        self.assertEqual(
            {'2.87'}, {version for _, version, _ in self.api.asked}
        )

    def test_every_page_is_read(self) -> None:
        self.api.page = 2
        self.api.hypervisors = [
            base.hypervisor(f'h{number}', base.N1) for number in range(5)
        ]
        self.assertEqual([f'h{number}' for number in range(5)], self.names())

    def test_other_architectures_are_left_out(self) -> None:
        self.api.hypervisors = [
            base.hypervisor('arm', base.N1),
            base.hypervisor('x86', cpu_info={'arch': 'x86_64'}),
            base.hypervisor('bare', cpu_info={}, hypervisor_type='ironic'),
            base.hypervisor('new', cpu_info={}),
        ]
        self.assertEqual(['arm', 'new'], self.names())

    def test_a_damaged_record_is_a_row_with_the_reason(self) -> None:
        good = base.record(base.N1)
        for name, damaged, reason in (
            ('none', None, 'it has no record'),
            ('text', 'x', 'record is not a JSON object'),
            ('list', [1], 'record is not a JSON object'),
            ('newer', good | {'schema': 9}, 'record has schema 9'),
            ('guest', good | {'kind': 'guest'}, 'not a host profile'),
            ('core', good | {'cores': {}}, 'cores'),
            ('long', good | {'x': 'y' * 200000}, 'more than 131072'),
        ):
            info = {'arch': 'aarch64', 'arm_migrate': damaged}
            self.api.hypervisors = [
                base.hypervisor('a', base.N1),
                base.hypervisor(name, cpu_info=info),
            ]
            a, b = self.json(ListHost)
            self.assertEqual((1, 'usable'), (a['Pool'], a['Record']))
            self.assertEqual(
                (None, None, None), (b['Pool'], b['Schema'], b['Kernel'])
            )
            self.assertIn(reason, b['Record'])

    def test_cpu_info_that_the_api_can_not_parse(self) -> None:
        """Nova answers 500 from 2.28 on; the text is in older versions."""
        self.api.parses = False
        self.api.hypervisors = [
            base.hypervisor('a', base.N1),
            base.hypervisor('b', cpu_info='{"arch": '),
            base.hypervisor('c', cpu_info='[' * 100000),
            base.hypervisor('d', cpu_info='{"arm_migrate":1,"arm_migrate":2}'),
        ]
        a, b, c, d = self.json(ListHost)
        self.assertEqual('usable', a['Record'])
        self.assertEqual('its cpu_info is not JSON', b['Record'])
        self.assertEqual('its cpu_info is not JSON', c['Record'])
        self.assertIn('this key twice', d['Record'])

    def test_no_control_character_reaches_the_terminal(self) -> None:
        evil = '\x1b]0;x\x07\n\u202e%s{0}'
        self.api.hypervisors = [
            base.hypervisor(
                evil,
                state=evil,
                status=evil,
                hypervisor_hostname=evil * 1000,
                cpu_info={'arm_migrate': {'schema': evil}},
            ),
            base.hypervisor(
                'b',
                cpu_info={
                    'arm_migrate': base.record(base.N1) | {'kernel': evil}
                },
            ),
        ]
        for form in ('table', 'value', 'csv', 'json', 'yaml'):
            printed = self.run_command(ListHost, '--long', '-f', form)
            self.assertTrue(printed.isascii())
            for line in printed.splitlines():
                self.assertTrue(line.isprintable(), line)
        (name, _) = (
            row['Hypervisor'] for row in self.json(ListHost, '--long')
        )
        self.assertLess(len(name), 2500)

    def test_two_hosts_with_one_name(self) -> None:
        self.api.hypervisors = [
            base.hypervisor('a', base.N1),
            base.hypervisor('a', base.V1, hypervisor_hostname='other', id='2'),
            base.hypervisor('a', base.V1, hypervisor_hostname='other', id='3'),
        ]
        self.assertEqual(['a', 'a (3)', 'a (other)'], self.names())

    def test_the_api_s_own_message(self) -> None:
        self.api.refusal = 403, base.FORBIDDEN
        self.assertEqual(base.FORBIDDEN, self.refused(ListHost))
        self.api.refusal = 503, 'a\x1b\nb' + 'c' * 10000
        self.assertTrue(self.refused(ListHost).startswith('a? bccc'))
        self.assertLess(len(self.refused(ListHost)), 500)

    def test_every_format_of_cliff(self) -> None:
        self.api.hypervisors = [base.hypervisor('a', base.N1)]
        for form in ('table', 'value', 'csv', 'json', 'yaml'):
            self.assertIn(
                'Neoverse-N1', self.run_command(ListHost, '-f', form)
            )


class TestShowHost(base.CommandTestCase):
    def test_the_record_as_the_cloud_holds_it(self) -> None:
        self.api.hypervisors = [
            base.hypervisor('a', base.N1),
            base.hypervisor('b', base.V1),
        ]
        for name in ('b', 'b.example.org'):
            shown = self.json(ShowHost, name)
            self.assertEqual('b', shown['host'])
            self.assertEqual(base.record(base.V1), shown['record'])
        printed = self.run_command(ShowHost, 'b', '-c', 'record')
        self.assertIn('ID_AA64PFR0_EL1', printed)

    def test_a_host_without_record(self) -> None:
        self.api.hypervisors = [base.hypervisor('a')]
        shown = self.json(ShowHost, 'a')
        self.assertIn('it has no record', shown['record'])
        self.assertIsNone(shown['pool'])

    def test_no_such_host(self) -> None:
        self.assertEqual(
            'no Arm64 host with the name x?', self.refused(ShowHost, 'x\n')
        )

    def test_a_name_of_two_hosts(self) -> None:
        self.api.hypervisors = [
            base.hypervisor('a', hypervisor_hostname='n'),
            base.hypervisor('b', hypervisor_hostname='n'),
        ]
        self.assertEqual(
            '2 Arm64 hosts with the name n', self.refused(ShowHost, 'n')
        )

    def test_an_answer_that_is_no_object(self) -> None:
        for content, expected in (
            ([], "the API's answer is not a JSON object"),
            ({'services': 1}, "the API's answer has no list of services"),
        ):
            self.api.get = lambda *args, content=content, **kwargs: (
                base.answer(content)
            )
            self.assertEqual(expected, self.refused(ShowHost, 'a'))


AGES = (
    ('2026-11-27T11:59:59.000000', '1 s'),
    ('2026-11-27T11:58:00.000000', '2 min'),
    ('2026-11-27T10:00:00.000000', '2 h'),
    ('2026-11-20T12:00:00.000000', '7 d'),
    ('no time', ''),
)
