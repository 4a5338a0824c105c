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

"""What the tests of NUMA layouts share."""

import types
from typing import Any
from unittest import mock

from nova import objects
from nova.virt.libvirt import driver as libvirt_driver

from nova_arm_migrate.numa.layout import Layout
from tests import logs

objects.register_all()

UUID = '5fab6043-7e80-4d43-b212-355127881df1'
LAYOUT = Layout(
    vcpus={0: frozenset({8}), 1: frozenset({9})}, emulator=frozenset({8})
)


class LibvirtError(Exception):
    pass


class NumaTestCase(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        libvirt = types.SimpleNamespace(libvirtError=LibvirtError)
        self.patch(libvirt_driver, 'libvirt', libvirt)

    def patch(self, owner: object, name: str, value: object) -> None:
        patcher = mock.patch.object(owner, name, value)
        self.addCleanup(patcher.stop)
        patcher.start()

    def logged(self, level: str = 'INFO') -> Any:
        return self.assertLogs('nova_arm_migrate', level)
