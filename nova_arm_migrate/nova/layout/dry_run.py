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


"""Asking libvirt whether a domain could run here, without running it."""

import pathlib
import threading
from typing import Any

from lxml import etree
from oslo_log import log as logging

from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.hostcheck import Fault

LOG = logging.getLogger(__name__)

#: Where libvirt's packages install its schemas.
SCHEMA = pathlib.Path('/usr/share/libvirt/schemas/domain.rng')

#: What Nova makes for a guest only after this check, by the path of the
#: element that has it.
_LATER = (
    'devices/disk',
    'devices/interface',
    'devices/hostdev',
    'devices/filesystem',
    'devices/tpm',
)


class Schema:
    """libvirt's schema of domains, read once."""

    def __init__(self, path: pathlib.Path = SCHEMA) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._schema: etree.RelaxNG | None = None

    def fault(
        self, domain: etree._Element, original: etree._Element
    ) -> Fault | None:
        """Return what of a domain libvirt's schema does not allow.

        :param original: as the source's libvirt wrote it. What is wrong in
            that too is not for us to judge: a newer libvirt writes what an
            older schema does not know, and the older libvirt passes over it
        """
        # One at a time: a validator keeps the errors of its last use.
        with self._lock:
            if self._schema is None:
                try:
                    self._schema = etree.RelaxNG(etree.parse(str(self._path)))
                except (OSError, etree.LxmlError) as error:
                    LOG.info(
                        "No schema check, libvirt's schema can not be"
                        ' read: %s',
                        error,
                    )
                    return None
            if self._schema.validate(domain):
                return None
            words = self._schema.error_log
            where, why = '/domain', "is not as libvirt's schema has it"
            if len(words):
                where = words[0].path or where
                why = words[0].message
            if not self._schema.validate(original):
                LOG.info(
                    'Not held against a guest whose XML was so before:'
                    ' %(where)s: %(why)s',
                    {'where': where, 'why': why},
                )
                return None
        return Fault(where, why)


def native_fault(connection: Any, domain: etree._Element) -> Fault | None:
    """Return why QEMU's driver can't make a command line of a domain.

    The conversion takes machine type, devices, firmware and memory backing
    as a start would, and starts nothing.

    :param connection: libvirt's, or a stand-in in tests
    """
    convert = getattr(connection, 'domainXMLToNative', None)
    if convert is None:
        return None
    try:
        convert('qemu-argv', parse.text_of(domain), 0)
        return None
    except numa_host.libvirt_error() as error:
        first = str(error)
    # Volumes, ports and passed-through devices are made later; without them
    # it is known whether one of those was in the way.
    lean = parse.parse_domain(parse.text_of(domain))
    for path in _LATER:
        for element in lean.findall(path):
            parent = element.getparent()
            assert parent is not None
            parent.remove(element)
    try:
        convert('qemu-argv', parse.text_of(lean), 0)
    except numa_host.libvirt_error() as error:
        return Fault('/domain', f'libvirt: {error}')
    LOG.info('Left to what Nova prepares later: libvirt: %s', first)
    return None
