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


import configparser

import testtools

from clouds import ini
from tests.lab.cloud import settings


def _read(sections: settings.Sections) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(ini.dump(sections))
    return parser


class MergedTest(testtools.TestCase):
    def test_the_later_sections_win_and_the_given_ones_stay(self) -> None:
        first = {'a': {'x': 1, 'y': 2}}
        self.assertEqual(
            {'a': {'x': 3, 'y': 2}, 'b': {'z': 4}},
            settings.merged(first, {'a': {'x': 3}, 'b': {'z': 4}}),
        )
        self.assertEqual({'a': {'x': 1, 'y': 2}}, first)


class ComputeTest(testtools.TestCase):
    def test_the_driver_and_the_workaround_are_as_asked(self) -> None:
        for driver in (settings.OUR_DRIVER, settings.STOCK_DRIVER):
            for skip in (True, False):
                conf = _read(
                    settings.nova_compute('h1', '10.77.0.1', driver, skip)
                )
                self.assertEqual(driver, conf['DEFAULT']['compute_driver'])
                self.assertEqual(
                    skip,
                    conf.getboolean('workarounds', 'skip_cpu_compare_on_dest'),
                )

    def test_by_default_nothing_is_worked_around(self) -> None:
        conf = _read(settings.nova_compute('h1', '10.77.0.1'))
        self.assertFalse(
            conf.getboolean('workarounds', 'skip_cpu_compare_on_dest')
        )
        self.assertEqual(
            '10.77.0.1', conf['libvirt']['live_migration_inbound_addr']
        )

    def test_more_options_win(self) -> None:
        conf = _read(
            settings.nova_compute(
                'h1', '10.77.0.1', more={'DEFAULT': {'debug': True}}
            )
        )
        self.assertTrue(conf.getboolean('DEFAULT', 'debug'))

    def test_no_database_is_given_to_a_compute(self) -> None:
        conf = _read(settings.nova_compute('h1', '10.77.0.1'))
        self.assertNotIn('database', conf)
        self.assertNotIn('api_database', conf)


class ControlTest(testtools.TestCase):
    def test_the_filter_is_last_or_absent(self) -> None:
        for wanted in (True, False):
            conf = _read(settings.nova_control('/state', wanted))
            names = conf['filter_scheduler']['enabled_filters'].split(',')
            self.assertEqual(wanted, names[-1] == 'ArmMigrateFilter')
            self.assertIn('ComputeFilter', names)

    def test_every_service_speaks_as_its_own_user(self) -> None:
        for name, conf in (
            ('glance', settings.glance('/state', '/env')),
            ('placement', settings.placement('/state')),
            ('neutron', settings.neutron('/state', '/env')),
        ):
            self.assertEqual(name, conf['keystone_authtoken']['username'])
