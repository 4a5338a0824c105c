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

"""Keep floating vCPUs in few clusters of the host's CPUs."""

from collections.abc import Collection
import dataclasses

from nova_arm_migrate.numa.layout import Layout


def narrowed(
    layout: Layout, clusters: Collection[frozenset[int]], turn: int = 0
) -> Layout:
    """Return the layout with floating vCPUs in the fewest clusters.

    vCPUs that float over the same CPUs stay together. They get those of their
    CPUs that are in the chosen clusters, at least one CPU for each vCPU, and
    no other CPU. A vCPU with a dedicated CPU keeps it. Nothing changes if the
    cluster of any of the CPUs is unknown. For a CPU without a cluster Linux
    reports a cluster of one CPU.

    :param clusters: CPUs of each cluster of the host
    :param turn: a number derived from the guest. It chooses between equally
        good clusters, so that not all guests are in the first
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
    """Return *count* or more of *cpus*, from the fewest clusters."""
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
    # Clusters do not overlap: taking the largest first needs the fewest.
    for part in sorted(parts[first:] + parts[:first], key=len, reverse=True):
        if len(chosen) >= count:
            break
        chosen |= part
    return chosen
