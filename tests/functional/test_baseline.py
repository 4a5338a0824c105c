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

"""Guests on a guest CPU baseline cross between different cores."""

import pathlib
import tempfile
from typing import Any
from unittest import mock

from nova.api.validation.extra_specs import validators

from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.nova.baseline import extra_specs
from tests.functional import base
from tests.unit.nova.baseline import pool

MIDR = 0xC000
ON_POOL = {'hw:arm_baseline': 'pool-1'}


class BaselineTestBase(base.ArmServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.files = pathlib.Path(directory.name)
        self.library = pool.library(self.files / 'shim.so')
        self.write()
        self.flags(
            baseline_directory=directory.name,
            baseline_shim=self.library,
            group='arm_migrate',
        )
        # nova-api finds it by an entry point.
        checks = {one.name: one for one in extra_specs.register()}
        patch = mock.patch.dict(validators.VALIDATORS, checks)
        patch.start()
        self.addCleanup(patch.stop)

    def write(self, version: int = 1) -> None:
        (self.files / 'pool-1.json').write_text(
            baseline_file.dump(pool.baseline(version))
        )

    def pool(self) -> None:
        for name, profile in zip(('v1', 'n2'), pool.hosts(), strict=True):
            self.host(name, profile)
            self.arm.hosts[name].machine.libraries.add(self.library)

    def features(self, server: dict[str, Any]) -> frozenset[str]:
        """Return the vCPU features of the guest's host."""
        host = self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']
        return self.arm.hosts[host].machine.host.features

    def on_baseline(self, server: dict[str, Any]) -> None:
        seen, record = self.seen(server), self.record(server)
        self.assertEqual('pool-1/1', record.baseline)
        for attribute in ('values', 'reg_list', 'gic'):
            self.assertEqual(
                getattr(seen, attribute), getattr(record, attribute), attribute
            )
        # The record has what no member may show; a domain has no feature
        # that its host does not know.
        self.assertIn('pauth', record.disabled)
        self.assertEqual(
            record.disabled - (FEATURES.keys() - self.features(server)),
            seen.disabled,
        )
        self.assertEqual(0x410FD493, seen.values.read(MIDR))


class TestBaseline(BaselineTestBase):
    def test_there_and_back_and_over_reboots(self) -> None:
        self.pool()
        server = self.boot('v1', extra_specs=ON_POOL)
        self.on_baseline(server)
        self.assertEqual('n2', self.migrate(server, 'n2'))
        self.on_baseline(server)
        self._reboot_server(server)
        self.on_baseline(server)
        self.assertEqual('v1', self.migrate(server, 'v1'))
        self.on_baseline(server)
        self._reboot_server(server, hard=True)
        self.on_baseline(server)

    def test_image_property_and_pool_option(self) -> None:
        self.flags(baseline='pool-1', group='arm_migrate')
        self.pool()
        for properties, expected in (
            ({}, 'pool-1/1'),
            ({'hw_arm_baseline': 'none'}, None),
            ({'hw_arm_baseline': 'pool-1'}, 'pool-1/1'),
        ):
            server = self.boot('n2', properties=properties)
            self.assertEqual(expected, self.record(server).baseline)

    def test_a_host_without_it_refuses(self) -> None:
        self.pool()
        server = self.boot('v1', extra_specs=ON_POOL)
        (self.files / 'pool-1.json').unlink()
        self.host('late', pool.hosts()[1])
        self.refused(server, 'late', 'BASELINE: guest pool-1/1, late none')

    def test_a_guest_that_did_not_get_it_is_not_started(self) -> None:
        self.host('v1', pool.hosts()[0])
        # QEMU there ignores LD_PRELOAD, as in secure-execution mode.
        server = self.boot('v1', extra_specs=ON_POOL, expected_state='ERROR')
        self.assertIn(
            f'QEMU has not loaded {self.library}', self.stdlog.logger.output
        )
        self.assertEqual([], self.arm.hosts['v1'].connection.listAllDomains(0))
        self.assertFalse(self.has_record(server))
