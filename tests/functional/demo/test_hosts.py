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

import os
import pathlib
from typing import Any
import uuid

from nova.tests.fixtures import libvirt as fakelibvirt
import testtools

from simulated import hosts
from simulated import hypervisor
from simulated import machine

PROFILES = pathlib.Path(machine.__file__).parent / 'profiles'
UUID = str(uuid.UUID(int=1))
DOMAIN = f"""
<domain type='kvm'>
  <name>instance-00000001</name>
  <uuid>{UUID}</uuid>
  <memory>2097152</memory>
  <vcpu>1</vcpu>
  <os><type>hvm</type></os>
  <cpu mode='host-passthrough'><topology sockets='1' cores='1'
    threads='1'/></cpu>
  <devices>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/>
      <source bridge='br0'/><model type='virtio'/></interface>
  </devices>
</domain>
"""


class HostsTestBase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.arm = self.useFixture(hosts.ArmHostsFixture())

    def host(
        self, name: str, profile: str = 'neoverse-n2-linux-6.12', **kwargs: Any
    ) -> hypervisor.ArmConnection:
        return self.arm.add(
            name, machine.read_host(PROFILES / f'{profile}.json'), **kwargs
        ).connection

    def start(
        self, connection: hypervisor.ArmConnection
    ) -> hypervisor.ArmDomain:
        domain = connection.defineXML(DOMAIN)
        domain.createWithFlags(0)
        return domain


class TestHosts(HostsTestBase):
    def test_the_machine_is_an_arm64_one_until_the_fixture_ends(self) -> None:
        self.assertEqual('aarch64', os.uname().machine)
        self.assertIn('<arch>aarch64</arch>', self.host('a').getCapabilities())

    def test_hypervisor_comparison_is_unsupported_as_on_arm(self) -> None:
        connection = self.host('a')
        for call in (
            connection.compareHypervisorCPU,
            connection.baselineHypervisorCPU,
        ):
            error = self.assertRaises(
                fakelibvirt.libvirtError,
                call,
                None,
                None,
                None,
                None,
                '<cpu/>',
                0,
            )
            self.assertEqual(
                fakelibvirt.VIR_ERR_OPERATION_UNSUPPORTED,
                error.get_error_code(),
            )

    def test_memory_is_in_mib_as_libvirt_python_has_it(self) -> None:
        connection = self.arm.add(
            'a',
            machine.read_host(PROFILES / 'neoverse-n1-linux-6.12.json'),
            host_info=fakelibvirt.HostInfo(kB_mem=8 << 20),
        ).connection
        self.assertEqual(8192, connection.getInfo()[1])

    def test_the_domain_keeps_its_elements_and_gets_addresses(self) -> None:
        xml = self.start(self.host('a')).XMLDesc(0)
        self.assertIn('host-passthrough', xml)
        self.assertIn('<address type="pci"', xml)

    def test_a_migrated_guest_takes_its_registers_along(self) -> None:
        old = self.host('old', 'neoverse-n2-no-bti-linux-6.12')
        new = self.host('new')
        domain = self.start(old)
        registers = domain.vcpu
        domain.migrateToURI3('qemu+tcp://new/system', {}, 0)
        self.assertEqual(registers, new.domain(UUID).vcpu)
        self.assertTrue(new.domain(UUID).isActive())
        for call in (domain.isActive, domain.state, domain.jobStats):
            gone = self.assertRaises(fakelibvirt.libvirtError, call)
            self.assertEqual(
                fakelibvirt.VIR_ERR_NO_DOMAIN, gone.get_error_code()
            )
        self.assertRaises(fakelibvirt.libvirtError, old.domain, UUID)

        new.domain(UUID).migrateToURI3('qemu+tcp://old/system', {}, 0)
        self.assertEqual(registers, old.domain(UUID).vcpu)

    def test_a_refused_guest_goes_on_where_it_is(self) -> None:
        new = self.host('new')
        old = self.host('old', 'neoverse-n2-no-bti-linux-6.12')
        domain = self.start(new)
        registers = domain.vcpu
        error = self.assertRaises(
            fakelibvirt.libvirtError,
            domain.migrateToURI3,
            'qemu+tcp://old/system',
            {},
            0,
        )
        self.assertNotIn('ID_AA64', str(error))
        self.assertEqual([('ID_AA64PFR1_EL1: EINVAL',)], old.refusals)
        self.assertTrue(domain.isActive())
        self.assertEqual(registers, domain.vcpu)
        self.assertEqual(
            {'type': fakelibvirt.VIR_DOMAIN_JOB_NONE}, domain.jobStats()
        )
        self.assertRaises(fakelibvirt.libvirtError, old.domain, UUID)

    def test_a_host_that_does_not_exist_is_an_error(self) -> None:
        domain = self.start(self.host('a'))
        self.assertRaises(
            fakelibvirt.libvirtError,
            domain.migrateToURI3,
            'qemu+tcp://b/system',
            {},
            0,
        )
        self.assertTrue(domain.isActive())

    def test_a_restart_on_the_newer_host_shows_that_host(self) -> None:
        self.host('old', 'neoverse-n2-no-bti-linux-6.12')
        new = self.host('new')
        domain = self.start(self.arm.hosts['old'].connection)
        registers = domain.vcpu
        domain.migrateToURI3('qemu+tcp://new/system', {}, 0)
        domain = new.domain(UUID)
        domain.destroy()
        self.assertIsNone(domain.vcpu)
        domain.create()
        self.assertNotEqual(registers, domain.vcpu)

    def test_saved_state_is_restored(self) -> None:
        self.host('old', 'neoverse-n2-no-bti-linux-6.12')
        new = self.host('new')
        domain = self.start(self.arm.hosts['old'].connection)
        registers = domain.vcpu
        domain.migrateToURI3('qemu+tcp://new/system', {}, 0)
        new.domain(UUID).managedSave(0)
        domain = new.defineXML(DOMAIN)
        domain.createWithFlags(0)
        self.assertEqual(registers, domain.vcpu)
