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

"""TLS and ssh between hosts: certificates, keys, servers, connections."""

import collections.abc
import dataclasses
import io
import pathlib
import re
import tarfile

from tests.lab import host as hosts
from tests.lab.cloud import services as service

YEARS = 10 * 365 * 86400
# A certificate that is about to expire is valid for so many seconds, in which
# libvirtd must load it.
SOON = 30
CLOCK_PATIENCE = 300

# Ports of a destination to which a source connects.
CARRIERS = {16509: 'libvirt over TCP', 16514: 'libvirt over TLS', 22: 'ssh'}
QEMU = 'QEMU to QEMU'
_QEMU_PORTS = range(49152, 49216)

_LISTEN_TLS = """
sed -i 's/^listen_tls.*/listen_tls = 1/' /etc/libvirt/libvirtd.conf
pkill -x libvirtd
for n in $(seq 60); do pgrep -x libvirtd > /dev/null || break; sleep 0.5; done
libvirtd --listen -d && virsh -q version > /dev/null
"""
_RELOAD = 'virt-admin server-update-tls libvirtd'

_KEYS = """
mkdir -p -m 700 /root/.ssh
for key in /etc/ssh/ssh_host_ed25519_key /root/.ssh/id_ed25519; do
    [ -e $key ] || ssh-keygen -q -t ed25519 -N '' -f $key || exit 1
    cat $key.pub
done
"""
# Debian's configuration of sshd is made by a maintainer script.
_SSHD = """
cat > /root/.ssh/authorized_keys
grep -q ^sshd: /etc/passwd ||
    echo sshd:x:101:65534::/run/sshd:/usr/sbin/nologin >> /etc/passwd
mkdir -p /run/sshd
pgrep -x sshd > /dev/null || /usr/sbin/sshd -f /dev/null -o UsePAM=no \
    -o HostKey=/etc/ssh/ssh_host_ed25519_key \
    -o PermitRootLogin=prohibit-password -o PasswordAuthentication=no
"""

_ADDRESS = re.compile(r'([0-9.]+):(\d+)\s*$')


def pki(
    authority: bytes, certificate: bytes, key: bytes
) -> dict[str, tuple[bytes, int]]:
    """Return the files that libvirt and QEMU look for, with their modes.

    libvirt's places are on https://libvirt.org/kbase/tlscerts.html, those of
    QEMU in its ``tls-creds-x509``. Both use one certificate as server and as
    client.

    :return: by the path in the host
    """
    found = {
        '/etc/pki/CA/cacert.pem': (authority, 0o644),
        '/etc/pki/qemu/ca-cert.pem': (authority, 0o644),
    }
    for side in ('server', 'client'):
        found |= {
            f'/etc/pki/libvirt/{side}cert.pem': (certificate, 0o644),
            f'/etc/pki/libvirt/private/{side}key.pem': (key, 0o600),
            f'/etc/pki/qemu/{side}-cert.pem': (certificate, 0o644),
            f'/etc/pki/qemu/{side}-key.pem': (key, 0o600),
        }
    return found


def packed(files: collections.abc.Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return a tar archive of *files*, for the root folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as pack:
        for path, (content, mode) in files.items():
            member = tarfile.TarInfo(path.lstrip('/'))
            member.size, member.mode = len(content), mode
            pack.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True)
class Certificates:
    """The lab's authority, and the certificates that it gives to hosts."""

    services: service.Services

    @property
    def folder(self) -> pathlib.Path:
        return self.services.state / 'pki'

    def give(self, host: hosts.Host, seconds: int = YEARS) -> int:
        """Give *host* a certificate; return when it expires.

        :param seconds: until then, by the host's own clock
        """
        until = clock(host) + seconds
        self.services.run(
            [
                'python',
                '-m',
                'tests.lab.cloud.certificates',
                self.folder,
                host.name,
                host.address,
                until,
            ],
            f'making the certificate of {host.name}',
        )
        authority, certificate, key = (
            (self.folder / name).read_bytes()
            for name in ('ca.pem', f'{host.name}.pem', f'{host.name}.key')
        )
        host.channel.script(
            'unpacking certificates',
            'tar -x -C / -f -',
            packed(pki(authority, certificate, key)),
        )
        return until


def clock(host: hosts.Host) -> int:
    """Return the host's time, as seconds since 1970."""
    return int(host.channel.check(['date', '+%s']))


def wait_clock(host: hosts.Host, until: int) -> None:
    """Return when the host's clock has passed *until*."""
    host.channel.script(
        'waiting for the clock',
        f'end=$((SECONDS + {CLOCK_PATIENCE})); '
        f'until [ $(date +%s) -gt {until} ]; do '
        '[ $SECONDS -lt $end ] || exit 1; sleep 1; done',
    )


def listen_tls(host: hosts.Host) -> None:
    """Restart libvirtd with its TLS socket beside the others.

    The host must have a certificate, and no nova-compute that runs.
    """
    host.channel.script('restarting libvirtd', _LISTEN_TLS)


def reload_certificate(host: hosts.Host) -> None:
    """Make libvirtd load the host's certificate again."""
    host.channel.script('reloading the certificate', _RELOAD)


def trust(on: collections.abc.Sequence[hosts.Host]) -> None:
    """Let root log in with ssh from each of the hosts to the others."""
    keys = {
        host.name: host.channel.script('making keys', _KEYS).splitlines()
        for host in on
    }
    users = '\n'.join(user for _own, user in keys.values()) + '\n'
    known = ''.join(
        f'{host.address} {keys[host.name][0]}\n' for host in on
    ).encode()
    for host in on:
        host.channel.script('starting sshd', _SSHD, users.encode())
        host.channel.script(
            'writing known_hosts', 'cat > /root/.ssh/known_hosts', known
        )


def carriers(text: str) -> frozenset[str]:
    """Read ``ss -Htn`` of a source: which connections it had.

    :return: values of CARRIERS, and QEMU
    """
    found = set()
    for line in text.splitlines():
        peer = _ADDRESS.search(line)
        port = int(peer[2]) if peer else 0
        if port in _QEMU_PORTS:
            found.add(QEMU)
        elif port in CARRIERS:
            found.add(CARRIERS[port])
    return frozenset(found)


def went_post_copy(text: str) -> bool:
    """Read ``virsh event`` of a source: whether the guest ran elsewhere."""
    return bool(re.search(r"'lifecycle'.*: Suspended Post-copy", text))


class Watch:
    """A source's connections to one peer, and the events of one domain."""

    def __init__(self, host: hosts.Host, peer: hosts.Host, uuid: str) -> None:
        self._host = host
        self._kept = f'/tmp/carriers-{uuid}'
        host.channel.script(
            'watching connections',
            f"setsid sh -c ': {self._kept}; while sleep 1; do "
            f"ss -Htn state established dst {peer.address}; done' "
            f'> {self._kept} 2> /dev/null < /dev/null & '
            f'setsid virsh event --domain {uuid} --event lifecycle --loop '
            f'> {self._kept}.events 2>&1 < /dev/null & true',
        )

    def stop(self) -> tuple[frozenset[str], bool]:
        """Return the connections, and whether it went to post-copy."""
        pattern = self._kept.replace('/tmp', '[/]tmp', 1)
        uuid = self._kept.partition('-')[2]
        text = self._host.channel.sh(
            f'pkill -f "^sh -c : {pattern}"; '
            f'pkill -f "^[v]irsh event --domain {uuid}"; '
            f'cat {self._kept}; echo; cat {self._kept}.events; '
            f'rm -f {self._kept} {self._kept}.events'
        ).out
        return carriers(text), went_post_copy(text)
