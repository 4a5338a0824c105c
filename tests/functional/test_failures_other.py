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

"""Events that must not harm a guest, its disks or operator settings."""

import pathlib
from typing import Any
from unittest import mock

import fixtures
from nova import objects
import nova.conf
import oslo_messaging

from tests.functional import base
from tests.unit.core import synthetic as s

CONF = nova.conf.CONF
HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)


class TestTypo(base.ArmServersTestBase):
    """SIGHUP, with a bad value in the file."""

    def setUp(self) -> None:
        super().setUp()
        self.flags(skip_cpu_compare_on_dest=True, group='workarounds')
        self.file = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'nova.conf'
        )
        self.addCleanup(CONF.mutate_config_files)
        self.addCleanup(
            setattr, CONF, 'default_config_files', CONF.default_config_files
        )

    def sighup(self, **options: str) -> None:
        """Do what oslo.service does on SIGHUP."""
        self.file.write_text(
            '[arm_migrate]\n'
            + ''.join(f'{name} = {value}\n' for name, value in options.items())
        )
        CONF.default_config_files = [str(self.file)]
        CONF.mutate_config_files()

    def test_a_typo(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', LESSER)
        server = self.boot('host-a')
        self.sighup(enforcement='warn', trial='false')
        self.sighup(enforcement='wran', trial='false')
        self.boot('host-b')
        self._reboot_server(server, hard=True)
        # The old value still applies: the guest may go, and QEMU refuses it.
        self.migrate(server, 'host-b', state='failed')
        self.assertEqual('warn', self.prechecks()[-1][1]['action'])
        errors = [
            line
            for line in self.stdlog.logger.output.splitlines()
            if ' ERROR [nova_arm_migrate' in line and 'enforcement' in line
        ]
        self.assertEqual(1, len(errors), errors)
        self.sighup(enforcement='enforce')
        self.arm.hosts['host-b'].connection.refusals.clear()
        self.refused(server, 'host-b', 'arm64: ID_AA64ISAR0_EL1.TS')

    def test_stock_a_typo(self) -> None:
        self.host('host-a', HOST, base.STOCK)
        self.sighup(enforcement='wran')
        self.assertEqual('ACTIVE', self.boot('host-a')['status'])


class TestOtherArchitecture(base.ArmServersTestBase):
    """A guest that is emulated, of an architecture without CPU models."""

    properties = {
        'hw_emulation_architecture': 'mipsel',
        'hw_machine_type': 'malta',
    }

    def boots(self, driver: str) -> None:
        self.host('host-a', HOST, driver)
        capabilities = self.arm.hosts['host-a'].connection
        real = capabilities.getDomainCapabilities
        # Nova's fake does not have this architecture.
        capabilities.getDomainCapabilities = (
            lambda emulator, arch, machine, kind, flags: real(
                emulator,
                *(
                    ('aarch64', 'virt')
                    if arch == 'mipsel'
                    else (arch, machine)
                ),
                kind,
                flags,
            )
        )
        self.assertEqual(
            'ACTIVE', self.boot('host-a', properties=self.properties)['status']
        )

    def test_boot(self) -> None:
        self.boots(base.OURS)

    def test_stock_boot(self) -> None:
        self.boots(base.STOCK)


class TestRecordNotSaved(base.ArmServersTestBase):
    """The database is away when a guest's record is saved."""

    def reboot(self, server: dict[str, Any]) -> dict[str, Any]:
        save = objects.Instance.save

        def away(instance: objects.Instance, *args: Any, **kwargs: Any) -> Any:
            # Nova's own saves also have other changes.
            if instance.obj_what_changed() == {'vcpu_model'}:
                raise oslo_messaging.MessagingTimeout('no answer')
            return save(instance, *args, **kwargs)

        with mock.patch.object(objects.Instance, 'save', away):
            self.api.post_server_action(
                server['id'], {'reboot': {'type': 'HARD'}}
            )
            self._wait_for_server_parameter(
                server, {'OS-EXT-STS:task_state': None}, max_retries=60
            )
        return self.api.get_server(server['id'])

    def test_hard_reboot(self) -> None:
        self.host('old', LESSER)
        self.host('new', HOST)
        server = self.boot('old')
        self.migrate(server, 'new')
        unplug = self.computes['new'].driver.unplug_vifs
        with mock.patch.object(
            self.computes['new'].driver, 'unplug_vifs', wraps=unplug
        ) as unplugged:
            self.assertEqual('ACTIVE', self.reboot(server)['status'])
        self.assertGreaterEqual(1, unplugged.call_count)
        self.assertTrue(
            self.arm.hosts['new'].connection.domain(server['id']).isActive()
        )
        # The record is written when the database works again.
        for _ in range(2):
            self._run_periodics()
        self.shows_its_record(server)
        self.refused(server, 'old', 'ID_AA64ISAR0_EL1.TS')

    def test_stock_hard_reboot(self) -> None:
        self.host('new', HOST, base.STOCK)
        server = self.boot('new')
        self.assertEqual('ACTIVE', self.reboot(server)['status'])


class TestOwnTraits(base.ArmServersTestBase):
    """An operator has traits with the same prefix as ours."""

    own = 'CUSTOM_ARM64_RACK_7'
    stale = 'CUSTOM_ARM64_SVE_2048'

    def traits(self, driver: str) -> set[str]:
        self.host('host-a', HOST, driver)
        provider = self.compute_rp_uuids['host-a']
        for trait in (self.own, self.stale):
            self._create_trait(trait)
        self._set_provider_traits(
            provider,
            [*self._get_provider_traits(provider), self.own, self.stale],
        )
        # A compute's data about its provider are some minutes old at most.
        self.flags(resource_provider_association_refresh=1, group='compute')
        self.restart_compute_service('host-a')
        self._run_periodics()
        return set(self._get_provider_traits(self.compute_rp_uuids['host-a']))

    def test_an_own_trait(self) -> None:
        traits = self.traits(base.OURS)
        self.assertIn(self.own, traits)
        self.assertNotIn(self.stale, traits)

    def test_stock_an_own_trait(self) -> None:
        self.assertLess({self.own, self.stale}, self.traits(base.STOCK))
