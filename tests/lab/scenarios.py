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

"""``lab scenarios``: ways to move a guest with libvirt.

They test what the truth table does not: the transport of a guest's data, a
guest that writes more than the network can send, an aborted move, and a reset
of a guest on another host.
"""

import collections.abc
import concurrent.futures
import dataclasses
import json
import re
import time

from nova_arm_migrate.core import record
from nova_arm_migrate.core import vcpu
from tests.lab import errors
from tests.lab import guest as guests
from tests.lab import host as hosts
from tests.lab import oracle
from tests.lab import places
from tests.lab import spec
from tests.lab import table

# The second has everything that the first has, and one more vector length.
HOSTS = ('neoverse-v1,sve256=off', 'neoverse-v1')
_UNDER_WAY = re.compile(r'^Memory processed: +[1-9]', re.M)


@dataclasses.dataclass(frozen=True)
class Seen:
    """One observation, and whether it is as expected."""

    holds: bool
    text: str


Play = collections.abc.Iterator[Seen]


@dataclasses.dataclass(frozen=True)
class Move:
    """The result of a watched move.

    :ivar failure: why the guest did not move; empty if it moved
    :ivar direct: whether QEMU sent directly to QEMU
    :ivar throttle: percentage by which auto-converge throttled the guest
    """

    failure: str
    direct: bool
    throttle: int


def _under_way(text: str) -> bool:
    return bool(_UNDER_WAY.search(text))


def _throttled(text: str) -> bool:
    return guests.seen_of_move(text)[1] > 0


def watch(
    guest: guests.Guest,
    target: hosts.Host,
    *options: str,
    midway: collections.abc.Callable[[], object] | None = None,
    when: collections.abc.Callable[[str], bool] = _under_way,
) -> Move:
    """Move a guest and watch its source meanwhile.

    :param midway: called once, when *when* holds
    :param when: takes what ``domjobinfo`` has printed so far; by default, it
        holds when some of the guest's memory has been sent
    """
    source, text = guest.host, ''
    look = f'{guests.TO_QEMU}; virsh domjobinfo {guest.name}'
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        moving = pool.submit(guest.migrate, target, *options)
        while not moving.done():
            text += source.channel.sh(look).out
            if midway and when(text):
                midway()
                midway = None
    return Move(moving.result(), *guests.seen_of_move(text))


def _healthy(guest: guests.Guest, where: hosts.Host) -> Seen:
    if guest.host is not where:
        return Seen(False, f'the guest is on {guest.host.name}')
    reason = guest.health().reason
    if reason:
        return Seen(False, f'the guest on {where.name} is not well: {reason}')
    return Seen(True, f'the guest is well on {where.name}')


def _judged(
    guest_host: hosts.Host,
    target: hosts.Host,
    via: hosts.Host | None = None,
) -> oracle.Said:
    """Return our verdict for a guest that starts on one host and moves on.

    :param via: a host on which it has been in between
    """
    seen = oracle.ask(guest_host, [oracle.view(guest_host.spec)])[0]
    guest = record.load_guest(json.dumps(seen['guest']))
    if via:
        guest = vcpu.after_migration(guest, oracle.host_profile(via))
    answer = oracle.ask(target, [oracle.trial(guest)])[0]
    return oracle.said(guest, oracle.host_profile(target), answer)


def transports(one: hosts.Host, other: hosts.Host) -> Play:
    """QEMU sends the data directly, then libvirtd sends them."""
    with guests.Guest.start(one, 'transport', one.spec) as guest:
        move = watch(guest, other, '--bandwidth', '32')
        yield Seen(not move.failure and move.direct, 'QEMU sent to QEMU')
        yield _healthy(guest, other)
        move = watch(guest, one, '--tunnelled', '--bandwidth', '32')
        yield Seen(
            not move.failure and not move.direct,
            'tunnelled: no connection from QEMU to QEMU',
        )
        yield _healthy(guest, one)


