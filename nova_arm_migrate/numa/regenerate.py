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


"""Rewrite a domain XML for the destination's layout."""

from collections.abc import Iterable
import copy
import itertools

from lxml import etree

from nova_arm_migrate.numa import abi
from nova_arm_migrate.numa import cpuset
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.errors import LayoutError
from nova_arm_migrate.numa.layout import Layout

#: The order in which libvirt's ``virDomainDefFormatInternal`` writes the
#: children of ``<domain>``, up to the last one that this module rewrites.
_DOMAIN_ORDER = (
    'name',
    'uuid',
    'hwuuid',
    'genid',
    'title',
    'description',
    'metadata',
    'maxMemory',
    'memory',
    'currentMemory',
    'blkiotune',
    'memtune',
    'memoryBacking',
    'vcpu',
    'vcpus',
    'iothreads',
    'iothreadids',
    'defaultiothread',
    'cputune',
    'numatune',
)

#: The same for ``virDomainCputuneDefFormat``.
_ORDER = {
    'cputune': (
        'shares',
        'global_period',
        'global_quota',
        'period',
        'quota',
        'emulator_period',
        'emulator_quota',
        'iothread_period',
        'iothread_quota',
        'vcpupin',
        'emulatorpin',
        'iothreadpin',
        'emulatorsched',
        'vcpusched',
        'iothreadsched',
        'cachetune',
        'memorytune',
    )
}

#: The elements in each section that the layout sets; all others stay.
_OURS = {
    'memoryBacking': frozenset({'hugepages'}),
    'cputune': frozenset(
        {'vcpupin', 'emulatorpin', 'iothreadpin', 'vcpusched'}
    ),
    'numatune': frozenset({'memory', 'memnode'}),
}


def regenerate(text: str | bytes, layout: Layout) -> str:
    """Return the domain XML with the settings of the layout.

    Elements are created, changed and removed. Everything that the layout
    does not cover, including unknown elements, stays as it is.

    :raises DomainXmlError: if the XML can't be read
    :raises LayoutError: if the layout is for another guest
    :raises AbiError: if the guest would see a change
    """
    domain = parse.parse_domain(text)
    return etree.tostring(regenerated(domain, layout), encoding='unicode')


def regenerated(domain: etree._Element, layout: Layout) -> etree._Element:
    """Do the same as `regenerate` on a parsed domain; it stays unchanged."""
    result = copy.deepcopy(domain)
    fits(result, layout)
    vcpu = result.find('vcpu')
    assert vcpu is not None  # fits() has read it
    vcpu.attrib.pop('cpuset', '')
    if layout.shared is not None:
        vcpu.set('cpuset', cpuset.format(layout.shared))
    _rewrite(result, 'memoryBacking', _hugepages(layout))
    _rewrite(
        result, 'cputune', _cputune(layout, parse.guest_iothreads(result))
    )
    _rewrite(result, 'numatune', _numatune(result, layout))
    abi.check(domain, result)
    return result


def fits(domain: etree._Element, layout: Layout) -> None:
    """Check that a layout is for this guest.

    :raises DomainXmlError: if the guest can't be read
    :raises LayoutError: if the layout is for another guest; names the
        element that differs
    """
    vcpus = parse.guest_vcpus(domain)
    if layout.vcpus and set(layout.vcpus) != vcpus:
        raise LayoutError(
            '/domain/vcpu',
            f'the guest has vCPUs {cpuset.format(vcpus)}, the'
            f' layout pins {cpuset.format(layout.vcpus)}',
        )
    cells = parse.guest_cells(domain)
    ours = {cell.id for cell in layout.cells}
    if layout.cells and ours != cells:
        raise LayoutError(
            '/domain/cpu/numa',
            f'the guest has cells'
            f' {cpuset.format(cells) or "none"}, the layout has'
            f' {cpuset.format(ours)}',
        )
    strange = set(layout.iothreads) - parse.guest_iothreads(domain)
    if strange and parse.guest_iothreads(domain):
        raise LayoutError(
            '/domain/iothreads',
            'the guest does not have iothread'
            f' {cpuset.format(strange)}, which the layout pins',
        )


