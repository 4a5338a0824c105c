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

"""One live migration that is disturbed, and its results."""

import collections.abc
import dataclasses
import re

from tests.lab import errors
from tests.lab import host as hosts
from tests.lab.cloud import client as clients
from tests.lab.cloud import numa_look
from tests.lab.cloud import scene
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings

STEP_PATIENCE = 300
SETTLE_PATIENCE = 300
REPORTS_PATIENCE = 90
ENDED = ('completed', 'error', 'failed', 'cancelled')

_LOOK = f"""
virsh -q domstate --reason ID 2> /dev/null | head -n 1
echo --
for pid in $(pgrep -f '^/usr/bin/qemu-system.*ID'); do
    sed -n 's/^State:[[:space:]]*\\([A-Z]\\).*/\\1/p' /proc/$pid/status
done
echo --
ls {settings.INSTANCES}/ID 2> /dev/null
true
"""

# One command with a loop saves CPU time of an emulated host.
_UNTIL = """
end=$((SECONDS + PATIENCE))
until LOOK; do
    [ $SECONDS -lt $end ] || exit 1
    sleep 1
done
"""

_PARTS = re.compile(r'^--\n', re.M)


@dataclasses.dataclass(frozen=True)
class Place:
    """The remains of a server on a host.

    :ivar state: of libvirt's domain, with its reason; empty without a domain
    :ivar process: state letters of its QEMU processes; empty without any
    :ivar files: the names in the server's folder
    """

    state: str = ''
    process: str = ''
    files: frozenset[str] = frozenset()

    @property
    def runs(self) -> bool:
        return self.state.startswith('running') and bool(self.process)

    def __str__(self) -> str:
        qemu = f'QEMU process {self.process}' if self.process else 'no QEMU'
        disk = 'its disk' if 'disk' in self.files else 'no disk'
        return f'{self.state or "no domain"}, {qemu}, {disk}'


