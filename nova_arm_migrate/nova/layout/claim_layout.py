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

"""A guest's layout on this host, from Nova's claim."""

from typing import Any

from nova_arm_migrate.nova import release
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.layout import Scheduler


def claimed_layout(
    driver: Any, topology: Any, flavor: Any, image_meta: Any
) -> Layout:
    """Return the guest's layout on this host, from Nova's claim.

    :param driver: LibvirtDriver of the destination
    :param topology: InstanceNUMATopology that the claim has fitted
    :raises nova.exception.NovaException: if Nova can't place the guest with
        this host's settings
    :raises LayoutError: if Nova's own numbers are not a valid layout
    """
    shared, tune, _numa, numatune = driver._get_guest_numa_config(
        topology, flavor, image_meta
    )
    if tune is None or numatune is None:
        return Layout(shared=shared or None)
    backing = driver._get_guest_memory_backing_config(
        topology, numatune, flavor, image_meta
    )
    pages = {}
    for page in backing.hugepages if backing is not None else ():
        pages.update(dict.fromkeys(page.nodeset, page.size_kb))
    scheduler = None
    for how in tune.vcpusched:
        scheduler = Scheduler(
            frozenset(how.vcpus), how.scheduler, how.priority
        )
    return Layout(
        vcpus={pin.id: frozenset(pin.cpuset) for pin in tune.vcpupin},
        emulator=frozenset(tune.emulatorpin.cpuset) or None,
        iothreads={
            pin.iothread: frozenset(pin.cpuset)
            for pin in release.iothread_pins(tune)
            if pin.cpuset
        },
        cells=tuple(
            Cell(
                node.cellid,
                frozenset(node.nodeset),
                node.mode,
                pages.get(node.cellid),
            )
            for node in numatune.memnodes
        ),
        scheduler=scheduler,
    )


def dedicated_cpus(topology: Any) -> frozenset[int]:
    """Return the dedicated CPUs of a guest, from Nova's claim.

    :param topology: InstanceNUMATopology
    """
    return frozenset(
        cpu
        for cell in topology.cells
        for cpu in (cell.cpu_pinning or {}).values()
    )
