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


"""Read domain XML, which another host may have sent."""

from lxml import etree

from nova_arm_migrate.numa import cpuset
from nova_arm_migrate.numa.errors import DomainXmlError
from nova_arm_migrate.numa.layout import GUEST_LIMIT

#: Bytes. The XML of a guest with 64 vCPUs has some 30,000.
LIMIT = 4 << 20

#: libvirt's units (virScaleInteger), in bytes.
UNITS = {'b': 1, 'bytes': 1}
UNITS |= {f'{prefix}B': 1000**n for n, prefix in enumerate('KMGTPE', start=1)}
UNITS |= {
    f'{prefix}{suffix}': 1024**n
    for n, prefix in enumerate('KMGTPE', start=1)
    for suffix in ('', 'iB')
}
UNITS['k'] = 1024

#: Whole KiB. libvirt writes KiB; users, and so Nova, also write other units.
_UNITS_KIB = {
    unit: size >> 10
    for unit, size in UNITS.items()
    if size in (1 << 10, 1 << 20, 1 << 30, 1 << 40)
}


def parse_xml(data: bytes) -> etree._Element:
    """Return the root element; no other file is read.

    :raises etree.XMLSyntaxError: if it is not well-formed
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
    )
    return etree.fromstring(data, parser)


def parse_domain(text: str | bytes) -> etree._Element:
    """Return the ``<domain>``.

    :raises DomainXmlError: if it is not well-formed, is too large, has a
        document type (and with it entities, which libvirt never writes), or
        is not a domain
    """
    data = text.encode() if isinstance(text, str) else text
    if len(data) > LIMIT:
        raise DomainXmlError('/', f'has more than {LIMIT} bytes')
    # Check this before parsing: a parser would expand entities in attributes.
    if _first_markup(data).startswith(b'<!'):
        raise DomainXmlError('/', 'has a document type declaration')
    try:
        root = parse_xml(data)
    except (etree.XMLSyntaxError, ValueError) as error:
        words = str(error).partition('\n')[0]
        raise DomainXmlError('/', f'is not XML: {words[:100]}') from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise DomainXmlError('/', 'has a document type declaration')
    if root.tag != 'domain':
        raise DomainXmlError('/', 'is not a libvirt domain')
    return root


def _first_markup(data: bytes) -> bytes:
    """Return what follows the XML declaration, comments, instructions."""
    rest = data.removeprefix(b'\xef\xbb\xbf').lstrip()
    for start, end in ((b'<?', b'?>'), (b'<!--', b'-->')) * 64:
        if rest.startswith(start):
            rest = rest.partition(end)[2].lstrip()
    return rest[:16]


def integer(element: etree._Element, attribute: str | None = None) -> int:
    """Return the number in an element's text or attribute.

    :raises DomainXmlError: if there is none, or it is out of range
    """
    return _integer(element, attribute, GUEST_LIMIT)


def kib(element: etree._Element, attribute: str) -> int:
    """Return a size in KiB, converted from the element's unit.

    :raises DomainXmlError: if there is no size, or libvirt does not write its
        unit
    """
    unit = element.get('unit', 'KiB')
    if unit not in _UNITS_KIB:
        raise DomainXmlError(
            f'{path_of(element)}/@unit', f'is not a unit: {unit[:20]!r}'
        )
    return _integer(element, attribute, 1 << 50) * _UNITS_KIB[unit]


def _integer(
    element: etree._Element, attribute: str | None, limit: int
) -> int:
    path = path_of(element)
    if attribute is not None:
        path = f'{path}/@{attribute}'
        text = element.get(attribute)
    else:
        text = element.text
    text = (text or '').strip()
    if not (
        text.isascii()
        and text.isdigit()
        and len(text) <= 16
        and int(text) < limit
    ):
        raise DomainXmlError(path, f'is not a number: {text[:20]!r}')
    return int(text)


def numbers(element: etree._Element, attribute: str) -> frozenset[int]:
    """Return the CPUs or nodes that an attribute lists.

    :raises DomainXmlError: if it is not such a list
    """
    try:
        return cpuset.parse(element.get(attribute, ''))
    except ValueError as error:
        raise DomainXmlError(
            f'{path_of(element)}/@{attribute}', str(error)
        ) from None


def text_of(element: etree._Element) -> str:
    """Return an element as XML."""
    return etree.tostring(element, encoding='unicode')


def path_of(element: etree._Element) -> str:
    """Return the XPath of an element."""
    return str(element.getroottree().getpath(element))


def guest_vcpus(domain: etree._Element) -> frozenset[int]:
    """Return the numbers of all possible vCPUs, hot-plugged ones included.

    :raises DomainXmlError: if ``<vcpu>`` is missing or not a number
    """
    vcpu = domain.find('vcpu')
    if vcpu is None:
        raise DomainXmlError('/domain/vcpu', 'is missing')
    count = integer(vcpu)
    if not count:
        raise DomainXmlError('/domain/vcpu', 'is 0')
    return frozenset(range(count))


def guest_cells(domain: etree._Element) -> frozenset[int]:
    """Return the numbers of the guest's NUMA cells; libvirt may omit them.

    :raises DomainXmlError: if one is not a number
    """
    return frozenset(
        position if cell.get('id') is None else integer(cell, 'id')
        for position, cell in enumerate(domain.iterfind('cpu/numa/cell'))
    )


def guest_iothreads(domain: etree._Element) -> frozenset[int]:
    """Return the numbers of the guest's iothreads.

    ``<iothreadids>`` lists explicit numbers. The other iothreads have the
    lowest free numbers, from 1 (libvirt's
    ``virDomainIOThreadIDDefArrayInit``).

    :raises DomainXmlError: if one is not a number
    """
    found = {
        integer(thread, 'id')
        for thread in domain.iterfind('iothreadids/iothread')
    }
    count = domain.find('iothreads')
    wanted = 0 if count is None else integer(count)
    number = 1
    while len(found) < wanted:
        found.add(number)
        number += 1
    return frozenset(found)
