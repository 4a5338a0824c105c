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

"""Keeping vCPUs that float over many CPUs in few clusters of them."""

from collections.abc import Collection
import dataclasses

from nova_arm_migrate.numa.layout import Layout


def narrowed(
    layout: Layout, clusters: Collection[frozenset[int]], turn: int = 0
) -> Layout:
    """Return the layout with floating vCPUs in as few clusters as hold them.

    vCPUs that float over the same CPUs are kept together, on the part of
    those CPUs that is in the chosen clusters: never on any other, and never
    on fewer CPUs than they are. A vCPU with a CPU of its own keeps it.
    Nothing changes where it is not known of each CPU which cluster it is in;
    a cluster of one CPU is what Linux reports for a CPU that is in none.

    :param clusters: CPUs of each cluster of the host
    :param turn: any number that is the guest's own: it decides between
        clusters that are as good, so that not all guests are in the first
    """
    groups: dict[frozenset[int], list[int]] = {}
    for vcpu, cpus in layout.vcpus.items():
        if len(cpus) > 1:
            groups.setdefault(cpus, []).append(vcpu)
    pins = dict(layout.vcpus)
    for cpus, vcpus in groups.items():
        pins.update(
            dict.fromkeys(vcpus, _fewest(cpus, len(vcpus), clusters, turn))
        )
    return dataclasses.replace(layout, vcpus=pins)


def _fewest(
    cpus: frozenset[int],
    count: int,
    clusters: Collection[frozenset[int]],
    turn: int,
) -> frozenset[int]:
    """The part of *cpus* in the fewest clusters that have *count* of them."""
    parts = sorted(
        {
            cluster & cpus
            for cluster in clusters
            if len(cluster) > 1 and cluster & cpus
        },
        key=min,
    )
    if (
        not parts
        or sum(map(len, parts)) != len(cpus)
        or (frozenset().union(*parts) != cpus)
    ):
        return cpus
    first = turn % len(parts)
    chosen: frozenset[int] = frozenset()
    # Clusters do not overlap, so taking the largest first is the fewest.
    for part in sorted(parts[first:] + parts[:first], key=len, reverse=True):
        if len(chosen) >= count:
            break
        chosen |= part
    return chosen
