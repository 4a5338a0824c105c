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

"""Several Arm64 computes with our driver, and Nova's services around them.

libvirt is Nova's own fake. `simulated.hosts` makes it simulate Arm64 hosts
from recorded profiles. Its QEMU moves a guest's registers to the destination,
and refuses an incoming guest as KVM does, independently of our driver's
verdict.
"""

from collections.abc import Iterable
import inspect
import json
import re
from typing import Any

from nova import context as nova_context
from nova import objects
from nova.tests.functional.libvirt import base
from nova.virt.libvirt import driver as libvirt_driver

from nova_arm_migrate import finder
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova import driver
from nova_arm_migrate.nova.records import guest_record
from simulated import hosts
from tests import logs
from tests import watchdog
from tests.functional import cell_lock
from tests.functional import nova_helpers
from tests.functional import paste
from tests.functional import threads

STOCK = 'libvirt.LibvirtDriver'
OURS = 'arm_migrate.ArmLibvirtDriver'
CHECK = 'compute_check_can_live_migrate_destination'

#: (status of the server, status of the migration) after the stock driver has
#: rolled back a job that failed. Since Nova 32 it raises the job's failure
#: after the rollback. Its monitor then takes the job's future.
STOCK_FAILED = (
    ('ERROR', 'error')
    if 'future'
    in inspect.signature(
        libvirt_driver.LibvirtDriver._live_migration_monitor
    ).parameters
    else ('ACTIVE', 'failed')
)


