# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""A server of a scenario: its boot, its reports, its moves."""

import dataclasses
import time

from tests.lab import errors
from tests.lab import guest as guests
from tests.lab import host as hosts
from tests.lab import witness
from tests.lab.cloud import client as clients
from tests.lab.cloud import computes
from tests.lab.cloud import ports
from tests.lab.cloud import stage
from tests.lab.cloud import storage

# Ten times the measured values, for a busy machine.
BOOT_PATIENCE = 1800
MOVE_PATIENCE = 1800
REPORT_PATIENCE = 600
POLL_PAUSE = 5
_ENDED = ('completed', 'error', 'failed', 'cancelled')
# Without the last option, the client asks and changes nothing.
SET_ACTIVE = ('server', 'set', '--state', 'active', '--auto-approve')


@dataclasses.dataclass(frozen=True)
class Move:
    """The result of a requested live migration.

    :ivar status: the migration's: completed, error ...
    :ivar reason: from ``server event show``; empty if there is none
    :ivar error: the client's error, if the API refused
    :ivar silence: what a ping lost meanwhile, for a server with a port
    :ivar direct: whether QEMU sent directly to the other QEMU
    :ivar throttle: percentage by which auto-converge throttled the guest
    """

    status: str
    server_status: str
    host: str
    reason: str
    error: str
    seconds: float
    silence: ports.Silence | None = None
    direct: bool = False
    throttle: int = 0

    def __str__(self) -> str:
        text = (
            f'migration {self.status}, server {self.server_status} on '
            f'{self.host}, {self.seconds:.0f} s'
        )
        if self.error:
            text += f', client: {self.error}'
        if self.silence:
            text += f', {self.silence}'
        if self.direct:
            text += ', from QEMU to QEMU'
        if self.throttle:
            text += f', throttled by {self.throttle} %'
        return text + (f', reason: {self.reason}' if self.reason else '')


