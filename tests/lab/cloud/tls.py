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

"""Live migrations over TLS, over ssh and in post-copy; an expired certificate.

Each row is one configuration of the source's nova-compute.
"""

import collections.abc
import dataclasses

from tests.lab import errors
from tests.lab import host as hosts
from tests.lab.cloud import computes
from tests.lab.cloud import scene
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings
from tests.lab.cloud import transports


def _scheme(name: str) -> dict[str, settings.Options]:
    # live_migration_uri, which the lab sets, would win over the scheme.
    return {
        'libvirt': {'live_migration_uri': '', 'live_migration_scheme': name}
    }


@dataclasses.dataclass(frozen=True)
class Row:
    """One way on which a guest moves.

    :ivar more: options of nova-compute
    :ivar carriers: the connections that the source must have
    :ivar expires: first try it with a certificate that has expired
    :ivar image: of the server
    :ivar post_copy: the guest must go to post-copy
    """

    name: str
    about: str
    more: collections.abc.Mapping[str, settings.Options]
    carriers: frozenset[str]
    expires: bool = False
    image: str = 'witness'
    post_copy: bool = False


LIBVIRT_TLS = Row(
    'libvirt TLS',
    'live_migration_scheme = tls',
    _scheme('tls'),
    frozenset({'libvirt over TLS', transports.QEMU}),
    expires=True,
)
QEMU_TLS = Row(
    'QEMU TLS',
    'live_migration_with_native_tls = True',
    {'libvirt': {'live_migration_with_native_tls': True}},
    frozenset({'libvirt over TCP', transports.QEMU}),
    expires=True,
)
SSH = Row(
    'ssh',
    'live_migration_scheme = ssh',
    _scheme('ssh'),
    frozenset({'ssh', transports.QEMU}),
)
# The guest writes 24 MiB continuously, so pre-copy at this bandwidth does not
# end. Nova multiplies the timeout by 4: by the GiB of memory and of disk, at
# least 2 of each.
POST_COPY = Row(
    'post-copy',
    'live_migration_permit_post_copy, a guest that writes a lot',
    {
        'libvirt': {
            'live_migration_permit_post_copy': True,
            'live_migration_timeout_action': 'force_complete',
            'live_migration_completion_timeout': 10,
            'live_migration_bandwidth': 8,
        }
    },
    frozenset({'libvirt over TCP', transports.QEMU}),
    image='busy',
    post_copy=True,
)
# Each pair needs one start of nova-compute on both hosts.
PAIRS = ((LIBVIRT_TLS, QEMU_TLS), (SSH, POST_COPY))


def says_expired(move: servers.Move, host: str) -> bool:
    """Whether the server stayed on *host* and an event names the cause."""
    return (
        move.status != 'completed'
        and (move.server_status, move.host) == ('ACTIVE', host)
        and 'expired' in move.reason
    )


def _expired(
    one: scene.Scene,
    row: Row,
    server: servers.Server,
    target: hosts.Host,
    ours: bool,
) -> str:
    """Try the move with an expired certificate, then renew it."""
    one.say(f'{row.name}: the certificate of {target.name} expires')
    source = server.host
    certificates = transports.Certificates(one.cloud.services)
    until = certificates.give(target, transports.SOON)
    transports.reload_certificate(target)
    for host in (source, target):
        transports.wait_clock(host, until)
    try:
        move = server.migrate(target)
        if ours:
            one.expect(
                says_expired(move, source.name),
                'ACTIVE on its source, and the events say "expired"',
            )
        else:
            one.expect(
                move.status != 'completed',
                f'not moved; the server is {move.server_status}, reason '
                f'given: {move.reason or "none"}',
            )
        server.expect_healthy()
    finally:
        certificates.give(target)
        transports.reload_certificate(target)
    if move.server_status == 'ERROR':
        one.cloud.client.check(*servers.SET_ACTIVE, server.name, show=True)
    return str(move)


def _moves(
    one: scene.Scene, row: Row, server: servers.Server, target: hosts.Host
) -> str:
    watch = transports.Watch(server.host, target, server.id)
    move = server.moves(target)
    carriers, post_copy = watch.stop()
    one.expect(
        row.carriers <= carriers,
        f'connections of the source: {", ".join(sorted(carriers))}',
    )
    one.expect(
        post_copy == row.post_copy,
        'it went to post-copy' if post_copy else 'it did not use post-copy',
    )
    return str(move)


def play(
    one: scene.Scene,
    row: Row,
    driver: str,
    source: hosts.Host,
    target: hosts.Host,
) -> list[str]:
    """Run one row with one driver; return lines for the table."""
    one.say(f'{row.name}, {driver}: {row.about}')
    name = f'{row.name}, {driver}, {source.name} to {target.name}'
    lines = []
    try:
        server = one.boot(source, image=row.image)
        if row.expires:
            ours = driver == settings.OUR_DRIVER
            seen = _expired(one, row, server, target, ours)
            lines.append(f'{name}, expired: {seen}')
            one.say(f'{row.name}: the certificate is renewed')
        lines.append(f'{name}: {_moves(one, row, server, target)}')
    except errors.LabError as exc:
        one.expect(False, f'{name}: {exc}')
    one.clean()
    return lines


def _start(
    one: scene.Scene,
    on: collections.abc.Sequence[hosts.Host],
    rows: collections.abc.Sequence[Row],
    driver: str,
    skip: bool,
) -> None:
    """(Re)start nova-compute on each host with the options of its row."""
    for host, row in zip(on, rows, strict=True):
        one.say(f'{driver} on {host.name}: {row.about}')
        sections = settings.nova_compute(
            host.name, host.address, driver, skip, row.more
        )
        computes.start(host, sections)
        one.cloud.drivers[host.name] = settings.nova_compute(
            '', '', driver, skip, row.more
        )
    one.cloud.wait_up(on)


def prepare(one: scene.Scene, on: list[hosts.Host]) -> None:
    """Make certificates, TLS sockets and ssh keys; stops nova-compute."""
    one.say('certificates, TLS sockets and ssh keys')
    certificates = transports.Certificates(one.cloud.services)
    for host in on:
        computes.stop(host)
        one.cloud.drivers.pop(host.name, None)
        certificates.give(host)
        transports.listen_tls(host)
    transports.trust(on)


def pairs(
    one: scene.Scene,
    on: list[hosts.Host],
    driver: str,
    skip: bool,
    many: collections.abc.Sequence[tuple[Row, Row]] = PAIRS,
) -> list[str]:
    """Run pairs of rows with one driver; return lines for the table.

    The options that differ matter only on the source. So one start of
    nova-compute on both hosts is enough for two rows: one goes from the first
    host to the second, the other from the second to the first.
    """
    lines = []
    for there, back in many:
        _start(one, on, (there, back), driver, skip)
        lines += play(one, there, driver, on[0], on[1])
        lines += play(one, back, driver, on[1], on[0])
    return lines


def tls(one: scene.Scene, on: list[hosts.Host]) -> None:
    """Run every row, with our driver and with the stock one; no filter."""
    on = on[:2]
    prepare(one, on)
    lines = []
    with scene.no_filter(one):
        for driver, skip in settings.EACH:
            lines += pairs(one, on, driver, skip)
    print('\n'.join(lines))