class ArmServersTestBase(nova_helpers.NovaHelpers, base.ServersTestBase):
    """Start computes with `host`, then use Nova's API."""

    microversion = 'latest'
    ADMIN_API = True
    CAST_AS_CALL = False

    def setUp(self) -> None:
        self.watchdog = self.useFixture(watchdog.Watchdog())
        self.useFixture(cell_lock.ReadersFirst())
        self.useFixture(logs.KeptLogs())
        self.useFixture(paste.PasteFixture())
        finder.install()  # the installed start-up file does the same
        super().setUp()
        self.api.microversion = self.microversion
        self.flags(compute_driver=OURS)
        # Nova's half hour, after a test has failed in the midst of a call:
        # its clean-up stops the receiver, then waits for the caller.
        self.flags(long_rpc_timeout=60)
        self.arm = self.useFixture(hosts.ArmHostsFixture())
        self.threads = self.useFixture(threads.MigrationThreads())

    def host(
        self,
        name: str,
        profile: Host,
        compute_driver: str = OURS,
        **kwargs: Any,
    ) -> str:
        """Start a compute on a host that is simulated from a profile."""
        self.arm.add(name, profile, **kwargs)
        self.flags(compute_driver=compute_driver)
        self.start_compute(name, connection=self.arm.hosts[name].connection)
        expected = (
            driver.ArmLibvirtDriver
            if compute_driver == OURS
            else libvirt_driver.LibvirtDriver
        )
        self.assertIs(expected, type(self.computes[name].driver))
        return name

    def image(self, **properties: str) -> str:
        """Make an image. :returns: its id"""
        return self.glance.create(
            None,
            {
                'name': 'arm64',
                'container_format': 'raw',
                'disk_format': 'raw',
                'size': 1024,
                'min_disk': 0,
                'min_ram': 0,
                'protected': False,
                'visibility': 'public',
                'tags': [],
                'created_at': None,
                'updated_at': None,
                'deleted_at': None,
                'deleted': False,
                'properties': properties,
            },
        )['id']

    def boot(
        self,
        host: str | None = None,
        properties: dict[str, str] | None = None,
        extra_specs: dict[str, str] | None = None,
        networks: str = 'none',
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Boot a server and wait until it is ACTIVE.

        :param properties: of its image
        :param extra_specs: of its flavor
        """
        if extra_specs is not None:
            kwargs['flavor_id'] = self._create_flavor(extra_spec=extra_specs)
        return self._create_server(
            host=host,
            networks=networks,
            image_uuid=self.image(
                **{'hw_machine_type': 'virt'} | (properties or {})
            ),
            **kwargs,
        )

    def migrate(
        self,
        server: dict[str, Any],
        host: str | None = None,
        state: str = 'completed',
        broken: Iterable[str] = (),
        **kwargs: Any,
    ) -> str:
        """Live-migrate, and wait for its end, with success or failure.

        :param state: the final state of the migration
        :param broken: what the guest loses although nothing refuses it
        :returns: the server's host at the end
        """
        before = self.migrations(server)
        self.api.post_server_action(
            server['id'],
            {
                'os-migrateLive': {'host': host, 'block_migration': 'auto'}
                | kwargs
            },
        )
        for _ in nova_helpers.polls(240):
            newest = (
                self.migrations(server)[len(before) :]
                or [{'status': 'not even begun'}]
            )[-1]
            if newest['status'] in ('completed', 'error', 'failed'):
                break
        self.threads.wait()
        self.assertEqual(state, self.migrations(server)[-1]['status'])
        self.assertEqual([*broken], self.broken())
        server = self._wait_for_server_parameter(
            server,
            {'OS-EXT-STS:task_state': None, 'status': 'ACTIVE'},
            max_retries=60,
        )
        return server['OS-EXT-SRV-ATTR:host']

    def broken(self) -> list[str]:
        """Return what guests have lost since the last call."""
        found = []
        for host in self.arm.hosts.values():
            found += [
                text for texts in host.connection.broken for text in texts
            ]
            host.connection.broken.clear()
        return found

    def migrations(self, server: dict[str, Any]) -> list[dict[str, Any]]:
        """The server's migrations, the oldest first."""
        return sorted(
            self.api.api_get(
                f'/os-migrations?instance_uuid={server["id"]}'
            ).body['migrations'],
            key=lambda migration: migration['id'],
        )

    def refused(self, server: dict[str, Any], host: str, words: str) -> None:
        """Check that the pre-check refuses a migration.

        :param words: in the server's event
        """
        was_on = self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']
        self.assertEqual(was_on, self.migrate(server, host, state='error'))
        (event,) = self.events(server)
        self.assertIn(words, event['details'])
        self.assertEqual([], self.arm.hosts[host].connection.refusals)

    def prechecks(self) -> list[tuple[str, dict[str, Any]]]:
        """Return our driver's log entries as (destination, outcome)."""
        return [
            (match[1], json.loads(match[2]))
            for match in re.finditer(
                r'arm64 pre-check for (.+?): ({.*})$',
                self.stdlog.logger.output,
                re.MULTILINE,
            )
        ]

    def events(
        self, server: dict[str, Any], name: str = CHECK
    ) -> list[dict[str, Any]]:
        """Return the last action's events of a name, the newest first."""
        action = self.api.get_instance_actions(server['id'])[0]
        details = self.api.api_get(
            f'/servers/{server["id"]}/os-instance-actions/'
            f'{action["request_id"]}'
        ).body['instanceAction']
        return [event for event in details['events'] if event['event'] == name]

    def instance(self, server: dict[str, Any]) -> objects.Instance:
        """Return the instance from the database."""
        return objects.Instance.get_by_uuid(
            nova_context.get_admin_context(),
            server['id'],
            expected_attrs=['vcpu_model', 'flavor'],
        )

    def has_record(self, server: dict[str, Any]) -> bool:
        """Whether the database has a record of the guest."""
        record = guest_record.take(self.instance(server).vcpu_model)
        return record is not None

    def record(self, server: dict[str, Any]) -> Guest:
        """The guest's record in the database, which has to be there."""
        record = guest_record.take(self.instance(server).vcpu_model)
        assert record is not None
        return record

    def seen(self, server: dict[str, Any]) -> Guest:
        """Return what the guest's vCPUs show, from the simulated QEMU."""
        host = self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']
        return self.arm.hosts[host].connection.domain(server['id']).vcpu

    def shows_its_record(self, server: dict[str, Any]) -> None:
        """Check that a guest's record matches its vCPUs."""
        seen, record = self.seen(server), self.record(server)
        for attribute in ('values', 'reg_list', 'disabled', 'gic'):
            self.assertEqual(
                getattr(seen, attribute), getattr(record, attribute), attribute
            )

    def cpu_info(self, host: str) -> str:
        """Return what the compute has reported to the database."""
        return objects.ComputeNode.get_first_node_by_host_for_old_compat(
            nova_context.get_admin_context(), host
        ).cpu_info
