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

"""Failures that cause a rollback, and failures of the rollback.

Each runs with our driver and with the stock driver, in tests of the same name.
"""

import collections
from collections.abc import Iterator
import contextlib
from typing import Any
from unittest import mock

from cinderclient import exceptions as cinder_exceptions
from neutronclient.common import exceptions as neutron_exceptions
from nova import exception
from nova.compute import manager
import oslo_messaging

from simulated import job as jobs
from tests.functional import base
from tests.functional import failures_base

AWAY = cinder_exceptions.ClientException(503, 'Cinder is away')
NO_NEUTRON = neutron_exceptions.ServiceUnavailable('Neutron is away')


class TestHalfWay(failures_base.FailuresTestBase):
    """The job fails, and so does a part of the rollback."""

    volumes = ports = block = True

    @contextlib.contextmanager
    def cinder_away(self, times: int | None = None) -> Iterator[None]:
        delete = mock.Mock(
            side_effect=failures_base.failing(
                self.cinder.fake_attachment_delete, AWAY, times
            )
        )
        with mock.patch('nova.volume.cinder.API.attachment_delete', delete):
            yield

    @contextlib.contextmanager
    def neutron_away(self, times: int | None = None) -> Iterator[None]:
        delete = failures_base.failing(
            self.neutron.delete_port_binding, NO_NEUTRON, times
        )
        with mock.patch.object(self.neutron, 'delete_port_binding', delete):
            yield

    @contextlib.contextmanager
    def database_away(self, times: int | None = None) -> Iterator[None]:
        """Make the rollback unable to save block device mappings."""
        roll_back = manager.ComputeManager._rollback_volume_bdms
        save = manager.objects.BlockDeviceMapping.save

        def with_failures(*args: Any, **kwargs: Any) -> Any:
            with mock.patch.object(
                manager.objects.BlockDeviceMapping,
                'save',
                failures_base.failing(
                    save, oslo_messaging.MessagingTimeout('no answer'), times
                ),
            ):
                return roll_back(*args, **kwargs)

        with mock.patch.object(
            manager.ComputeManager, '_rollback_volume_bdms', with_failures
        ):
            yield

    def fail_with(
        self, fault: contextlib.AbstractContextManager[None]
    ) -> None:
        self.job().fail(jobs.SWITCH_OVER)
        with fault:
            self.migrate_server()

    def attachment(self, server: dict[str, Any]) -> str:
        """Return the host of the attachment that Nova uses."""
        mappings = manager.objects.BlockDeviceMappingList
        (bdm,) = [
            bdm
            for bdm in mappings.get_by_instance_uuid(
                self.instance(server)._context, server['id']
            )
            if bdm.is_volume
        ]
        known = self.cinder.volume_to_attachment[bdm.volume_id]
        return known[bdm.attachment_id]['connector']['host']

    def in_error(self, part: str, word: str) -> None:
        """Check that only one part is wrong, and that an event names it."""
        now = self.truth()
        self.assertEqual(
            ('ERROR', 'a', ['a']), (now.status, now.host, now.runs_on), now
        )
        self.assertEqual([part], now.parts, now)
        self.assertIn(word, self.said())

    def test_cinder_is_away(self) -> None:
        self.cloud()
        self.fail_with(self.cinder_away())
        self.in_error('attachments', 'Cinder is away')
        # There are two attachments, and Nova uses the right one.
        self.assertEqual('a', self.attachment(self.server))

    def test_stock_cinder_is_away(self) -> None:
        self.cloud(base.STOCK)
        self.fail_with(self.cinder_away())
        now = self.truth()
        self.assertEqual(
            (base.STOCK_FAILED[0], ['a']), (now.status, now.runs_on)
        )
        self.assertIn('attachments', now.parts)
        self.assertEqual('b', self.attachment(self.server))

    def test_cinder_fails_once(self) -> None:
        self.cloud()
        self.fail_with(self.cinder_away(1))
        self.assert_settled('a')
        self.assert_moves_on()

    def test_stock_cinder_fails_once(self) -> None:
        self.cloud(base.STOCK)
        self.fail_with(self.cinder_away(1))
        now = self.truth()
        self.assertEqual(base.STOCK_FAILED[0], now.status)
        self.assertEqual('b', self.attachment(self.server))

    def test_neutron_is_away(self) -> None:
        self.cloud()
        self.fail_with(self.neutron_away())
        self.in_error('ports', 'port')

    def test_not_active_before_all_is_settled(self) -> None:
        self.cloud()
        seen = set()
        delete = failures_base.failing(
            self.neutron.delete_port_binding, NO_NEUTRON
        )

        def look(*args: Any, **kwargs: Any) -> Any:
            now = self.instance(self.server)
            seen.add((now.vm_state, now.task_state))
            return delete(*args, **kwargs)

        with mock.patch.object(self.neutron, 'delete_port_binding', look):
            self.fail_with(contextlib.nullcontext())
        self.assertEqual({('active', 'migrating')}, seen)
        self.in_error('ports', 'port')

    def test_stock_neutron_is_away(self) -> None:
        self.cloud(base.STOCK)
        self.fail_with(self.neutron_away())
        now = self.truth()
        self.assertEqual(base.STOCK_FAILED[0], now.status)
        self.assertIn('ports', now.parts)

    def test_neutron_fails_once(self) -> None:
        self.cloud()
        self.fail_with(self.neutron_away(1))
        self.assert_settled('a')

    def test_the_database_fails_once(self) -> None:
        self.cloud()
        self.fail_with(self.database_away(1))
        self.assert_settled('a')
        self.assert_moves_on()

    def test_stock_the_database_fails_once(self) -> None:
        self.cloud(base.STOCK)
        self.fail_with(self.database_away(1))
        now = self.truth()
        self.assertEqual(('ERROR', ['a']), (now.status, now.runs_on))
        self.assertLess({'attachments', 'database'}, {*now.parts})


