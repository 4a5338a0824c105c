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

"""A plan's changes of a domain's XML.

Nova's configuration objects have neither environment variables nor arguments
of QEMU. libvirt takes both in a namespace of its own, below ``<domain>``.
"""

from collections.abc import Mapping
from collections.abc import Sequence

from lxml import etree

from nova_arm_migrate.core import shim
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.nova.baseline.backends import Plan
from nova_arm_migrate.nova.baseline.backends import PRELOAD
from nova_arm_migrate.nova.records.domain import read_domain

_NAMESPACE = 'http://libvirt.org/schemas/domain/qemu/1.0'
_COMMANDLINE = f'{{{_NAMESPACE}}}commandline'
_ENV = f'{{{_NAMESPACE}}}env'
_ARG = f'{{{_NAMESPACE}}}arg'
_OURS = (PRELOAD, shim.VARIABLE)
#: libvirt has an element of its own for it.
_PMU = 'pmu'
_PASSTHROUGH = 'host-passthrough'


class UnfitDomain(Exception):
    """The domain can't show a baseline; the text is one line."""


def unfit(mode: str) -> str:
    """Return why no guest can show a baseline; empty if guests can.

    :param mode: ``[libvirt] cpu_mode``; empty for Nova's default on Arm64,
        which is the host's CPU
    """
    if mode in ('', _PASSTHROUGH):
        return ''
    return (
        f'a guest CPU baseline needs [libvirt] cpu_mode = {_PASSTHROUGH}, not'
        f' {mode}'
    )


def with_baseline(xml: str, plan: Plan) -> str:
    """Return a domain's XML with which libvirt starts it on a baseline.

    :raises UnfitDomain: if its CPU is not the host's
    """
    root = _parsed(xml)
    cpu = root.find('cpu')
    mode = None if cpu is None else cpu.get('mode')
    if cpu is None or mode != _PASSTHROUGH:
        raise UnfitDomain(unfit(mode or 'none'))
    _switch_off(root, plan.features_off)
    if plan.baseline.gic is not None:
        gic = _child(_child(root, 'features'), 'gic')
        gic.set('version', str(plan.baseline.gic))
    _set_commandline(root, plan.environment, plan.arguments)
    return _text(root)


def for_host(
    xml: str, environment: Mapping[str, str], arguments: Sequence[str]
) -> str:
    """Return the XML of a guest that arrives, for the QEMU of its new host.

    The CPU features stay as they are: libvirt compares those of both domains
    one by one, in their order (``virCPUDefIsEqual``).

    :param environment: as in the destination's `Plan`; arguments likewise
    """
    root = _parsed(xml)
    _set_commandline(root, environment, arguments)
    return _text(root)


def unequal_features(xml: str, features_off: frozenset[str]) -> str:
    """Return why libvirt does not move a guest to a host; empty if it does.

    :param xml: of the guest where it runs
    :param features_off: as in the destination's `Plan`
    """
    has = read_domain(xml).disabled & FEATURES.keys()
    wants = features_off & FEATURES.keys()
    parts = [
        f'{name} is switched off in the guest and not by the destination'
        for name in sorted(has - wants)
    ]
    # An earlier version of this package has started such a guest.
    parts += [
        f'{name} is switched off by the destination and not in the guest,'
        ' which a hard reboot changes'
        for name in sorted(wants - has)
    ]
    if parts:
        parts.append('libvirt moves a guest only between equal CPU features')
    return '; '.join(parts)


def commandline(xml: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the variables and arguments that a domain gives its QEMU."""
    root = _parsed(xml)
    return (
        {
            str(one.get('name')): str(one.get('value', ''))
            for one in root.iterfind(f'{_COMMANDLINE}/{_ENV}')
        },
        tuple(
            str(one.get('value', ''))
            for one in root.iterfind(f'{_COMMANDLINE}/{_ARG}')
        ),
    )


def _switch_off(root: etree._Element, names: frozenset[str]) -> None:
    cpu = _child(root, 'cpu')
    for name in sorted(names - {_PMU}):
        feature = cpu.find(f"feature[@name='{name}']")
        if feature is None:
            feature = etree.SubElement(cpu, 'feature', name=name)
        feature.set('policy', 'disable')
    if _PMU in names:
        _child(_child(root, 'features'), _PMU).set('state', 'off')


def _set_commandline(
    root: etree._Element,
    environment: Mapping[str, str],
    arguments: Sequence[str],
) -> None:
    """Replace what a plan may have put there on another host."""
    found = root.find(_COMMANDLINE)
    if found is not None:
        for one in list(found):
            # Nova writes no arguments: those that are there are ours.
            if one.tag == _ARG or one.get('name') in _OURS:
                found.remove(one)
        if not len(found):
            root.remove(found)
            found = None
    if not (environment or arguments):
        return
    if found is None:
        found = etree.SubElement(
            root, _COMMANDLINE, nsmap={'qemu': _NAMESPACE}
        )
    for argument in arguments:
        etree.SubElement(found, _ARG, value=argument)
    for name, value in environment.items():
        etree.SubElement(found, _ENV, name=name, value=value)


def _child(parent: etree._Element, name: str) -> etree._Element:
    found = parent.find(name)
    return etree.SubElement(parent, name) if found is None else found


def _parsed(xml: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    return etree.fromstring(xml.encode(), parser)


def _text(root: etree._Element) -> str:
    return str(etree.tostring(root, encoding='unicode'))
