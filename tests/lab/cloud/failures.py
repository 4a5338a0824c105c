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

"""Live migrations that fail halfway, on real libvirt and QEMU.

Each row causes one failure, by an operator's command or by a real fault. It
checks what is left on both hosts, and compares that with Nova's answers. The
lab has no Cinder, so no row has a volume.
"""

import collections.abc
import contextlib
import dataclasses
import time

from tests.lab import errors
from tests.lab import host as hosts
from tests.lab.cloud import scene
from tests.lab.cloud import settings
from tests.lab.cloud import trial as trials

# Nova multiplies this by the GiB of memory and disk, at least 2 of each.
TIMEOUT = 40
DATA_GB = 4
# The operator switches to post-copy so many seconds before that timeout.
BEFORE_TIMEOUT = 30
RPC_PATIENCE = 20
RECOVERY = 60
CONDUCTOR_AWAY = 60
POWER_PORT = 9  # see files/initrd-cloud-guest

# The guest writes more than this bandwidth can send: it stays in pre-copy.
POST_COPY: dict[str, settings.Options] = {
    'libvirt': {
        'live_migration_permit_post_copy': True,
        'live_migration_bandwidth': 1,
        'live_migration_completion_timeout': TIMEOUT,
        'live_migration_timeout_action': 'abort',
    },
    # The stock driver does not have this section and does not read it.
    'arm_migrate': {'post_copy_recovery': RECOVERY},
}
PRE_COPY: dict[str, settings.Options] = {
    'DEFAULT': {'rpc_response_timeout': RPC_PATIENCE},
    'libvirt': {'live_migration_bandwidth': 1},
}

_APART = 'sysctl -qw net.ipv4.tcp_retries2=4; ip route add blackhole PEER/32'
_TOGETHER = (
    'ip route del blackhole PEER/32; sysctl -qw net.ipv4.tcp_retries2=15'
)

_KEEP_LIBVIRTD = """
setsid sh -c ': keeps libvirtd; while sleep 2; do
    pgrep -x libvirtd > /dev/null || {
        echo "$(date -u +%T) started again" >> /tmp/libvirtd-restarts
        libvirtd --listen -d
    }
done' > /dev/null 2>&1 < /dev/null &
"""
_LEAVE_LIBVIRTD = """
pkill -f '^sh -c : keeps libvirtd'
cat /tmp/libvirtd-restarts 2> /dev/null
rm -f /tmp/libvirtd-restarts
"""


@contextlib.contextmanager
def _apart(
    one: trials.Trial,
) -> collections.abc.Iterator[None]:
    """Block all packets between the two hosts for the duration of a block.

    They still reach the cloud's services. TCP gives up after seconds, instead
    of a quarter of an hour.
    """
    pairs = ((one.source, one.target), (one.target, one.source))
    for host, peer in pairs:
        one.sh(host, _APART.replace('PEER', peer.address))
    try:
        yield
    finally:
        for host, peer in pairs:
            one.sh(host, _TOGETHER.replace('PEER', peer.address))


def abort_refused(one: trials.Trial) -> None:
    """Row 1: an operator has switched to post-copy, Nova's timeout aborts."""
    one.under_way()
    one.elapsed(TIMEOUT * DATA_GB - BEFORE_TIMEOUT)
    one.slow_post_copy()
    one.sh(one.source, 'virsh migrate-postcopy ID')
    # Until then libvirt still accepts an abort.
    one.in_state(one.source, 'paused (post-copy)')
    one.sh(one.source, 'virsh domjobabort ID')
    one.settled()


def post_copy_breaks(one: trials.Trial) -> None:
    """Row 4: post-copy has begun, then the network between hosts fails."""
    one.under_way()
    one.slow_post_copy()
    one.force_complete()
    one.in_state(one.target, 'running (post-copy)')
    # The lab has no systemd, which would restart a crashed libvirtd.
    one.target.channel.sh(_KEEP_LIBVIRTD)
    with _apart(one):
        one.in_state(one.source, 'post-copy failed')
        one.places()
        one.sh(one.source, 'virsh -q domjobinfo ID | grep type')
    one.settled()
    restarts = one.target.channel.sh(_LEAVE_LIBVIRTD).out.splitlines()
    print(
        f'   libvirtd on {one.target.name} was started again '
        f'{len(restarts)} times'
    )


def monitor_fails(one: trials.Trial) -> None:
    """Row 5: force-complete has paused the guest, the conductor stops."""
    services = one.scene.cloud.services
    one.under_way()
    one.force_complete()
    one.in_state(one.source, 'paused')
    one.scene.say(f'nova-conductor is away for {CONDUCTOR_AWAY} s')
    services.stop('nova-conductor')
    try:
        time.sleep(CONDUCTOR_AWAY)
        one.places()
    finally:
        services.start_conductor()
    one.settled()


