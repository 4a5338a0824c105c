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

"""The scenarios on the cloud, step by step."""

import collections.abc
import contextlib
import dataclasses
import itertools
import time

from clouds import ini
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab.cloud import cloud as clouds
from tests.lab.cloud import computes
from tests.lab.cloud import crossing
from tests.lab.cloud import failures
from tests.lab.cloud import install
from tests.lab.cloud import scene
from tests.lab.cloud import settings
from tests.lab.cloud import storage
from tests.lab.cloud import tls
from tests.lab.cloud import upgrade

# Two equal hosts, and one with the same CPU but without a PMU.
HOSTS = ('neoverse-n1', 'neoverse-n1', 'neoverse-n1,pmu=off')
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


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A scenario and its hosts.

    :ivar hosts: hosts that are not in HOSTS end with the scenario
    :ivar computes: whether nova-compute is to run there when it begins
    """

    name: str
    about: str
    play: collections.abc.Callable[[scene.Scene, list[hosts.Host]], None]
    hosts: tuple[str, ...] = HOSTS
    computes: bool = True


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
            move = server.migrate(old)
            one.expect(
                move.status == 'error'
                and 'ID_AA64PFR0_EL1.EL0' in move.reason,
                'it may not come back: it has what the newer host gave it',
            )
            server.expect_at(new)
            server.expect_healthy()
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
    one: scene.Scene, server: scene.Server, where: list[hosts.Host]
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
    one: scene.Scene, server: scene.Server, move: scene.Move
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


SCENARIOS = (
    Scenario(
        'move',
        'boot; live-migrate between equal hosts and back',
        boot_and_move,
    ),
    Scenario(
        'refused',
        'refused by the destination, the field is named',
        refused_for_a_field,
    ),
    Scenario(
        'scheduler',
        'the scheduler finds the only host that fits',
        scheduler_chooses,
    ),
    Scenario(
        'busy', 'a guest that writes a lot, and auto-converge', busy_guest
    ),
    Scenario(
        'shared',
        'shared storage; native and tunnelled transport',
        shared_storage,
    ),
    Scenario('stock', 'the stock driver in the same cases', stock),
    Scenario(
        'newer',
        'to a newer host and back; reboots there',
        to_newer_and_back,
        ('neoverse-n1+aarch32=0', 'neoverse-n1'),
    ),
    Scenario(
        'kernel',
        'a host update, host by host; the scheduler chooses',
        kernel_update,
        UPDATE,
    ),
    Scenario(
        'vectors',
        'longer vectors on the newer host, and a reset',
        longer_vectors,
        ('neoverse-v1,sve256=off', 'neoverse-v1'),
    ),
    Scenario(
        'crossing',
        'between two CPU models, on a baseline',
        crossing.play,
        crossing.HOSTS,
    ),
    Scenario(
        'failures',
        'migrations that fail halfway, and what is left',
        failures.failures,
    ),
    Scenario(
        'tls',
        'TLS, ssh and post-copy; a certificate that has expired',
        tls.tls,
        HOSTS[:2],
    ),
    Scenario(
        'upgrade',
        'Nova 34 and 33, with and without our driver; two schemas of records',
        upgrade.upgrade,
        upgrade.HOSTS,
        computes=False,
    ),
)


def chosen(
    names: collections.abc.Sequence[str], release: int = install.RELEASE
) -> list[Scenario]:
    """Return the scenarios with these names, in order.

    Without names, it returns all whose hosts a cloud of this release can have.

    :raises LabError: for an unknown name, or hosts that this cloud can't have
    """
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise errors.LabError(
                f'no scenario {name!r}; there are {", ".join(known)}'
            )
    for name in names:
        _check_hosts(known[name], release)
    return [known[name] for name in names] or [
        scenario for scenario in SCENARIOS if _fits(scenario, release)
    ]


def _check_hosts(scenario: Scenario, release: int) -> None:
    for text in scenario.hosts:
        clouds.host_spec(text, release)


def _fits(scenario: Scenario, release: int) -> bool:
    try:
        _check_hosts(scenario, release)
    except errors.LabError:
        return False
    return True


def _show_log(one: scene.Scene, service: str, *words: str) -> None:
    log = one.cloud.services.logs / f'{service}.log'
    lines = [
        line
        for line in log.read_text(errors='replace').splitlines()
        if any(word in line for word in words)
    ]
    for line in lines[-3:]:
        print(f'   {service}.log: {line[:300]}')


def _hosts(cloud: clouds.Cloud, scenario: Scenario) -> list[hosts.Host]:
    """Return the hosts of a scenario; start those that are missing."""
    free = list(cloud.lab.hosts.values())
    found: list[hosts.Host | None] = []
    missing: list[str] = []
    there: list[hosts.Host] = []
    for text in scenario.hosts:
        asked = clouds.host_spec(text, cloud.release)
        match = next((host for host in free if host.spec == asked), None)
        found.append(match)
        if match is None:
            missing.append(text)
        else:
            free.remove(match)
            if match.name not in cloud.drivers:
                _remember_driver(cloud, match)
                there += [match] * (match.name in cloud.drivers)
    if there:
        cloud.wait_up(there)
    start = cloud.add_hosts if scenario.computes else cloud.boot_hosts
    started = iter(start(*missing) if missing else ())
    return [one or next(started) for one in found]


def _remember_driver(cloud: clouds.Cloud, host: hosts.Host) -> None:
    """Find out which driver a host of a running cloud uses."""
    conf = host.channel.sh('cat /etc/nova/nova.conf').out
    for driver in (settings.OUR_DRIVER, settings.STOCK_DRIVER):
        for skip in (False, True):
            sections = settings.nova_compute(
                host.name, host.address, driver, skip
            )
            if conf == ini.dump(sections) and computes.running(host):
                cloud.drivers[host.name] = settings.nova_compute(
                    '', '', driver, skip
                )


def run(
    cloud: clouds.Cloud, scenarios: collections.abc.Sequence[Scenario]
) -> bool:
    """Run them; print PASS or FAIL for each; return whether one failed."""
    results = []
    stay = [clouds.host_spec(text, cloud.release) for text in HOSTS]
    for scenario in scenarios:
        print(f'\n=== {scenario.name}: {scenario.about}', flush=True)
        started = time.monotonic()
        one = scene.Scene(cloud, scenario.name)
        on: list[hosts.Host] = []
        try:
            on = _hosts(cloud, scenario)
            for host in on:
                print(f'{host.name}: {host.spec}, Nova {computes.nova(host)}')
            scenario.play(one, on)
        except errors.LabError as exc:
            one.failures.append(str(exc))
            print(f'   NOT: {exc}', flush=True)
        finally:
            one.clean()
            for host in on:
                if host.spec not in stay:
                    cloud.remove_host(host)
        word = 'FAIL' if one.failures else 'PASS'
        text = f'{word} {scenario.name} ({time.monotonic() - started:.0f} s)'
        if one.failures:
            text += ': ' + '; '.join(one.failures)
        print(text, flush=True)
        results.append(text)
    print('\n' + '\n'.join(results))
    return any(text.startswith('FAIL') for text in results)
