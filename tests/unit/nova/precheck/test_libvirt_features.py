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

"""libvirt's word on the CPU features that a guest switches off.

The text is that of libvirt 9.0 (Debian 12) in the lab, for the same domain.
libvirt 11.3 makes a command line from it.
"""

import dataclasses
from unittest import mock

from lxml import etree

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.nova.precheck import libvirt_features
from tests import logs
from tests.unit.core import synthetic as s

UNKNOWN = 'unsupported configuration: unknown CPU feature: pauth'
NO_EMULATOR = 'internal error: no emulator for aarch64'


class LibvirtError(Exception):
    pass


class Connection:
    """libvirt that knows some names.

    :param broken: why it makes no command line at all
    """

    def __init__(self, *known: str, broken: str = '') -> None:
        self.known = known
        self.broken = broken
        self.asked: list[str] = []

    def domainXMLToNative(self, form: str, xml: str, flags: int) -> str:
        self.asked.append(xml)
        if self.broken:
            raise LibvirtError(self.broken)
        for feature in etree.fromstring(xml).iterfind('cpu/feature'):
            if feature.get('name') not in self.known:
                raise LibvirtError(
                    'unsupported configuration: unknown\n CPU feature:'
                    f' {feature.get("name")}'
                )
        return 'qemu-system-aarch64'


class TestFault(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        patcher = mock.patch.object(
            numa_host, 'libvirt_error', lambda: LibvirtError
        )
        patcher.start()
        self.addCleanup(patcher.stop)

    def guest(self, *off: str) -> Guest:
        return guest_started_on(s.host(), disabled=frozenset(off))

    def test_a_name_that_it_does_not_know(self) -> None:
        libvirt = Connection('sve', 'sve256')
        fault = libvirt_features.fault(libvirt, self.guest('sve256', 'pauth'))
        self.assertEqual(UNKNOWN, fault)
        domain = etree.fromstring(libvirt.asked[0])
        self.assertEqual(
            ['pauth', 'sve256'],
            [one.get('name') for one in domain.iterfind('cpu/feature')],
        )

    def test_names_that_it_knows(self) -> None:
        libvirt = Connection('sve', 'pauth')
        guest = self.guest('sve', 'pauth', 'pmu')
        self.assertEqual('', libvirt_features.fault(libvirt, guest))
        self.assertEqual(1, len(libvirt.asked))

    def test_another_cause(self) -> None:
        libvirt = Connection(broken=NO_EMULATOR)
        guest = self.guest('pauth')
        self.assertEqual('', libvirt_features.fault(libvirt, guest))

    def test_it_is_not_asked_for_nothing(self) -> None:
        libvirt = Connection()
        on_baseline = dataclasses.replace(
            self.guest('pauth'), baseline='pool-1/2'
        )
        for guest in (self.guest(), self.guest('pmu'), on_baseline):
            self.assertEqual('', libvirt_features.fault(libvirt, guest))
        self.assertEqual([], libvirt.asked)

    def test_a_connection_that_cannot_convert(self) -> None:
        fault = libvirt_features.fault(object(), self.guest('pauth'))
        self.assertEqual('', fault)
