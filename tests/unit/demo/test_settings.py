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

import pathlib
import tempfile
import unittest

from demo import settings


class TestSettings(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def test_a_filter_is_made_available_and_enabled(self) -> None:
        options = settings.nova_options(
            self.directory, 'http://x', 'some.Driver', ['my.module.MyFilter']
        )
        scheduler = options['filter_scheduler']
        self.assertIn('my.module.MyFilter', scheduler['available_filters'])
        self.assertEqual(
            'MyFilter', scheduler['enabled_filters'].split(',')[-1]
        )
        self.assertEqual('some.Driver', options['DEFAULT']['compute_driver'])

    def test_everything_that_is_written_is_below_the_directory(self) -> None:
        for options in (
            settings.nova_options(self.directory, 'http://x', 'd', []),
            settings.placement_options(self.directory, 'http://x'),
        ):
            for section in options.values():
                for name, value in section.items():
                    if name in (
                        'connection',
                        'lock_path',
                        'state_path',
                        'instances_path',
                        'log_file',
                    ):
                        self.assertIn(str(self.directory), str(value))

    def test_api_paste_config_comes_with_nova(self) -> None:
        self.assertIn('osapi_compute', settings.api_paste_config().read_text())
