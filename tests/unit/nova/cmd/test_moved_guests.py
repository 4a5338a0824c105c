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

"""Which guests cannot go back, with Nova's objects made by the test."""

import contextlib
from typing import Any
import unittest
from unittest import mock

from nova import context as nova_context
from nova import objects

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.cmd import moved_guests
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.records import cpu_info
from nova_arm_migrate.nova.records import guest_record
from tests.unit.core import synthetic as s

CELLS = (
    '0e82048c-d6d5-4f4f-8415-16e6317b1c1d',
    '94e03ac6-2c4d-4b0f-9d0c-cf4a8f5a5d3f',
)
HOST = s.host()
#: Guests that come here gain a register.
NEWER = s.host(reg_list=s.LISTED | {s.ZCR + 8})
LONGER = s.host(sve_lengths=(128, 256, 512))
STOCK = '{"arch":"aarch64"}'


class TestLook(unittest.TestCase):
    def setUp(self) -> None:
        objects.register_all()
        #: (server, source) by cell, the newest first.
        self.migrations: dict[str, list[tuple[int, str]]] = {}
        self.hosts: dict[str, Any] = {}
        self.instances: dict[str, objects.Instance] = {}
        self.limits: list[int] = []
        self.pages: list[int] = []
        cells = [
            objects.CellMapping(uuid=uuid, name=name)
            for uuid, name in (
                (objects.CellMapping.CELL0_UUID, 'cell0'),
                (CELLS[0], 'cell1'),
                (CELLS[1], ''),
            )
        ]
        for target, name, result in (
            (objects.CellMappingList, 'get_all', lambda context: cells),
            (objects.ComputeNodeList, 'get_all', self._nodes),
            (objects.MigrationList, 'get_by_filters', self._migrations),
            (objects.InstanceList, 'get_by_filters', self._instances),
            (
                nova_context,
                'target_cell',
                lambda context, cell: contextlib.nullcontext(cell),
            ),
        ):
            patched = mock.patch.object(
                target, name, autospec=True, side_effect=result
            )
            self.addCleanup(patched.stop)
            patched.start()

    def _nodes(self, cell: Any) -> list[objects.ComputeNode]:
        return [
            objects.ComputeNode(
                host=name,
                cpu_info=cpu_info.put_host(STOCK, one)
                if isinstance(one, Host)
                else one,
            )
            for name, one in self.hosts.items()
        ]

    def _migrations(
        self, cell: Any, filters: dict[str, str], *, limit: int, **_: Any
    ) -> list[objects.Migration]:
        self.assertEqual(
            {'migration_type': 'live-migration', 'status': 'completed'},
            filters,
        )
        self.limits.append(limit)
        return [
            objects.Migration(instance_uuid=uuid(one), source_compute=source)
            for one, source in self.migrations.get(cell.uuid, [])
        ][:limit]

    def _instances(
        self, cell: Any, filters: dict[str, Any], **_: Any
    ) -> list[objects.Instance]:
        self.assertIs(False, filters['deleted'])
        self.pages.append(len(filters['uuid']))
        return [
            self.instances[one]
            for one in filters['uuid']
            if one in self.instances
        ]

    def guest(
        self, number: int, record: Guest | str | None, host: str, **kwargs: Any
    ) -> None:
        """Let there be a server."""
        model = guest_record.put(
            None, record if isinstance(record, Guest) else None
        )
        if isinstance(record, str):
            model.features.append(
                objects.VirtCPUFeature(name=f'arm_migrate:{record}')
            )
        self.instances[uuid(number)] = objects.Instance(
            uuid=uuid(number),
            host=host,
            vcpu_model=model,
            **{'vm_state': 'active', **kwargs},
        )

    def look(
        self, settings: conf.Settings = conf.Settings()
    ) -> moved_guests.Found:
        return moved_guests.look(settings)

    def test_no_guest_has_moved(self) -> None:
        self.hosts = {'a': HOST, 'b': HOST}
        self.guest(1, guest_started_on(HOST), 'a')
        found = self.look()
        self.assertEqual(moved_guests.Found(0, (), ()), found)
        self.assertEqual(
            'No guest with a record has live-migrated.', found.line()
        )

    def test_a_register_that_was_gained_on_the_way(self) -> None:
        self.hosts = {'a': HOST, 'b': NEWER, 'c': HOST}
        self.guest(1, guest_started_on(HOST), 'b')
        self.guest(2, guest_started_on(HOST), 'c')
        self.migrations[CELLS[0]] = [(2, 'a'), (1, 'a')]
        found = self.look()
        self.assertEqual(2, found.judged)
        (stuck,) = found.stuck
        self.assertEqual(
            (uuid(1), 'b', 'a', True),
            (stuck.uuid, stuck.here, stuck.back, stuck.stays),
        )
        self.assertRegex(
            found.line(),
            '^1 of 2 guests with a record that have live-migrated cannot go'
            ' back to a host that they came from, and 1 can move to'
            ' no other host: .*: not on host: 0{8}-0{4}-0{4}-0{4}-0{11}1'
            r' \(b to a\)$',
        )
        # Another host like the present one takes it.
        self.hosts['d'] = NEWER
        (stuck,) = self.look().stuck
        self.assertIs(False, stuck.stays)

    def test_vectors_that_it_may_use_since_its_visit(self) -> None:
        self.hosts = {'a': HOST, 'b': LONGER}
        self.guest(1, guest_started_on(HOST), 'b')
        self.migrations[CELLS[0]] = [(1, 'a')]
        (stuck,) = self.look().stuck
        self.assertIn('SVE', stuck.reason)
        # The operator has said that it does not matter.
        allowed = Options(overrides=frozenset({'SVE_LENGTHS'}))
        self.assertEqual((), self.look(conf.Settings(options=allowed)).stuck)

    def test_every_host_behind_it_is_judged(self) -> None:
        self.hosts = {'a': HOST, 'b': NEWER, 'c': NEWER}
        self.guest(1, guest_started_on(NEWER), 'c')
        # From a to b to a to b to c; gone is a host of old.
        self.migrations[CELLS[0]] = [
            (1, host) for host in ('b', 'c', 'a', 'b', 'a', 'gone')
        ]
        (stuck,) = self.look().stuck
        self.assertEqual(('a', False), (stuck.back, stuck.stays))

    def test_what_enforcement_only_warns_of(self) -> None:
        self.hosts = {'a': HOST, 'b': NEWER}
        self.guest(1, guest_started_on(HOST), 'b')
        self.migrations[CELLS[0]] = [(1, 'a')]
        settings = conf.Settings(enforcement=Enforcement.WARN)
        self.assertEqual(1, len(self.look(settings).stuck))

    def test_guests_that_are_not_judged(self) -> None:
        self.hosts = {'a': HOST, 'b': NEWER, 'stock': STOCK, 'empty': None}
        started = guest_started_on(HOST)
        self.guest(1, None, 'b')
        self.guest(2, 'not JSON', 'b')
        self.guest(3, started, 'stock')
        self.guest(4, started, 'b', vm_state='stopped')
        self.migrations[CELLS[0]] = [
            (number, 'a') for number in (1, 2, 3, 4, 5)
        ]
        self.assertEqual(moved_guests.Found(0, (), ()), self.look())

    def test_more_migrations_than_are_read(self) -> None:
        self.hosts = {'a': HOST, 'b': HOST}
        for number in (1, 2, 3, 4):
            self.guest(number, guest_started_on(HOST), 'b')
        for name, value in (('MOST', 3), ('_PAGE', 2)):
            patched = mock.patch.object(moved_guests, name, value)
            self.addCleanup(patched.stop)
            patched.start()
        self.migrations = {
            CELLS[0]: [(number, 'a') for number in (4, 3, 2)],
            CELLS[1]: [(number, 'a') for number in (4, 3, 2, 1)],
        }
        found = self.look()
        self.assertEqual([4, 4], self.limits)
        self.assertEqual([2, 1, 2, 1], self.pages)
        self.assertEqual((6, (CELLS[1],)), (found.judged, found.cut))
        self.assertEqual(
            'All guests with a record that have live-migrated can go back:'
            f' 6 (only the newest 3 live migrations of {CELLS[1]} were'
            ' looked at).',
            found.line(),
        )


def uuid(number: int) -> str:
    return f'00000000-0000-0000-0000-{number:012}'
