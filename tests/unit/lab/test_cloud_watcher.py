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


"""Watcher in the lab's cloud: its configuration, its users, its audits."""

import configparser
import contextlib
import io
import pathlib
from typing import Any
from unittest import mock

import testtools

from clouds import ini
from demo.watcher import plan
from demo.watcher import table
from tests.lab import spec
from tests.lab.cloud import audits
from tests.lab.cloud import identity
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings


class SettingsTest(testtools.TestCase):
    def test_every_service_of_watcher_uses_the_cloud(self) -> None:
        conf = configparser.ConfigParser(interpolation=None, strict=False)
        conf.read_string(ini.dump(settings.watcher('/state')))
        self.assertIn('rabbit://', conf['DEFAULT']['transport_url'])
        self.assertTrue(conf['database']['connection'].startswith('mysql'))
        for section in (
            'keystone_authtoken',
            'nova',
            'placement',
            'watcher_clients_auth',
        ):
            self.assertEqual('watcher', conf[section]['username'])


class IdentityTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.keystone: Any = mock.Mock()

    def test_a_service_gets_a_user_and_its_endpoints(self) -> None:
        self.keystone.find_service.return_value = None
        identity.register(self.keystone, settings.WATCHER_CATALOGUE)
        self.assertEqual(
            ['watcher', 'aetos'],
            [
                call.kwargs['name']
                for call in self.keystone.create_user.call_args_list
            ],
        )
        self.assertEqual(
            {settings.url('watcher'), settings.url('aetos')},
            {
                call.kwargs['url']
                for call in self.keystone.create_endpoint.call_args_list
            },
        )

    def test_a_service_that_is_there_is_kept(self) -> None:
        identity.register(self.keystone, settings.WATCHER_CATALOGUE)
        self.keystone.create_user.assert_not_called()
        self.keystone.create_endpoint.assert_not_called()


class AuditsTest(testtools.TestCase):
    def test_every_strategy_has_a_goal(self) -> None:
        self.assertEqual(
            set(plan.GOALS), {one.name for one in audits.STRATEGIES}
        )

    def test_two_guests_of_a_host_are_over_the_threshold(self) -> None:
        """One guest alone is not: it could move to an empty host."""
        loads: dict[int, list[int]] = {}
        for _, place, percent in audits.GUESTS:
            loads.setdefault(place, []).append(percent)
        kinds = {spec.parse(audits.HOSTS[place]).cpu for place in loads}
        self.assertEqual(audits.KINDS, len(kinds))
        for percents in loads.values():
            self.assertGreaterEqual(sum(percents), audits.THRESHOLD)
            self.assertLess(max(percents), audits.THRESHOLD)


class RunTest(testtools.TestCase):
    """One audit, with a client that answers what it is told."""

    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch('time.sleep', autospec=True)
        patch.start()
        self.addCleanup(patch.stop)
        self.server = mock.Mock(id='S')
        self.server.name = 'n1-1'
        self.host = mock.Mock()
        self.host.name = 'h1'
        self.server.host = self.host
        self.server.migrations.return_value = [
            {
                'Source Compute': 'h1',
                'Dest Compute': there,
                'Status': 'error',
                'Created At': f'2026-11-28T16:0{minute}:00.000000',
            }
            for minute, there in enumerate(('h2', 'h3', 'h4', 'h3'))
        ]
        self.one = mock.Mock(servers=[self.server])
        self.one.cloud.lab.hosts = {'h1': self.host}
        self.one.cloud.client.data.side_effect = self.nova
        self.watcher = mock.Mock(guests={})
        self.watcher.client.data.side_effect = self.answer

    def nova(self, *argv: str) -> Any:
        if argv[:2] == ('server', 'list'):
            return [
                {
                    'Name': 'n1-1',
                    'Host': 'h1',
                    'Status': 'ERROR',
                    'Task State': None,
                }
            ]
        self.assertEqual(('compute', 'service', 'list'), argv[:3])
        return [
            {'Host': 'h1', 'Status': 'disabled'},
            {'Host': 'h2', 'Status': 'enabled'},
        ]

    def answer(self, *argv: str) -> Any:
        match argv[1:3]:
            case ('audit', 'show'):
                return {'UUID': 'A', 'State': 'SUCCEEDED'}
            case ('actionplan', 'list'):
                return [{'UUID': 'P'}]
            case ('actionplan', 'show'):
                return {'UUID': 'P', 'State': 'FAILED'}
        self.assertEqual(('action', 'list'), argv[1:3])
        return [
            {
                'Action': 'migrate',
                'Parameters': {'resource_name': 'n1-1'},
                'State': 'FAILED',
                'Status Message': 'it was refused',
            }
        ]

    def test_a_guest_in_error_is_counted_and_used_again(self) -> None:
        on: list[Any] = [self.host] * len(audits.HOSTS)
        run = audits.Run(self.one, on, 1, self.watcher, pathlib.Path())
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            row = run._tried(audits.STRATEGIES[-1], audits.STOCK, None)
        self.assertIn(
            'n1-1 from h1 to h3: error; it was refused', printed.getvalue()
        )
        self.assertEqual(
            table.Row(audits.STRATEGIES[-1].name, 'stock', 1, 0, 1, 0, 1), row
        )
        self.assertEqual({'h1': ['S']}, self.watcher.guests)
        self.server.follow.assert_called_once()
        done = [
            (call.args[1], call.args[-2])
            for call in self.one.cloud.client.check.mock_calls
        ]
        self.assertEqual(
            [('service', 'h1'), ('set', servers.SET_ACTIVE[-1])], done
        )
