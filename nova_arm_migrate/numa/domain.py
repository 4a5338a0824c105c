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


"""Read the layout from a domain XML."""

from lxml import etree

from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.errors import DomainXmlError
from nova_arm_migrate.numa.errors import LayoutError
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.layout import Scheduler


def layout_of(domain: etree._Element) -> Layout:
    """Return the layout in a domain XML.

    This is the inverse of `regenerate`: it returns the layout that
    `regenerate` was given, with a pin for each iothread.

    :raises DomainXmlError: if the XML is not what libvirt writes
    """
    vcpu = domain.find('vcpu')
    shared = None
    if vcpu is not None and vcpu.get('cpuset'):
        shared = parse.numbers(vcpu, 'cpuset')
    emulator = domain.find('cputune/emulatorpin')
    try:
        return Layout(
            vcpus={
                parse.integer(pin, 'vcpu'): parse.numbers(pin, 'cpuset')
                for pin in domain.iterfind('cputune/vcpupin')
            },
            emulator=(
                None if emulator is None else parse.numbers(emulator, 'cpuset')
            ),
            iothreads={
                parse.integer(pin, 'iothread'): parse.numbers(pin, 'cpuset')
                for pin in domain.iterfind('cputune/iothreadpin')
            },
            cells=_cells(domain),
            shared=shared,
            scheduler=_scheduler(domain),
        )
    except LayoutError as error:
        raise DomainXmlError('/domain', str(error)) from None


def _cells(domain: etree._Element) -> tuple[Cell, ...]:
    """Guest cells with the nodes that their memory is bound to."""
    pages = _pages(domain)
    memory = domain.find('numatune/memory')
    nodes: dict[int, tuple[frozenset[int], str]] = {}
    if memory is not None and memory.get('nodeset'):
        whole = parse.numbers(memory, 'nodeset'), memory.get('mode', 'strict')
        nodes = dict.fromkeys(parse.guest_cells(domain), whole)
    for memnode in domain.iterfind('numatune/memnode'):
        nodes[parse.integer(memnode, 'cellid')] = (
            parse.numbers(memnode, 'nodeset'),
            memnode.get('mode', 'strict'),
        )
    return tuple(
        Cell(number, where, mode, pages.get(number, pages.get(None)))
        for number, (where, mode) in nodes.items()
    )


def _pages(domain: etree._Element) -> dict[int | None, int]:
    """Page size in KiB by guest cell; the key None means all other cells."""
    pages: dict[int | None, int] = {}
    for page in domain.iterfind('memoryBacking/hugepages/page'):
        kib = parse.kib(page, 'size')
        if page.get('nodeset') is None:
            pages[None] = kib
        for cell in parse.numbers(page, 'nodeset'):
            pages[cell] = kib
    return pages


def _scheduler(domain: etree._Element) -> Scheduler | None:
    """Return the first policy and priority, and all vCPUs that have it."""
    found: dict[tuple[str, int], set[int]] = {}
    for element in domain.iterfind('cputune/vcpusched'):
        priority = (
            parse.integer(element, 'priority')
            if element.get('priority')
            else 0
        )
        found.setdefault(
            (element.get('scheduler', ''), priority), set()
        ).update(parse.numbers(element, 'vcpus'))
    for (policy, priority), vcpus in found.items():
        return Scheduler(frozenset(vcpus), policy, priority)
    return None
