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


"""Live migrations that fail, compared with the stock driver."""

import contextlib
from typing import Any
from unittest import mock

from nova import exception
from nova import objects
import oslo_messaging
from oslo_utils import timeutils

from tests.functional import base
from tests.functional import numa_base
from tests.functional import test_numa

QEMU_LOG = """\
{date} {time}.641+0000: starting up libvirt version: 11.3.0
-uuid 5fab6043-7e80-4d43-b212-355127881df1 \\
-msg timestamp=on
{date}T{time}Z qemu-system-aarch64: Failed to put registers after init
{date}T{time}Z qemu-system-aarch64: load of migration failed: Invalid
{date} {time}.641+0000: shutting down, reason=failed
"""


def qemu_log(path: str, count: int) -> tuple[bytes, int]:
    """Return libvirt's log of a QEMU that has just started."""
    now = timeutils.utcnow()
    return QEMU_LOG.format(
        date=now.date(), time=now.strftime('%H:%M:%S')
    ).encode(), 0


class RollbackTestBase(numa_base.NumaServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.flags(cpu_dedicated_set='0-7', group='compute')
        # What makes the destination's driver save the instance, see Nova's
        # own NUMALiveMigrationBase: here all hosts share one file system.
        self.stub_out(
            'nova.compute.manager.ComputeManager'
            '._live_migration_cleanup_flags',
            lambda *a, **k: (True, True),
        )
        self.stub_out('nova.privsep.path.last_bytes', qemu_log)

    def hosts(self, driver: str = base.OURS) -> None:
        """Start two hosts; a plain copy of the pins would conflict on b."""
        self.numa_host('a', test_numa.CONTIGUOUS, driver)
        self.numa_host('b', test_numa.INTERLEAVED, driver)
        self.there = self.pinned('b')
        self.server = self.pinned('a')
        self.before = self.pins(self.server)

    def refused_by_qemu(self) -> contextlib.AbstractContextManager[object]:
        """Make QEMU on the second host refuse guests during a block."""
        machine = self.arm.hosts['b'].machine
        load = machine.load
        return mock.patch.object(
            machine,
            'load',
            lambda *a: load(*a)._replace(refused=('MIDR_EL1',)),
        )

    def as_it_was(self) -> None:
        """Check that the migration has left nothing anywhere."""
        instance = self.with_context(self.server)
        self.assertIsNone(instance.migration_context)
        self.assertEqual(self.before, self.pins(self.server))
        self.assertEqual('a', instance.host)
        for _ in range(2):
            self.assertEqual({*self.before.values()}, self.used_cpus('a'))
            self.assertEqual(
                {*self.pins(self.there).values()}, self.used_cpus('b')
            )
            self._run_periodics()
        for name, count in (('a', 2), ('b', 2)):
            self.assertEqual(
                count,
                self._get_provider_usages(self.compute_rp_uuids[name])['PCPU'],
            )
        self.assertEqual(
            self.before,
            {
                vcpu: min(cpus)
                for vcpu, cpus in self.layout(self.server).vcpus.items()
            },
        )
        # The next migration to that host is possible at once.
        self.moves(self.server, 'b')
        self.as_claimed(self.server)


class TestRollback(RollbackTestBase):
    def test_a_job_that_qemu_refuses(self) -> None:
        self.hosts()
        with self.refused_by_qemu():
            self.stays(self.server, 'b', 'failed')
        (reason,) = self.details(self.server, 'arm_migrate_live_migration')
        self.assertIn('QEMU unexpectedly closed the monitor', reason)
        self.assertEqual(
            ['load of migration failed: Invalid'],
            self.details(self.server, 'arm_migrate_qemu'),
        )
        self.as_it_was()

    def test_a_guest_without_numa(self) -> None:
        self.flags(
            cpu_dedicated_set='0-3', cpu_shared_set='4-7', group='compute'
        )
        self.numa_host('a', test_numa.ONE)
        self.numa_host('b', test_numa.ONE)
        self.server = self.boot('a')
        with self.refused_by_qemu():
            self.stays(self.server, 'b', 'failed')
        (reason,) = self.details(self.server, 'arm_migrate_live_migration')
        self.assertIn('QEMU unexpectedly closed the monitor', reason)

    def test_a_destination_that_is_away(self) -> None:
        self.hosts()
        rpc = self.computes['a'].manager.compute_rpcapi
        with (
            self.refused_by_qemu(),
            mock.patch.object(
                rpc,
                'drop_move_claim_at_destination',
                autospec=True,
                side_effect=oslo_messaging.MessagingTimeout('no answer'),
            ),
        ):
            self.stays(self.server, 'b', 'failed')
        self.assertEqual(
            ['MessagingTimeout: no answer'],
            self.details(self.server, 'arm_migrate_rollback'),
        )
        self._run_periodics()
        self.as_it_was()

    def test_a_failure_before_the_thread_starts(self) -> None:
        self.hosts()
        self.mock_is_valid_hostname.return_value = False
        self.stays(self.server, 'b', 'failed')
        self.mock_is_valid_hostname.return_value = True
        (details,) = self.details(self.server, 'arm_migrate_monitor')
        self.assertIn('InvalidHostname', details)
        self.as_it_was()

    def test_a_failure_before_the_job(self) -> None:
        self.hosts()
        error = exception.LiveMigrationURINotAvailable(virt_type='kvm')
        with mock.patch.object(
            self.computes['a'].driver,
            '_live_migration_uri',
            autospec=True,
            side_effect=error,
        ):
            self.stays(self.server, 'b', 'failed')
        self.assertEqual(
            [str(error)],
            self.details(self.server, 'arm_migrate_live_migration'),
        )
        self.as_it_was()

    def test_a_monitor_that_fails_when_the_guest_has_left(self) -> None:
        self.hosts()
        with mock.patch.object(
            self.computes['a'].driver,
            '_live_migration_monitor',
            autospec=True,
            side_effect=OSError('database is away'),
        ):
            self.moves(self.server, 'b')
        # The manager would set ERROR a moment later.
        self._run_periodics()
        self.moves(self.server, 'a')
        self.as_claimed(self.server)

    def test_a_layout_that_does_not_arrive_whole(self) -> None:
        self.hosts()
        destination = self.computes['b'].driver
        send = destination._numa.send

        def cut(instance: objects.Instance, data: Any) -> None:
            send(instance, data)
            data.old_vol_attachment_ids = {
                key: text[:-3]
                for key, text in data.old_vol_attachment_ids.items()
            }

        with mock.patch.object(destination._numa, 'send', cut):
            self.stays(self.server, 'b', 'failed')
        self.assertEqual(
            ['layout: is not JSON'],
            self.details(self.server, 'arm_migrate_live_migration'),
        )
        self.as_it_was()

    def test_a_guest_that_changes_after_the_check(self) -> None:
        self.hosts()
        domain = self.domain(self.server)
        pre = self.computes['b'].driver.pre_live_migration

        def changed(*args: Any, **kwargs: Any) -> Any:
            domain._xml = domain._xml.replace('>2</vcpu>', '>3</vcpu>')
            return pre(*args, **kwargs)

        with mock.patch.object(
            self.computes['b'].driver, 'pre_live_migration', changed
        ):
            self.stays(self.server, 'b', 'failed')
        domain._xml = domain._xml.replace('>3</vcpu>', '>2</vcpu>')
        (reason,) = self.details(self.server, 'arm_migrate_live_migration')
        self.assertIn('/domain/vcpu: the guest has vCPUs 0-2', reason)
        self.as_it_was()


class TestStock(RollbackTestBase):
    """What Nova does alone: if this changes, `rollback` may change too."""

    def test_a_job_that_qemu_refuses(self) -> None:
        self.hosts(base.STOCK)
        with self.refused_by_qemu():
            status, now = self.start_migration(self.server, 'b')
        self.assertEqual(base.STOCK_FAILED, (now['status'], status))
        for name in (
            'compute_live_migration',
            'compute_rollback_live_migration_at_destination',
        ):
            self.assertEqual([None], self.details(self.server, name))
        # Nova has a race here: the source drops the migration context, and the
        # destination saves it again. So the context may or may not stay.

    def test_a_destination_that_is_away(self) -> None:
        self.hosts(base.STOCK)
        rpc = self.computes['a'].manager.compute_rpcapi
        with (
            self.refused_by_qemu(),
            mock.patch.object(
                rpc,
                'drop_move_claim_at_destination',
                autospec=True,
                side_effect=oslo_messaging.MessagingTimeout('no answer'),
            ),
        ):
            _status, now = self.start_migration(self.server, 'b')
        self.assertEqual('ERROR', now['status'])
        self.assertIsNotNone(self.with_context(self.server).migration_context)

    def test_a_driver_that_raises_after_the_claim(self) -> None:
        self.hosts(base.STOCK)
        with mock.patch.object(
            self.computes['b'].driver,
            '_get_live_migrate_numa_info',
            autospec=True,
            side_effect=exception.Invalid('no'),
        ):
            self.stays(self.server, 'b', 'error')
        self.assertNotEqual(
            {*self.pins(self.there).values()}, self.used_cpus('b')
        )
