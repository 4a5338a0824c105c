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

"""Which back end gives guests a baseline, and what it does to the domain."""

import dataclasses
import pathlib
import re
import tempfile
import unittest

from lxml import etree

from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.nova.baseline import backends
from nova_arm_migrate.nova.baseline import domain_xml
from tests.unit.nova.baseline import pool

MIDR = 0xC000
QEMU = {'qemu': 'http://libvirt.org/schemas/domain/qemu/1.0'}
XML = (
    "<domain type='kvm'><features><acpi/></features>"
    "<cpu mode='host-passthrough'><feature name='sve' policy='require'/>"
    '</cpu></domain>'
)


class BackendTestCase(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = pathlib.Path(directory.name) / 'shim.so'

    def shim(self) -> backends.Plan:
        library = pool.library(self.path)
        found = backends.plan(
            [backends.CpuFeatures(), backends.Shim(library)],
            pool.baseline(),
            pool.hosts()[0],
        )
        assert isinstance(found, backends.Plan)
        return found


class TestOrder(BackendTestCase):
    def test_features_alone_where_no_register_differs(self) -> None:
        baseline = pool.baseline()
        host = pool.hosts()[0]
        # A host on which a new vCPU has the baseline's registers.
        found = backends.CpuFeatures().plan(baseline, host, {})
        assert isinstance(found, backends.Plan)
        self.assertEqual("libvirt's CPU features", found.backend)
        self.assertEqual({}, found.environment)

    def test_the_shim_where_they_differ(self) -> None:
        found = self.shim()
        self.assertEqual('the shim', found.backend)
        self.assertEqual(str(self.path), found.library)
        self.assertEqual(
            {'LD_PRELOAD', 'NOVA_ARM_BASELINE'}, set(found.environment)
        )
        self.assertEqual(0x410FD493, found.registers[MIDR])

    def test_no_shim_unless_it_is_allowed(self) -> None:
        self.assertRegex(
            str(
                backends.plan(
                    [backends.CpuFeatures(), backends.Shim('')],
                    pool.baseline(),
                    pool.hosts()[0],
                )
            ),
            r'^the shim: \[arm_migrate\] baseline_shim is not set;'
            r' .*they do not change MIDR_EL1;.*\(and \d+ more\)$',
        )

    def test_a_missing_or_wrong_library(self) -> None:
        missing = backends.Shim(str(self.path))
        self.assertIn('No such file', str(self.planned(missing)))
        shim = backends.Shim(pool.library(self.path, machine=62))
        self.assertIn('not for 64-bit Arm', str(self.planned(shim)))
        self.path.write_bytes(b'#!/bin/sh')
        self.assertIn('not a 64-bit ELF file', str(self.planned(shim)))
        pool.library(self.path)
        self.path.write_bytes(self.path.read_bytes()[:64])
        self.assertIn('not the library', str(self.planned(shim)))

    def planned(self, backend: backends.Backend) -> backends.Plan | str:
        return backends.plan([backend], pool.baseline(), pool.hosts()[0])


class TestQemuProperties(BackendTestCase):
    def plan(self, known: dict[str, object]) -> backends.Plan | str:
        base = pool.baseline()
        isar0 = 0xC030
        host = pool.hosts()[0]
        register = register_of(isar0)
        field = register.field('TS')
        self.wanted = field.into(host.values.read(isar0), 1)
        host = dataclasses.replace(
            host,
            values=Values({**host.values, isar0: field.into(self.wanted, 2)}),
        )
        return backends.QemuProperties(lambda: known).plan(
            base, host, {isar0: self.wanted}
        )

    def test_no_released_qemu_has_them(self) -> None:
        self.assertEqual(
            "QEMU's properties: QEMU has none",
            self.plan({'pauth': True, 'sve': True}),
        )

    def test_only_the_fields_that_differ(self) -> None:
        found = self.plan({'SYSREG_ID_AA64ISAR0_EL1_TS': 2, 'pauth': True})
        assert isinstance(found, backends.Plan), found
        self.assertEqual(
            ('-global', 'host-arm-cpu.SYSREG_ID_AA64ISAR0_EL1_TS=1'),
            found.arguments,
        )
        self.assertEqual('', found.library)

    def test_a_field_that_is_lacking(self) -> None:
        self.assertIn(
            'QEMU lacks SYSREG_ID_AA64ISAR0_EL1_TS',
            str(self.plan({'SYSREG_ID_AA64ISAR0_EL1_DP': 1})),
        )


class TestDomain(BackendTestCase):
    def test_features_and_variables(self) -> None:
        plan = self.shim()
        root = etree.fromstring(domain_xml.with_baseline(XML, plan))
        off = {
            one.get('name')
            for one in root.iterfind('cpu/feature')
            if one.get('policy') == 'disable'
        }
        # libvirt 11.3 does not know `sme`, which neither host has.
        self.assertEqual(set(plan.baseline.disabled) - {'pmu', 'sme'}, off)
        self.assertIn('sme', plan.baseline.disabled)
        self.assertIn('pauth', off)
        gic = root.find('features/gic')
        assert gic is not None
        self.assertEqual(str(plan.baseline.gic), gic.get('version'))
        self.assertEqual(
            dict(plan.environment),
            {
                one.get('name'): one.get('value')
                for one in root.iterfind('qemu:commandline/qemu:env', QEMU)
            },
        )

    def test_twice_is_once(self) -> None:
        plan = self.shim()
        once = domain_xml.with_baseline(XML, plan)
        self.assertEqual(once, domain_xml.with_baseline(once, plan))

    def test_another_host_replaces_what_ours_needed(self) -> None:
        xml = domain_xml.with_baseline(XML, self.shim())
        moved = domain_xml.for_host(xml, {}, ())
        self.assertEqual(({}, ()), domain_xml.commandline(moved))
        moved = domain_xml.for_host(xml, {'LD_PRELOAD': '/other.so'}, ())
        self.assertEqual(
            ({'LD_PRELOAD': '/other.so'}, ()), domain_xml.commandline(moved)
        )

    def test_a_destination_that_switches_off_something_else(self) -> None:
        plan = dataclasses.replace(
            self.shim(), features_off=frozenset({'pauth', 'pmu', 'sve512'})
        )
        xml = domain_xml.with_baseline(XML, plan)
        off = plan.features_off
        self.assertEqual('', domain_xml.unequal_features(xml, off))
        self.assertEqual(
            'pmu is switched off in the guest and not by the destination;'
            ' libvirt moves a guest only between equal CPU features',
            domain_xml.unequal_features(xml, frozenset({'pauth', 'sve512'})),
        )
        self.assertIn(
            'sve is switched off by the destination and not in the guest',
            domain_xml.unequal_features(xml, off | {'sve'}),
        )

    def test_libvirt_finds_equal_features_on_both_hosts(self) -> None:
        """It compares them in their order; pinned lengths among them."""
        off = ('sve1024', 'pauth', 'sve2048')
        features = ''.join(
            f"<feature name='{name}' policy='disable'/>" for name in off
        )
        xml = XML.replace('</cpu>', f'{features}</cpu>')
        moved = domain_xml.for_host(xml, {}, ())
        names = re.findall(r'<feature [^>]*name=.(\w+).', moved)
        self.assertEqual(re.findall(r'<feature [^>]*name=.(\w+).', xml), names)
        self.assertEqual(list(off), [name for name in names if name in off])

    def test_a_cpu_model_can_not_show_a_baseline(self) -> None:
        with self.assertRaisesRegex(
            domain_xml.UnfitDomain, 'cpu_mode = host-passthrough, not custom'
        ):
            domain_xml.with_baseline(
                XML.replace('host-passthrough', 'custom'), self.shim()
            )
