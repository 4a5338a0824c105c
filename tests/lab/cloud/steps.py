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

"""The steps of the scenarios that have no module of their own."""

import collections.abc
import contextlib
import dataclasses
import itertools

from tests.lab import host as hosts
from tests.lab.cloud import scene
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings
from tests.lab.cloud import storage

# A kernel update: two hosts have it, the third is to be emptied for it. QEMU
# is the same everywhere. Guests that Debian 13's QEMU 10.0.13 started have
# virtio queues with 1024 entries, and QEMU 11.1 refuses those.
UPDATED = 'next'
UPDATE = (
    'neoverse-v1@trixie-qemu',
    f'neoverse-v1@{UPDATED}',
    f'neoverse-v1@{UPDATED}',
)
# The PMU's version, as 64-bit and as 32-bit guests see it.
FIELDS = ('ID_AA64DFR0_EL1.PMUVer', 'ID_DFR0_EL1.PerfMon')
# The last Nova that leaves a server ACTIVE after a failed live migration.
FORGIVING = 31
AUTO_CONVERGE: dict[str, settings.Options] = {
    'libvirt': {
        'live_migration_permit_auto_converge': True,
        'live_migration_bandwidth': 8,
    }
}
WAYS: dict[str, dict[str, settings.Options]] = {
    'native': {},
    'tunnelled': {'libvirt': {'live_migration_tunnelled': True}},
}


def _ours(one: scene.Scene, on: list[hosts.Host]) -> None:
    one.use_driver(on, settings.OUR_DRIVER)


def boot_and_move(one: scene.Scene, on: list[hosts.Host]) -> None:
    _ours(one, on[:2])
    server = one.boot(on[0])
    server.expect_healthy()
    server.moves(on[1])
    one.say('and back')
    server.moves(on[0])


def refused_for_a_field(one: scene.Scene, on: list[hosts.Host]) -> None:
    """Without a filter, the destination itself refuses."""
    _ours(one, on)
    with scene.no_filter(one):
        server = one.boot(on[0])
        move = server.migrate(on[2])
        one.expect(move.status == 'error', 'the migration was refused')
        one.expect(
            any(field in move.reason for field in FIELDS),
            f'the event names the field: {move.reason}',
        )
        server.expect_at(on[0])
        server.expect_healthy()
        one.say('it can still go where it fits')
        server.moves(on[1])


def scheduler_chooses(one: scene.Scene, on: list[hosts.Host]) -> None:
    """No destination is named; one of the others takes the guest."""
    _ours(one, on)
    server = one.boot(on[0])
    move = server.migrate()
    one.expect(move.status == 'completed', 'the migration completed')
    server.expect_at(on[1])
    server.expect_healthy()
    _show_log(one, 'nova-scheduler', 'ArmMigrateFilter', 'arm64')
    one.say('the only other host that fits is disabled')
    with _disabled(one, on[0]):
        move = server.migrate()
    one.expect(move.status != 'completed', 'no host is left')
    server.expect_at(on[1])
    server.expect_healthy()


def to_newer_and_back(one: scene.Scene, on: list[hosts.Host]) -> None:
    """The newer host also has AArch32 at EL0; there is no filter."""
    old, new = on
    with scene.no_filter(one):
        _ours(one, on)
        server = one.boot(old)
        one.say('to the newer host, and back: it is the guest that counts')
        server.moves(new)
        server.moves(old)
        for kind in ('soft', 'hard'):
            one.say(f'to the newer host, and a {kind} reboot there')
            server.moves(new)
            server.reboot(kind)
            server.expect_healthy()
            one.say('it may not come back: it has what this host gave it')
            server.refused(old, 'ID_AA64PFR0_EL1.EL0')
            one.clean()
            if kind == 'soft':
                one.say('a fresh server for the other kind of reboot')
                server = one.boot(old)
        one.say('the stock driver, with skip_cpu_compare_on_dest')
        one.use_driver(on, settings.STOCK_DRIVER, True)
        server = one.boot(new)
        _ends_without_reason(one, server, server.migrate(old))


def kernel_update(one: scene.Scene, on: list[hosts.Host]) -> None:
    """The first host is emptied, updated like the others, and used again.

    No destination is named: the scheduler decides, with our filter.
    """
    _ours(one, on)
    old, *updated = on
    servers = [one.boot(old) for _ in range(2)]
    for server in servers:
        _leaves(one, server, updated)
    _show_log(one, 'nova-scheduler', 'ArmMigrateFilter', 'arm64')
    one.say(f'{old.name} is updated')
    one.cloud.remove_host(old)
    (fresh,) = one.cloud.add_hosts(
        str(dataclasses.replace(old.spec, generation=UPDATED))
    )
    on[0] = fresh
    print(f'{fresh.name}: {fresh.spec}')
    one.say('a server comes back to it, and leaves it again')
    server = servers[0]
    with contextlib.ExitStack() as stack:
        for host in updated:
            stack.enter_context(_disabled(one, host))
        _leaves(one, server, [fresh])
    _leaves(one, server, updated)


