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

"""Asks libvirt here whether it takes what a guest's domain switches off.

libvirt refuses a name that its map of CPUs does not have
(``virCPUarmValidateFeatures``). In the lab, libvirt 9.0 does not know
``pauth``, and 11.3 does. It is asked, because no version says what a
distribution has added.
"""

from collections.abc import Iterable
from typing import Any

from lxml import etree
from oslo_log import log as logging

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.nova.layout import numa_host

LOG = logging.getLogger(__name__)

#: In the XML, the PMU is no CPU feature (``<features><pmu/>``), and libvirt
#: has no name for SME.
_NO_CPU_FEATURES = frozenset({'pmu', 'sme'})


def fault(connection: Any, guest: Guest) -> str:
    """Return why libvirt does not take the guest's CPU features, in one line.

    :param connection: libvirt's, or a stand-in in tests
    :returns: empty if it takes them, or cannot say. A guest on a baseline is
        not judged: a record of it does not say what its domain here will
        switch off. `refusal` is asked for its baseline when the service starts
    """
    if guest.baseline is not None:
        return ''
    return refusal(connection, guest.disabled)


def refusal(connection: Any, switched_off: Iterable[str]) -> str:
    """Return why libvirt does not take these CPU features, in one line.

    libvirt makes a QEMU command line from a small domain with them, as it does
    before a start, and starts nothing. The same domain without them shows
    whether another part of it is the cause.

    :param connection: libvirt's, or a stand-in in tests
    :param switched_off: features that a domain switches off
    :returns: empty if it takes them, or cannot say
    """
    names = sorted(set(switched_off) - _NO_CPU_FEATURES)
    convert = getattr(connection, 'domainXMLToNative', None)
    if not names or convert is None:
        return ''
    why = _refused(convert, names)
    if why and (other := _refused(convert, [])):
        LOG.debug('libvirt makes no command line here: %s', other)
        return ''
    return why


def _refused(convert: Any, names: list[str]) -> str:
    try:
        convert('qemu-argv', _domain(names), 0)
    except numa_host.libvirt_error() as error:
        return ' '.join(str(error).split())
    return ''


def _domain(names: list[str]) -> str:
    """Return a domain that has CPU features switched off."""
    domain = etree.Element('domain', type='kvm')
    etree.SubElement(domain, 'name').text = 'nova-arm-migrate'
    etree.SubElement(domain, 'memory', unit='MiB').text = '64'
    system = etree.SubElement(domain, 'os')
    kind = etree.SubElement(system, 'type', arch='aarch64', machine='virt')
    kind.text = 'hvm'
    cpu = etree.SubElement(domain, 'cpu', mode='host-passthrough')
    for name in names:
        etree.SubElement(cpu, 'feature', policy='disable', name=name)
    return etree.tostring(domain, encoding='unicode')
