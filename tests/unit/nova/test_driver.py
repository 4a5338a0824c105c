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

"""The driver's overrides, on a parent that is played.

What they do inside Nova is in tests/functional.
"""

import contextlib
import json
import types
from typing import Any
from unittest import mock

from nova import exception
from nova import objects
from nova import version
from nova.compute import provider_tree
import nova.conf
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import driver as libvirt_driver

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import driver
from nova_arm_migrate.nova import precheck_driver
from nova_arm_migrate.nova import release
from nova_arm_migrate.nova import signatures
from nova_arm_migrate.nova.monitoring import endpoint
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.precheck import handshake
from nova_arm_migrate.nova.precheck import host_state
from nova_arm_migrate.nova.precheck import libvirt_features
from nova_arm_migrate.nova.records import cpu_info
from nova_arm_migrate.nova.records import guest_record
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.host import LocalHost
from nova_arm_migrate.probe.recorded import RecordedHost
from tests import logs
from tests.present import present
from tests.unit.core import synthetic as s

objects.register_all()
CONF = nova.conf.CONF
PARENT = libvirt_driver.LibvirtDriver
UUID = '5f6c0c1d-53f3-4f0b-8f0c-6a3a8e6b7c11'
CPU_INFO = json.dumps({'arch': 'aarch64', 'features': ['fp']})
XML = (
    "<domain type='kvm'><memory>524288</memory>"
    "<features><pmu state='off'/></features></domain>"
)
LIVE_XML = XML.replace('<features>', "<features><gic version='3'/>")


class DriverTestCase(logs.TestCase):
    arch = 'aarch64'
    virt_type = 'kvm'

    def setUp(self) -> None:
        super().setUp()
        self.option('virt_type', self.virt_type, 'libvirt')
        self.settings = conf.Settings()
        self.autospec(conf, 'settings', side_effect=lambda _: self.settings)
        self.autospec(PARENT, '__init__', return_value=None)
        self.driver = driver.ArmLibvirtDriver(None)
        self.probe = RecordedHost(s.host())
        self.driver.probe_factory = lambda host: self.probe
        self.driver._host = mock.Mock(
            get_version=lambda: 10000002,
            get_connection=lambda: mock.Mock(getLibVersion=lambda: 11003000),
        )
        self.driver._host.get_capabilities.return_value.host.cpu.arch = (
            self.arch
        )
        self.autospec(PARENT, '_check_emulation_arch', return_value=self.arch)

    def option(self, name: str, value: object, group: str) -> None:
        CONF.set_override(name, value, group)
        self.addCleanup(CONF.clear_override, name, group)

    def autospec(self, owner: object, name: str, **kwargs: Any) -> Any:
        patcher = mock.patch.object(owner, name, autospec=True, **kwargs)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def instance(self, record: Guest | None = None) -> objects.Instance:
        model = objects.VirtCPUModel(
            features=[objects.VirtCPUFeature(name='sve', policy='disable')]
        )
        instance = objects.Instance(
            context=mock.Mock(),
            uuid=UUID,
            image_ref='',
            system_metadata={},
            numa_topology=None,
            flavor=objects.Flavor(memory_mb=512, extra_specs={}),
            vcpu_model=guest_record.put(model, record),
        )
        instance.obj_reset_changes(recursive=True)
        return instance


