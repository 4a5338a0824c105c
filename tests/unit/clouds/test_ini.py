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

from oslo_config import cfg

from clouds import ini


class TestDump(unittest.TestCase):
    def test_what_is_written_is_what_oslo_config_reads(self) -> None:
        with tempfile.NamedTemporaryFile(suffix='.conf') as file:
            pathlib.Path(file.name).write_text(
                ini.dump(
                    {
                        'DEFAULT': {'host': 'a$b', 'flag': False},
                        'filters': {'available': ['one', 'two']},
                    }
                )
            )
            conf = cfg.ConfigOpts()
            conf.register_opts([cfg.StrOpt('host'), cfg.BoolOpt('flag')])
            conf.register_opt(cfg.MultiStrOpt('available'), group='filters')
            conf([], default_config_files=[file.name])
            self.assertEqual('a$b', conf.host)
            self.assertIs(False, conf.flag)
            self.assertEqual(['one', 'two'], conf.filters.available)
