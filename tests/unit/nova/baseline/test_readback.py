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

"""Whether a guest has got its baseline."""

from collections.abc import Mapping
import dataclasses
import pathlib
import tempfile
import unittest

from nova_arm_migrate.core.cpu_baseline import start
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.tables.features import SVE_LENGTH_PROPERTIES
from nova_arm_migrate.nova.baseline import backends
from nova_arm_migrate.nova.baseline import readback
from nova_arm_migrate.nova.records.domain import Domain
from tests.unit.nova.baseline import pool


class Qemu:
    """A QEMU that shows its guest what a plan says, unless it is changed."""

    def __init__(self, plan: backends.Plan) -> None:
        lengths = plan.baseline.sve_lengths or ()
        self.properties = dict.fromkeys(plan.baseline.features, True) | {
            name: bits in lengths
            for name, bits in SVE_LENGTH_PROPERTIES.items()
        }
        self.libraries = {plan.library}
        self.variables = dict(plan.environment)

    def property(self, name: str) -> bool:
        return self.properties.get(name, False)

    def has_loaded(self, library: str) -> bool:
        return library in self.libraries

    def environment(self) -> Mapping[str, str]:
        return self.variables


class TestReadback(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.host = pool.hosts()[0]
        found = backends.plan(
            [
                backends.Shim(
                    pool.library(pathlib.Path(directory.name) / 'shim.so')
                )
            ],
            pool.baseline(),
            self.host,
        )
        assert isinstance(found, backends.Plan)
        self.plan = found
        self.qemu = Qemu(found)
        self.got = start(pool.baseline(), self.host)

    def guest(self) -> Guest:
        return readback.guest(
            self.plan,
            Domain(gic=pool.baseline().gic, memory=1 << 30),
            self.qemu,
            self.host,
            lambda domain, plan: dataclasses.replace(
                self.got,
                disabled=domain.disabled,
                memory=domain.memory,
                baseline=None,
            ),
        )

    def refused(self, words: str) -> None:
        with self.assertRaisesRegex(readback.NotTheBaseline, words):
            self.guest()

    def test_a_guest_that_has_it(self) -> None:
        record = self.guest()
        self.assertEqual('pool-1/1', record.baseline)
        self.assertEqual(1 << 30, record.memory)
        # Also a feature that this host does not have.
        self.assertIn('sme', record.disabled)

    def test_a_feature_that_should_be_off(self) -> None:
        self.qemu.properties['pauth'] = True
        self.refused('vCPU feature pauth: on, not off')

    def test_a_feature_that_should_be_on(self) -> None:
        self.qemu.properties['pmu'] = False
        self.refused('vCPU feature pmu: off, not on')

    def test_a_longer_vector(self) -> None:
        self.qemu.properties['sve256'] = True
        self.refused('vCPU feature sve256: on, not off')

    def test_a_library_that_was_not_loaded(self) -> None:
        self.qemu.libraries.clear()
        self.refused('QEMU has not loaded /.*shim.so')

    def test_a_library_with_other_registers(self) -> None:
        self.qemu.variables['NOVA_ARM_BASELINE'] = '1;other;;;'
        self.refused('QEMU has another value of NOVA_ARM_BASELINE')

    def test_a_register_with_another_value(self) -> None:
        values = dict(self.got.values)
        values[0xC030] -= 1 << 52
        self.got = dataclasses.replace(self.got, values=Values(values))
        self.refused('ID_AA64ISAR0_EL1: 0x')

    def test_another_baseline_of_the_same_name(self) -> None:
        ours = pool.baseline()
        record = self.guest()
        self.assertEqual('', readback.another(record, ours))
        self.assertEqual(ours.digest, record.baseline_digest)
        registers = dict(ours.registers) | {0xC000: 0x411FD402}
        for changed, words in (
            # No register of the guest shows it.
            ({'implementations': ours.implementations[1:]}, 'digest: guest '),
            ({'features': frozenset({'sve'})}, 'guest pmu, sve, file sve'),
            ({'sve_lengths': (128, 256)}, 'SVE lengths: guest (128,), file'),
            (
                {'registers': Values(registers)},
                'MIDR_EL1: guest 0x410fd493, file 0x411fd402',
            ),
        ):
            self.assertIn(
                words,
                readback.another(record, dataclasses.replace(ours, **changed)),
            )
