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

"""The pools of the cloud's hosts, and where each host is in them."""

from collections.abc import Sequence
import dataclasses

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.core.pools import Fleet
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.pools import Pool
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.osc.records import CloudHost
from nova_arm_migrate.osc.records import cores_of
from nova_arm_migrate.osc.records import printable


@dataclasses.dataclass(frozen=True, slots=True)
class CloudFleet:
    """The pools, and the place of each host's pool by the host's name."""

    fleet: Fleet
    places: dict[str, int]

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools, the largest first."""
        return self.fleet.pools

    def number(self, host: CloudHost) -> int | None:
        """Return the number of a host's pool, from 1; None without record."""
        place = self.places.get(host.name)
        return None if place is None else place + 1

    def onward(self, place: int) -> list[int]:
        """Return the places of the pools to which a pool's guests can go."""
        return sorted(j for i, j in self.fleet.one_way if i == place)

    def destinations(self, place: int) -> int:
        """Return to how many other hosts a guest of a pool can move."""
        return (
            sum(
                len(self.pools[there].names)
                for there in (place, *self.onward(place))
            )
            - 1
        )


def fleet_of(
    records: dict[str, str], options: Options = Options()
) -> CloudFleet:
    """Return the pools of hosts.

    :param records: the canonical text of each host's record, by its name
    """
    found = fleet(records.items(), options)
    return CloudFleet(
        found,
        {
            name: place
            for place, pool in enumerate(found.pools)
            for name in pool.names
        },
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


def pool_core(pool: Pool) -> str:
    """Return the names of the cores of a pool's first profile."""
    return cores_of(pool.profiles[0].host)