class Server:
    """A server, and the reports of its guest on all its hosts."""

    def __init__(
        self, scene: stage.Stage, name: str, host: hosts.Host
    ) -> None:
        self.scene = scene
        self.name = name
        self.host = host
        self.id = ''
        self.port: ports.Port | None = None
        self.domain = ''
        self._busy = False
        self._before = ''
        self._skipped = 0
        self._moves = 0

    @property
    def _client(self) -> clients.Client:
        return self.scene.cloud.client

    @property
    def _console(self) -> str:
        return f'{storage.INSTANCES}/{self.id}/console.log'

    def boot(self, flavor: str = 'small', image: str = 'witness') -> None:
        started = time.monotonic()
        self._busy = image == 'busy'
        wired = ['--no-network']
        if self.port:
            wired = ['--nic', f'port-id={self.port.id}']
        self._client.check(
            'server',
            'create',
            '--image',
            image,
            '--flavor',
            flavor,
            *wired,
            '--host',
            self.host.name,
            self.name,
            '-c',
            'id',
            '-c',
            'name',
            show=True,
        )
        self.id = self.show()['id']
        clients.wait(
            f'server {self.name} ACTIVE or ERROR',
            lambda: self.show()['status'] in ('ACTIVE', 'ERROR'),
            BOOT_PATIENCE,
            POLL_PAUSE,
        )
        shown = self.show()
        seconds = time.monotonic() - started
        print(
            f'   {self.name}: {shown["status"]} on '
            f'{shown["OS-EXT-SRV-ATTR:host"]}, {seconds:.0f} s'
        )
        if shown['status'] != 'ACTIVE':
            raise errors.LabError(
                f'{self.name}: {shown["status"]}: {shown.get("fault")}'
            )
        self.domain = shown['OS-EXT-SRV-ATTR:instance_name']
        self.wait_reports(3)
        if port := self.port:
            net = self.scene.cloud.lab.net
            clients.wait(
                f'an answer from {port.address}',
                lambda: ports.answers(net, port),
                REPORT_PATIENCE,
            )
            print(
                f'   {self.name} answers at {port.address}, MAC {port.mac}',
                flush=True,
            )

    def show(self) -> dict[str, str]:
        shown: dict[str, str] = self._client.data('server', 'show', self.name)
        return shown

    def wait_reports(
        self, count: int, patience: int = REPORT_PATIENCE
    ) -> None:
        """Wait for that many more reports of the guest's program.

        :param patience: seconds
        """
        done = self.host.channel.sh(
            f'c() {{ grep -c "^witness [0-9]" {self._console}; }}; n=$(c); '
            f'end=$((SECONDS + {patience})); '
            'while [ $SECONDS -lt $end ]; do '
            f'[ "$(c)" -ge "$((n + {count}))" ] && exit 0; '
            'sleep 3; done; exit 1',
            timeout=patience * 2 + 60,
        )
        if done.rc:
            raise errors.LabError(
                f'the guest of {self.name} on {self.host.name} does not '
                f'report: {self.last_line()}'
            )

    def last_line(self) -> str:
        text = self._reported().replace('\0', '')
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else 'nothing on its console'

    def watch(self) -> str:
        """Copy the console, because Nova may remove its file."""
        self._moves += 1
        kept = f'/tmp/console-{self.id}-{self._moves}'
        self.host.channel.sh(
            f'setsid {self._tail} -f {self._console} > {kept} 2> /dev/null '
            '< /dev/null &'
        )
        return kept

    def health(self, patience: int = REPORT_PATIENCE) -> witness.Health:
        """Check all reports since the last boot, on all hosts.

        :param patience: seconds for four more reports
        """
        self.wait_reports(4, patience)
        before, after = witness.split(self._before, self._reported())
        if before and not witness.reports(after):
            return witness.Health(f'no report on {self.host.name}')
        return witness.judge(before, after)

    def console(self) -> str:
        """Return the guest's output since its last boot, on all its hosts."""
        return self._before + self._reported()

    def _reported(self) -> str:
        return self.host.channel.sh(f'{self._tail} {self._console}').out

    @property
    def _tail(self) -> str:
        return f'tail -c +{self._skipped + 1}'

    def expect_healthy(self) -> None:
        try:
            health = self.health()
            reason = health.reason
        except errors.LabError as exc:
            reason = str(exc)
        print(f'   guest: {self.last_line()[:140]}')
        self.scene.expect(
            not reason,
            'the guest goes on without a gap' + (f': {reason}' * bool(reason)),
        )

    def expect_at(self, host: hosts.Host, status: str = 'ACTIVE') -> None:
        shown = self.show()
        now = (shown['status'], shown['OS-EXT-SRV-ATTR:host'])
        self.scene.expect(
            now == (status, host.name),
            f'{self.name} is {now[0]} on {now[1]}'
            + (
                ''
                if now == (status, host.name)
                else f', not {status} on {host.name}'
            ),
        )

    def reboot(self, kind: str) -> None:
        """Reboot it; its reports start again."""
        self._client.check(
            'server', 'reboot', f'--{kind}', '--wait', self.name, show=True
        )
        self._before, self._skipped = '', 0
        if kind == 'soft':
            words = f'{self.id}.*soft rebooted successfully'
            done = self.host.channel.sh(f'grep -q "{words}" {computes.LOG}')
            self.scene.expect(
                done.rc == 0, 'the guest took the power button itself'
            )
        self.wait_reports(3)

    def reset(self) -> None:
        """Reset the guest; Nova does not notice that."""
        done = self.host.channel.sh(f'virsh reset {self.domain}')
        if done.rc:
            raise errors.LabError(f'no reset: {done.err.strip()}')
        size = self.host.channel.sh(f'stat -c %s {self._console}').out
        self._before, self._skipped = '', int(size)
        self.wait_reports(3)

    def migrate(self, target: hosts.Host | None = None) -> Move:
        """Request a live migration and return its result."""
        source = self.host
        kept = self.watch()
        job = self._watch_job()
        ping = None
        if self.port:
            ping = ports.Ping(self.scene.cloud.lab.net, self.port)
        known = {one['Id'] for one in self.migrations()}
        started = time.monotonic()
        argv = ['server', 'migrate', '--live-migration']
        if target is not None:
            argv += ['--host', target.name]
        asked = self._client.run(*argv, self.name, show=True)
        if asked.rc == 0:
            clients.wait(
                f'the migration of {self.name} at an end',
                lambda: self._ended(known),
                MOVE_PATIENCE,
                POLL_PAUSE,
            )
        seconds = time.monotonic() - started
        clients.wait(
            f'{self.name} without a task',
            lambda: self.show()['OS-EXT-STS:task_state'] in (None, 'None'),
            MOVE_PATIENCE,
            POLL_PAUSE,
        )
        fresh = [one for one in self.migrations() if one['Id'] not in known]
        status = fresh[0]['Status'] if fresh else 'not begun'
        shown = self.show()
        self._client.run(
            'server',
            'show',
            self.name,
            '-c',
            'name',
            '-c',
            'status',
            '-c',
            'OS-EXT-SRV-ATTR:host',
            '-c',
            'fault',
            show=True,
        )
        now = shown['OS-EXT-SRV-ATTR:host']
        silence = ping.stop() if ping else None
        reason = self.reason() if status != 'completed' else ''
        self.follow(source, kept, self.scene.cloud.lab.hosts[now])
        move = Move(
            status,
            shown['status'],
            now,
            reason,
            asked.words * bool(asked.rc),
            seconds,
            silence,
            *self._watched(source, job),
        )
        print(f'   {move}', flush=True)
        return move

    def follow(self, source: hosts.Host, kept: str, now: hosts.Host) -> None:
        """Continue with the guest's reports on its present host.

        :param kept: the result of watch() from before the migration
        """
        end = f'kill $(pgrep -f "tail -c .[0-9]* -f {self._console}")'
        if now is source:
            source.channel.sh(f'{end}; rm -f {kept}')
            return
        self._before += source.channel.sh(f'cat {kept}; {end}').out
        self._skipped = 0
        self.host = now

    def moves(self, target: hosts.Host) -> Move:
        """Migrate it; expect that everything is right after the move."""
        move = self.migrate(target)
        self.scene.expect(
            move.status == 'completed', f'moved to {target.name}'
        )
        self.expect_at(target)
        self.expect_healthy()
        if self.port and move.silence:
            self.scene.expect(
                move.silence.mac == self.port.mac
                and ports.answers(self.scene.cloud.lab.net, self.port),
                f'{self.port.address} and {self.port.mac} came with it',
            )
        return move

    def refused(self, target: hosts.Host, *words: str) -> Move:
        """Migrate it; expect a refusal with *words*, and a healthy guest."""
        source = self.host
        move = self.migrate(target)
        self.scene.expect(
            move.status == 'error' and all(w in move.reason for w in words),
            f'refused: {move.reason or move.status}',
        )
        self.expect_at(source)
        self.expect_healthy()
        return move

    def _watch_job(self) -> str:
        """Watch the source's connections and libvirt's job."""
        kept = f'/tmp/job-{self.id}-{self._moves}'
        look = guests.TO_QEMU
        if self._busy:
            look += f'; virsh domjobinfo {self.domain}'
        self.host.channel.sh(
            f'setsid sh -c ": {kept}; while sleep 2; do {look}; done" '
            f'> {kept} 2> /dev/null < /dev/null &'
        )
        return kept

    def _watched(self, source: hosts.Host, job: str) -> tuple[bool, int]:
        """Return whether QEMU sent to QEMU, and the guest's throttling."""
        pattern = job.replace('/tmp', '[/]tmp', 1)
        text = source.channel.sh(
            f'cat {job}; pkill -f "^sh -c : {pattern}"; true'
        ).out
        return guests.seen_of_move(text)

    def migrations(self) -> list[dict[str, str]]:
        listed: list[dict[str, str]] = self._client.data(
            'server', 'migration', 'list', '--server', self.id
        )
        return listed

    def _ended(self, known: set[str]) -> bool:
        fresh = [one for one in self.migrations() if one['Id'] not in known]
        return bool(fresh) and fresh[0]['Status'] in _ENDED

    def reason(self) -> str:
        """Return what the user sees in the newest live migration's events."""
        listed = self._client.data('server', 'event', 'list', self.id)
        requests = [
            one['Request ID']
            for one in listed
            if one['Action'] == 'live-migration'
        ]
        if not requests:
            return ''
        argv = ('server', 'event', 'show', self.name, requests[0])
        print('$ openstack ' + ' '.join(argv))
        shown = self._client.data(*argv)
        details = []
        for event in shown['events']:
            print(
                f'   {event["event"]}: {event["result"]}'
                f' on {event.get("host")}: {event.get("details")}'
            )
            if event.get('details'):
                details.append(event['details'])
        return '; '.join(details)
