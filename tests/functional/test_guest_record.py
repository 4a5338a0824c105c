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

"""The guest's record during the guest's life.

It is written when a new QEMU process starts, and only then. The tests compare
it with what the simulated QEMU shows to the guest.
"""

import dataclasses
import pathlib
from typing import Any
from unittest import mock

from nova import objects
import nova.conf

from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import longer_vectors
from simulated import hypervisor
from tests.functional import base
from tests.unit.core import synthetic as s

CONF = nova.conf.CONF

HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)
# Switched off in every guest with SVE that starts there.
PINNED = frozenset(longer_vectors(HOST))
DRIVER = 'nova.virt.libvirt.driver.LibvirtDriver.'


class TestStarts(base.ArmServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.host('old', LESSER)
        self.host('new', HOST)

    def moved(self) -> dict[str, Any]:
        """Return a guest that started on the old host and runs on the new."""
        server = self.boot('old')
        self.migrate(server, 'new')
        self.assertEqual(0, self.ts(server))
        return server

    def ts(self, server: dict[str, Any]) -> int:
        """Return the field that differs between hosts, from the record."""
        record = self.record(server)
        self.assertEqual(self.seen(server).values, record.values)
        self.assertEqual(self.seen(server).reg_list, record.reg_list)
        self.assertFalse(record.inferred)
        return record.values.read(s.ISAR0) >> 52 & 0xF

    def test_spawn(self) -> None:
        server = self.boot('old')
        record = self.record(server)
        self.shows_its_record(server)
        flavor = self.instance(server).flavor
        self.assertEqual(
            guest_started_on(
                LESSER,
                memory=flavor.memory_mb << 20,
                disabled=PINNED,
                gic=record.gic,
            ),
            record,
        )

    def test_live_migration_leaves_it_alone(self) -> None:
        self.moved()

    def test_hard_reboot(self) -> None:
        server = self.moved()
        self._reboot_server(server, hard=True)
        self.assertEqual(1, self.ts(server))

    def test_soft_reboot(self) -> None:
        server = self.moved()
        self._reboot_server(server)
        self.assertEqual(1, self.ts(server))

    def test_power_off_and_on(self) -> None:
        server = self.moved()
        self._stop_server(server)
        self._start_server(server)
        self.assertEqual(1, self.ts(server))

    def test_suspend_and_resume_leave_it_alone(self) -> None:
        server = self.moved()
        self._suspend_server(server)
        self._resume_server(server)
        self.assertEqual(0, self.ts(server))

    def test_pause_leaves_it_alone(self) -> None:
        server = self.moved()
        for action, state in (('pause', 'PAUSED'), ('unpause', 'ACTIVE')):
            self.api.post_server_action(server['id'], {action: None})
            self._wait_for_state_change(server, state)
        self.assertEqual(0, self.ts(server))

    def test_shelve_and_unshelve(self) -> None:
        server = self.moved()
        self._shelve_server(server, expected_state='SHELVED_OFFLOADED')
        self.api.post_server_action(
            server['id'], {'unshelve': {'host': 'new'}}
        )
        self._wait_for_state_change(server, 'ACTIVE')
        self.assertEqual(1, self.ts(server))

    def test_rebuild(self) -> None:
        server = self.moved()
        self._rebuild_server(server, self.image(hw_machine_type='virt'))
        self.assertEqual(1, self.ts(server))

    def test_rescue_and_unrescue(self) -> None:
        server = self.moved()
        # Nova leaves the definition to return to in a file.
        (pathlib.Path(CONF.instances_path) / server['id']).mkdir()
        xml = self.arm.hosts['new'].connection.domain(server['id']).XMLDesc(0)
        self.stub_out('nova.virt.libvirt.utils.load_file', lambda _: xml)
        self.api.post_server_action(
            server['id'],
            {
                'rescue': {
                    'rescue_image_ref': self.image(hw_machine_type='virt')
                }
            },
        )
        self._wait_for_state_change(server, 'RESCUE')
        self.assertEqual(1, self.ts(server))
        self.api.post_server_action(server['id'], {'unrescue': None})
        self._wait_for_state_change(server, 'ACTIVE')
        self.assertEqual(1, self.ts(server))

    def test_cold_migration_and_its_reversal(self) -> None:
        server = self.boot('old')
        with mock.patch(
            DRIVER + 'migrate_disk_and_power_off',
            autospec=True,
            return_value='{}',
        ):
            self._migrate_server(server)
        self.assertEqual(1, self.ts(server))
        self._revert_resize(server)
        self.assertEqual(0, self.ts(server))

    def test_resize(self) -> None:
        server = self.boot('old')
        flavor = self._create_flavor(memory_mb=4096)
        with mock.patch(
            DRIVER + 'migrate_disk_and_power_off',
            autospec=True,
            return_value='{}',
        ):
            self._resize_server(server, flavor)
        self._confirm_resize(server)
        self.assertEqual(1, self.ts(server))
        self.assertEqual(4 << 30, self.record(server).memory)

    def test_evacuation(self) -> None:
        server = self.boot('old')
        self.computes['old'].stop()
        self.api.put_service_force_down(
            self.api.get_services(binary='nova-compute', host='old')[0]['id'],
            True,
        )
        # From 2.95 on, Nova stops an evacuated server once it runs.
        self.api.microversion = '2.94'
        self._evacuate_server(
            server, expected_host='new', expected_state='ACTIVE'
        )
        self.api.microversion = 'latest'
        self.assertEqual(1, self.ts(server))

    def test_a_start_after_the_host_has_booted(self) -> None:
        server = self.moved()
        self.flags(resume_guests_state_on_host_boot=True)
        domain = self.arm.hosts['new'].connection.domain(server['id'])
        domain.destroy()
        self.restart_compute_service('new')
        self._wait_for_server_parameter(server, {'OS-EXT-STS:power_state': 1})
        self.assertEqual(1, self.ts(server))


class TestContents(base.ArmServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.host('host-a', HOST)

    def test_no_pmu_by_flavor_and_by_image(self) -> None:
        for specs, properties in (
            ({'hw:pmu': 'false'}, {}),
            ({}, {'hw_pmu': 'false'}),
        ):
            server = self.boot(
                'host-a', extra_specs=specs, properties=properties
            )
            self.assertEqual({'pmu'} | PINNED, self.record(server).disabled)
            self.shows_its_record(server)

    def test_flags_of_the_configuration(self) -> None:
        self.flags(
            cpu_mode='host-passthrough',
            group='libvirt',
            cpu_model_extra_flags=['-sve', '-pauth'],
        )
        server = self.boot('host-a')
        self.assertEqual({'sve', 'pauth'}, self.record(server).disabled)
        self.shows_its_record(server)

    def test_vectors_that_only_later_hosts_have(self) -> None:
        self.assertIn('sve512', PINNED)
        record = self.record(self.boot('host-a'))
        self.assertEqual((128, 256), record.sve_lengths)
        self.assertEqual(PINNED, record.disabled)
        self.host(
            'host-b', dataclasses.replace(HOST, sve_lengths=(128, 256, 512))
        )
        server = self.boot('host-a')
        self.migrate(server, 'host-b')
        self.assertEqual(record, self.record(server))

    def test_a_guest_without_them_off_that_has_been_on_one(self) -> None:
        self.flags(pin_sve_lengths=False, group='arm_migrate')
        for name in ('host-b', 'host-c'):
            self.host(
                name, dataclasses.replace(HOST, sve_lengths=(128, 256, 512))
            )
        server = self.boot('host-a')
        self.assertEqual(set(), self.record(server).disabled)
        self.migrate(server, 'host-b')
        self.assertIsNone(self.record(server).sve_visited)
        self.migrate(server, 'host-c')
        self.assertEqual((128, 256, 512), self.record(server).sve_visited)
        self.refused(server, 'host-a', 'unknown: SVE_LENGTHS: ')

    def test_a_single_vector_length(self) -> None:
        self.flags(
            cpu_mode='host-passthrough',
            group='libvirt',
            cpu_model_extra_flags=['-sve256'],
        )
        server = self.boot('host-a')
        self.assertEqual((128,), self.record(server).sve_lengths)

    def test_the_gic_that_libvirt_chose(self) -> None:
        original = hypervisor.ArmDomain.XMLDesc

        def with_gic(domain: hypervisor.ArmDomain, flags: int) -> str:
            return original(domain, flags).replace(
                '<features>', '<features><gic version="3"/>'
            )

        self.stub_out('simulated.hypervisor.ArmDomain.XMLDesc', with_gic)
        self.assertEqual(3, self.record(self.boot('host-a')).gic)

    def test_the_api_shows_nothing_of_it(self) -> None:
        server = self.boot('host-a')
        self.assertTrue(self.has_record(server))
        for path in ('', '/topology', '/diagnostics'):
            text = str(self.api.api_get(f'/servers/{server["id"]}{path}').body)
            self.assertNotIn('arm_migrate', text)

    def test_an_emulated_guest_has_none(self) -> None:
        server = self.boot(
            'host-a',
            properties={
                'hw_emulation_architecture': 'x86_64',
                'hw_machine_type': 'pc',
            },
        )
        self.assertFalse(self.has_record(server))

    def test_a_probe_that_fails_costs_the_record_only(self) -> None:
        server = self.boot('host-a')
        self.assertTrue(self.has_record(server))
        self.stub_out(
            'nova_arm_migrate.nova.precheck.host_state.HostProbeCache.started',
            mock.Mock(side_effect=RuntimeError),
        )
        self._reboot_server(server, hard=True)
        self.assertFalse(self.has_record(server))

    def test_what_is_stored_survives_nova(self) -> None:
        server = self.boot('host-a')
        instance = self.instance(server)
        again = objects.Instance.obj_from_primitive(
            instance.obj_to_primitive()
        )
        self.assertEqual(
            instance.vcpu_model.to_json(), again.vcpu_model.to_json()
        )
        self.assertEqual('host-passthrough', again.vcpu_model.mode)
