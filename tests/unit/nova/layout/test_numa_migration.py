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

from typing import Any
from unittest import mock

from nova import exception
from nova import objects

from nova_arm_migrate.nova.layout import channel
from nova_arm_migrate.nova.layout import numa_migration
from nova_arm_migrate.numa import proof
from nova_arm_migrate.numa.errors import NumaError
from tests.present import present
from tests.unit.nova.layout.base import LibvirtError
from tests.unit.nova.layout.base import NumaTestCase
from tests.unit.nova.layout.base import UUID
from tests.unit.numa import domains


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
