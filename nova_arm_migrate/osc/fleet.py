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

"""The records of the cloud's hosts, and cells for what the pools show."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from nova_arm_migrate.cli import fleets
from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.osc.columns import Names
from nova_arm_migrate.osc.columns import Shown
from nova_arm_migrate.osc.records import CloudHost
from nova_arm_migrate.osc.records import printable


def cells(row: Iterable[Any]) -> tuple[Any, ...]:
    """Return a row of `cli.fleets` with cliff's cells."""
    return tuple(
        Shown(one.value, one.text)
        if isinstance(one, fleets.Both)
        else Names(one)
        if isinstance(one, list)
        else one
        for one in row
    )


def records_of(hosts: Sequence[CloudHost]) -> dict[str, str]:
    """Return the records of the hosts that have one, by the hosts' names.

    :raises CommandError: if no host has one
    """
    records = {
        host.name: host.record.text for host in hosts if host.record.text
    }
    if not records:
        raise CommandError(
            f'none of {len(hosts)} Arm64 hosts has a record; the computes'
            ' need the driver of nova-arm-migrate'
            if hosts
            else 'the cloud has no Arm64 host'
        )
    return records


def host_named(hosts: Sequence[CloudHost], name: str) -> CloudHost:
    """Return the host that the user means.

    :raises CommandError: if there is none, or more than one
    """
    found = [host for host in hosts if host.named(name)]
    if len(found) != 1:
        raise CommandError(
            f'{len(found) or "no"} Arm64 host{"s" if found else ""} with the'
            f' name {printable(name)}'
        )
    return found[0]
