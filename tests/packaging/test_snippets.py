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

"""What the packages' configuration files set, as oslo.config reads them."""

import pathlib
import re

import fixtures
from nova.conf import scheduler
from oslo_config import cfg
import testtools

from nova_arm_migrate.nova.options import register_opts

ROOT = pathlib.Path(__file__).resolve().parents[2]
KOLLA = ROOT / 'etc' / 'kolla' / 'config' / 'nova'
DEBIAN = ROOT / 'debian' / 'etc' / 'nova'
FILTERS = {
    option.name: option.default for option in scheduler.filter_scheduler_opts
}


class SnippetsTest(testtools.TestCase):
    def _read(self, *paths: pathlib.Path) -> cfg.ConfigOpts:
        options = cfg.ConfigOpts()
        options.register_opt(cfg.StrOpt('compute_driver'))
        options.register_opts(
            scheduler.filter_scheduler_opts, group='filter_scheduler'
        )
        register_opts(options)
        options(
            args=[],
            default_config_files=[str(path) for path in paths],
            default_config_dirs=[],
        )
        return options

    def _set(self, path: pathlib.Path) -> pathlib.Path:
        """Remove the "#" from each option, as the file's comment says."""
        copy = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'conf')
        copy.write_text(re.sub('(?m)^#(?=[a-z])', '', path.read_text()))
        return copy

    def _assert_filters(self, options: cfg.ConfigOpts) -> None:
        filters = options.filter_scheduler
        self.assertEqual(
            [
                *FILTERS['available_filters'],
                'nova_arm_migrate.filters.ArmMigrateFilter',
            ],
            filters.available_filters,
        )
        self.assertEqual(
            [*FILTERS['enabled_filters'], 'ArmMigrateFilter'],
            filters.enabled_filters,
        )

    def test_kolla(self) -> None:
        self.assertEqual(
            'arm_migrate.ArmLibvirtDriver',
            self._read(KOLLA / 'nova-compute.conf').compute_driver,
        )
        self._assert_filters(self._read(KOLLA / 'nova-scheduler.conf'))

    def test_debian_sets_nothing_at_first(self) -> None:
        options = self._read(*DEBIAN.rglob('*.conf'))
        for name, default in FILTERS.items():
            self.assertEqual(default, options.filter_scheduler[name], name)
        self.assertEqual('enforce', options.arm_migrate.enforcement)

    def test_debian_without_the_comment_signs(self) -> None:
        options = self._read(*map(self._set, DEBIAN.rglob('*.conf')))
        self._assert_filters(options)
        self.assertEqual('warn', options.arm_migrate.enforcement)
