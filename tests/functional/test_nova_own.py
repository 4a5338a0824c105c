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

"""Nova's own tests of live migration, from its wheel, with our driver.

The tests are Nova's, unchanged, with their own ids. While they run,
``nova.virt.libvirt.LibvirtDriver`` is our driver. Only tests that live-migrate
with the libvirt driver are chosen, because tests with Nova's fake driver do
not use ours. Nova's fake hosts are x86 hosts, so the tests show that our
driver does the same as Nova's there.
"""

import importlib
import importlib.util
import re
from typing import Any
import unittest

from nova import test

from nova_arm_migrate.nova import driver
from tests import logs
from tests import watchdog
from tests.functional import cell_lock
from tests.functional import paste

MODULES = (
    'libvirt.test_live_migration',
    'libvirt.test_numa_live_migration',
    'libvirt.test_pci_sriov_servers',
    'libvirt.test_power_manage',
    'libvirt.test_stateless_firmware',
    'libvirt.test_vgpu',
    'libvirt.test_vtpm',
    'regressions.test_bug_1888395',
    'regressions.test_bug_1899835',
    'regressions.test_bug_1944619',
    'regressions.test_bug_2139351',
    'regressions.test_bug_2152697',
    'regressions.test_bug_2153425',
)

#: Of the modules that are about other things as well.
LIVE_MIGRATION = re.compile(r'live_?migr|regressions', re.IGNORECASE)


class OurDriver(test.TestCase):
    """A mixin that precedes one of Nova's test classes."""

    def setUp(self) -> None:
        self.useFixture(watchdog.Watchdog())
        self.useFixture(cell_lock.ReadersFirst())
        self.useFixture(logs.KeptLogs())
        self.useFixture(paste.PasteFixture())
        self.stub_out(
            'nova.virt.libvirt.LibvirtDriver', driver.ArmLibvirtDriver
        )
        super().setUp()

    def start_service(self, name: str, *args: Any, **kwargs: Any) -> Any:
        service = super().start_service(name, *args, **kwargs)
        if name == 'compute':
            self.assertIsInstance(
                service.manager.driver, driver.ArmLibvirtDriver
            )
        return service


class Absent(unittest.TestCase):
    """Stands for a module that an older Nova does not have."""

    def __init__(self, path: str) -> None:
        super().__init__('skip')
        self._path = path

    def id(self) -> str:
        return f'{self._path}.absent'

    def skip(self) -> None:
        self.skipTest(f'{self._path} is not in this Nova')


def load_tests(
    loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None
) -> unittest.TestSuite:
    """Load Nova's tests; this module has none of its own."""
    suite = unittest.TestSuite()
    for name in MODULES:
        path = f'nova.tests.functional.{name}'
        if importlib.util.find_spec(path) is None:
            suite.addTest(Absent(path))
            continue
        module = importlib.import_module(path)
        for theirs in vars(module).values():
            if (
                isinstance(theirs, type)
                and issubclass(theirs, unittest.TestCase)
                and theirs.__module__ == module.__name__
            ):
                ours = type(
                    theirs.__name__,
                    (OurDriver, theirs),
                    {
                        '__module__': theirs.__module__,
                        '__qualname__': theirs.__qualname__,
                    },
                )
                suite.addTests(
                    one
                    for one in loader.loadTestsFromTestCase(ours)
                    if isinstance(one, unittest.TestCase)
                    and LIVE_MIGRATION.search(one.id())
                )
    return suite