def _leaves(
    one: scene.Scene, server: servers.Server, where: list[hosts.Host]
) -> None:
    """Let the scheduler choose a host; one of *where* is expected."""
    move = server.migrate()
    one.expect(move.status == 'completed', 'the migration completed')
    names = {host.name: host for host in where}
    one.expect(move.host in names, f'the scheduler chose {move.host}')
    if move.host in names:
        server.expect_at(names[move.host])
    server.expect_healthy()


def longer_vectors(one: scene.Scene, on: list[hosts.Host]) -> None:
    """The newer host has one more vector length; there is no filter."""
    old, new = on
    with scene.no_filter(one):
        _ours(one, on)
        server = one.boot(old)
        one.say('to the newer host; a reset there; and back')
        server.moves(new)
        server.reset()
        server.expect_healthy()
        server.moves(old)
        one.clean()
        one.say('the stock driver, with skip_cpu_compare_on_dest')
        one.use_driver(on, settings.STOCK_DRIVER, True)
        server = one.boot(new)
        move = server.migrate(old)
        why = server.health().reason
        one.expect(
            move.status == 'completed' and bool(why),
            f'it is moved, {move.server_status}, and broken: {why}',
        )
        one.clean()


def busy_guest(one: scene.Scene, on: list[hosts.Host]) -> None:
    """The guest writes too much, until auto-converge throttles it."""
    for driver, skip in settings.EACH:
        one.say(f'{driver}: live_migration_permit_auto_converge, 8 MiB/s')
        one.use_driver(on[:2], driver, skip, AUTO_CONVERGE)
        server = one.boot(on[0], image='busy')
        with scene.no_filter(one):
            move = server.moves(on[1])
        one.expect(move.throttle > 0, f'throttled by {move.throttle} %')
        one.clean()


def shared_storage(one: scene.Scene, on: list[hosts.Host]) -> None:
    """With NFS; QEMU sends the data directly, or libvirtd does."""
    storage.start(one.cloud.services)
    try:
        for (driver, skip), way in itertools.product(settings.EACH, WAYS):
            one.say(f'{driver}: instances on NFS, {way} transport')
            one.on_shared(on[:2], driver, skip, WAYS[way])
            server = one.boot(on[0])
            with scene.no_filter(one):
                move = server.moves(on[1])
            one.expect(
                move.direct == (way == 'native'),
                'QEMU sent to QEMU'
                if move.direct
                else 'libvirtd carried it: no connection from QEMU to QEMU',
            )
            one.clean()
    finally:
        one.clean()
        one.off_shared(on[:2])


def stock(one: scene.Scene, on: list[hosts.Host]) -> None:
    """Without and with the workaround; there is no filter."""
    with scene.no_filter(one):
        one.say('the stock driver without skip_cpu_compare_on_dest')
        one.use_driver(on, settings.STOCK_DRIVER)
        server = one.boot(on[0])
        for target, kind in ((on[1], 'an equal'), (on[2], 'a lesser')):
            move = server.migrate(target)
            one.expect(
                move.status == 'error' and move.server_status == 'ACTIVE',
                f'refused to {kind} host: {move.reason}',
            )
        one.clean()
        one.say('the stock driver with skip_cpu_compare_on_dest')
        one.use_driver(on, settings.STOCK_DRIVER, True)
        server = one.boot(on[0])
        server.moves(on[1])
        one.say('no destination is named; the lesser host is the only one')
        with _disabled(one, on[0]):
            move = server.migrate()
        _ends_without_reason(one, server, move)


def _ends_without_reason(
    one: scene.Scene, server: servers.Server, move: servers.Move
) -> None:
    """Only QEMU refuses: the user gets no reason, the guest is unharmed."""
    wanted = 'ERROR' if one.cloud.release > FORGIVING else 'ACTIVE'
    one.expect(
        move.server_status == wanted and not move.reason,
        f'the server is in {move.server_status}, reason given: '
        f'{move.reason or "none"}',
    )
    server.expect_healthy()
    one.clean()


@contextlib.contextmanager
def _disabled(
    one: scene.Scene, host: hosts.Host
) -> collections.abc.Iterator[None]:
    """Disable the compute service of *host* for the duration of a block."""
    argv = ('compute', 'service', 'set', host.name, 'nova-compute')
    one.cloud.client.check(*argv, '--disable', show=True)
    try:
        yield
    finally:
        one.cloud.client.check(*argv, '--enable', show=True)


def _show_log(one: scene.Scene, service: str, *words: str) -> None:
    log = one.cloud.services.logs / f'{service}.log'
    lines = [
        line
        for line in log.read_text(errors='replace').splitlines()
        if any(word in line for word in words)
    ]
    for line in lines[-3:]:
        print(f'   {service}.log: {line[:300]}')
