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

"""A guest on a baseline, in everything that Nova does with a guest."""

import dataclasses
import pathlib
from typing import Any
from unittest import mock

import nova.conf

from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.nova.cmd import baseline_guests
from tests.functional import test_baseline
from tests.unit.nova.baseline import pool

CONF = nova.conf.CONF
ISAR0 = test_baseline.ISAR0
ON_POOL = test_baseline.ON_POOL

DRIVER = 'nova.virt.libvirt.driver.LibvirtDriver.'
PAUTH = (
    'Guest CPU baseline pool-1/1: the guest does not have it (the shim): vCPU'
    ' feature pauth: on, not off'
)
ISAR1 = (
    'Guest CPU baseline pool-1/1: QEMU has not started (the shim): register'
    ' ID_AA64ISAR1_EL1 cannot be set: wanted 0x'
)
NO_FILE = 'Guest CPU baseline pool-1: this host has no file of this name'


class TestRefusedInTime(test_baseline.BaselineTestBase):
    """What the host no longer offers is refused while the guest still runs."""

    def setUp(self) -> None:
        super().setUp()
        self.host('v1', pool.hosts()[0])
        self.arm.hosts['v1'].machine.libraries.add(self.library)
        self.server = self.boot('v1', extra_specs=ON_POOL)

    def lose(self) -> None:
        """Take the baseline from the host, and start its service again."""
        (self.files / 'pool-1.json').unlink()
        self.restart_compute_service('v1')

    def act(self, action: str, argument: Any) -> None:
        self.api.post_server_action(self.server['id'], {action: argument})

    def still_runs(self) -> None:
        connection = self.arm.hosts['v1'].connection
        self.assertTrue(connection.domain(self.server['id']).isActive())
        self.on_baseline(self.server)

    def reasons(self, event: str) -> list[str]:
        return [one['details'] for one in self.events(self.server, event)]

    def ends(self, **parameters: Any) -> None:
        self._wait_for_server_parameter(
            self.server, {'OS-EXT-STS:task_state': None} | parameters
        )

    def test_reboots(self) -> None:
        self.lose()
        for kind in ('HARD', 'SOFT'):
            self.act('reboot', {'type': kind})
            self.notifier.wait_for_versioned_notifications(
                'instance.reboot.error'
            )
            self.notifier.reset()
            self.ends(status='ACTIVE')
            self.still_runs()
            # Nova's own event says "Success": the guest runs.
            self.assertEqual([NO_FILE], self.reasons('arm_migrate_baseline'))

    def test_the_library_is_gone(self) -> None:
        pathlib.Path(self.library).unlink()
        self.act('reboot', {'type': 'HARD'})
        self.notifier.wait_for_versioned_notifications('instance.reboot.error')
        self.ends(status='ACTIVE')
        self.still_runs()
        (reason,) = self.reasons('arm_migrate_baseline')
        self.assertIn(
            f'the shim: {self.library}: No such file or directory', reason
        )

    def test_power_on(self) -> None:
        self._stop_server(self.server)
        self.lose()
        self.act('os-start', None)
        self.notifier.wait_for_versioned_notifications('compute.exception')
        self.ends(status='SHUTOFF')
        self.assertIn(NO_FILE, self.reasons('compute_start_instance'))
        # Its definition is still there.
        self.arm.hosts['v1'].connection.domain(self.server['id'])

    def test_a_start_after_the_host_has_booted(self) -> None:
        self.flags(resume_guests_state_on_host_boot=True)
        self.arm.hosts['v1'].connection.domain(self.server['id']).destroy()
        self.lose()
        # Nova records no fault and no event for it.
        self._wait_for_server_parameter(
            self.server, {'status': 'ERROR'}, wait_for_fault_key=False
        )
        self.arm.hosts['v1'].connection.domain(self.server['id'])
        # Nova before 34 does not log it.
        self.assertIn(
            f'The guest does not start: {NO_FILE}', self.stdlog.logger.output
        )

    def test_rescue(self) -> None:
        self.lose()
        self.act('rescue', {})
        self.ends(status='ERROR')
        self.still_runs()
        (reason,) = self.reasons('compute_rescue_instance')
        self.assertIn(NO_FILE, reason)

    def test_unrescue(self) -> None:
        (pathlib.Path(CONF.instances_path) / self.server['id']).mkdir()
        image = self.image(hw_machine_type='virt')
        self.act('rescue', {'rescue_image_ref': image})
        self.ends(status='RESCUE')
        self.lose()
        self.act('unrescue', None)
        self.ends(status='ERROR')
        self.still_runs()
        self.assertEqual([NO_FILE], self.reasons('compute_unrescue_instance'))

    def test_rebuild(self) -> None:
        self.lose()
        self.act('rebuild', {'imageRef': self.image(hw_machine_type='virt')})
        self.notifier.wait_for_versioned_notifications('compute.exception')
        self.ends(status='ACTIVE')
        self.still_runs()
        self.assertIn(NO_FILE, self.reasons('compute_rebuild_instance'))

    def test_cold_migration_and_resize(self) -> None:
        # The scheduler does not know the image's property.
        self.server = self.boot(
            'v1', properties={'hw_arm_baseline': 'pool-1'}, extra_specs={}
        )
        (self.files / 'pool-1.json').unlink()
        self.host('late', pool.hosts()[1])
        flavor = self._create_flavor(memory_mb=4096)
        for action, argument in (
            ('migrate', None),
            ('resize', {'flavorRef': flavor}),
        ):
            self.act(action, argument)
            self.notifier.wait_for_versioned_notifications('compute.exception')
            self.notifier.reset()
            self.ends(status='ACTIVE')
            self.still_runs()
            self.assertIn(
                'Guest CPU baseline pool-1: late does not offer it: see the'
                ' log of nova-compute there',
                self.reasons('compute_resize_instance'),
            )

    def test_cold_migration_by_the_destinations_option(self) -> None:
        """No flavor and no image names it: only the host knows the option."""
        self.server = self.boot(
            'v1', properties={'hw_arm_baseline': 'none'}, extra_specs={}
        )
        plain = self.boot('v1', extra_specs={})
        (self.files / 'pool-1.json').unlink()
        self.flags(baseline='pool-1', group='arm_migrate')
        self.host('late', pool.hosts()[1])
        none, self.server = self.server, plain
        before = self.record(plain)
        flavor = self._create_flavor(memory_mb=4096)
        for action, argument in (
            ('migrate', None),
            ('resize', {'flavorRef': flavor}),
        ):
            self.act(action, argument)
            self.notifier.wait_for_versioned_notifications('compute.exception')
            self.notifier.reset()
            self.ends(status='ACTIVE')
            connection = self.arm.hosts['v1'].connection
            self.assertTrue(connection.domain(plain['id']).isActive())
            self.assertEqual(before, self.record(plain))
            self.assertIn(
                'Guest CPU baseline pool-1: late does not offer it: see the'
                ' log of nova-compute there',
                self.reasons('compute_resize_instance'),
            )
        # One whose image asks for none goes there.
        with mock.patch(
            DRIVER + 'migrate_disk_and_power_off',
            autospec=True,
            return_value='{}',
        ):
            self._migrate_server(none)
        self.assertIsNone(self.record(none).baseline)

    def test_resume(self) -> None:
        self._suspend_server(self.server)
        self.lose()
        self.act('resume', None)
        self.notifier.wait_for_versioned_notifications('compute.exception')
        self.ends(status='SUSPENDED')
        self.assertIn(NO_FILE, self.reasons('compute_resume_instance')[0])
        # The state that it would restore is still there.
        connection = self.arm.hosts['v1'].connection
        domain = connection.domain(self.server['id'])
        self.assertTrue(domain.hasManagedSaveImage(0))

    def test_resume_on_an_older_version(self) -> None:
        self._suspend_server(self.server)
        self.write(version=2)
        self.restart_compute_service('v1')
        self._resume_server(self.server)
        self.on_baseline(self.server)


