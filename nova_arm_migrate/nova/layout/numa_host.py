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


"""What libvirt and the kernel report about this host and its guests."""

from collections.abc import Iterator
import itertools
import pathlib
from typing import Any

from nova.virt.libvirt import driver as libvirt_driver
from oslo_log import log as logging

from nova_arm_migrate.numa import cpuset
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa import procfs
from nova_arm_migrate.numa import proof
from nova_arm_migrate.numa.domain import layout_of
from nova_arm_migrate.numa.errors import NumaError
from nova_arm_migrate.numa.hostcheck import cell_memory_kib
from nova_arm_migrate.numa.hostcheck import HostNuma
from nova_arm_migrate.numa.hostcheck import Node

LOG = logging.getLogger(__name__)

_PROC = pathlib.Path('/proc')
#: 64 GiB in pages of 4 KiB. Huge pages do not count (fs/proc/task_mmu.c,
#: task_statm).
_MOST_PAGES = 1 << 24
_CPUS = pathlib.Path('/sys/devices/system/cpu')


def libvirt_module() -> Any:
    """Return libvirt: Nova loads it late, and its tests replace it."""
    return libvirt_driver.libvirt


def libvirt_error() -> Any:
    """Return the exception that libvirt's calls raise."""
    return libvirt_module().libvirtError


def host_numa(
    host: Any, uuid: str, claimed: frozenset[int], online: bool = True
) -> HostNuma:
    """Ask libvirt for this host's present CPUs and memory.

    :param host: ``nova.virt.libvirt.host.Host``
    :param uuid: of the migrating guest, whose own CPUs are not held
    :param claimed: the CPUs that will be dedicated to it
    :param online: False skips the check of online CPUs, before Nova has
        powered the CPUs up
    """
    topology = host.get_capabilities().host.topology
    cells = (
        {} if topology is None else {cell.id: cell for cell in topology.cells}
    )
    free = _free_pages(host, cells)
    nodes = {
        number: Node(
            frozenset(cpu.id for cpu in cell.cpus),
            cell.memory or 0,
            free.get(number),
        )
        for number, cell in cells.items()
    }
    return HostNuma(
        online=frozenset(host.get_online_cpus()) if online else None,
        nodes=nodes,
        held=held_cpus(host, uuid, claimed),
    )


def _free_pages(host: Any, cells: dict[int, Any]) -> dict[int, dict[int, int]]:
    """Free pages by node and page size in KiB; empty if libvirt can't say."""
    found = {}
    connection = host.get_connection()
    # Nova's simulated libvirt does not have this method.
    ask = getattr(connection, 'getFreePages', None)
    for number, cell in cells.items():
        sizes = sorted(page.size for page in cell.mempages)
        if ask is None or not sizes:
            continue
        try:
            # Node by node, as the numbers may have gaps.
            found[number] = ask(sizes, number, 1, 0)[number]
        except (libvirt_error(), KeyError) as error:
            LOG.info(
                'libvirt does not report the free pages of node'
                ' %(node)s: %(error)s',
                {'node': number, 'error': error},
            )
    return found


def clusters(folder: pathlib.Path = _CPUS) -> frozenset[frozenset[int]]:
    """CPUs of each cluster, as Linux reports them; empty without a report.

    :param folder: the folder in sysfs, or a recorded copy of it
    """
    found = set()
    for path in folder.glob('cpu[0-9]*/topology/cluster_cpus_list'):
        try:
            found.add(cpuset.parse(path.read_text().strip()))
        except (OSError, ValueError) as error:
            # The CPU may have gone offline at this moment.
            LOG.info(
                'Cannot read %(path)s: %(error)s',
                {'path': path, 'error': error},
            )
    return frozenset(found)


def held_cpus(
    host: Any, uuid: str, claimed: frozenset[int]
) -> dict[str, frozenset[int]]:
    """The dedicated CPUs of running domains, by the domain's name.

    :param uuid: of a domain to leave out
    :param claimed: only these CPUs are returned. In the XML, a guest that
        floats over a node with a single CPU looks like a pinned guest
    """
    held = {}
    for guest in host.list_guests():
        if guest.uuid == uuid:
            continue
        try:
            domain = parse.parse_domain(guest.get_xml_desc())
            cpus = claimed & {*layout_of(domain).dedicated.values()}
            if cpus:
                held[domain.findtext('name') or guest.uuid] = cpus
        except (libvirt_error(), NumaError) as error:
            # The domain may have ended at this moment.
            LOG.info(
                'Cannot read the CPUs of domain %(uuid)s: %(error)s',
                {'uuid': guest.uuid, 'error': error},
            )
    return held


def live(xml: str, uuid: str) -> Iterator[proof.Live]:
    """Yield libvirt's view of a guest, then the kernel's.

    The kernel's view is left out if no QEMU process is found.

    :param xml: of the running domain
    :raises NumaError: if libvirt's XML can't be read
    """
    domain = parse.parse_domain(xml)
    yield proof.live_of_layout(layout_of(domain))
    pid = process_of(uuid)
    if pid is None:
        LOG.info('Found no QEMU process of domain %s in /proc', uuid)
        return
    try:
        yield proof.live_of_process(
            pid, dict(_threads(pid)), _mappings(pid), cell_memory_kib(domain)
        )
    except (OSError, ValueError) as error:
        LOG.info(
            'Cannot read the QEMU process %(pid)s: %(error)s',
            {'pid': pid, 'error': error},
        )


def process_of(uuid: str) -> int | None:
    """Return the process id of a domain's QEMU; None if there is none."""
    wanted = ('-uuid', uuid)
    for path in _PROC.glob('[0-9]*/cmdline'):
        try:
            words = path.read_bytes().split(b'\0')
        except OSError:
            continue
        texts = [word.decode(errors='replace') for word in words]
        if wanted in itertools.pairwise(texts):
            return int(path.parent.name)
    return None


def _threads(pid: int) -> Iterator[tuple[int, procfs.Thread]]:
    for task in (_PROC / str(pid) / 'task').iterdir():
        try:
            yield (
                int(task.name),
                procfs.Thread(
                    (task / 'comm').read_text().rstrip('\n'),
                    procfs.allowed_cpus((task / 'status').read_text()),
                ),
            )
        except FileNotFoundError:
            continue  # QEMU has just ended that thread


def _mappings(pid: int) -> list[procfs.Mapping]:
    """Memory of a process; empty if it can't be read in a short time.

    For ``numa_maps`` the kernel visits every page: some 30 ns each.
    """
    folder = _PROC / str(pid)
    try:
        resident = int((folder / 'statm').read_text().split()[1])
        if resident > _MOST_PAGES:
            LOG.info(
                'The memory placement of process %(pid)s is not compared:'
                ' it has too many small pages: %(pages)s',
                {'pid': pid, 'pages': resident},
            )
            return []
        return list(
            procfs.mappings(
                (folder / 'numa_maps').read_text(),
                (folder / 'maps').read_text(),
            )
        )
    except (FileNotFoundError, PermissionError) as error:
        LOG.info(
            'Cannot read the memory placement of process %(pid)s: %(error)s',
            {'pid': pid, 'error': error},
        )
        return []
