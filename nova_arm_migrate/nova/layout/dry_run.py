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


"""The dry run: libvirt checks a domain's XML and starts nothing."""

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

#: Devices that Nova prepares only after this check, by the path of their
#: elements.
_LATER = (
    'devices/disk',
    'devices/interface',
    'devices/hostdev',
    'devices/filesystem',
    'devices/tpm',
)


class Schema:
    """libvirt's schema of domains; the file is read once."""

    def __init__(self, path: pathlib.Path = SCHEMA) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._schema: etree.RelaxNG | None = None

    def fault(
        self, domain: etree._Element, original: etree._Element
    ) -> Fault | None:
        """Return the element that libvirt's schema does not allow.

        :param original: the XML that the source's libvirt wrote. A fault
            that it has too is ignored: a newer libvirt writes elements that
            an older schema does not know and an older libvirt ignores
        """
        # One thread at a time: a validator keeps the errors of its last run.
        with self._lock:
            if self._schema is None:
                try:
                    self._schema = etree.RelaxNG(etree.parse(str(self._path)))
                except (OSError, etree.LxmlError) as error:
                    LOG.info(
                        "No schema check: cannot read libvirt's schema: %s",
                        error,
                    )
                    return None
            if self._schema.validate(domain):
                return None
            words = self._schema.error_log
            where, why = '/domain', "does not match libvirt's schema"
            if len(words):
                where = words[0].path or where
                why = words[0].message
            if not self._schema.validate(original):
                LOG.info(
                    "Ignored, because the source's XML has a schema fault"
                    ' too: %(where)s: %(why)s',
                    {'where': where, 'why': why},
                )
                return None
        return Fault(where, why)


def native_fault(connection: Any, domain: etree._Element) -> Fault | None:
    """Return why libvirt can't make a QEMU command line from a domain.

    The conversion checks machine type, devices, firmware and memory backing
    as a start does, and starts nothing.

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
    # Nova prepares volumes, ports and passed-through devices later. Try again
    # without them: if that succeeds, one of them was the cause.
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
    LOG.info('Ignored, because Nova prepares that later: libvirt: %s', first)
    return None
