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

"""What ArmMigratabilityWeigher gains on a mixed fleet, and what it costs.

New guests are placed one by one by the code of Nova's scheduler: its weighers
with their default multipliers, and its choice among the best hosts. Instead of
Placement and the filters there is a check of vCPUs and memory. Then each
guest's record is compared with all hosts. The hosts are recorded ones
(tests/fixtures/profiles).

    python benchmarks/gain_weigher.py
"""

from collections.abc import Sequence
import logging
import random
import statistics
import types
from typing import Any

import measured_hosts
from nova import context
from nova import objects
from nova.scheduler import host_manager
from nova.scheduler import manager
from nova.scheduler import weights
import reference

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.nova.options import GROUP
from nova_arm_migrate.nova.options import WEIGHT
from nova_arm_migrate.nova.scheduler import arm_weigher

#: Hosts by profile. Three generations, each in the middle of a kernel update.
FLEET = {
    'neoverse-n1-linux-6.1': 10,
    'neoverse-n1-linux-6.12': 20,
    'neoverse-n1-linux-7.2': 10,
    'neoverse-v1-no-sve-linux-6.12': 10,
    'neoverse-v1-linux-6.1': 10,
    'neoverse-v1-linux-6.12': 20,
    'neoverse-v1-linux-7.2': 20,
}
VCPUS = 64
MEMORY_MB = 256 << 10
FLAVORS = ((2, 4096), (4, 16384), (8, 32768))
SHARES = (0.3, 0.6, 0.9)
OURS = 'nova_arm_migrate.weighers.ArmMigratabilityWeigher'
NOVAS = 'nova.scheduler.weights.all_weighers'


class Placed:
    """A fleet whose guests were placed with some weighers."""

    def __init__(self, weighers: Sequence[str], share: float) -> None:
        self._random = random.Random(7)
        random.seed(7)  # Nova's choice among equal hosts
        self.names = [
            name for name, number in FLEET.items() for _ in range(number)
        ]
        self.states = [
            _state(number, PROFILES[name])
            for number, name in enumerate(self.names)
        ]
        #: (host, vCPUs, MB)
        self.guests: list[tuple[int, int, int]] = []
        handler = weights.HostWeightHandler()
        loaded = [
            one() for one in handler.get_matching_classes(list(weighers))
        ]
        self._scheduler = types.SimpleNamespace(
            host_manager=types.SimpleNamespace(
                get_filtered_hosts=lambda hosts, spec, _index: [
                    one
                    for one in hosts
                    if _fits(one, spec.vcpus, spec.memory_mb)
                ],
                get_weighed_hosts=lambda hosts, spec: (
                    handler.get_weighed_objects(loaded, hosts, spec)
                ),
            )
        )
        used = 0
        while used < share * VCPUS * len(self.states):
            used += self._place()

    def _place(self) -> int:
        vcpus, memory = self._random.choice(FLAVORS)
        spec = _request(vcpus, memory)
        chosen = manager.SchedulerManager._get_sorted_hosts(
            self._scheduler, spec, self.states, 0
        )[0]
        chosen.consume_from_request(spec)
        self.guests.append((int(chosen.host), vcpus, memory))
        return vcpus

    def destinations(self, free: bool) -> list[int]:
        """Return to how many hosts each guest can move.

        :param free: count only hosts that have room for it now
        """
        return [
            sum(
                MOVES[self.names[at], self.names[number]]
                and (not free or _fits(state, vcpus, memory))
                for number, state in enumerate(self.states)
                if number != at
            )
            for at, vcpus, memory in self.guests
        ]

    def spread(self) -> float:
        """Return the standard deviation of the hosts' load, in percent."""
        return 100 * statistics.pstdev(
            float(state.vcpus_used) / VCPUS for state in self.states
        )


def _fits(state: Any, vcpus: int, memory: int) -> bool:
    return bool(
        state.vcpus_used + vcpus <= VCPUS and state.free_ram_mb >= memory
    )


def _state(number: int, host: Host) -> host_manager.HostState:
    state = host_manager.HostState(str(number), str(number), reference.CELL)
    state._update_from_compute_node(
        objects.ComputeNode(
            id=number,
            uuid=reference.UUID,
            host=str(number),
            hypervisor_hostname=str(number),
            updated_at=None,
            vcpus=VCPUS,
            vcpus_used=0,
            memory_mb=MEMORY_MB,
            memory_mb_used=0,
            free_ram_mb=MEMORY_MB,
            local_gb=4096,
            local_gb_used=0,
            free_disk_gb=4096,
            disk_available_least=4096,
            hypervisor_type='QEMU',
            hypervisor_version=1000000,
            cpu_info=measured_hosts.cpu_info(host, 0),
            numa_topology=None,
            pci_device_pools=None,
            host_ip=None,
            supported_hv_specs=[],
            metrics=None,
            stats={},
            extra_resources=None,
            cpu_allocation_ratio=1.0,
            ram_allocation_ratio=1.0,
            disk_allocation_ratio=1.0,
            mapped=1,
        )
    )
    return state


def _request(vcpus: int, memory: int) -> 'objects.RequestSpec':
    return objects.RequestSpec(
        context.RequestContext('user', 'project', is_admin=False),
        instance_uuid=reference.UUID,
        project_id='project',
        num_instances=1,
        scheduler_hints={},
        ignore_hosts=None,
        instance_group=None,
        numa_topology=None,
        pci_requests=objects.InstancePCIRequests(requests=[]),
        requested_resources=[],
        request_level_params=objects.RequestLevelParams(),
        image=objects.ImageMeta.from_dict({'properties': {}}),
        flavor=objects.Flavor(
            vcpus=vcpus,
            memory_mb=memory,
            root_gb=10,
            ephemeral_gb=0,
            swap=0,
            extra_specs={},
        ),
    )


PROFILES = {
    name: load_host((measured_hosts.PROFILES / f'{name}.json').read_text())
    for name in FLEET
}
MOVES = {
    (start, end): compare(guest_started_on(PROFILES[start]), host).verdict
    is Verdict.COMPATIBLE
    for start in PROFILES
    for end, host in PROFILES.items()
}


def main() -> None:
    """Print the table."""
    reference.prepare()
    logging.disable(logging.WARNING)
    hosts = sum(FLEET.values())
    print(f'{hosts} hosts of {len(FLEET)} kinds')
    rows = []
    for share in SHARES:
        for title, names, multiplier in (
            ("Nova's", [NOVAS], 0.0),
            ('and ours', [NOVAS, OURS], 1.0),
            ('and ours, multiplier 5', [NOVAS, OURS], 5.0),
        ):
            arm_weigher.CONF.set_override(WEIGHT, multiplier, GROUP)
            placed = Placed(names, share)
            possible = placed.destinations(free=False)
            now = placed.destinations(free=True)
            rows.append(
                {
                    'vCPUs used': f'{share:.0%}',
                    'weighers': title,
                    'guests': len(placed.guests),
                    'hosts a guest can move to, mean': round(
                        statistics.mean(possible), 1
                    ),
                    'with room now': round(statistics.mean(now), 1),
                    'guests with no host': now.count(0),
                    'spread of load, %': round(placed.spread(), 1),
                }
            )
    print(' | '.join(rows[0]))
    for row in rows:
        print(' | '.join(str(value) for value in row.values()))


if __name__ == '__main__':
    main()
