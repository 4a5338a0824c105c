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
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.nova.baseline.backends import Plan
from nova_arm_migrate.nova.baseline.backends import PRELOAD

_NAMESPACE = 'http://libvirt.org/schemas/domain/qemu/1.0'
_COMMANDLINE = f'{{{_NAMESPACE}}}commandline'
_ENV = f'{{{_NAMESPACE}}}env'
_ARG = f'{{{_NAMESPACE}}}arg'
_OURS = (PRELOAD, shim.VARIABLE)
#: libvirt has an element of its own for it.
_PMU = 'pmu'
_PASSTHROUGH = 'host-passthrough'
#: Names of features that a baseline can switch off.
_OFF = FEATURES.keys() | SVE_LENGTH_PROPERTIES.keys()


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
    xml: str,
    features_off: frozenset[str],
    environment: Mapping[str, str],
    arguments: Sequence[str],
) -> str:
    """Return the XML of a guest that arrives, for the QEMU of its new host.

    :param features_off: as in the destination's `Plan`; environment and
        arguments likewise. libvirt refuses the move if the two domains do not
        switch off the same features
    """
    root = _parsed(xml)
    # libvirt compares the features of both domains one by one, in their order
    # (virCPUDefIsEqual). A feature that is off on both hosts stays in its
    # place, and so does each vector length that is off on the source.
    for parent, path, is_off in (
        ('cpu', 'feature', _is_off),
        ('features', _PMU, lambda one: one.get('state') == 'off'),
    ):
        for element in root.iterfind(parent):
            for one in filter(is_off, element.findall(path)):
                name = one.get('name', _PMU)
                if name in FEATURES and name not in features_off:
                    element.remove(one)
    _switch_off(root, features_off)
    _set_commandline(root, environment, arguments)
    return _text(root)


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


def _is_off(feature: etree._Element) -> bool:
    return feature.get('name') in _OFF and feature.get('policy') in (
        'disable',
        'forbid',
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
