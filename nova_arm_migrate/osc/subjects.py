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

"""What the user compares: a host, a server or a file."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.records import guest_of
from nova_arm_migrate.cli.records import read_host
from nova_arm_migrate.cli.records import read_record
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.osc.cloud import Cloud
from nova_arm_migrate.osc.fleet import host_named
from nova_arm_migrate.osc.records import CloudHost
from nova_arm_migrate.osc.records import printable

_MIB = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """The guest of a comparison.

    :ivar name: as the user has typed it, printable
    :ivar basis: where the guest's values come from, in one line
    """

    name: str
    guest: Guest
    basis: str


class Subjects:
    """Finds what the user names; asks the API only if it is needed."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._hosts: list[CloudHost] | None = None

    @property
    def hosts(self) -> list[CloudHost]:
        """The Arm64 hosts of the cloud."""
        if self._hosts is None:
            self._hosts = self.cloud.hosts()
        return self._hosts

    def source(self, name: str) -> Source:
        """Return the guest that a name stands for.

        :raises CommandError: if there is none, or no usable record
        """
        if _is_file(name):
            record = read_record(name)
            return Source(
                printable(name),
                guest_of(record),
                "the guest's own record"
                if isinstance(record, Guest)
                else 'a guest started on this host',
            )
        host = self._host(name)
        if host is not None:
            return Source(
                host.name,
                guest_started_on(usable(host)),
                'a guest started on this host',
            )
        return self.server(self.cloud.server(name))

    def server(self, server: Mapping[str, Any]) -> Source:
        """Return the guest of a server.

        :param server: as the API shows it
        :raises CommandError: if its host is not shown, or has no record
        """
        host = self.host_of(server)
        off, memory = flavor_of(server.get('flavor'))
        return Source(
            printable(server.get('name')),
            guest_started_on(usable(host), disabled=off, memory=memory),
            f'a guest started on its host {host.name}; the API does not show'
            " the guest's own record",
        )

    def host_of(self, server: Mapping[str, Any]) -> CloudHost:
        """Return the host on which a server runs.

        :raises CommandError: if the API does not show it, or it is no Arm64
            host
        """
        name = server.get('OS-EXT-SRV-ATTR:host')
        if not name:
            raise CommandError(
                f'server {printable(server.get("name"))}: the API shows no'
                ' host for it; it has none yet, or you may not see it'
            )
        return host_named(self.hosts, printable(name))

    def destination(self, name: str) -> tuple[str, Host]:
        """Return the host that a name stands for, and the name to show.

        :raises CommandError: if there is none, or no usable record
        """
        if _is_file(name):
            return printable(name), read_host(name)
        host = self._host(name)
        if host is None:
            host = self.host_of(self.cloud.server(name))
        return host.name, usable(host)

    def _host(self, name: str) -> CloudHost | None:
        found = [host for host in self.hosts if host.named(name)]
        return host_named(found, name) if found else None


def usable(host: CloudHost) -> Host:
    """Return a host's profile.

    :raises CommandError: if it has no usable record
    """
    if host.record.host is None:
        raise CommandError(f'{host.name}: {host.record.why}')
    return host.record.host


def _is_file(name: str) -> bool:
    return '/' in name or name.endswith('.json')


def flavor_of(flavor: object) -> tuple[frozenset[str], int | None]:
    """Return what a flavor switches off, and its memory in bytes."""
    if not isinstance(flavor, Mapping):
        return frozenset(), None
    specs = flavor.get('extra_specs')
    pmu = specs.get('hw:pmu') if isinstance(specs, Mapping) else None
    off = str(pmu).lower() in ('false', '0', 'no', 'off', 'f', 'n')
    memory = flavor.get('ram')
    return (
        frozenset({'pmu'} if off else ()),
        memory * _MIB if type(memory) is int and memory > 0 else None,
    )