class OnPoolTestBase(test_baseline.BaselineTestBase):
    """A pool of two hosts, and a server on v1 that runs on its baseline."""

    def setUp(self) -> None:
        super().setUp()
        self.pool()
        self.server = self.boot('v1', extra_specs=ON_POOL)

    def off(self) -> Any:
        """Stop the guest for a cold migration, and copy no disk."""
        domain = self.arm.hosts['v1'].connection.domain(self.server['id'])

        def stop(*args: Any, **kwargs: Any) -> str:
            domain.destroy()
            return '{}'

        return mock.patch(
            DRIVER + 'migrate_disk_and_power_off',
            autospec=True,
            side_effect=stop,
        )


class TestActions(OnPoolTestBase):
    """The guest has its baseline after each action, read back."""

    def is_on(self, host: str) -> None:
        self.assertEqual(
            host,
            self.api.get_server(self.server['id'])['OS-EXT-SRV-ATTR:host'],
        )
        self.on_baseline(self.server)

    def test_cold_migration_and_its_reversal(self) -> None:
        with self.off():
            self._migrate_server(self.server)
        self.is_on('n2')
        self._revert_resize(self.server)
        self.is_on('v1')

    def test_resize_and_its_reversal(self) -> None:
        flavor = self._create_flavor(memory_mb=4096, extra_spec=ON_POOL)
        for end in (self._revert_resize, self._confirm_resize):
            with self.off():
                self._resize_server(self.server, flavor)
            self.is_on('n2')
            end(self.server)
        self.is_on('n2')
        self.assertEqual(4 << 30, self.record(self.server).memory)

    def test_resize_to_a_flavor_without_one(self) -> None:
        with self.off():
            self._resize_server(self.server, self._create_flavor())
        self._confirm_resize(self.server)
        self.assertIsNone(self.record(self.server).baseline)

    def test_evacuation(self) -> None:
        self.computes['v1'].stop()
        (service,) = self.api.get_services(binary='nova-compute', host='v1')
        self.api.put_service_force_down(service['id'], True)
        # From 2.95 on, Nova stops an evacuated server once it runs.
        self.api.microversion = '2.94'
        self._evacuate_server(
            self.server, expected_host='n2', expected_state='ACTIVE'
        )
        self.api.microversion = 'latest'
        self.is_on('n2')

    def test_rebuild(self) -> None:
        self._rebuild_server(self.server, self.image(hw_machine_type='virt'))
        self.is_on('v1')

    def test_unshelve(self) -> None:
        self._shelve_server(self.server)
        self.api.post_server_action(
            self.server['id'], {'unshelve': {'host': 'n2'}}
        )
        self._wait_for_state_change(self.server, 'ACTIVE')
        self.is_on('n2')

    def test_rescue_and_unrescue(self) -> None:
        (pathlib.Path(CONF.instances_path) / self.server['id']).mkdir()
        xml = self.arm.hosts['v1'].connection.domain(self.server['id'])
        definition = xml.XMLDesc(0)
        self.stub_out(
            'nova.virt.libvirt.utils.load_file', lambda _: definition
        )
        self.api.post_server_action(
            self.server['id'],
            {
                'rescue': {
                    'rescue_image_ref': self.image(hw_machine_type='virt')
                }
            },
        )
        self._wait_for_state_change(self.server, 'RESCUE')
        self.is_on('v1')
        self.api.post_server_action(self.server['id'], {'unrescue': None})
        self._wait_for_state_change(self.server, 'ACTIVE')
        self.is_on('v1')

    def test_power_off_and_on(self) -> None:
        self._stop_server(self.server)
        self._start_server(self.server)
        self.is_on('v1')

    def test_suspend_and_resume(self) -> None:
        self._suspend_server(self.server)
        self._resume_server(self.server)
        self.is_on('v1')

    def test_a_start_after_the_host_has_booted(self) -> None:
        self.flags(resume_guests_state_on_host_boot=True)
        self.arm.hosts['v1'].connection.domain(self.server['id']).destroy()
        self.restart_compute_service('v1')
        self._wait_for_server_parameter(
            self.server, {'OS-EXT-STS:power_state': 1}
        )
        self.is_on('v1')

    def test_live_migration_from_a_host_with_fewer_features(self) -> None:
        n2 = with_features_off(pool.hosts()[1], frozenset({'pauth'}))
        self.host('plain', n2)
        self.arm.hosts['plain'].machine.libraries.add(self.library)
        self.server = self.boot('plain', extra_specs=ON_POOL)
        for host in ('v1', 'plain', 'n2'):
            # libvirt moves it only if both domains have the same features.
            self.assertIn('pauth', self.seen(self.server).disabled)
            self.assertEqual(host, self.migrate(self.server, host))
            self.is_on(host)
            self.assertEqual(
                [], self.events(self.server, 'arm_migrate_baseline')
            )

    def test_live_migration_there_and_back(self) -> None:
        for host in ('n2', 'v1'):
            self.assertEqual(host, self.migrate(self.server, host))
            self.is_on(host)


