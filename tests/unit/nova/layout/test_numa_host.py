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

import pathlib
import tempfile
import types
from typing import Any
from unittest import mock

from nova_arm_migrate.nova.layout import numa_host
from tests.unit.nova.layout.base import LibvirtError
from tests.unit.nova.layout.base import NumaTestCase
from tests.unit.nova.layout.base import UUID
from tests.unit.numa import domains


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
