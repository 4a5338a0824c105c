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

"""The options: their defaults, and what is not allowed."""

import tempfile
import unittest

from oslo_config import cfg

from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.options import FieldName
from nova_arm_migrate.nova.options import list_opts
from nova_arm_migrate.nova.options import register_opts

#: Options that are read only when the service starts.
READ_AT_START = {
    'baseline_directory',
    'baseline_shim',
    'metrics_address',
    'metrics_port',
}


class TestOptions(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf = cfg.ConfigOpts()
        register_opts(self.conf)
        self.conf([], default_config_files=[])

    def override(self, name: str, value: object) -> None:
        # oslo.config keeps overrides with the group, not with the conf.
        self.addCleanup(self.conf.clear_override, name, group='arm_migrate')
        self.conf.set_override(name, value, group='arm_migrate')

    def test_defaults_are_the_safe_side(self) -> None:
        settings = conf.settings(self.conf)
        self.assertEqual(conf.Settings(), settings)
        self.assertIs(Enforcement.ENFORCE, settings.enforcement)
        self.assertTrue(settings.refuse_unknown)
        self.assertTrue(settings.trial)
        self.assertEqual(Options(hazards_block=True), settings.options)

    def test_every_option_arrives(self) -> None:
        self.override('enforcement', 'warn')
        self.override('unknown', 'allow')
        self.override('trial', False)
        self.override('silent_hazards', 'warn')
        self.override('overrides', ['CTR_EL0.DIC', 'PAGE_SIZE', 'MIDR_EL1'])
        self.assertEqual(
            conf.Settings(
                enforcement=Enforcement.WARN,
                refuse_unknown=False,
                trial=False,
                options=Options(
                    hazards_block=False,
                    overrides=frozenset(
                        {'CTR_EL0.DIC', 'PAGE_SIZE', 'MIDR_EL1'}
                    ),
                ),
            ),
            conf.settings(self.conf),
        )

    def test_values_that_are_not_allowed(self) -> None:
        for name, value in (
            ('enforcement', 'maybe'),
            ('unknown', 'warn'),
            ('silent_hazards', 'off'),
            ('overrides', ['CTR_EL0.NOPE']),
            ('overrides', ['SVE_LENGTH']),
        ):
            with self.subTest(name, value=value):
                self.assertRaises(ValueError, self.override, name, value)

    def test_a_misspelt_override_is_named(self) -> None:
        with self.assertRaisesRegex(ValueError, 'CTR_EL0 has no field'):
            FieldName()('CTR_EL0.DIX')

    def test_registering_twice_is_harmless(self) -> None:
        register_opts(self.conf)
        self.assertEqual(conf.Settings(), conf.settings(self.conf))

    def test_each_option_has_help_and_can_change_on_sighup(self) -> None:
        ((group, options),) = list_opts()
        self.assertEqual('arm_migrate', group.name)
        for option in options:
            with self.subTest(option.name):
                self.assertEqual(
                    option.name not in READ_AT_START, option.mutable
                )
                self.assertGreater(len(option.help), 80)
                self.assertIsNotNone(option.default)

    def test_the_type_of_a_name(self) -> None:
        self.assertEqual(FieldName(), FieldName())
        self.assertEqual('FieldName', repr(FieldName()))
        self.assertNotEqual(FieldName(), 'FieldName')


class TestWhileRunning(unittest.TestCase):
    """A file that is read again on SIGHUP, with a typo in it."""

    def setUp(self) -> None:
        super().setUp()
        self.file = tempfile.NamedTemporaryFile('w', suffix='.conf')
        self.addCleanup(self.file.close)
        self.conf = cfg.ConfigOpts()
        register_opts(self.conf)
        self.write('unknown = allow')
        self.conf([], default_config_files=[self.file.name])

    def write(self, *lines: str) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.file.write('\n'.join(['[arm_migrate]', *lines, '']))
        self.file.flush()

    def sighup(self, *lines: str) -> None:
        self.write(*lines)
        self.conf.mutate_config_files()

    def test_the_last_good_settings_stay(self) -> None:
        good = conf.current(self.conf)
        self.assertFalse(good.refuse_unknown)
        with self.assertLogs('nova_arm_migrate', 'ERROR') as logs:
            for _ in range(3):
                self.sighup('overrides = CTR_EL0.DIX')
                self.assertEqual(good, conf.current(self.conf))
        (line,) = logs.output
        self.assertIn('CTR_EL0 has no field', line)
        self.sighup('unknown = refuse')
        self.assertTrue(conf.current(self.conf).refuse_unknown)
        with self.assertLogs('nova_arm_migrate', 'ERROR') as logs:
            self.sighup('overrides = CTR_EL0.DIX')
            self.assertTrue(conf.current(self.conf).refuse_unknown)
        self.assertEqual(1, len(logs.output))

    def test_each_change_is_looked_at(self) -> None:
        conf.start(self.conf)
        self.sighup('unknown = refuse', 'trial = false')
        with self.assertLogs('nova_arm_migrate', 'ERROR'):
            self.sighup('unknown = refsue')
        now = conf.current(self.conf)
        self.assertTrue(now.refuse_unknown)
        self.assertFalse(now.trial)

    def test_nothing_good_is_known(self) -> None:
        self.sighup('overrides = CTR_EL0.DIX')
        self.assertRaises(cfg.ConfigFileValueError, conf.current, self.conf)


class TestConfigurationFile(unittest.TestCase):
    def test_a_misspelt_override_is_an_error_in_the_file(self) -> None:
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as nova_conf:
            nova_conf.write('[arm_migrate]\noverrides = CTR_EL0.DIX\n')
            nova_conf.flush()
            options = cfg.ConfigOpts()
            register_opts(options)
            options([], default_config_files=[nova_conf.name])
            self.assertRaisesRegex(
                cfg.ConfigFileValueError,
                'CTR_EL0 has no field',
                conf.settings,
                options,
            )