def place(text: str) -> Place:
    """Read the output of the script on a host."""
    state, process, files = _PARTS.split(text)
    return Place(
        state.strip(), ''.join(process.split()), frozenset(files.split())
    )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The results of a migration.

    :ivar task: of the server; empty without one
    :ivar migration: its status
    :ivar reason: all texts that the user sees in the events
    :ivar places: by the name of the host
    :ivar bound: the host of its port's active binding
    :ivar ill: why its guest is not well; empty if it continues without a gap
    """

    status: str
    host: str
    task: str
    migration: str
    reason: str
    places: collections.abc.Mapping[str, Place]
    bound: str
    ill: str

    @property
    def runs_on(self) -> list[str]:
        return [name for name, one in self.places.items() if one.runs]

    def __str__(self) -> str:
        where = ' and '.join(self.runs_on) or 'nowhere'
        states = ', '.join(
            f'{name}: {one.state or "no domain"}'
            for name, one in self.places.items()
        )
        return (
            f'{self.status} on {self.host}'
            + f' ({self.task})' * bool(self.task)
            + f', migration {self.migration}; guest runs {where} ({states})'
            + f'; port bound to {self.bound}'
            + f'; {self.ill or "guest well"}'
            + (
                '; the events give the reason'
                if self.reason
                else '; no reason in the events'
            )
        )


class Trial:
    """One live migration that is disturbed."""

    def __init__(
        self, one: scene.Scene, server: servers.Server, target: hosts.Host
    ) -> None:
        self.scene = one
        self.server = server
        self.source, self.target = server.host, target
        self._client = one.cloud.client
        self._database = numa_look.Looks(one.cloud).database
        self._kept = server.watch()
        self._client.check(
            'server',
            'migrate',
            '--live-migration',
            '--host',
            target.name,
            server.name,
            show=True,
        )

    def sh(self, host: hosts.Host, command: str) -> str:
        """Print a command and run it in a host."""
        command = command.replace('ID', self.server.id)
        print(f'{host.name}# {command}', flush=True)
        done = host.channel.sh(command)
        text = (done.out + done.err).strip()
        if text:
            print(clients.trimmed(text), flush=True)
        return text

    def until(self, host: hosts.Host, look: str, what: str) -> None:
        """Return when the shell command *look* succeeds in *host*."""
        text = _UNTIL.replace('LOOK', look).replace('ID', self.server.id)
        done = host.channel.sh(
            text.replace('PATIENCE', str(STEP_PATIENCE)),
            timeout=2 * STEP_PATIENCE,
        )
        if done.rc:
            raise errors.LabError(
                f'{what} on {host.name}: not after {STEP_PATIENCE} s'
            )
        print(f'   {host.name}: {what}', flush=True)

    def under_way(self) -> None:
        """Return when some of the guest's memory has been sent."""
        self.until(
            self.source,
            "virsh -q domjobinfo ID | grep -q '^Memory processed: *[1-9]'",
            'memory is being sent',
        )

    def in_state(self, host: hosts.Host, state: str) -> None:
        self.until(
            host, f'virsh -q domstate --reason ID | grep -qF "{state}"', state
        )

    def elapsed(self, seconds: int) -> None:
        """Return when libvirt's job has run for so many seconds."""
        self.until(
            self.source,
            '[ $(virsh -q domjobinfo ID --rawstats | sed -n '
            f"'s/time_elapsed: //p' | head -n 1) -ge {seconds * 1000} ]",
            f'the job is {seconds} s old',
        )

    def slow_post_copy(self) -> None:
        """Slow down the transfer after the switch to post-copy."""
        self.sh(self.source, 'virsh migrate-setspeed ID 1 --postcopy')

    def force_complete(self) -> None:
        newest = self.server.migrations()[0]['Id']
        self._client.check(
            'server',
            'migration',
            'force',
            'complete',
            self.server.name,
            str(newest),
            show=True,
        )

    def now(self) -> tuple[str, str]:
        """Return the migration's status, and the server's task or ''."""
        status, _, task = self._database(
            "select m.status, ifnull(i.task_state, '') from migrations m "
            'join instances i on i.uuid = m.instance_uuid '
            f"where i.uuid = '{self.server.id}' order by m.id desc limit 1"
        ).partition('\t')
        return status, task.strip()

    def settled(self, patience: int = SETTLE_PATIENCE) -> bool:
        """Wait until Nova has ended the migration; print it if not."""

        def look() -> bool:
            status, task = self.now()
            return status in ENDED and not task

        try:
            clients.wait('the end', look, patience, servers.POLL_PAUSE)
        except errors.LabError:
            status, task = self.now()
            print(
                f'   after {patience} s Nova has not ended it: migration '
                f'{status}, task {task or "none"}',
                flush=True,
            )
            return False
        return True

    def places(self) -> dict[str, Place]:
        """Check both hosts, and print the server's remains."""
        found = {}
        for host in (self.source, self.target):
            text = host.channel.sh(_LOOK.replace('ID', self.server.id)).out
            found[host.name] = place(text)
            print(f'   {host.name}: {found[host.name]}', flush=True)
        return found

    def outcome(self) -> Outcome:
        """Collect and print the results."""
        migration, task = self.now()
        shown = self.server.show()
        print(
            f'   server {shown["status"]} on '
            f'{shown["OS-EXT-SRV-ATTR:host"]}, task {task or "none"}, '
            f'power {shown["OS-EXT-STS:power_state"]}, migration '
            f'{migration}',
            flush=True,
        )
        fault = shown.get('fault')
        if fault:
            print(f'   fault: {fault}'[:300])
        reason = self.server.reason()
        bound = self._bound()
        places = self.places()
        ill = self._ill(places)
        print(f'   guest: {ill or "goes on without a gap"}', flush=True)
        return Outcome(
            shown['status'],
            shown['OS-EXT-SRV-ATTR:host'],
            task,
            migration,
            reason,
            places,
            bound,
            ill,
        )

    def _bound(self) -> str:
        assert self.server.port
        text = self._database(
            'select host, status from neutron.ml2_port_bindings '
            f"where port_id = '{self.server.port.id}'"
        )
        lines = [line.split('\t') for line in text.splitlines()]
        for host, status in lines:
            print(f'   port: binding to {host} {status}')
        return ' and '.join(
            host for host, status in lines if status == 'ACTIVE'
        )

    def _ill(self, places: collections.abc.Mapping[str, Place]) -> str:
        running = [
            host
            for host in (self.source, self.target)
            if places[host.name].runs
        ]
        if len(running) != 1:
            return 'both run' if running else 'no guest runs'
        self.server.follow(self.source, self._kept, running[0])
        try:
            return self.server.health(REPORTS_PATIENCE).reason
        except errors.LabError as exc:
            return str(exc)

    def purge(self) -> None:
        """Remove the server's remains from the hosts."""
        for host in (self.source, self.target):
            host.channel.sh(
                f'virsh destroy {self.server.id}; '
                f'virsh undefine --nvram {self.server.id}; '
                f'rm -rf {settings.INSTANCES}/{self.server.id}'
            )
