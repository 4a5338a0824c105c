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

"""What a libvirt domain's XML says about its vCPUs."""

import dataclasses

from lxml import etree

from nova_arm_migrate.core.profile import DISABLED_NAMES
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.core.tables.features import SVE_LENGTHS
from nova_arm_migrate.numa import parse

_OFF = ('disable', 'forbid')
_ON = ('force', 'require')


@dataclasses.dataclass(frozen=True, slots=True)
class Domain:
    """The part of a libvirt domain that decides what the guest sees.

    :ivar kvm: the guest runs on KVM and is a 64-bit Arm machine
    :ivar disabled: as `Guest.disabled`
    :ivar gic: version of its GIC; None if the XML does not say
    :ivar memory: bytes, hot-pluggable memory included; None if the XML does
        not say
    """

    kvm: bool = True
    disabled: frozenset[str] = frozenset()
    gic: int | None = None
    memory: int | None = None


def read_domain(xml: str) -> Domain:
    """Return what a domain's XML says.

    :raises ValueError: if it is not XML
    """
    try:
        root = parse.parse_xml(xml.encode())
    except etree.XMLSyntaxError as error:
        raise ValueError(f'not a domain XML: {error}') from None
    machine = root.find('os/type')
    arch = 'aarch64' if machine is None else machine.get('arch', 'aarch64')
    gic = root.find('features/gic')
    version = '' if gic is None else gic.get('version', '')
    return Domain(
        kvm=root.get('type') == 'kvm' and arch == 'aarch64',
        disabled=_disabled(root),
        gic=int(version) if version.isdecimal() else None,
        memory=_memory(root),
    )


def merged(written: Domain, live: Domain) -> Domain:
    """Combine the XML that Nova wrote with libvirt's live XML.

    libvirt fills in what Nova leaves out, mainly the GIC's version.
    """
    return Domain(
        kvm=written.kvm and live.kvm,
        disabled=written.disabled | live.disabled,
        gic=live.gic or written.gic,
        memory=live.memory or written.memory,
    )


def switched_off(policies: dict[str, str | None]) -> frozenset[str]:
    """Return the features that these policies switch off.

    :param policies: libvirt's policy by feature name (QEMU's property)
    :returns: as `Guest.disabled`
    """
    off = {name for name, policy in policies.items() if policy in _OFF}
    # In QEMU, an enabled vector length disables all longer ones
    # (docs/system/arm/cpu-features.rst, SVE CPU Property Parsing Semantics).
    longest = max(
        (
            SVE_LENGTH_PROPERTIES[name]
            for name, policy in policies.items()
            if policy in _ON and name in SVE_LENGTH_PROPERTIES
        ),
        default=SVE_LENGTHS[-1],
    )
    off.update(
        name for name, bits in SVE_LENGTH_PROPERTIES.items() if bits > longest
    )
    return frozenset(off & DISABLED_NAMES)


def _disabled(root: etree._Element) -> frozenset[str]:
    off = switched_off(
        {
            feature.get('name', ''): feature.get('policy')
            for feature in root.iterfind('cpu/feature')
        }
    )
    pmu = root.find('features/pmu')
    if pmu is not None and pmu.get('state') == 'off':
        off |= {'pmu'}
    return off


def _memory(root: etree._Element) -> int | None:
    for name in ('maxMemory', 'memory'):
        element = root.find(name)
        text = '' if element is None else (element.text or '').strip()
        if element is not None and text.isdecimal():
            unit = parse.UNITS.get(element.get('unit', 'KiB'))
            return unit and int(text) * unit
    return None
