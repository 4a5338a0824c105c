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

"""A host as the cloud has it, with its record or why there is none."""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from nova_arm_migrate.cli.errors import one_line
from nova_arm_migrate.cli.fleets import cores_of
from nova_arm_migrate.core.cpu_info import NoHostRecord
from nova_arm_migrate.core.cpu_info import take_host
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import dump_host

_AARCH64 = 'aarch64'
#: How Nova's API names libvirt's hypervisor, with and without KVM.
_LIBVIRT = 'QEMU'
#: Characters of a name; the columns of Nova's database have 255.
_LONGEST = 255


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A host's record; hosts with the same ``cpu_info`` share it.

    :ivar host: the profile; None if there is no usable record
    :ivar text: the record's canonical text; empty if there is none
    :ivar why: why there is none, in one line; empty if there is one
    """

    host: Host | None
    text: str = ''
    why: str = ''

    @property
    def schema(self) -> int | None:
        """The schema of the record; None if there is none."""
        if self.host is None:
            return None
        return int(json.loads(self.text)['schema'])

    @property
    def core(self) -> str:
        """The names of the host's kinds of cores."""
        return '' if self.host is None else cores_of(self.host)


@dataclasses.dataclass(frozen=True, slots=True)
class CloudHost:
    """An Arm64 host of the cloud. All texts are printable.

    :ivar name: of the compute service's host
    :ivar node: of the hypervisor
    :ivar state: ``up`` or ``down``; status: ``enabled`` or ``disabled``
    :ivar age: seconds since the compute service reported; None if not known
    :ivar service: the host's name as the API writes it, for requests
    :ivar provider: the hypervisor's name as the API writes it, which is the
        name of the host's resource provider
    """

    name: str
    node: str
    state: str
    status: str
    age: float | None
    record: Record
    service: str = ''
    provider: str = ''

    def named(self, name: str) -> bool:
        """Whether a user means this host."""
        return name in (self.name, self.node)


def printable(text: object) -> str:
    """Return a text from the API as one line that any terminal can print."""
    return one_line(str(text)[:_LONGEST])


class Reader:
    """Makes hosts of what the API shows; parses each distinct record once.

    :param ages: seconds since each compute service reported, by host
    """

    def __init__(self, ages: Mapping[str, float]) -> None:
        self._ages = ages
        self._records: dict[str, tuple[Record, str | None]] = {}
        self._names: set[str] = set()

    def host(self, row: Mapping[str, Any]) -> CloudHost | None:
        """Return the host of an item of ``/os-hypervisors/detail``.

        None if it is not an Arm64 host. A libvirt host whose architecture is
        not known counts as one.
        """
        text, info = _cpu_info(row.get('cpu_info'))
        known = self._records.get(text)
        if known is None:
            known = self._records[text] = _record(text), _arch(info)
        record, arch = known
        if arch is None and row.get('hypervisor_type') == _LIBVIRT:
            arch = _AARCH64
        if record.host is None and arch != _AARCH64:
            return None
        service = row.get('service')
        name = service.get('host') if isinstance(service, dict) else None
        node = row.get('hypervisor_hostname')
        return CloudHost(
            name=self._unique(printable(name or node), node, row.get('id')),
            node=printable(node),
            state=printable(row.get('state')),
            status=printable(row.get('status')),
            age=self._ages.get(str(name)),
            record=record,
            service=str(name or ''),
            provider=str(node or ''),
        )

    def _unique(self, name: str, *more: object) -> str:
        """Return a name that no other host has."""
        unique = name
        for other in more:
            if unique not in self._names:
                break
            unique = f'{name} ({printable(other)})'
        self._names.add(unique)
        return unique


def _cpu_info(given: object) -> tuple[str, object]:
    """Return ``cpu_info`` as text and decoded; the API shows either."""
    try:
        if isinstance(given, str):
            return given, json.loads(given)
        return json.dumps(given) if given else '', given
    except (ValueError, RecursionError):
        return (given if isinstance(given, str) else ''), None


def _arch(info: object) -> str | None:
    arch = info.get('arch') if isinstance(info, dict) else None
    return arch if isinstance(arch, str) else None


def _record(text: str) -> Record:
    try:
        host = take_host(text)
    except NoHostRecord as error:
        return Record(None, why=one_line(str(error)))
    return Record(host, dump_host(host))
