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

"""What our driver expects of the supported releases of Nova.

A Nova that changes one of these needs a look at the driver before it is run
with it; the failure names the method.
"""

import ast
import inspect
import unittest
from unittest import mock

from nova import objects
from nova.compute import manager
from nova.virt.libvirt import driver as libvirt_driver

from nova_arm_migrate.nova import baseline_driver
from nova_arm_migrate.nova import driver
from nova_arm_migrate.nova import layout_driver
from nova_arm_migrate.nova import monitored_driver
from nova_arm_migrate.nova import precheck_driver
from nova_arm_migrate.nova import signatures

objects.register_all()

PARENT = libvirt_driver.LibvirtDriver
MANAGER = manager.ComputeManager
OURS = driver.ArmLibvirtDriver
CLASSES = (
    OURS,
    precheck_driver.PrecheckDriver,
    baseline_driver.BaselineDriver,
    layout_driver.LayoutDriver,
    monitored_driver.MonitoredDriver,
)

HOST_PATH = 'nova.virt.libvirt.host:Host.'
PARENT_PATH = 'nova.virt.libvirt.driver:LibvirtDriver.'
#: By the method's name.
OVERRIDDEN = {
    path.removeprefix(PARENT_PATH): known
    for path, known in signatures.OVERRIDDEN.items()
}


class TestSignatures(unittest.TestCase):
    def test_nothing_has_moved(self) -> None:
        self.assertEqual([], list(signatures.moved()))

    def test_what_has_moved_is_named(self) -> None:
        with mock.patch.dict(
            signatures.CALLED,
            {
                PARENT_PATH + 'gone': ('(self)',),
                PARENT_PATH + 'init_host': ('(self)',),
                'nova.gone:f': ('()',),
            },
        ):
            self.assertEqual(
                [
                    'LibvirtDriver.init_host takes (self, host) in this Nova,'
                    ' not (self)',
                    'LibvirtDriver.gone is gone from this Nova',
                    'f is gone from this Nova',
                ],
                list(signatures.moved()),
            )

    def test_a_method_with_something_around_it_has_not_moved(self) -> None:
        with mock.patch.object(
            PARENT, 'init_host', lambda *args, **kwargs: None
        ):
            self.assertEqual([], list(signatures.moved()))

    def test_our_overrides_take_what_the_parent_takes(self) -> None:
        for name, known in OVERRIDDEN.items():
            with self.subTest(name):
                self.assertEqual(
                    known[-1], signatures.signature(getattr(OURS, name))
                )

    def test_nothing_is_overridden_unawares(self) -> None:
        self.assertEqual(
            set(OVERRIDDEN),
            {
                name
                for ours in CLASSES
                for name, value in vars(ours).items()
                if inspect.isfunction(value) and hasattr(PARENT, name)
            },
        )

    def test_nothing_is_called_unawares(self) -> None:
        called = set()
        for ours in CLASSES:
            tree = ast.parse(inspect.getsource(ours))
            called |= _called_on(tree, 'self') | _called_on(tree, 'self._host')
        called -= {name for ours in CLASSES for name in vars(ours)}
        self.assertEqual(
            {
                path.rpartition('.')[2]
                for path in signatures.CALLED
                if path.startswith((PARENT_PATH, HOST_PATH))
            },
            called,
        )

    def test_each_override_calls_its_parent_and_says_why_it_is(self) -> None:
        for function in [
            vars(ours)[name]
            for ours in CLASSES
            for name in OVERRIDDEN
            if name in vars(ours)
        ]:
            name = function.__name__
            with self.subTest(function.__qualname__):
                self.assertIn(f'super().{name}(', inspect.getsource(function))
                self.assertTrue(function.__doc__)

    def test_the_field_that_carries_our_mark(self) -> None:
        self.assertIn(
            'supported_perf_events', objects.LibvirtLiveMigrateData.fields
        )
        self.assertIn(
            'migrate_data.supported_perf_events = self._supported_perf_events',
            inspect.getsource(PARENT.pre_live_migration),
            'the destination no longer overwrites the field of our mark',
        )

    def test_nothing_regenerates_the_model_after_a_migration(self) -> None:
        source = inspect.getsource(PARENT.post_live_migration_at_destination)
        self.assertNotIn('_get_guest_', source)


def _called_on(tree: ast.AST, owner: str) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == owner
    }
