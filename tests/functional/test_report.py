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

"""What a compute reports about itself, on Arm64 and elsewhere."""

import json

from nova import context as nova_context
from nova import objects
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.tests.functional.libvirt import base as libvirt_base

from nova_arm_migrate import finder
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.records import cpu_info
from nova_arm_migrate.probe.errors import NoPermission
from nova_arm_migrate.probe.recorded import RecordedHost
from tests import logs
from tests import watchdog
from tests.functional import base
from tests.functional import cell_lock
from tests.functional import paste
from tests.unit.core import synthetic as s

HOST = s.host()


class TestArm(base.ArmServersTestBase):
    def traits(self, host: str) -> set[str]:
        return set(self._get_provider_traits(self.compute_rp_uuids[host]))

    def test_cpu_info(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', HOST)
        self.assertEqual(HOST, cpu_info.take_host(self.cpu_info('host-a')))
        self.assertEqual(self.cpu_info('host-a'), self.cpu_info('host-b'))
        info = json.loads(self.cpu_info('host-a'))
        for key in ('arch', 'model', 'vendor', 'topology', 'features'):
            self.assertIn(key, info)

    def test_the_api_that_shows_cpu_info(self) -> None:
        self.host('host-a', HOST)
        self.api.microversion = '2.87'
        (hypervisor,) = self.api.api_get('/os-hypervisors/detail').body[
            'hypervisors'
        ]
        self.assertEqual('aarch64', hypervisor['cpu_info']['arch'])

    def test_traits(self) -> None:
        self.host('host-a', HOST)
        traits = self.traits('host-a')
        self.assertIn('HW_CPU_AARCH64_SVE', traits)
        self.assertIn('CUSTOM_ARM64_SVE_256', traits)
        self.assertIn('CUSTOM_ARM64_CORE_NEOVERSE_V1', traits)
        self.assertEqual(
            set(),
            {trait for trait in traits if trait.startswith('HW_CPU_X86_')},
        )

    def test_traits_that_are_gone(self) -> None:
        self.host('host-a', HOST)
        driver = self.computes['host-a'].driver
        self.arm.hosts['host-a'].machine.probe = type(
            self.arm.hosts['host-a'].machine.probe
        )(s.host(sve_lengths=(128,)))
        driver._arm._taken = None  # as after an upgrade of QEMU
        self._run_periodics()
        traits = self.traits('host-a')
        self.assertIn('CUSTOM_ARM64_SVE_128', traits)
        self.assertNotIn('CUSTOM_ARM64_SVE_256', traits)

    def test_a_probe_that_fails_does_not_stop_the_service(self) -> None:
        self.arm.add('host-a', HOST)

        class Failing(RecordedHost):
            def host(self) -> Host:
                raise NoPermission('/dev/kvm')

        self.arm.hosts['host-a'].machine.probe = Failing(HOST)
        self.start_compute(
            'host-a', connection=self.arm.hosts['host-a'].connection
        )
        self._run_periodics()
        self.assertRaises(
            cpu_info.NoHostRecord, cpu_info.take_host, self.cpu_info('host-a')
        )
        self.assertEqual(
            1, self.stdlog.logger.output.count('This host cannot be probed')
        )
        self.assertFalse(self.has_record(self.boot('host-a')))


class TestX86(
    libvirt_base.LibvirtMigrationMixin, libvirt_base.ServersTestBase
):
    """A compute on x86 reports and does the same as Nova's own."""

    microversion = 'latest'
    ADMIN_API = True

    def setUp(self) -> None:
        self.useFixture(watchdog.Watchdog())
        self.useFixture(cell_lock.ReadersFirst())
        self.useFixture(logs.KeptLogs())
        self.useFixture(paste.PasteFixture())
        finder.install()
        super().setUp()
        for name, compute_driver in (
            ('stock', base.STOCK),
            ('ours', base.OURS),
        ):
            self.flags(compute_driver=compute_driver)
            self.start_compute(name, host_info=fakelibvirt.HostInfo())
        self.src, self.dest = self.computes['stock'], self.computes['ours']

    def test_the_same_is_reported(self) -> None:
        reported, traits = [], []
        for name in ('stock', 'ours'):
            node = objects.ComputeNode.get_first_node_by_host_for_old_compat(
                nova_context.get_admin_context(), name
            )
            info = json.loads(node.cpu_info)
            reported.append(info | {'features': sorted(info['features'])})
            traits.append(
                set(self._get_provider_traits(self.compute_rp_uuids[name]))
            )
        self.assertEqual(reported[0], reported[1])
        self.assertEqual(traits[0], traits[1])

    def test_guests_move_as_ever_and_have_no_record(self) -> None:
        self.server = self._create_server(host='stock', networks='none')
        self._live_migrate(self.server, 'completed')
        self.assertTrue(self.migrate_stub_ran)
        for action in ('HARD', 'SOFT'):
            self._reboot_server(self.server, hard=action == 'HARD')
        instance = objects.Instance.get_by_uuid(
            nova_context.get_admin_context(),
            self.server['id'],
            expected_attrs=['vcpu_model'],
        )
        self.assertNotIn('arm_migrate', instance.vcpu_model.to_json())
        self.assertNotIn('arm64', self.stdlog.logger.output)