def _hugepages(layout: Layout) -> list[etree._Element]:
    """Return ``<hugepages>``: one ``<page>`` for each size.

    Its nodeset lists the guest's cells with that size.
    """
    sizes: dict[int, list[int]] = {}
    for cell in layout.cells:
        if cell.page_kib is not None:
            sizes.setdefault(cell.page_kib, []).append(cell.id)
    if not sizes:
        return []
    hugepages = _element(etree.Element('hold'), 'hugepages')
    for size in sorted(sizes):
        _element(
            hugepages,
            'page',
            size=size,
            unit='KiB',
            nodeset=cpuset.format(sizes[size]),
        )
    return [hugepages]


def _cputune(layout: Layout, iothreads: Iterable[int]) -> list[etree._Element]:
    hold = etree.Element('hold')
    elements = [
        _element(hold, 'vcpupin', vcpu=vcpu, cpuset=cpuset.format(cpus))
        for vcpu, cpus in layout.vcpus.items()
    ]
    if layout.emulator is not None:
        elements.append(
            _element(
                hold, 'emulatorpin', cpuset=cpuset.format(layout.emulator)
            )
        )
    for number in sorted(iothreads):
        cpus = layout.iothread(number)
        if cpus is not None:
            elements.append(
                _element(
                    hold,
                    'iothreadpin',
                    iothread=number,
                    cpuset=cpuset.format(cpus),
                )
            )
    if layout.scheduler is not None:
        how: dict[str, str | int] = {'scheduler': layout.scheduler.policy}
        if layout.scheduler.priority:
            how['priority'] = layout.scheduler.priority
        # One element for each vCPU, as libvirt writes it.
        elements += [
            _element(hold, 'vcpusched', vcpus=vcpu, **how)
            for vcpu in sorted(layout.scheduler.vcpus)
        ]
    return elements


def _numatune(domain: etree._Element, layout: Layout) -> list[etree._Element]:
    if not layout.cells:
        return []
    modes = {cell.mode for cell in layout.cells}
    memory = domain.find('numatune/memory')
    kept = (
        {}
        if memory is None
        else {
            str(name): str(value)
            for name, value in memory.attrib.items()
            if name not in ('mode', 'nodeset', 'placement')
        }
    )
    hold = etree.Element('hold')
    elements = [
        _element(
            hold,
            'memory',
            mode=modes.pop() if len(modes) == 1 else 'strict',
            nodeset=cpuset.format(layout.nodes),
            **kept,
        )
    ]
    for cell in layout.cells:
        elements.append(
            _element(
                hold,
                'memnode',
                cellid=cell.id,
                mode=cell.mode,
                nodeset=cpuset.format(cell.nodes),
            )
        )
    return elements


def _element(
    parent: etree._Element, tag: str, **attributes: str | int
) -> etree._Element:
    # lxml makes a whole document for each element without a parent.
    return etree.SubElement(
        parent, tag, {name: str(value) for name, value in attributes.items()}
    )


def _rewrite(
    domain: etree._Element, name: str, elements: list[etree._Element]
) -> None:
    """Replace the layout's elements in one section.

    An empty section is removed. A new section is inserted where libvirt
    would write it.
    """
    section = domain.find(name)
    if section is None:
        if not elements:
            return
        section = etree.Element(name)
    else:
        _remove(section)
    for element in list(section):
        if element.tag in _OURS[name]:
            section.remove(element)
    for tag, group in itertools.groupby(elements, lambda new: str(new.tag)):
        position = _position(section, tag, _ORDER.get(name, ()))
        section[position:position] = group
    if len(section):
        etree.indent(section, '  ', level=1)
        _insert(domain, section)


def _position(parent: etree._Element, tag: str, order: tuple[str, ...]) -> int:
    """Return the position of a child: after all that precede it in *order*.

    Without an order, the child follows ``<memory>``, or else is the first.
    """
    before = {*order[: order.index(tag) + 1]} if order else {'memory'}
    return max(
        (
            index
            for index, child in enumerate(parent, 1)
            if child.tag in before
        ),
        default=0,
    )


def _insert(domain: etree._Element, section: etree._Element) -> None:
    """Insert a section where libvirt would write it, with white space."""
    position = _position(domain, str(section.tag), _DOMAIN_ORDER)
    if position and position == len(domain):
        last = domain[position - 1]
        section.tail, last.tail = last.tail, domain.text
    else:
        section.tail = domain[position - 1].tail if position else domain.text
    domain.insert(position, section)


def _remove(element: etree._Element) -> None:
    """Remove an element and its white space."""
    parent = element.getparent()
    assert parent is not None
    previous = element.getprevious()
    if element.getnext() is None and previous is not None:
        previous.tail = element.tail
    parent.remove(element)
