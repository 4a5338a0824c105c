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

"""What is read from a domain's XML."""

import unittest

from nova_arm_migrate.nova.records import domain

XML = """\
<domain type='kvm' id='3'>
  <name>instance-00000001</name>
  <memory unit='KiB'>2097152</memory>
  <os><type arch='aarch64' machine='virt-10.0'>hvm</type></os>
  <features><acpi/><gic version='3'/><pmu state='off'/></features>
  <cpu mode='host-passthrough' check='none'>
    <topology sockets='2' dies='1' cores='1' threads='1'/>
    <feature policy='disable' name='sve256'/>
    <feature policy='require' name='aes'/>
  </cpu>
</domain>
"""


class TestReadDomain(unittest.TestCase):
    def test_a_guest(self) -> None:
        self.assertEqual(
            domain.Domain(
                kvm=True,
                disabled=frozenset({'pmu', 'sve256'}),
                gic=3,
                memory=2 << 30,
            ),
            domain.read_domain(XML),
        )

    def test_as_little_as_nova_may_write(self) -> None:
        self.assertEqual(
            domain.Domain(memory=512 << 20),
            domain.read_domain(
                "<domain type='kvm'><memory>524288</memory></domain>"
            ),
        )

    def test_hot_pluggable_memory_counts(self) -> None:
        xml = XML.replace(
            '<memory', "<maxMemory slots='4' unit='GiB'>8</maxMemory><memory"
        )
        self.assertEqual(8 << 30, domain.read_domain(xml).memory)

    def test_units(self) -> None:
        for unit, value in (
            ('b', 1),
            ('bytes', 1),
            ('KB', 1000),
            ('k', 1024),
            ('KiB', 1024),
            ('MB', 10**6),
            ('M', 1 << 20),
            ('TiB', 1 << 40),
        ):
            with self.subTest(unit):
                xml = XML.replace("'KiB'>2097152", f"'{unit}'>3")
                self.assertEqual(3 * value, domain.read_domain(xml).memory)
        for text in ("'parsecs'>3", "'KiB'>", "'KiB'>-1", "'KiB'>much"):
            xml = XML.replace("'KiB'>2097152", text)
            self.assertIsNone(domain.read_domain(xml).memory)

    def test_emulated_and_32_bit_guests_are_not_ours(self) -> None:
        self.assertFalse(
            domain.read_domain(XML.replace("type='kvm'", "type='qemu'")).kvm
        )
        self.assertFalse(
            domain.read_domain(
                XML.replace("arch='aarch64'", "arch='armv7l'")
            ).kvm
        )

    def test_the_version_of_the_gic_may_be_left_to_libvirt(self) -> None:
        for gic in ('<gic/>', "<gic version='host'/>", ''):
            xml = XML.replace("<gic version='3'/>", gic)
            self.assertIsNone(domain.read_domain(xml).gic)

    def test_not_xml(self) -> None:
        with self.assertRaisesRegex(ValueError, 'not a domain XML'):
            domain.read_domain('<domain')

    def test_entities_are_not_resolved(self) -> None:
        xml = (
            "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>"
            "<domain type='kvm'><memory>&e;</memory></domain>"
        )
        self.assertIsNone(domain.read_domain(xml).memory)


class TestSwitchedOff(unittest.TestCase):
    def test_policies(self) -> None:
        self.assertEqual(
            frozenset({'sve', 'pauth'}),
            domain.switched_off(
                {
                    'sve': 'disable',
                    'pauth': 'forbid',
                    'pmu': 'require',
                    'aes': 'disable',
                    'kvm-steal-time': 'disable',
                    'sve128': 'optional',
                    'sve384': None,
                }
            ),
        )

    def test_a_length_that_is_on_leaves_no_longer_one(self) -> None:
        off = domain.switched_off({'sve128': 'require', 'sve256': 'require'})
        self.assertNotIn('sve256', off)
        self.assertIn('sve384', off)
        self.assertIn('sve2048', off)
        self.assertEqual(
            frozenset(), domain.switched_off({'sve2048': 'force'})
        )


class TestMerged(unittest.TestCase):
    def test_libvirt_fills_in_what_nova_left_open(self) -> None:
        written = domain.Domain(disabled=frozenset({'pmu'}), memory=1 << 30)
        live = domain.Domain(
            disabled=frozenset({'sve'}), gic=3, memory=2 << 30
        )
        self.assertEqual(
            domain.Domain(
                disabled=frozenset({'pmu', 'sve'}), gic=3, memory=2 << 30
            ),
            domain.merged(written, live),
        )
        self.assertEqual(
            written,
            domain.merged(written, domain.Domain(disabled=written.disabled)),
        )
        self.assertFalse(domain.merged(written, domain.Domain(kvm=False)).kvm)
