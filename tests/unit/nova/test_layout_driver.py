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


"""The overrides for layouts and failures, on a parent that is played.

What they do inside Nova is in tests/functional.
"""

from collections.abc import Callable
import types
from typing import Any
from unittest import mock

from nova import exception
from nova import objects
import nova.conf
from nova.virt.libvirt import driver as libvirt_driver

from nova_arm_migrate.nova import events
from nova_arm_migrate.nova import layout_driver
from nova_arm_migrate.nova.layout import channel as channel
from nova_arm_migrate.nova.layout import claim_layout
from nova_arm_migrate.nova.layout import dry_run
from nova_arm_migrate.nova.rollback import qemu_log
from nova_arm_migrate.numa import hostcheck
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa import wire
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.layout import Scheduler
from tests import logs
from tests.present import present
from tests.unit.numa import domains

objects.register_all()
CONF = nova.conf.CONF
PARENT = libvirt_driver.LibvirtDriver
UUID = '5fab6043-7e80-4d43-b212-355127881df1'
CONTEXT = mock.Mock()
COMPLETED = 3


class LibvirtError(Exception):
    pass


def numbers(**kwargs: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(**kwargs)


class LayoutDriverCase(logs.TestCase):
    arch = 'aarch64'

    def setUp(self) -> None:
        super().setUp()
        CONF.set_override('virt_type', 'kvm', 'libvirt')
        self.addCleanup(CONF.clear_override, 'virt_type', 'libvirt')
        self.patch(
            libvirt_driver,
            'libvirt',
            numbers(
                libvirtError=LibvirtError, VIR_DOMAIN_JOB_COMPLETED=COMPLETED
            ),
        )
        self.parent('__init__', None)
        self.failed: list[tuple[str, str]] = []
        self.patch(
            events,
            'failed',
            lambda context, instance, name, details: self.failed.append(
                (name, details)
            ),
        )
        self.driver = layout_driver.LayoutDriver(None)
        self.driver.virtapi = mock.Mock()
        self.driver._host = mock.Mock()
        self.driver._host.list_guests.return_value = []
        self.driver._host.get_online_cpus.return_value = {8, 9}
        self.driver.active_migrations = {}
        capabilities = self.driver._host.get_capabilities.return_value
        capabilities.host.cpu.arch = self.arch
        capabilities.host.topology.cells = [
            numbers(
                id=4,
                memory=1 << 20,
                cpus=[numbers(id=8), numbers(id=9)],
                mempages=[numbers(size=4), numbers(size=2048)],
            )
        ]
        self.connection = self.driver._host.get_connection.return_value
        self.connection.getFreePages = lambda sizes, node, count, flags: {
            node: dict.fromkeys(sizes, 64)
        }
        self.topology = numbers(
            cells=[numbers(memory=128, cpu_pinning={0: 8, 1: 9})]
        )
        self.instance = mock.Mock(uuid=UUID)
        self.instance.migration_context.new_numa_topology = self.topology
        self.data = objects.LibvirtLiveMigrateData()
        self.xml = domains.read('one-cell-pinned')
        guest = self.driver._host.get_guest.return_value
        guest.get_xml_desc.side_effect = lambda **_: self.xml
        # What Nova makes of its claim: (_, cputune, _, numatune).
        self.parent(
            '_get_guest_numa_config',
            (
                None,
                numbers(
                    vcpupin=[
                        numbers(id=0, cpuset={8}),
                        numbers(id=1, cpuset={9}),
                    ],
                    emulatorpin=numbers(cpuset={8, 9}),
                    iothreadpin=[numbers(iothread=1, cpuset={8, 9})],
                    vcpusched=[
                        numbers(vcpus={1}, scheduler='fifo', priority=1)
                    ],
                ),
                None,
                numbers(
                    memnodes=[numbers(cellid=0, nodeset=[4], mode='strict')]
                ),
            ),
        )
        self.parent(
            '_get_guest_memory_backing_config',
            numbers(hugepages=[numbers(nodeset=[0], size_kb=2048)]),
        )
        self.layout = Layout(
            vcpus={0: frozenset({8}), 1: frozenset({9})},
            emulator=frozenset({8, 9}),
            iothreads={1: frozenset({8, 9})},
            cells=(Cell(0, frozenset({4}), page_kib=2048),),
            scheduler=Scheduler(frozenset({1}), 'fifo', 1),
        )

    def patch(self, owner: object, name: str, value: object) -> Any:
        patcher = mock.patch.object(owner, name, value)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def parent(
        self, name: str, result: object = None, **kwargs: Any
    ) -> mock.Mock:
        patcher = mock.patch.object(
            PARENT, name, autospec=True, return_value=result, **kwargs
        )
        self.addCleanup(patcher.stop)
        return patcher.start()


class TestDestination(LayoutDriverCase):
    def claim(self) -> tuple[mock.Mock, Callable[[], None]]:
        """Nova has claimed, the source has sent the guest."""
        claim = mock.Mock(claimed_numa_topology=self.topology)
        self.parent('post_claim_migrate_data', self.data)
        return claim, lambda: self.driver.post_claim_migrate_data(
            CONTEXT, self.instance, self.data, claim
        )

    def test_it_asks(self) -> None:
        self.parent('check_can_live_migrate_destination', self.data)
        self.driver.check_can_live_migrate_destination(
            CONTEXT, self.instance, {}, {}
        )
        self.assertIsNotNone(channel.take(self.data, channel.ASK))

    def test_the_layout_of_the_claim(self) -> None:
        self.assertEqual(
            self.layout,
            claim_layout.claimed_layout(
                self.driver, mock.Mock(), mock.Mock(), mock.Mock()
            ),
        )

    def test_a_guest_that_fits(self) -> None:
        claim, post = self.claim()
        channel.put(self.data, channel.DOMAIN, channel.pack(self.xml))
        self.assertIs(self.data, post())
        claim.abort.assert_not_called()
        form, tried, flags = self.connection.domainXMLToNative.call_args.args
        self.assertEqual(('qemu-argv', 0), (form, flags))
        self.assertIn('<vcpupin vcpu="1" cpuset="9"/>', tried)
        self.assertIsNone(channel.take(self.data, channel.DOMAIN))

    def test_a_source_that_has_sent_nothing(self) -> None:
        _claim, post = self.claim()
        with self.assertLogs('nova_arm_migrate', 'INFO'):
            post()
        self.connection.domainXMLToNative.assert_not_called()

    def test_a_guest_that_does_not_fit(self) -> None:
        claim, post = self.claim()
        channel.put(self.data, channel.DOMAIN, channel.pack(self.xml))
        self.driver._host.get_online_cpus.return_value = {9}
        with (
            self.assertRaisesRegex(
                exception.MigrationPreCheckError,
                r'numa: /domain/cputune/vcpupin\[@vcpu=0\]: .*CPU 8 is not'
                r' online \(\+2 more\)',
            ),
            self.assertLogs('nova_arm_migrate', 'WARNING'),
        ):
            post()
        claim.abort.assert_called_once_with()

    def test_the_layout_is_sent(self) -> None:
        self.parent('pre_live_migration', self.data)
        cells = self.topology.cells
        arguments = (CONTEXT, self.instance, None, None, None, self.data)
        self.driver.pre_live_migration(*arguments)
        self.assertEqual(
            self.layout,
            wire.load(present(channel.take(self.data, channel.LAYOUT))),
        )
        cells[0].memory = 256
        with (
            self.assertRaisesRegex(
                exception.MigrationPreCheckError,
                '64 free pages of 2048 KiB, the guest needs 128',
            ),
            self.assertLogs('nova_arm_migrate', 'WARNING'),
        ):
            self.driver.pre_live_migration(*arguments)

    def landed(self) -> str:
        self.parent('post_live_migration_at_destination')
        with self.assertLogs('nova_arm_migrate', 'INFO') as logs:
            self.driver.post_live_migration_at_destination(
                CONTEXT, self.instance, None
            )
        return '\n'.join(logs.output)

    def test_where_it_has_landed(self) -> None:
        self.assertIn(
            'memory of cell 0: node 4 wanted, 1 found', self.landed()
        )
        ((name, details),) = self.failed
        self.assertEqual('numa_layout', name)
        # Pins that could not be repaired either.
        self.assertIn('vCPU 0: CPU 8 wanted, 2 found (libvirt)', details)
        domain = self.driver._host.get_guest.return_value._domain
        domain.pinVcpuFlags.assert_any_call(0, (False,) * 8 + (True,), 0)

    def test_nothing_harms_a_guest_that_has_landed(self) -> None:
        self.driver._host.get_guest.side_effect = RuntimeError
        self.assertIn('Cannot compare the NUMA layout', self.landed())

    def test_a_rollback(self) -> None:
        undo = self.parent('rollback_live_migration_at_destination')
        self.parent('pre_live_migration', self.data)
        self.instance.migration_context = None
        domain = self.driver._host.get_guest.return_value._domain
        domain.state.return_value = [5, 0]
        for words, prepared, expected in (
            (None, True, []),
            ('no', False, []),
            ('no', True, [('qemu', 'no')]),
        ):
            if prepared:
                self.driver.pre_live_migration(
                    CONTEXT, self.instance, None, None, None, self.data
                )
            self.patch(qemu_log, 'last_line', lambda *_: words)
            self.driver.rollback_live_migration_at_destination(
                CONTEXT, self.instance, None, None
            )
            self.assertEqual(expected, self.failed)
        self.instance.obj_reset_changes.assert_called_with(recursive=True)
        self.assertEqual(3, undo.call_count)


class TestNative(LayoutDriverCase):
    def fault(self, *effects: object) -> hostcheck.Fault | None:
        connection = mock.Mock()
        connection.domainXMLToNative.side_effect = effects
        return dry_run.native_fault(connection, parse.parse_domain(self.xml))

    def test_outcomes(self) -> None:
        self.assertIsNone(self.fault(None))
        with self.assertLogs('nova_arm_migrate', 'INFO') as logs:
            self.assertIsNone(self.fault(LibvirtError('no disk'), None))
        self.assertIn('no disk', logs.output[0])
        self.assertEqual(
            '/domain: libvirt: no machine',
            str(
                self.fault(LibvirtError('no disk'), LibvirtError('no machine'))
            ),
        )
        domain = parse.parse_domain(self.xml)
        self.assertIsNone(dry_run.native_fault(object(), domain))


class TestSource(LayoutDriverCase):
    def test_it_answers(self) -> None:
        self.parent('check_can_live_migrate_source', self.data)
        with self.assertLogs('nova_arm_migrate', 'INFO'):
            self.driver.check_can_live_migrate_source(
                CONTEXT, self.instance, self.data
            )
        channel.put(self.data, channel.ASK, '1')
        self.driver.check_can_live_migrate_source(
            CONTEXT, self.instance, self.data
        )
        self.assertIn(
            'one-cell-pinned',
            channel.unpack(present(channel.take(self.data, channel.DOMAIN))),
        )


class TestOtherHosts(LayoutDriverCase):
    arch = 'x86_64'

    def test_each_is_the_parents_at_once(self) -> None:
        for name, arguments in (
            ('check_can_live_migrate_destination', 4),
            ('check_can_live_migrate_source', 3),
            ('post_claim_migrate_data', 4),
            ('pre_live_migration', 6),
            ('post_live_migration_at_destination', 3),
            ('live_migration', 5),
            ('_live_migration_operation', 7),
            ('_live_migration_monitor', 10),
            ('_clear_empty_migration', 1),
            ('live_migration_abort', 1),
            ('check_instance_shared_storage_remote', 2),
            ('rollback_live_migration_at_destination', 4),
        ):
            with self.subTest(name):
                parent = self.parent(name)
                given = [mock.Mock() for _ in range(arguments)]
                getattr(self.driver, name)(*given)
                parent.assert_called_once()
                self.assertEqual(
                    given, list(parent.call_args.args[1 : arguments + 1])
                )
        self.assertEqual([], self.failed)