class TestRaised(test_baseline.BaselineTestBase):
    """A newer version of the baseline replaces the one of running guests."""

    def setUp(self) -> None:
        super().setUp()
        self.pool()
        self.server = self.boot('v1', extra_specs=ON_POOL)
        first = self.files / 'pool-1.json'
        first.rename(self.files / 'pool-1@1.json')
        self.write(version=2)

    def restart(self) -> None:
        for host in ('v1', 'n2'):
            self.restart_compute_service(host)

    def changes(self) -> list[tuple[str, str]]:
        return [
            (one.has, one.gets)
            for one in baseline_guests.changes('')
            if one.uuid == self.server['id']
        ]

    def test_a_guest_on_the_older_version(self) -> None:
        self.restart()
        self.assertIn(
            '1 guests run on the guest CPU baseline pool-1/1 and get pool-1/2'
            f' at their next hard reboot: {self.server["id"]}',
            self.stdlog.logger.output,
        )
        self.assertEqual([('pool-1/1', 'pool-1/2')], self.changes())
        # It moves as before.
        for host in ('n2', 'v1', 'n2'):
            self.assertEqual(host, self.migrate(self.server, host))
            self.on_baseline(self.server)
            self.assertEqual(
                [], self.events(self.server, 'arm_migrate_baseline')
            )
        # A reboot gives it the new one.
        self._reboot_server(self.server)
        self.assertEqual('pool-1/2', self.record(self.server).baseline)
        self.assertEqual([], self.changes())

    def test_without_the_older_file_it_stays_where_it_is(self) -> None:
        (self.files / 'pool-1@1.json').unlink()
        self.restart()
        self.refused(
            self.server, 'n2', 'BASELINE: guest pool-1/1, n2 pool-1/2'
        )
        self.assertEqual([('pool-1/1', 'pool-1/2')], self.changes())

    def test_a_file_that_was_changed_and_kept_its_version(self) -> None:
        """A guest gets the other contents at its next reboot, of any kind."""
        (self.files / 'pool-1@1.json').unlink()
        ours = pool.baseline()
        registers = dict(ours.registers)
        field = register_of(ISAR0).field('TS')
        registers[ISAR0] = field.into(registers[ISAR0], 0)
        changed = dataclasses.replace(ours, registers=Values(registers))
        (self.files / 'pool-1.json').write_text(baseline_file.dump(changed))
        self.restart()
        self.assertIn(
            '1 guests run on the guest CPU baseline pool-1/1 and get pool-1/1'
            ' (other contents) at their next hard reboot:'
            f' {self.server["id"]}',
            self.stdlog.logger.output,
        )
        expected = [('pool-1/1', 'pool-1/1 (other contents)')]
        self.assertEqual(expected, self.changes())
        self.refused(
            self.server, 'n2', 'BASELINE: guest pool-1/1, n2 another one'
        )
        self._reboot_server(self.server)
        self.assertEqual(
            changed.digest, self.record(self.server).baseline_digest
        )
        self.assertEqual(0, field.of(self.seen(self.server).values[ISAR0]))
        self.assertEqual([], self.changes())
        self.assertEqual('n2', self.migrate(self.server, 'n2'))

    def test_a_baseline_that_is_gone(self) -> None:
        for file in self.files.glob('*.json'):
            file.unlink()
        self.restart()
        self.assertEqual([('pool-1/1', '')], self.changes())

    def test_a_guest_without_a_baseline(self) -> None:
        plain = self.boot('v1', extra_specs={})
        self.restart()
        # Also if they do not fit in one answer of the database.
        page = mock.patch.object(baseline_guests, '_PAGE', 1)
        page.start()
        self.addCleanup(page.stop)
        # The newest first.
        expected = [
            (plain['id'], 'none', 'pool-1/2'),
            (self.server['id'], 'pool-1/1', 'pool-1/2'),
        ]
        for most, note in (
            (0, ''),
            (2, ''),
            (1, 'only 1 of 2 servers were read'),
        ):
            reading = baseline_guests.Reading(most)
            found = [
                (one.uuid, one.has, one.gets)
                for one in baseline_guests.changes('pool-1', reading)
            ]
            self.assertEqual(expected[: most or None], found)
            self.assertEqual(note, reading.note)