def rollback_without_neutron(one: trials.Trial) -> None:
    """Row 6: QEMU on the destination is killed while Neutron is down."""
    services = one.scene.cloud.services
    one.under_way()
    one.scene.say('the API of Neutron is away')
    services.stop('neutron')
    try:
        one.sh(one.target, "kill -9 $(pgrep -f '^/usr/bin/qemu-system.*ID')")
        one.settled()
    finally:
        services.start_api('neutron')
        # Its first request in a fresh process may fail without ports.
        one.scene.cloud.client.run('network', 'list')
    one.settled()


def powers_off(one: trials.Trial) -> None:
    """Row 8: the guest shuts itself down."""
    one.under_way()
    assert one.server.port
    one.scene.say('the guest gets a shutdown request over its network')
    with one.scene.cloud.lab.net.socket() as connection:
        connection.settimeout(trials.STEP_PATIENCE)
        connection.connect((one.server.port.address, POWER_PORT))
    one.settled()


Judge = collections.abc.Callable[[trials.Trial, trials.Outcome], bool]


def _landed(one: trials.Trial, seen: trials.Outcome) -> bool:
    there = one.target.name
    return (
        (seen.status, seen.host) == ('ACTIVE', there)
        and seen.runs_on == [there] == [seen.bound]
        and not seen.ill
    )


def _landed_or_left_alone(one: trials.Trial, seen: trials.Outcome) -> bool:
    return _landed(one, seen) or (
        seen.status == 'ERROR'
        and bool(seen.reason)
        and all(place.process for place in seen.places.values())
    )


def _stayed(one: trials.Trial, seen: trials.Outcome) -> bool:
    here = one.source.name
    return (
        (seen.status, seen.host) == ('ACTIVE', here)
        and seen.runs_on == [here] == [seen.bound]
        and not seen.ill
        and not seen.places[one.target.name].process
    )


def _stayed_or_named(one: trials.Trial, seen: trials.Outcome) -> bool:
    here = one.source.name
    return _stayed(one, seen) or (
        (seen.status, seen.host) == ('ERROR', here)
        and bool(seen.reason)
        and seen.runs_on == [here]
        and not seen.ill
    )


def _off(one: trials.Trial, seen: trials.Outcome) -> bool:
    here = one.source.name
    return (
        (seen.status, seen.host) == ('SHUTOFF', here)
        and not any(place.process for place in seen.places.values())
        and 'disk' in seen.places[here].files
    )


@dataclasses.dataclass(frozen=True)
class Row:
    """One failure.

    :ivar right: what our driver must achieve, in words and as a check
    """

    name: str
    about: str
    play: collections.abc.Callable[[trials.Trial], None]
    more: collections.abc.Mapping[str, settings.Options]
    right: tuple[str, Judge]


ROWS = (
    Row(
        'abort',
        'libvirt refuses to abort: it is in post-copy by hand',
        abort_refused,
        POST_COPY,
        ('ACTIVE where it runs, the destination', _landed),
    ),
    Row(
        'off',
        'the guest shuts itself down meanwhile',
        powers_off,
        POST_COPY,
        ('SHUTOFF on the source, with its disk', _off),
    ),
    Row(
        'neutron',
        'the rollback finds no Neutron',
        rollback_without_neutron,
        POST_COPY,
        (
            'ACTIVE and bound on the source, or ERROR that names the fault',
            _stayed_or_named,
        ),
    ),
    Row(
        'post-copy',
        'post-copy breaks, the network comes back',
        post_copy_breaks,
        POST_COPY,
        (
            'goes on at the destination, or ERROR with both domains left'
            ' alone',
            _landed_or_left_alone,
        ),
    ),
    Row(
        'paused',
        'paused by force-complete, then the monitor fails',
        monitor_fails,
        PRE_COPY,
        ('ACTIVE and running on the source', _stayed),
    ),
)


def play(
    one: scene.Scene, on: list[hosts.Host], row: Row, driver: str, skip: bool
) -> str:
    """Run one row with one driver; return a line for the table."""
    one.say(f'{row.name}, {driver}: {row.about}')
    # The options that differ between rows matter only on the source.
    one.use_driver(on[:1], driver, skip, row.more)
    server = one.boot(on[0])
    trial = trials.Trial(one, server, on[1])
    started = time.monotonic()
    try:
        row.play(trial)
        seen = trial.outcome()
    finally:
        one.clean()
        trial.purge()
    seconds = time.monotonic() - started
    line = f'{row.name}, {driver}: {seen}, {seconds:.0f} s'
    if driver == settings.OUR_DRIVER:
        what, right = row.right
        one.expect(right(trial, seen), what)
    print(f'   {line}', flush=True)
    return line


def failures(
    one: scene.Scene,
    on: list[hosts.Host],
    rows: collections.abc.Sequence[Row] = ROWS,
) -> None:
    """Run every row, with the stock driver and with ours; no filter."""
    lines = []
    with scene.no_filter(one):
        for driver, skip in (
            (settings.STOCK_DRIVER, True),
            (settings.OUR_DRIVER, False),
        ):
            one.use_driver(on[:2], driver, skip, POST_COPY)
            for row in rows:
                try:
                    lines.append(play(one, on[:2], row, driver, skip))
                except errors.LabError as exc:
                    one.expect(False, f'{row.name}, {driver}: {exc}')
    print('\n'.join(lines))