class TestStaleEntry(failures_base.FailuresTestBase):
    """An earlier failure has left its entry, and no job starts."""

    volumes = ports = True
    #: Of an ERROR and an ACTIVE; the driver that waited took 63 seconds.
    patience = 45

    def fail_early(self) -> None:
        driver = self.computes['a'].driver
        driver.active_migrations[self.server['id']] = collections.deque()
        self.mock_is_valid_hostname.return_value = False
        self.request()
        self.threads.wait(self.patience)
        self.mock_is_valid_hostname.return_value = True

    def test_an_early_failure(self) -> None:
        self.cloud()
        self.fail_early()
        self.assert_settled('a')
        self.assertIn('InvalidHostname', self.said())
        self.assert_moves_on()

    def test_stock_an_early_failure(self) -> None:
        self.cloud(base.STOCK)
        self.fail_early()
        self.assertEqual('ERROR', self.truth().status)


class TestDeleted(failures_base.FailuresTestBase):
    """The server is deleted while its migration is rolled back."""

    volumes = ports = block = True

    def delete_meanwhile(self) -> mock.Mock:
        """Delete it as soon as the rollback has begun.

        The request waits in the queue of a busy compute, as it would
        during a restart.

        :returns: a function that lets the request continue
        """
        driver = self.computes['a'].driver
        roll_back = driver.rollback_live_migration_at_source
        cast = manager.ComputeManager.terminate_instance
        go_on = mock.Mock(waiting=[])

        def wait(*args: Any, **kwargs: Any) -> None:
            go_on.waiting.append((args, kwargs))

        def and_delete(*args: Any, **kwargs: Any) -> Any:
            self.api.delete_server(self.server['id'])
            return roll_back(*args, **kwargs)

        self.job().fail(jobs.SWITCH_OVER)
        with (
            mock.patch.object(
                manager.ComputeManager, 'terminate_instance', wait
            ),
            mock.patch.object(
                driver, 'rollback_live_migration_at_source', and_delete
            ),
        ):
            self.migrate_server()
            self.expect(lambda: go_on.waiting, 'the request')
        go_on.side_effect = lambda: [
            cast(*args, **kwargs) for args, kwargs in go_on.waiting
        ]
        return go_on

    def test_deleted(self) -> None:
        self.cloud()
        go_on = self.delete_meanwhile()
        self.assertEqual('deleting', self.instance(self.server).task_state)
        go_on()
        self._wait_until_deleted(self.server)
        self.assertEqual(
            {},
            {
                name
                for name, host in self.arm.hosts.items()
                if any(
                    vm.UUIDString() == self.server['id']
                    for vm in host.connection._vms.values()
                )
            }
            or {},
        )

    def test_stock_deleted(self) -> None:
        self.cloud(base.STOCK)
        go_on = self.delete_meanwhile()
        self.assertIsNone(self.instance(self.server).task_state)
        go_on()


class TestOldLines(failures_base.FailuresTestBase):
    """The destination refuses before a QEMU has been started there."""

    volumes = ports = block = True
    log = (
        b'2020-11-25 02:40:12.000+0000: starting up libvirt version: 11.3\n'
        b'2020-11-25T02:40:14Z qemu-system-aarch64: load of migration'
        b' failed: Invalid argument\n'
        b'2020-11-25 02:40:15.641+0000: shutting down, reason=failed\n'
    )

    def fail_before_qemu(self) -> None:
        self.stub_out(
            'nova.privsep.path.last_bytes', lambda path, count: (self.log, 0)
        )
        with mock.patch.object(
            self.computes['b'].driver,
            'plug_vifs',
            autospec=True,
            side_effect=exception.VirtualInterfaceCreateException(),
        ):
            self.migrate_server()

    def test_before_qemu(self) -> None:
        self.cloud()
        self.fail_before_qemu()
        self.assert_settled('a')
        self.assertNotIn('load of migration failed', self.said())
        self.assert_moves_on()

    def test_stock_before_qemu(self) -> None:
        self.cloud(base.STOCK)
        self.fail_before_qemu()
        self.assertEqual('ACTIVE', self.truth().status)