class TestNotStarted(OnPoolTestBase):
    """QEMU gives the guest something else than its baseline.

    It ignores LD_PRELOAD, as in secure-execution mode, or does not switch off
    a vCPU feature.
    """

    def ignore(self, host: str) -> None:
        self.arm.hosts[host].machine.libraries.clear()

    def lose(self, host: str) -> None:
        """Take the baseline from a host, and start its service again."""
        (self.files / 'pool-1.json').unlink()
        self.restart_compute_service(host)

    def keep_pauth(self, host: str) -> None:
        """Let QEMU on a host not switch off what the domain switches off."""
        self.arm.hosts[host].machine.stuck.add('pauth')

    def where(self) -> str:
        """Return the name of the server's host."""
        server = self.api.get_server(self.server['id'])
        return str(server['OS-EXT-SRV-ATTR:host'])

    def ends(self, status: str) -> None:
        self._wait_for_server_parameter(
            self.server,
            {'status': status, 'OS-EXT-STS:task_state': None},
            wait_for_fault_key=False,
        )

    def evacuate(self) -> None:
        """Ask for an evacuation of the server from v1 to n2."""
        self.computes['v1'].stop()
        (service,) = self.api.get_services(binary='nova-compute', host='v1')
        self.api.put_service_force_down(service['id'], True)
        # From 2.95 on, Nova stops an evacuated server once it runs.
        self.api.microversion = '2.94'
        self.api.post_server_action(
            self.server['id'], {'evacuate': {'host': 'n2'}}
        )
        self.api.microversion = 'latest'

    def rescue(self) -> None:
        (pathlib.Path(CONF.instances_path) / self.server['id']).mkdir()
        domain = self.arm.hosts['v1'].connection.domain(self.server['id'])
        definition = domain.XMLDesc(0)
        self.stub_out(
            'nova.virt.libvirt.utils.load_file', lambda _: definition
        )
        image = self.image(hw_machine_type='virt')
        self.api.post_server_action(
            self.server['id'], {'rescue': {'rescue_image_ref': image}}
        )

    def recovers(self) -> None:
        """Check that a hard reboot brings the server back when QEMU obeys."""
        self.obey()
        self._reboot_server(self.server, hard=True)
        self.on_baseline(self.server)

    def obey(self) -> None:
        for host in self.arm.hosts.values():
            host.machine.stuck.clear()
            host.machine.libraries.add(self.library)

    def not_started(self, event: str, words: str = '') -> None:
        """Check that the server is in ERROR, and that nothing runs.

        :param words: in the event; by default those of an ignored library
        """
        self._wait_for_server_parameter(
            self.server,
            {'status': 'ERROR', 'OS-EXT-STS:task_state': None},
            wait_for_fault_key=False,
        )
        self.nothing_runs()
        (found,) = self.events(self.server, event)
        self.assertIn(
            words or f'QEMU has not loaded {self.library}', found['details']
        )

    def nothing_runs(self) -> None:
        self.assertEqual(
            [],
            [
                host
                for host in self.arm.hosts.values()
                for domain in host.connection.listAllDomains(0)
                if domain.isActive()
            ],
        )

    def test_hard_reboot(self) -> None:
        self.ignore('v1')
        self._reboot_server(self.server, hard=True, expected_state='ERROR')
        self.not_started('compute_reboot_instance')
        self.recovers()

    def test_soft_reboot(self) -> None:
        self.ignore('v1')
        self._reboot_server(self.server, expected_state='ERROR')
        self.not_started('compute_reboot_instance')

    def test_cold_migration(self) -> None:
        self.ignore('n2')
        with self.off():
            self._migrate_server(self.server, expected_state='ERROR')
        self.not_started('compute_finish_resize')
        self.assertEqual('n2', self.where())
        self.recovers()

    def test_reversal_to_a_host_that_has_lost_it(self) -> None:
        with self.off():
            self._migrate_server(self.server)
        self.lose('v1')
        self.api.post_server_action(self.server['id'], {'revertResize': None})
        self.not_started(
            'compute_finish_revert_resize', 'this host has no file'
        )
        self.assertEqual('v1', self.where())
        self.write(version=1)
        self.restart_compute_service('v1')
        self.recovers()

    def test_rebuild(self) -> None:
        self.ignore('v1')
        rebuild = {'rebuild': {'imageRef': self.image(hw_machine_type='virt')}}
        self.api.post_server_action(self.server['id'], rebuild)
        self.not_started('compute_rebuild_instance')
        self.obey()
        self.api.post_server_action(self.server['id'], rebuild)
        self._wait_for_state_change(self.server, 'ACTIVE')
        self.on_baseline(self.server)

    def test_evacuation(self) -> None:
        self.keep_pauth('n2')
        self.evacuate()
        # The host's KVM refuses the register of a vCPU with this feature.
        self.not_started('compute_rebuild_instance', ISAR1)
        # Its disk is still on the host that is down, and so is the server.
        self.assertEqual('v1', self.where())
        # A host that gives it the baseline takes it.
        self.arm.hosts['n2'].machine.stuck.clear()
        self.evacuate()
        self._wait_for_state_change(self.server, 'ACTIVE')
        self.assertEqual('n2', self.where())
        self.on_baseline(self.server)

    def test_unshelve(self) -> None:
        self._shelve_server(self.server)
        self.keep_pauth('v1')
        unshelve = {'unshelve': {'host': 'v1'}}
        self.api.post_server_action(self.server['id'], unshelve)
        self.notifier.wait_for_versioned_notifications('compute.exception')
        self.ends('SHELVED_OFFLOADED')
        self.nothing_runs()
        (event,) = self.events(self.server, 'compute_unshelve_instance')
        self.assertIn(PAUTH, event['details'])
        self.arm.hosts['v1'].machine.stuck.clear()
        self.api.post_server_action(self.server['id'], unshelve)
        self._wait_for_state_change(self.server, 'ACTIVE')
        self.on_baseline(self.server)

    def test_evacuation_to_a_host_that_lacks_it(self) -> None:
        self.lose('n2')
        self.evacuate()
        self.not_started('compute_rebuild_instance', NO_FILE)
        self.assertEqual('v1', self.where())

    def test_unshelve_to_a_host_that_lacks_it(self) -> None:
        self._shelve_server(self.server)
        self.lose('n2')
        self.api.post_server_action(
            self.server['id'], {'unshelve': {'host': 'n2'}}
        )
        self.notifier.wait_for_versioned_notifications('compute.exception')
        self.ends('SHELVED_OFFLOADED')
        self.nothing_runs()
        (event,) = self.events(self.server, 'compute_unshelve_instance')
        self.assertIn(NO_FILE, event['details'])

    def test_rescue(self) -> None:
        self.keep_pauth('v1')
        self.rescue()
        self.not_started('compute_rescue_instance', PAUTH)
        self.recovers()

    def test_unrescue(self) -> None:
        self.rescue()
        self._wait_for_state_change(self.server, 'RESCUE')
        self.keep_pauth('v1')
        self.api.post_server_action(self.server['id'], {'unrescue': None})
        self.not_started('compute_unrescue_instance', PAUTH)
        self.recovers()

    def test_live_migration(self) -> None:
        # N2's registers can be lowered without the library, so the guest
        # arrives. A reboot there would give it the host's registers.
        self.ignore('n2')
        self.assertEqual('n2', self.migrate(self.server, 'n2'))
        (event,) = self.events(self.server, 'arm_migrate_baseline')
        self.assertEqual(
            'Guest CPU baseline pool-1/1: the guest runs without it: QEMU has'
            f' not loaded {self.library}',
            event['details'],
        )