class TestVectorLengths(DriverTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cpu = vconfig.LibvirtConfigGuestCPU()
        self.cpu.mode = 'host-passthrough'
        self.autospec(
            PARENT, '_get_guest_cpu_config', side_effect=lambda *a: self.cpu
        )
        self.probe = RecordedHost(s.host(sve_lengths=(128, 256)))

    def features(self) -> dict[str, str]:
        cpu = self.driver._get_guest_cpu_config(None, None, None, None)
        return {one.name: one.policy for one in cpu.features}

    def test_those_beyond_the_longest_are_off(self) -> None:
        self.assertEqual(
            {f'sve{bits}': 'disable' for bits in range(384, 2049, 128)},
            self.features(),
        )

    def test_what_the_operator_says_stays(self) -> None:
        self.cpu.add_feature(
            vconfig.LibvirtConfigGuestCPUFeature('sve384', policy='require')
        )
        self.assertEqual('require', self.features()['sve384'])

    def test_a_guest_without_sve_is_left_alone(self) -> None:
        self.cpu.add_feature(
            vconfig.LibvirtConfigGuestCPUFeature('sve', policy='disable')
        )
        self.assertEqual({'sve': 'disable'}, self.features())

    def test_a_model_of_its_own_is_left_alone(self) -> None:
        self.cpu.mode = 'custom'
        self.assertEqual({}, self.features())

    def test_it_can_be_switched_off(self) -> None:
        self.settings = conf.Settings(pin_sve_lengths=False)
        self.assertEqual({}, self.features())

    def test_a_host_that_is_not_known(self) -> None:
        self.driver.probe_factory = mock.Mock(side_effect=ProbeError('no'))
        self.assertEqual({}, self.features())


class TestReport(DriverTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.autospec(
            PARENT,
            'get_available_resource',
            side_effect=lambda *a: {'cpu_info': CPU_INFO, 'vcpus': 8},
        )
        self.autospec(
            PARENT,
            '_get_cpu_feature_traits',
            side_effect=lambda *a: {
                'HW_CPU_X86_AESNI': True,
                'HW_CPU_X86_SHA': False,
            },
        )
        self.autospec(PARENT, 'update_provider_tree')
        self.tree = provider_tree.ProviderTree()
        self.tree.new_root('node', UUID)

    def update(self) -> set[str]:
        self.driver.update_provider_tree(self.tree, 'node')
        return self.tree.data('node').traits

    def test_cpu_info(self) -> None:
        resources = self.driver.get_available_resource('node')
        self.assertEqual(8, resources['vcpus'])
        self.assertEqual(s.host(), cpu_info.take_host(resources['cpu_info']))

    def test_a_probe_that_fails_is_no_matter(self) -> None:
        self.driver.probe_factory = mock.Mock(side_effect=ProbeError('no'))
        self.assertEqual(
            {'cpu_info': CPU_INFO, 'vcpus': 8},
            self.driver.get_available_resource('node'),
        )
        self.tree.add_traits('node', 'HW_CPU_AARCH64_SVE', 'CUSTOM_FAST')
        self.assertEqual({'CUSTOM_FAST'}, self.update())

    def test_traits(self) -> None:
        self.tree.add_traits(
            'node',
            'CUSTOM_ARM64_SVE_512',
            'HW_CPU_AARCH64_ASIMDRDM',
            'CUSTOM_FAST',
            'CUSTOM_ARM64_RACK_7',
        )
        traits = self.update()
        self.assertIn('CUSTOM_ARM64_RACK_7', traits)
        self.assertIn('HW_CPU_AARCH64_SVE', traits)
        self.assertIn('CUSTOM_ARM64_SVE_256', traits)
        self.assertIn('CUSTOM_FAST', traits)
        self.assertNotIn('CUSTOM_ARM64_SVE_512', traits)
        self.assertNotIn('HW_CPU_AARCH64_ASIMDRDM', traits)
        self.assertEqual(traits, self.update())

    def test_x86_traits_are_taken_back(self) -> None:
        self.assertEqual(
            {'HW_CPU_X86_AESNI': False, 'HW_CPU_X86_SHA': False},
            self.driver._get_cpu_feature_traits(),
        )

    def test_the_real_probe_is_the_default(self) -> None:
        del self.driver.probe_factory
        # On eventlet, it is wrapped in a proxy.
        off_thread = self.autospec(
            release, 'off_thread', side_effect=lambda probe: probe
        )
        self.assertIsInstance(self.driver.probe_factory('host'), LocalHost)
        off_thread.assert_called_once()
        self.assertEqual(('10.0.2', '11.3.0'), self.driver._versions())

    def test_the_start_of_the_service_reads_the_options(self) -> None:
        parent = self.autospec(PARENT, 'init_host')
        self.driver.virtapi = None
        self.driver.init_host('host-b')
        self.assertEqual('host-b', self.driver._name)
        parent.assert_called_once_with(self.driver, 'host-b')

    def test_metrics_are_served_while_the_service_runs(self) -> None:
        self.autospec(PARENT, 'init_host')
        ended = self.autospec(PARENT, 'cleanup_host')
        start = self.autospec(endpoint, 'start')
        self.settings = conf.Settings(metrics_port=9, metrics_address='::1')
        self.driver.virtapi = None
        self.driver.init_host('host-b')
        start.assert_called_once_with(self.driver.metrics, '::1', 9)
        self.driver.cleanup_host('host-b')
        self.driver.cleanup_host('host-b')
        start.return_value.close.assert_called_once_with()
        self.assertEqual(2, ended.call_count)

    def test_the_service_does_not_start_if_a_signature_has_moved(self) -> None:
        self.autospec(PARENT, 'init_host')
        self.driver.virtapi = None
        moved = {
            'nova.virt.libvirt.driver:LibvirtDriver._compare_cpu': (
                '(self, guest_cpu)',
            )
        }
        with (
            mock.patch.dict(signatures.OVERRIDDEN, moved),
            self.assertRaisesRegex(
                exception.NovaException, r'LibvirtDriver\._compare_cpu takes'
            ),
        ):
            self.driver.init_host('host-b')
        # A host of another kind uses none of it.
        self.driver._host.get_capabilities.return_value.host.cpu.arch = (
            'x86_64'
        )
        with mock.patch.dict(signatures.OVERRIDDEN, moved):
            self.driver.init_host('host-b')

    def test_the_service_starts_with_a_newer_nova(self) -> None:
        self.autospec(PARENT, 'init_host')
        self.driver.virtapi = None
        with (
            mock.patch.object(version, 'version_string', lambda: '99.0.0'),
            self.assertLogs('nova_arm_migrate', 'WARNING') as seen,
        ):
            self.driver.init_host('host-b')
        (line,) = seen.output
        self.assertIn('Nova 99', line)


class TestRecord(DriverTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.guest = mock.Mock(get_xml_desc=lambda: LIVE_XML)
        self.autospec(
            PARENT, '_create_guest', side_effect=lambda *a: self.guest
        )
        self.save = self.autospec(guest_record, 'save')
        self.saved_state(None)
        self.started = guest_started_on(
            s.host(), disabled=frozenset({'pmu'}), gic=3, memory=1 << 29
        )

    def saved_state(self, there: int | None) -> None:
        found = mock.Mock()
        found._domain.hasManagedSaveImage.return_value = there
        self.driver._host.get_guest.side_effect = (
            exception.InstanceNotFound(instance_id=UUID)
            if there is None
            else [found]
        )

    def create(
        self, instance: objects.Instance, **kwargs: Any
    ) -> Guest | None:
        self.assertIs(
            self.guest,
            self.driver._create_guest(None, XML, instance, **kwargs),
        )
        return guest_record.take(instance.vcpu_model)

    def test_written_at_a_start(self) -> None:
        for there in (None, 0):
            self.saved_state(there)
            self.assertEqual(self.started, self.create(self.instance()))
        self.assertEqual(2, self.save.call_count)

    def test_written_for_a_start_that_waits_for_its_network(self) -> None:
        self.assertEqual(
            self.started,
            self.create(self.instance(), power_on=False, pause=True),
        )

    def test_left_alone_when_saved_state_is_restored(self) -> None:
        self.saved_state(1)
        before = guest_started_on(s.host())
        self.assertEqual(before, self.create(self.instance(before)))
        self.save.assert_not_called()

    def test_left_alone_when_nothing_starts(self) -> None:
        self.assertIsNone(self.create(self.instance(), power_on=False))

    def test_the_old_one_goes_if_there_is_no_new_one(self) -> None:
        old = guest_started_on(s.host())
        for failure in (ProbeError('no'), RuntimeError('what?')):
            with mock.patch.object(
                host_state.HostProbeCache,
                'started',
                autospec=True,
                side_effect=failure,
            ):
                self.assertIsNone(self.create(self.instance(old)))
        self.guest.get_xml_desc = lambda: 'not XML'
        self.assertIsNone(self.create(self.instance(old)))

    def test_emulated_guests_have_none(self) -> None:
        self.guest.get_xml_desc = lambda: XML.replace('kvm', 'qemu')
        self.assertIsNone(self.create(self.instance()))

    def test_a_soft_reboot_is_a_start(self) -> None:
        self.driver._host.get_guest.side_effect = [self.guest]
        instance = self.instance()
        with mock.patch.object(
            PARENT, '_soft_reboot', autospec=True, side_effect=[True, False]
        ):
            self.assertTrue(self.driver._soft_reboot(instance))
            self.assertEqual(
                self.started, guest_record.take(instance.vcpu_model)
            )
            self.assertFalse(self.driver._soft_reboot(instance))
        self.assertEqual(1, self.save.call_count)

    def test_libvirt_gets_none_of_it(self) -> None:
        parent = self.autospec(PARENT, '_vcpu_model_to_cpu_config')
        model = self.instance(self.started).vcpu_model
        self.driver._vcpu_model_to_cpu_config(model)
        self.assertEqual(
            ['sve'],
            [feature.name for feature in parent.call_args[0][1].features],
        )
        self.assertEqual(2, len(model.features))
        plain = self.instance().vcpu_model
        self.driver._vcpu_model_to_cpu_config(plain)
        self.assertIs(plain, parent.call_args[0][1])


class TestCheck(DriverTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.save = self.autospec(guest_record, 'save')
        self.data = objects.LibvirtLiveMigrateData()
        self.parent = self.autospec(
            PARENT,
            'check_can_live_migrate_destination',
            side_effect=lambda *a: self.data,
        )
        self.compare = self.autospec(PARENT, '_compare_cpu')
        self.guest = guest_started_on(s.host())
        self.source = cpu_info.put_host(CPU_INFO, s.host())

    def check(
        self, instance: objects.Instance, cpu_info: str | None = None
    ) -> Any:
        return self.driver.check_can_live_migrate_destination(
            None,
            instance,
            {'cpu_info': cpu_info or self.source},
            {},
            True,
            False,
        )

    def refused(
        self,
        words: str,
        instance: objects.Instance | None = None,
        cpu_info: str | None = None,
    ) -> None:
        with self.assertRaises(exception.MigrationPreCheckError) as caught:
            self.check(instance or self.instance(self.guest), cpu_info)
        self.assertTrue(
            str(caught.exception).startswith(
                'Migration pre-check error: arm64: ' + words
            ),
            caught.exception,
        )
        self.parent.assert_not_called()

    def test_accepted(self) -> None:
        instance = self.instance(self.guest)
        self.assertIs(self.data, self.check(instance))
        self.assertTrue(handshake.is_marked(self.data))
        self.parent.assert_called_once_with(
            self.driver,
            None,
            instance,
            {'cpu_info': self.source},
            {},
            True,
            False,
        )
        self.save.assert_not_called()

    def test_refused_before_the_parent_does_anything(self) -> None:
        self.probe = RecordedHost(s.host(cntfrq=1))
        self.refused('CNTFRQ_EL0: guest 1000000000, ')

    def test_libvirt_does_not_know_a_feature(self) -> None:
        asked = self.autospec(
            libvirt_features, 'fault', return_value='unknown CPU feature: sve'
        )
        guest = guest_started_on(s.host(), disabled=frozenset({'sve'}))
        self.refused(
            'CPU_FEATURES: guest 1 switched off, vm unknown CPU feature: sve',
            self.instance(guest),
        )
        asked.assert_called_once_with(mock.ANY, guest)
        self.settings = conf.Settings(trial=False)
        self.check(self.instance(guest))
        asked.assert_called_once()

    def test_what_was_inferred_is_kept(self) -> None:
        instance = self.instance()
        self.check(instance)
        kept = guest_record.take(instance.vcpu_model)
        self.assertTrue(present(kept).inferred)
        self.assertEqual({'sve'}, present(kept).disabled)
        self.save.assert_called_once_with(instance)

    def test_longer_vectors_on_the_way(self) -> None:
        old, new = (
            s.host(sve_lengths=lengths) for lengths in ((128,), (128, 256))
        )
        self.probe = RecordedHost(old)
        self.refused(
            'unknown: SVE_LENGTHS: ',
            self.instance(guest_started_on(old)),
            cpu_info.put_host(CPU_INFO, new),
        )

    def test_unknown(self) -> None:
        self.refused('unknown: SOURCE', cpu_info=CPU_INFO)
        self.refused('unknown: GUEST', self.damaged())
        self.driver.probe_factory = mock.Mock(side_effect=ProbeError('no'))
        self.driver._arm = host_state.HostProbeCache(
            lambda: self.driver.probe_factory(''), lambda: ''
        )
        self.refused('unknown: DESTINATION: it cannot be probed: no')

    def damaged(self) -> objects.Instance:
        instance = self.instance()
        instance.vcpu_model.features[0].name = 'arm_migrate:{'
        return instance

    def test_a_disagreement_and_an_override_are_logged(self) -> None:
        self.settings = conf.Settings(
            options=Options(overrides=frozenset({'CNTFRQ_EL0'}))
        )
        self.probe = RecordedHost(s.host(cntfrq=1))
        with mock.patch.object(
            precheck_driver.LOG, 'warning', autospec=True
        ) as warning:
            self.check(self.instance(self.guest))
        (text, values), _ = warning.call_args
        self.assertIn('overrides', text)
        self.assertEqual('CNTFRQ_EL0', values['name'])

    def test_pmu_by_flavor(self) -> None:
        instance = self.instance()
        instance.flavor.extra_specs = {'hw:pmu': 'false'}
        self.check(instance)
        self.assertEqual(
            {'pmu', 'sve'},
            present(guest_record.take(instance.vcpu_model)).disabled,
        )

    def test_the_parents_comparison_is_left_out(self) -> None:
        self.driver._compare_cpu(None, CPU_INFO, self.instance())
        self.compare.assert_not_called()
        self.driver._compare_cpu(mock.sentinel.cpu, CPU_INFO, None)
        self.compare.assert_called_once_with(
            self.driver, mock.sentinel.cpu, CPU_INFO, None
        )

    def test_off(self) -> None:
        self.settings = conf.Settings(enforcement=Enforcement.OFF)
        self.check(self.damaged(), 'rubbish')
        self.assertTrue(handshake.is_marked(self.data))
        self.driver._compare_cpu(None, CPU_INFO, self.instance())
        self.compare.assert_called_once()

    def test_source(self) -> None:
        parent = self.autospec(
            PARENT,
            'check_can_live_migrate_source',
            side_effect=lambda *a: a[3],
        )
        instance = self.instance(self.guest)
        with self.assertRaisesRegex(
            exception.MigrationPreCheckError,
            'arm64: unknown: DESTINATION: it does not run nova-arm-',
        ):
            self.driver.check_can_live_migrate_source(
                None, instance, self.data
            )
        parent.assert_not_called()
        handshake.mark(self.data)
        self.assertIs(
            self.data,
            self.driver.check_can_live_migrate_source(
                None, instance, self.data, mock.sentinel.devices
            ),
        )


class TestElsewhere(DriverTestCase):
    """An x86 host: everything is the parent's."""

    arch = 'x86_64'

    def test_nothing_is_ours(self) -> None:
        # Whatever used it would fail.
        self.driver._arm = mock.sentinel.unused
        image = types.SimpleNamespace()
        instance = mock.Mock(image_meta=image)
        calls: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ('get_available_resource', ('node',)),
            ('_get_cpu_feature_traits', ()),
            ('update_provider_tree', (mock.sentinel.tree, 'node', {})),
            ('_create_guest', (None, '<x/>', instance, True, False, None)),
            ('_soft_reboot', (instance,)),
            (
                'check_can_live_migrate_destination',
                (None, instance, {}, {}, True, False),
            ),
            ('check_can_live_migrate_source', (None, instance, {}, None)),
            ('_compare_cpu', (None, '{}', instance)),
        )
        for name, arguments in calls:
            with self.subTest(name), contextlib.ExitStack() as stack:
                parent = stack.enter_context(
                    mock.patch.object(
                        PARENT,
                        name,
                        autospec=True,
                        return_value=mock.sentinel.result,
                    )
                )
                result = getattr(self.driver, name)(*arguments)
                parent.assert_called_once_with(self.driver, *arguments)
                if name not in ('update_provider_tree', '_compare_cpu'):
                    self.assertIs(mock.sentinel.result, result)


class TestEmulation(TestElsewhere):
    """An Arm64 host that runs its guests without KVM."""

    arch = 'aarch64'
    virt_type = 'qemu'
