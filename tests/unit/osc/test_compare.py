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

import json
from typing import Any

import requests

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.osc.compare import Compare
from nova_arm_migrate.osc.server import ListServerDestinations
from tests.unit.osc import base


def server(**other: Any) -> dict[str, Any]:
    return {
        'id': base.UUID,
        'name': 'db',
        'OS-EXT-SRV-ATTR:host': 'v1',
        'flavor': {'ram': 2048, 'extra_specs': {}},
    } | other


class CompareTestCase(base.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api.hypervisors = [
            base.hypervisor('n1', base.N1),
            base.hypervisor('v1', base.V1),
            base.hypervisor('v1-b', base.V1),
            base.hypervisor('plain', base.V1_NO_SVE),
            base.hypervisor('empty'),
        ]
        self.api.servers = [server()]


class TestCompare(CompareTestCase):
    def test_two_hosts(self) -> None:
        shown = self.json(Compare, 'v1', 'plain')
        self.assertEqual(
            ('v1', 'plain', 'incompatible'),
            (shown['source'], shown['destination'], shown['verdict']),
        )
        self.assertEqual('a guest started on this host', shown['basis'])
        self.assertIn('plain', shown['reason'])
        self.assertIn(
            'ID_AA64PFR0_EL1',
            [found['register'] for found in shown['findings']],
        )
        printed = self.run_command(Compare, 'v1', 'plain')
        self.assertIn('Remedy:', printed)

    def test_equal_hosts(self) -> None:
        shown = self.json(Compare, 'v1', 'v1-b')
        self.assertEqual(
            ('compatible', ''), (shown['verdict'], shown['reason'])
        )

    def test_files_on_either_side(self) -> None:
        path = self.profile(base.V1)
        self.assertEqual(
            'compatible', self.json(Compare, path, path)['verdict']
        )
        self.assertEqual([], self.api.asked)
        self.assertEqual(
            'incompatible', self.json(Compare, path, 'plain')['verdict']
        )
        self.assertEqual(
            'compatible', self.json(Compare, 'v1', path)['verdict']
        )

    def test_a_guest_s_own_record(self) -> None:
        path = self.file('guest.json', dump_guest(Guest()))
        self.assertEqual(
            "the guest's own record", self.json(Compare, path, 'v1')['basis']
        )
        self.assertIn('not a host', self.refused(Compare, 'v1', path))

    def test_a_server_is_judged_by_its_host_and_that_is_said(self) -> None:
        for name in ('db', base.UUID):
            shown = self.json(Compare, name, 'plain')
            self.assertEqual(
                ('db', 'incompatible'), (shown['source'], shown['verdict'])
            )
            self.assertEqual(
                'a guest started on its host v1; the API does not show the'
                " guest's own record",
                shown['basis'],
            )
        self.assertEqual('v1', self.json(Compare, 'n1', 'db')['destination'])

    def test_a_server_of_which_the_user_may_not_see_the_host(self) -> None:
        del self.api.servers[0]['OS-EXT-SRV-ATTR:host']
        self.assertIn(
            'server db: the API shows no host',
            self.refused(Compare, 'db', 'n1'),
        )

    def test_neither_host_nor_server(self) -> None:
        self.assertEqual(
            'no server with the name or ID x', self.refused(Compare, 'x', 'v1')
        )
        other = '11111111-2222-3333-4444-666666666666'
        self.assertIn('no server', self.refused(Compare, other, 'v1'))

    def test_two_servers_with_one_name(self) -> None:
        self.api.servers.append(server(id='2'))
        self.assertEqual(
            '2 servers with the name or ID db; use the ID',
            self.refused(Compare, 'db', 'v1'),
        )

    def test_a_host_without_record(self) -> None:
        self.assertIn(
            'empty: it has no record', self.refused(Compare, 'empty', 'v1')
        )
        self.assertIn(
            'empty: it has no record', self.refused(Compare, 'v1', 'empty')
        )

    def test_a_damaged_file(self) -> None:
        path = self.file('a.json', '{')
        self.assertIn('record is not JSON', self.refused(Compare, path, 'v1'))
        self.assertIn('record is not JSON', self.refused(Compare, 'v1', path))

    def test_hazards_and_overrides(self) -> None:
        path = self.file('a.json', self.changed(base.V1, cntfrq=1))
        for options, expected in (
            ((), 'incompatible'),
            (('--hazards', 'warn'), 'compatible'),
            (('--override', 'CNTFRQ_EL0'), 'compatible'),
        ):
            shown = self.json(Compare, path, 'v1', *options)
            self.assertEqual(expected, shown['verdict'], str(options))


class TestServerDestinations(CompareTestCase):
    def test_a_row_for_each_host(self) -> None:
        self.api.hypervisors.append(
            base.hypervisor('off', base.V1, state='down')
        )
        rows = {
            row['Host']: row for row in self.json(ListServerDestinations, 'db')
        }
        self.assertEqual(
            {
                'empty': 'unknown',
                'n1': 'incompatible',
                'off': 'compatible',
                'plain': 'incompatible',
                'v1': 'current',
                'v1-b': 'compatible',
            },
            {name: row['Verdict'] for name, row in rows.items()},
        )
        self.assertIn('MIDR_EL1', rows['n1']['Reason'])
        self.assertIn('it has no record', rows['empty']['Reason'])
        self.assertEqual('down', rows['off']['State'])

    def test_what_the_destination_s_trial_decides(self) -> None:
        newer = 'neoverse-v1-no-sve-linux-7.2'
        timer = base.hypervisor('timer')
        timer['cpu_info']['arm_migrate'] = json.loads(
            self.changed(newer, cntfrq=None)
        )
        self.api.hypervisors = [
            base.hypervisor('v1', base.V1_NO_SVE),
            base.hypervisor('newer', newer),
            timer,
        ]
        rows = {
            row['Host']: row for row in self.json(ListServerDestinations, 'db')
        }
        self.assertEqual(
            (
                'trial decides',
                'ID_AA64MMFR2_EL1.NV: guest 2 (NV2), host 0 (not implemented)',
            ),
            (rows['newer']['Verdict'], rows['newer']['Reason']),
        )
        # No trial reads a timer.
        self.assertEqual('unknown', rows['timer']['Verdict'])
        self.assertIn(
            '| trial decides |', self.run_command(ListServerDestinations, 'db')
        )

    def test_whose_word_it_is(self) -> None:
        self.run_command(ListServerDestinations, 'db')
        self.assertIn('a guest started on its host v1', self.log.output)

    def test_the_flavor_switches_the_pmu_off(self) -> None:
        self.api.hypervisors = [
            base.hypervisor('v1', base.N1),
            base.hypervisor('bare', 'neoverse-n1-no-pmu-linux-6.12'),
        ]
        for specs, expected in (
            ({}, 'PMUVer'),
            ({'hw:pmu': 'true'}, 'PMUVer'),
            ({'hw:pmu': 'False'}, 'PMU: guest off, host none'),
        ):
            self.api.servers = [
                server(flavor={'ram': 2048, 'extra_specs': specs})
            ]
            bare, _ = self.json(ListServerDestinations, 'db')
            self.assertIn(expected, bare['Reason'], str(specs))

    def test_a_flavor_that_is_not_shown(self) -> None:
        for flavor in (None, {'id': '1'}, {'ram': 'x', 'extra_specs': 1}):
            self.api.servers = [server(flavor=flavor)]
            self.assertEqual(5, len(self.json(ListServerDestinations, 'db')))

    def test_a_damaged_answer(self) -> None:
        self.api.servers = [server(id=base.UUID)]
        get = self.api.get

        def damaged(
            path: str, params: dict[str, str], microversion: str
        ) -> requests.Response:
            if path.startswith('/servers/1'):
                return base.answer({'server': 1})
            return get(path, params, microversion)

        self.api.get = damaged
        self.assertEqual(
            "the API's answer has no server",
            self.refused(ListServerDestinations, base.UUID),
        )

    def test_the_name_is_no_pattern(self) -> None:
        self.api.servers = [server(name='a.b')]
        self.json(ListServerDestinations, 'a.b')
        query = next(
            params
            for path, _, params in self.api.asked
            if path == '/servers/detail'
        )
        self.assertEqual(r'^a\.b$', query['name'])
        self.assertIn(
            'no server', self.refused(ListServerDestinations, 'a/../b')
        )


class TestJson(base.CommandTestCase):
    def test_findings_are_objects(self) -> None:
        path, other = self.profile(base.V1), self.profile(base.N1)
        shown = json.loads(
            self.run_command(Compare, path, other, '-f', 'json')
        )
        self.assertIn('sentence', shown['findings'][0])
