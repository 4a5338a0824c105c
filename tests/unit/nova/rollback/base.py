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

"""A migration job, with a played manager, driver and libvirt."""

from collections.abc import Callable
import time
import types
from typing import Any
from unittest import mock

from nova import exception
from nova import objects
import nova.conf
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import guest as libvirt_guest

from nova_arm_migrate.core.job import JobType
from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova import events
from nova_arm_migrate.nova import layout_driver
from nova_arm_migrate.nova.rollback import destination
from nova_arm_migrate.nova.rollback import presence
from nova_arm_migrate.nova.rollback import source_job as jobs
from tests import logs

objects.register_all()
CONF = nova.conf.CONF
PARENT = libvirt_driver.LibvirtDriver
UUID = '5fab6043-7e80-4d43-b212-355127881df1'
CONTEXT = mock.Mock()
RESUME = 1 << 19
NO_DOMAIN = 42
INVALID_ARG = 8
RUNNING, PAUSED, SHUTOFF = 1, 3, 5


class LibvirtError(Exception):
    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self._code = code

    def get_error_code(self) -> int:
        return self._code


class JobCase(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        CONF.set_override('virt_type', 'kvm', 'libvirt')
        self.addCleanup(CONF.clear_override, 'virt_type', 'libvirt')
        self.patch(
            libvirt_driver,
            'libvirt',
            types.SimpleNamespace(
                libvirtError=LibvirtError,
                VIR_ERR_NO_DOMAIN=NO_DOMAIN,
                VIR_ERR_INVALID_ARG=INVALID_ARG,
                VIR_ERR_NO_SUPPORT=3,
                VIR_ERR_ARGUMENT_UNSUPPORTED=74,
                VIR_MIGRATE_POSTCOPY_RESUME=RESUME,
            ),
        )
        self.patch(
            libvirt_guest,
            'libvirt',
            types.SimpleNamespace(VIR_DOMAIN_JOB_NONE=0),
        )
        self.parent('__init__')
        self.failed: list[tuple[str, str]] = []
        self.patch(
            events,
            'failed',
            lambda context, instance, name, details: self.failed.append(
                (name, details)
            ),
        )
        self.there = Presence.ABSENT
        self.libvirt: str | None = 'first'
        self.reached = True
        self.asked = self.patch(
            destination,
            'ask',
            mock.Mock(
                side_effect=lambda *args: destination.Answer(
                    self.there, libvirt=self.libvirt, reached=self.reached
                )
            ),
        )
        self.settlement = self.patch(jobs, 'Settlement', mock.Mock())()
        self.settlement.at_source.return_value = []
        self.settlement.end_at_source.return_value = []
        self.settlement.at_destination.return_value = []
        self.patch(jobs, '_LOOK_INTERVAL', 0)
        self.sleep = self.patch(time, 'sleep', mock.Mock())
        self.now = 1000.0
        self.patch(time, 'monotonic', lambda: self.now)
        self.deleted = False
        self.patch(objects.Instance, 'get_by_uuid', self.in_database)
        self.driver = layout_driver.LayoutDriver(None)
        self.driver.virtapi = mock.Mock()
        self.driver._host = mock.Mock()
        capabilities = self.driver._host.get_capabilities.return_value
        capabilities.host.cpu.arch = 'aarch64'
        self.driver.active_migrations = {}
        self.guest = self.driver._host.get_guest.return_value
        self.state(RUNNING)
        self.instance = mock.Mock(
            uuid=UUID, vm_state='active', numa_topology=None, host='here'
        )
        self.data = objects.LibvirtLiveMigrateData()
        self.post, self.recover = mock.Mock(), mock.Mock()

    def patch(self, owner: object, name: str, value: object) -> Any:
        patcher = mock.patch.object(owner, name, value)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def parent(self, name: str, **kwargs: Any) -> mock.Mock:
        patcher = mock.patch.object(
            PARENT, name, autospec=True, **{'return_value': None} | kwargs
        )
        self.addCleanup(patcher.stop)
        return patcher.start()

    def in_database(self, context: object, uuid: str) -> mock.Mock:
        if self.deleted:
            raise exception.InstanceNotFound(instance_id=uuid)
        return mock.Mock(task_state='migrating')

    def state(self, number: int, reason: int = 0) -> None:
        """Have libvirt say how the guest is on this host."""
        self.guest._domain.state.side_effect = None
        self.guest._domain.state.return_value = [number, reason]

    def absent(self) -> None:
        self.driver._host.get_guest.side_effect = exception.InstanceNotFound(
            instance_id=UUID
        )

    def leaves(self, *args: object, **kwargs: object) -> None:
        """Have the guest leave while libvirt migrates it."""
        self.absent()

    def silent(self) -> None:
        self.guest._domain.state.side_effect = LibvirtError('restarts')

    def play(self, play: Callable[..., None] | Exception) -> None:
        """Have the parent's live_migration do something."""
        self.parent('live_migration', side_effect=play)

    def migrate(self) -> None:
        self.driver.live_migration(
            CONTEXT,
            self.instance,
            'dest',
            self.post,
            self.recover,
            False,
            self.data,
        )

    def job(self) -> Any:
        return self.driver._jobs.in_this_thread()

    def operate(self, fails: Any = None) -> None:
        """Play the thread that calls libvirt, to its end."""
        self.driver.active_migrations[UUID] = object()
        self.guest.migrate.side_effect = fails or self.leaves
        self.patch(
            PARENT,
            '_live_migration_operation',
            lambda *args: args[6].migrate('uri', flags=1),
        )
        try:
            self.driver._live_migration_operation(
                CONTEXT,
                self.instance,
                'dest',
                False,
                self.data,
                self.guest,
                [],
            )
        except LibvirtError:
            self.assertIsNotNone(fails)

    def info(self, kind: JobType) -> None:
        self.guest.get_job_info.return_value = types.SimpleNamespace(
            type=presence.number_of(kind)
        )

    def watched(self) -> Any:
        """The guest as the parent's monitor has it."""
        monitor = self.parent('_live_migration_monitor')
        self.driver._live_migration_monitor(
            CONTEXT,
            self.instance,
            self.guest,
            'dest',
            None,
            None,
            False,
            self.data,
            None,
            [],
        )
        return monitor.call_args.args[3]

    def ends(
        self, kind: JobType, after: JobType = JobType.NONE, **how: Any
    ) -> None:
        """Check what the monitor is told of a job that has ended."""

        def play(
            driver: Any,
            context: Any,
            instance: Any,
            dest: str,
            post: Callable[..., object],
            recover: Callable[..., object],
            *rest: object,
        ) -> None:
            self.operate(**how)
            self.info(after)
            guest = self.watched()
            self.assertIs(kind, presence.job_type(guest.get_job_info().type))
            self.assertEqual(
                kind is not JobType.COMPLETED, bool(guest.is_active())
            )
            post() if kind is JobType.COMPLETED else recover(
                context, instance, dest, self.data
            )

        self.play(play)
        self.migrate()
