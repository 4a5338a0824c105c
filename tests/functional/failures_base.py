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

"""Three hosts, a NUMA guest with a volume and a port, and failures."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
import threading
import time
from typing import Any
from unittest import mock

from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver as libvirt_driver

from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.domain import layout_of
from nova_arm_migrate.numa.layout import Layout
from simulated import hypervisor
from simulated import job as jobs
from tests.functional import base
from tests.functional import numa_base
from tests.functional import test_numa
from tests.functional import truth
from tests.functional.truth import Truth

#: The first libvirt that continues a broken post-copy.
RECOVERS = 8005000

_PATIENCE = 60


class Clock:
    """A clock that replaces ``time`` in Nova's libvirt driver.

    The driver's monitor checks a job twice a second; here a job takes no time.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stopped = False

    def time(self) -> float:
        return time.time() + self._ahead

    def sleep(self, seconds: float) -> None:
        if self._stopped:
            raise SystemExit('the clock has been stopped')
        time.sleep(min(seconds, 0.01))

    def stop(self) -> None:
        """End all loops that still wait for something."""
        self._stopped = True

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class MonitorFailure(threading.Event):
    """Set it to make a monitor fail.

    :ivar seen: is set when the monitor has failed
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()


class FailuresTestBase(numa_base.NumaServersTestBase):
    """Hosts a, b and c; `server` is on a, another guest on b."""

    driver = base.OURS
    volumes = False
    ports = False
    block = False

    def setUp(self) -> None:
        super().setUp()
        self.flags(cpu_dedicated_set='0-7', group='compute')
        self.clock = Clock()
        self.stub_out('nova.virt.libvirt.driver.time', self.clock)
        self.stub_out(
            'nova.virt.libvirt.driver.LibvirtDriver.get_volume_connector',
            lambda driver, instance: {
                'host': driver._host.get_connection().hostname
            },
        )
        self.disks = truth.Disks(self)
        if self.block:
            truth.block_storage(self)

    def cloud(
        self,
        driver: str = base.OURS,
        version: int | None = RECOVERS,
        names: str = 'abc',
    ) -> None:
        """Start the hosts and boot the guests.

        A plain copy of the first guest's pins would conflict with the second
        guest's.
        """
        for name, nodes in (
            ('a', test_numa.CONTIGUOUS),
            ('b', test_numa.INTERLEAVED),
            ('c', test_numa.CONTIGUOUS),
        ):
            if name not in names:
                continue
            self.numa_host(name, nodes, driver, version=version)
        self.there = self.guest('b')
        self.server = self.guest('a')
        self.pins_before = self.pins(self.server)

    def guest(self, host: str) -> dict[str, Any]:
        """Boot a guest with the volume and port that the class sets."""
        server = self.pinned(host, networks='auto' if self.ports else 'none')
        self.disks.made(server['id'], host)
        if self.volumes:
            # By the ID of the server: all volumes exist in this Cinder.
            # Nova has a method for both since 33.
            self.api.post_server_volume(
                server['id'], {'volumeAttachment': {'volumeId': server['id']}}
            )
            self._wait_for_volume_attach(server['id'], server['id'])
        return server

    def job(self, host: str = 'a') -> jobs.Job:
        """The next migration job of the server on a host."""
        return self.arm.hosts[host].connection.job(self.server['id'])

    def domain_on(self, host: str) -> hypervisor.ArmDomain:
        return self.arm.hosts[host].connection.domain(self.server['id'])

    def layout_on(self, host: str, uuid: str) -> Layout:
        return layout_of(
            parse.parse_domain(
                self.arm.hosts[host].connection.domain(uuid).XMLDesc(0)
            )
        )

    def request(self, host: str = 'b', **kwargs: Any) -> None:
        """Request the migration, and do not wait for it."""
        self.api.post_server_action(
            self.server['id'],
            {
                'os-migrateLive': {'host': host, 'block_migration': 'auto'}
                | kwargs
            },
        )

    def migrate_server(self, host: str = 'b') -> str:
        """Migrate, and wait until all work for it is done.

        :returns: the status of the migration
        """
        self.request(host)
        self.threads.wait()
        return self.migration()['status']

    def migration(self) -> dict[str, Any]:
        """The server's last migration."""
        return self.migrations(self.server)[-1]

    def act(self, action: str) -> None:
        """Do something to the server's running migration."""
        path = (
            f'/servers/{self.server["id"]}/migrations/{self.migration()["id"]}'
        )
        if action == 'abort':
            self.api.api_delete(path)
        else:
            self.api.api_post(f'{path}/action', {'force_complete': None})

    def expect(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that another thread is doing."""
        for _ in range(_PATIENCE * 20):
            if condition():
                return
            time.sleep(0.05)
        self.fail(f'not seen: {what}')

    # What may fail

    def aborts_at_the_timeout(self) -> None:
        """Make Nova abort the next job as soon as time passes."""
        self.flags(live_migration_completion_timeout=1, group='libvirt')

    @contextlib.contextmanager
    def monitor_fails(
        self, host: str = 'a', error: Exception = OSError('database is away')
    ) -> Iterator[MonitorFailure]:
        """Make the monitor of a job fail when `fail` is set.

        :returns: what to set
        """
        driver = self.computes[host].driver
        fail = MonitorFailure()
        get = libvirt_driver.libvirt_guest.Guest.get_job_info
        ours = threading.local()

        real = driver._live_migration_monitor

        def monitor(*args: Any, **kwargs: Any) -> Any:
            ours.here = True
            return real(*args, **kwargs)

        def info(guest: Any) -> Any:
            if getattr(ours, 'here', False) and fail.is_set():
                ours.here = False
                fail.seen.set()
                raise error
            return get(guest)

        with (
            mock.patch.object(driver, '_live_migration_monitor', monitor),
            mock.patch.object(
                libvirt_driver.libvirt_guest.Guest, 'get_job_info', info
            ),
        ):
            yield fail

    # The actual state

    def truth(self) -> Truth:
        """Return the actual state, after the periodic tasks."""
        self._run_periodics()
        now = truth.look(self, self.server)
        if now.faults:
            self._run_periodics()
            now = truth.look(self, self.server)
        return now

    def assert_settled(self, host: str, status: str = 'ACTIVE') -> Truth:
        """Check that all agree that the guest runs there, once.

        :returns: the `Truth`
        """
        now = self.truth()
        self.assertEqual([], now.faults, now)
        self.assertEqual((host, status), (now.host, now.status), now)
        self.assertEqual(
            [host] if status in ('ACTIVE', 'ERROR') else [], now.runs_on
        )
        # All its events are finished.
        for event in self.all_events():
            self.assertIsNotNone(event['finish_time'], event)
            self.assertIsNotNone(event['result'], event)
        return now

    def assert_moves_on(self, host: str = 'c') -> None:
        """Check that the next migration is possible."""
        self.assertEqual('completed', self.migrate_server(host))
        self.assert_settled(host)

    def all_events(self) -> list[dict[str, Any]]:
        """The events of the server's last live migration, oldest first."""
        actions = [
            action
            for action in self.api.get_instance_actions(self.server['id'])
            if action['action'] == 'live-migration'
        ]
        if not actions:
            return []
        action = actions[0]
        found = self.api.api_get(
            f'/servers/{self.server["id"]}/os-instance-actions/'
            f'{action["request_id"]}'
        ).body['instanceAction']['events']
        return list(reversed(found))

    def said(self) -> str:
        """Return the texts of our driver's events, as one text."""
        return '\n'.join(
            f'{event["event"]}: {event["details"]}'
            for event in self.all_events()
            if event['event'].startswith('arm_migrate_')
        )


def failing(
    method: Callable[..., Any],
    error: BaseException | type[BaseException],
    times: int | None = None,
    when: Callable[..., bool] = lambda *args: True,
) -> Callable[..., Any]:
    """Return a version of a method that fails.

    :param times: how often; None: always
    :param when: for which arguments
    """
    left = [times]

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if left[0] != 0 and when(*args):
            if left[0] is not None:
                left[0] -= 1
            raise error
        return method(*args, **kwargs)

    return wrapper


def libvirt_error(text: str = 'libvirt is away') -> fakelibvirt.libvirtError:
    return fakelibvirt.make_libvirtError(
        fakelibvirt.libvirtError,
        text,
        error_code=fakelibvirt.VIR_ERR_SYSTEM_ERROR,
        error_domain=fakelibvirt.VIR_FROM_RPC,
    )