def busy(one: hosts.Host, other: hosts.Host) -> Play:
    """The guest writes too much, until auto-converge throttles it.

    The bandwidth is so small that an emulated guest on a busy machine still
    writes faster. It is raised when the guest is throttled, so that the move
    ends soon after.
    """
    with guests.Guest.start(one, 'busy', one.spec, dirty=8) as guest:
        move = watch(
            guest,
            other,
            '--auto-converge',
            '--bandwidth',
            '2',
            midway=lambda: guests.client(
                one, 'migrate-setspeed', guest.name, '64'
            ),
            when=_throttled,
        )
        yield Seen(
            not move.failure and move.throttle > 0,
            f'throttled by {move.throttle} %',
        )
        yield _healthy(guest, other)


def aborted(one: hosts.Host, other: hosts.Host) -> Play:
    """The move is aborted midway; then the guest moves."""
    with guests.Guest.start(one, 'aborted', one.spec) as guest:
        move = watch(
            guest,
            other,
            '--bandwidth',
            '4',
            midway=lambda: guests.client(one, 'domjobabort', guest.name),
        )
        yield Seen(bool(move.failure), f'broken off: {move.failure}')
        yield _healthy(guest, one)
        yield Seen(not watch(guest, other).failure, 'then it moves')
        yield _healthy(guest, other)


def reboots(old: hosts.Host, new: hosts.Host) -> Play:
    """A reset on a newer host, with and without its longer vectors.

    Our driver switches longer vectors off in every guest that it starts.
    """
    off = ','.join(
        f'{name}=off' for name in vcpu.longer_vectors(oracle.host_profile(old))
    )
    pinned = spec.parse(f'{old.spec}/guest:{off}')
    with guests.Guest.start(old, 'pinned', pinned, reboots=True) as guest:
        yield from _reset_on(guest, new)
        yield Seen(not guest.migrate(old), 'and comes back')
        yield _healthy(guest, old)
    with guests.Guest.start(old, 'longer', old.spec, reboots=True) as guest:
        yield from _reset_on(guest, new)
        ours = _judged(old, old, via=new)
        yield Seen(
            ours.verdict == table.UNKNOWN,
            f'our verdict for its way back: {ours.why}',
        )
        detail = guest.migrate(old) or guest.health().reason
        yield Seen(
            bool(detail),
            'with longer vectors not off it breaks when it comes back:'
            f' {detail}',
        )
    ours = _judged(new, old)
    yield Seen(
        ours.verdict != table.COMPATIBLE,
        f'a guest that starts on the newer host may not go: {ours.why}',
    )


def _reset_on(guest: guests.Guest, new: hosts.Host) -> Play:
    yield Seen(not guest.migrate(new), 'moved to the newer host')
    guest.reset()
    yield Seen(guest.health().well, 'boots again there')


PLAYS = (transports, busy, aborted, reboots)


def perform(
    plays: collections.abc.Iterable[
        collections.abc.Callable[[hosts.Host, hosts.Host], Play]
    ],
    one: hosts.Host,
    other: hosts.Host,
) -> list[str]:
    """Run the scenarios on two hosts and print the observations.

    :return: a line for each scenario, which begins with PASS, FAIL, or SKIP if
        it could not finish
    """
    results = []
    for play in plays:
        about = (play.__doc__ or '').splitlines()[0]
        print(f'== {play.__name__}: {about}', flush=True)
        started = time.monotonic()
        failures = []
        why = ''
        try:
            for seen in play(one, other):
                mark = '' if seen.holds else 'NOT: '
                print(f'   {mark}{seen.text}', flush=True)
                if not seen.holds:
                    failures.append(seen.text)
        except errors.LabError as exc:
            why = str(exc)
            print(f'   not played to its end: {why}', flush=True)
        word = 'FAIL' if failures else 'SKIP' if why else 'PASS'
        seconds = f'({time.monotonic() - started:.0f} s)'
        words = '; '.join(failures) or why
        results.append(f'{word} {play.__name__} {seconds} {words}'.strip())
    return results


def run() -> bool:
    """Run all scenarios in a separate lab; return whether one failed."""
    with hosts.Lab.create() as lab:
        one, other = lab.up(*map(spec.parse, HOSTS))
        for host in (one, other):
            guests.prepare(host)
            oracle.prepare(host)
            places.say(f'{host.name}: {host.spec}')
        results = perform(PLAYS, one, other)
    print('\n'.join(results))
    return any(line.startswith('FAIL') for line in results)
