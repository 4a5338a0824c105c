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


"""The Nova side of NUMA layouts, where tests/functional does not reach."""

import base64
import pathlib
import tempfile
import types
from typing import Any
from unittest import mock
import zlib

from lxml import etree
from nova import exception
from nova import objects
from nova.virt.libvirt import driver as libvirt_driver

from nova_arm_migrate.nova.layout import channel as channel
from nova_arm_migrate.nova.layout import dry_run
from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.nova.layout import numa_migration
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa import proof
from nova_arm_migrate.numa.errors import AbiError
from nova_arm_migrate.numa.errors import DomainXmlError
from nova_arm_migrate.numa.errors import NumaError
from nova_arm_migrate.numa.layout import Layout
from tests import logs
from tests.present import present
from tests.unit.numa import domains

objects.register_all()

UUID = '5fab6043-7e80-4d43-b212-355127881df1'
LAYOUT = Layout(
    vcpus={0: frozenset({8}), 1: frozenset({9})}, emulator=frozenset({8})
)


class LibvirtError(Exception):
    pass


class NumaTestCase(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        libvirt = types.SimpleNamespace(libvirtError=LibvirtError)
        self.patch(libvirt_driver, 'libvirt', libvirt)

    def patch(self, owner: object, name: str, value: object) -> None:
        patcher = mock.patch.object(owner, name, value)
        self.addCleanup(patcher.stop)
        patcher.start()

    def logged(self, level: str = 'INFO') -> Any:
        return self.assertLogs('nova_arm_migrate', level)


class TestChannel(NumaTestCase):
    def test_entries_beside_those_of_nova(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        self.assertIsNone(channel.take(data, channel.ASK))
        self.assertNotIn('old_vol_attachment_ids', data)
        data.old_vol_attachment_ids = {'volume': 'attachment'}
        channel.put(data, channel.LAYOUT, 'text')
        self.assertIsNone(channel.take(data, channel.ASK))
        self.assertEqual('text', channel.take(data, channel.LAYOUT))
        self.assertEqual({'volume': 'attachment'}, data.old_vol_attachment_ids)

    def test_over_rpc_by_a_compute_that_does_not_know_of_it(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        channel.put(data, channel.LAYOUT, 'text')
        for version in (data.VERSION, '1.10', '1.4'):
            there = objects.LibvirtLiveMigrateData.obj_from_primitive(
                data.obj_to_primitive(target_version=version)
            )
            self.assertEqual('text', channel.take(there, channel.LAYOUT))

    def test_domains(self) -> None:
        xml = domains.read('eight-cells')
        packed = channel.pack(xml)
        self.assertEqual(xml, channel.unpack(packed))
        self.assertLess(len(packed), len(xml) / 4)

    def test_damaged_domains(self) -> None:
        bomb = base64.b64encode(zlib.compress(bytes(parse.LIMIT + 1))).decode()
        good = channel.pack(domains.read('floating'))
        for text in (
            '',
            'x',
            '\xff',
            bomb,
            good[:-8],
            base64.b64encode(b'plain').decode(),
            base64.b64encode(zlib.compress(b'\xff')).decode(),
        ):
            with self.subTest(text[:8]), self.assertRaises(DomainXmlError):
                channel.unpack(text)


class TestSchema(NumaTestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / 'domain.rng'
        self.path.write_text("""
            <element name="domain" xmlns="http://relaxng.org/ns/structure/1.0">
              <element name="vcpu"><text/></element></element>""")
        self.good = parse.parse_domain('<domain><vcpu>1</vcpu></domain>')
        self.bad = parse.parse_domain('<domain><vgpu>1</vgpu></domain>')

    def test_what_it_allows(self) -> None:
        schema = dry_run.Schema(self.path)
        self.assertIsNone(schema.fault(self.good, self.good))

    def test_what_it_does_not(self) -> None:
        schema = dry_run.Schema(self.path)
        fault = schema.fault(self.bad, self.good)
        self.assertIn('vgpu', str(fault))

    def test_what_was_so_before(self) -> None:
        schema = dry_run.Schema(self.path)
        with self.logged() as logs:
            self.assertIsNone(schema.fault(self.bad, self.bad))
        self.assertIn('schema fault too', logs.output[0])

    def test_no_schema(self) -> None:
        for text in (None, '<element'):
            if text is None:
                self.path.unlink()
            else:
                self.path.write_text(text)
            with self.logged() as logs:
                self.assertIsNone(
                    dry_run.Schema(self.path).fault(self.bad, self.good)
                )
            self.assertIn("cannot read libvirt's schema", logs.output[0])


class TestHost(NumaTestCase):
    def test_free_pages(self) -> None:
        def ask(
            sizes: list[int], node: int, count: int, flags: int
        ) -> dict[int, dict[int, int]]:
            self.assertEqual(1, count)
            if node == 8:
                raise LibvirtError('no')
            return {node: dict.fromkeys(sizes, node)}

        host = mock.Mock()
        host.get_connection.return_value.getFreePages = ask
        cells = {
            number: types.SimpleNamespace(
                id=number,
                memory=4,
                cpus=[types.SimpleNamespace(id=number)],
                mempages=[types.SimpleNamespace(size=size) for size in sizes],
            )
            for number, sizes in ((0, [64, 4]), (3, []), (8, [4]))
        }
        host.get_capabilities.return_value.host.topology.cells = list(
            cells.values()
        )
        host.get_online_cpus.return_value = {1}
        host.list_guests.return_value = []
        with self.logged() as logs:
            found = numa_host.host_numa(host, UUID, frozenset())
        self.assertIn('node 8', logs.output[0])
        self.assertEqual({1}, found.online)
        self.assertEqual(
            [{4: 0, 64: 0}, None, None],
            [node.free_pages for node in found.nodes.values()],
        )
        self.assertIsNone(
            numa_host.host_numa(host, UUID, frozenset(), online=False).online
        )
        host.get_capabilities.return_value.host.topology = None
        self.assertEqual(
            {}, numa_host.host_numa(host, UUID, frozenset()).nodes
        )

    def test_cpus_that_others_hold(self) -> None:
        def guest(uuid: str, **kwargs: Any) -> mock.Mock:
            return mock.Mock(uuid=uuid, get_xml_desc=mock.Mock(**kwargs))

        host = mock.Mock()
        host.list_guests.return_value = [
            guest(UUID, return_value=domains.read('eight-cells')),
            guest('a', return_value=domains.read('two-cells-hugepages')),
            guest('b', return_value=domains.read('floating')),
            guest('c', side_effect=LibvirtError('gone')),
            guest('d', return_value='<!DOCTYPE domain><domain/>'),
        ]
        with self.logged() as logs:
            self.assertEqual(
                {'two-cells-hugepages': {3}},
                numa_host.held_cpus(host, UUID, frozenset({2, 3})),
            )
        self.assertEqual(2, len(logs.output))


class TestProcess(NumaTestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.proc = pathlib.Path(folder.name)
        self.patch(numa_host, '_PROC', self.proc)

    def play(self, name: str, uuid: str = UUID) -> pathlib.Path:
        """Put a recorded process into /proc. :returns: its folder"""
        tasks, numa_maps, maps = domains.read_proc(name)
        pid = tasks.partition(' ')[0]
        folder = self.proc / pid
        for line in tasks.splitlines():
            who, _, status = line.partition(' | ')
            tid, _, comm = who.partition(' ')
            task = folder / 'task' / tid
            task.mkdir(parents=True)
            (task / 'comm').write_text(f'{comm}\n')
            (task / 'status').write_text(f'Name:\t{comm}\n{status}\n')
        (folder / 'numa_maps').write_text(numa_maps)
        (folder / 'maps').write_text(maps)
        (folder / 'statm').write_text('9000 2000 0 0 0 0 0\n')
        (folder / 'cmdline').write_bytes(
            b'\0'.join([b'qemu', b'-uuid', uuid.encode(), b''])
        )
        other = self.proc / '1'
        other.mkdir()
        (other / 'cmdline').write_bytes(UUID.encode())
        (self.proc / '2').mkdir()
        return folder

    def test_a_recorded_guest(self) -> None:
        self.play('one-cell-pinned')
        reports = list(numa_host.live(domains.read('one-cell-pinned'), UUID))
        self.assertEqual(
            ['libvirt', '/proc'], [live.source for live in reports]
        )
        for live in reports:
            self.assertEqual({0: {2}, 1: {3}}, live.vcpus)
            self.assertEqual({0: {1}}, live.nodes)

    def test_more_memory_than_can_be_seen_in_a_short_time(self) -> None:
        folder = self.play('one-cell-pinned')
        (folder / 'statm').write_text(f'9 {(1 << 24) + 1} 0 0 0 0 0\n')
        with self.assertLogs('nova_arm_migrate', 'INFO') as logs:
            reports = list(
                numa_host.live(domains.read('one-cell-pinned'), UUID)
            )
        self.assertIn('is not compared', logs.output[0])
        self.assertEqual({0: {2}, 1: {3}}, reports[1].vcpus)

    def test_memory_that_only_root_may_see(self) -> None:
        folder = self.play('one-cell-pinned')
        read_text = pathlib.Path.read_text

        def denied(path: pathlib.Path, *args: Any, **kwargs: Any) -> str:
            if path == folder / 'numa_maps':
                raise PermissionError(13, 'Permission denied')
            return read_text(path, *args, **kwargs)

        self.patch(pathlib.Path, 'read_text', denied)
        with self.logged() as logs:
            _, live = numa_host.live(domains.read('one-cell-pinned'), UUID)
        self.assertIn('Permission denied', logs.output[0])
        self.assertEqual({0: {2}, 1: {3}}, live.vcpus)
        self.assertEqual({}, live.nodes)

    def test_no_process_and_a_strange_one(self) -> None:
        with self.logged():
            self.assertEqual(
                1,
                len(
                    list(numa_host.live(domains.read('one-cell-pinned'), UUID))
                ),
            )
        folder = self.play('one-cell-pinned')
        gone, strange = sorted((folder / 'task').iterdir())[:2]
        (gone / 'comm').unlink()
        self.assertEqual(
            2, len(list(numa_host.live(domains.read('one-cell-pinned'), UUID)))
        )
        (strange / 'status').write_text('?')
        with self.logged() as logs:
            self.assertEqual(
                1,
                len(
                    list(numa_host.live(domains.read('one-cell-pinned'), UUID))
                ),
            )
        self.assertIn('Cannot read the QEMU process', logs.output[0])


class TestMigration(NumaTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.driver = mock.Mock()
        self.numa = numa_migration.NumaMigration(self.driver)
        self.instance = mock.Mock(uuid=UUID)
        self.data = objects.LibvirtLiveMigrateData()

    def test_the_source_sends_no_password(self) -> None:
        xml = domains.read('one-cell-pinned').replace(
            '<devices>', "<devices><graphics type='vnc' passwd='secret'/>"
        )
        guest = self.driver._host.get_guest.return_value
        guest.get_xml_desc.return_value = xml
        self.numa.ask(self.instance, self.data)
        self.numa.answer(self.instance, self.data)
        sent = channel.unpack(present(channel.take(self.data, channel.DOMAIN)))
        self.assertIn('<graphics type="vnc"/>', sent)
        self.assertIsNone(channel.take(self.data, channel.ASK))

    def test_a_guest_without_topology(self) -> None:
        self.instance.numa_topology = None
        self.numa.ask(self.instance, self.data)
        channel.put(self.data, channel.ASK, '1')
        self.numa.answer(self.instance, self.data)
        self.assertIsNone(channel.take(self.data, channel.DOMAIN))
        guest = object()
        self.assertIs(
            guest, self.numa.leaving(self.instance, self.data, guest)
        )

    def test_a_guest_that_is_not_placed(self) -> None:
        self.instance.migration_context = None
        self.numa.send(self.instance, self.data)
        self.assertIsNone(channel.take(self.data, channel.LAYOUT))
        self.numa.post_migration(mock.Mock(), self.instance)
        self.driver._host.get_guest.assert_not_called()

    def test_a_host_without_numa(self) -> None:
        self.driver._get_guest_numa_config.return_value = (
            {1, 2},
            None,
            None,
            None,
        )
        self.assertEqual(
            Layout(shared=frozenset({1, 2})),
            numa_migration.claimed_layout(self.driver, None, None, None),
        )

    def test_the_claim_is_released(self) -> None:
        for error in (
            NumaError('/domain', 'no'),
            KeyError('x'),
            exception.MigrationPreCheckError(reason='no'),
        ):
            claim = mock.Mock()
            with (
                self.assertRaises(exception.MigrationPreCheckError),
                self.numa.claimed(claim),
            ):
                raise error
            claim.abort.assert_called_once_with()
        claim = mock.Mock()
        with self.numa.claimed(claim):
            pass
        claim.abort.assert_not_called()

    def test_a_guest_that_would_see_a_difference(self) -> None:
        xml = domains.read('one-cell-pinned')
        guest = mock.Mock()
        guest.get_xml_desc.return_value = xml
        leaving = numa_migration.GuestWithLayout(guest, LAYOUT)
        self.assertIs(guest.is_active, leaving.is_active)
        with self.assertRaises(AbiError):
            leaving.migrate(
                'uri',
                destination_xml=xml.replace(
                    "<gic version='3'/>", "<gic version='2'/>"
                ),
            )
        guest.migrate.assert_not_called()
        leaving.migrate('uri', destination_xml=xml, flags=3)
        (call,) = guest.migrate.call_args_list
        self.assertIn(
            '<vcpupin vcpu="0" cpuset="8"/>', call.kwargs['destination_xml']
        )
        self.assertEqual(3, call.kwargs['flags'])
        leaving.migrate('uri')
        self.assertEqual({}, guest.migrate.call_args.kwargs)

    def test_nova_33_finds_the_pin_of_an_iothread_that_it_expects(
        self,
    ) -> None:
        """As its _update_numa_xml reads it, which other releases do not."""
        guest = mock.Mock()
        guest.get_xml_desc.return_value = domains.read('one-cell-pinned')
        self.assertNotIn('iothreadpin', guest.get_xml_desc())
        leaving = numa_migration.GuestWithLayout(guest, LAYOUT)
        domain = etree.fromstring(leaving.get_xml_desc())
        present(domain.find('./cputune/iothreadpin')).set('cpuset', '3')
        leaving.migrate(
            'uri', destination_xml=etree.tostring(domain, encoding='unicode')
        )
        self.assertNotIn(
            'iothreadpin', guest.migrate.call_args.kwargs['destination_xml']
        )


class TestRepair(NumaTestCase):
    def repair(
        self, part: proof.Part, number: int | None, domain: mock.Mock
    ) -> Any:
        numa_migration.repair(
            domain,
            proof.Difference(
                part, number, frozenset({2}), frozenset({1}), 'libvirt'
            ),
        )
        return domain.mock_calls

    def test_pins(self) -> None:
        cpus = False, False, True
        for part, number, call in (
            (proof.Part.VCPU, 4, mock.call.pinVcpuFlags(4, cpus, 0)),
            (proof.Part.IOTHREAD, 1, mock.call.pinIOThread(1, cpus, 0)),
            (proof.Part.EMULATOR, None, mock.call.pinEmulator(cpus, 0)),
        ):
            self.assertEqual([call], self.repair(part, number, mock.Mock()))

    def test_what_libvirt_does_not_do(self) -> None:
        domain = mock.Mock()
        domain.pinEmulator.side_effect = LibvirtError('busy')
        with self.logged('WARNING') as logs:
            self.repair(proof.Part.EMULATOR, None, domain)
        self.assertRegex(logs.output[0], 'Cannot repair .*: busy$')
