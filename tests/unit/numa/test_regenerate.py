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


"""Regeneration by tables, on XML as libvirt writes it."""

import unittest

from nova_arm_migrate.numa import abi
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.domain import layout_of
from nova_arm_migrate.numa.errors import AbiError
from nova_arm_migrate.numa.errors import DomainXmlError
from nova_arm_migrate.numa.errors import LayoutError
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.layout import Scheduler
from nova_arm_migrate.numa.regenerate import regenerate
from tests.present import present
from tests.unit.numa import domains

PINNED = Layout(
    vcpus={0: frozenset({8}), 1: frozenset({9})},
    emulator=frozenset({8, 9}),
    cells=(Cell(0, frozenset({4})),),
)

BARE = """<domain type='kvm'>
  <memory>1</memory>
  <vcpu>2</vcpu>
  <os/>
  <cpu><numa><cell id='0' cpus='0-1' memory='1'/></numa></cpu>
</domain>"""


def section(xml: str, name: str) -> list[tuple[str, dict[str, str]]] | None:
    """One child of the domain as [(tag, attributes)] of its descendants."""
    element = parse.parse_domain(xml).find(name)
    if element is None:
        return None
    return [(child.tag, dict(child.attrib)) for child in element.iter()][1:]


def order(xml: str) -> list[str]:
    return [child.tag for child in parse.parse_domain(xml)]


class TestRegenerate(unittest.TestCase):
    def test_pins_follow_the_layout(self) -> None:
        xml = regenerate(domains.read('one-cell-pinned'), PINNED)
        self.assertEqual(
            [
                ('vcpupin', {'vcpu': '0', 'cpuset': '8'}),
                ('vcpupin', {'vcpu': '1', 'cpuset': '9'}),
                ('emulatorpin', {'cpuset': '8-9'}),
            ],
            section(xml, 'cputune'),
        )
        self.assertEqual(
            [
                ('memory', {'mode': 'strict', 'nodeset': '4'}),
                ('memnode', {'cellid': '0', 'mode': 'strict', 'nodeset': '4'}),
            ],
            section(xml, 'numatune'),
        )

    def test_sections_that_are_missing_come_where_libvirt_has_them(
        self,
    ) -> None:
        layout = Layout(
            vcpus=PINNED.vcpus,
            emulator=PINNED.emulator,
            cells=(Cell(0, frozenset({4}), page_kib=2048),),
        )
        xml = regenerate(BARE, layout)
        self.assertEqual(
            [
                'memory',
                'memoryBacking',
                'vcpu',
                'cputune',
                'numatune',
                'os',
                'cpu',
            ],
            order(xml),
        )
        self.assertEqual(
            [
                ('hugepages', {}),
                ('page', {'size': '2048', 'unit': 'KiB', 'nodeset': '0'}),
            ],
            section(xml, 'memoryBacking'),
        )

    def test_a_section_at_the_end_keeps_the_white_space(self) -> None:
        xml = regenerate(
            '<domain>\n  <vcpu>2</vcpu>\n</domain>', Layout(vcpus=PINNED.vcpus)
        )
        self.assertEqual(
            """<domain>
  <vcpu>2</vcpu>
  <cputune>
    <vcpupin vcpu="0" cpuset="8"/>
    <vcpupin vcpu="1" cpuset="9"/>
  </cputune>
</domain>""",
            xml,
        )

    def test_what_is_not_in_the_layout_goes(self) -> None:
        xml = regenerate(domains.read('two-cells-hugepages'), Layout())
        self.assertIsNone(section(xml, 'memoryBacking'))
        self.assertIsNone(section(xml, 'numatune'))
        self.assertEqual([('shares', {})], section(xml, 'cputune'))

    def test_the_shared_set_of_a_guest_that_floats(self) -> None:
        xml = regenerate(
            domains.read('floating'), Layout(shared=frozenset({2, 3, 5}))
        )
        vcpu = parse.parse_domain(xml).find('vcpu')
        self.assertEqual('2-3,5', present(vcpu).get('cpuset'))
        self.assertEqual('static', present(vcpu).get('placement'))

    def test_a_pinned_guest_has_no_shared_set(self) -> None:
        # Nova's own rewriting stamps one on it.
        stamped = domains.read('one-cell-pinned').replace(
            "<vcpu placement='static'>",
            "<vcpu placement='static' cpuset='0-3'>",
        )
        xml = regenerate(stamped, PINNED)
        self.assertIsNone(
            present(parse.parse_domain(xml).find('vcpu')).get('cpuset')
        )

    def test_every_iothread_is_pinned(self) -> None:
        xml = domains.read('eight-cells')
        layout = Layout(emulator=frozenset({7}), iothreads={2: frozenset({3})})
        pins = [
            (attributes['iothread'], attributes['cpuset'])
            for tag, attributes in present(
                section(regenerate(xml, layout), 'cputune')
            )
            if tag == 'iothreadpin'
        ]
        self.assertEqual(
            [('1', '7'), ('2', '3'), ('3', '7'), ('4', '7')], pins
        )

    def test_iothreads_with_numbers_of_their_own(self) -> None:
        xml = BARE.replace(
            '<os/>',
            '<iothreads>3</iothreads><iothreadids>'
            "<iothread id='2'/><iothread id='9'/>"
            '</iothreadids>',
        )
        pins = [
            attributes['iothread']
            for _tag, attributes in present(
                section(
                    regenerate(xml, Layout(emulator=frozenset({1}))), 'cputune'
                )
            )
            if 'iothread' in attributes
        ]
        self.assertEqual(['1', '2', '9'], pins)

    def test_scheduler_of_another_policy(self) -> None:
        # Nova's own rewriting makes it fifo.
        layout = Layout(
            vcpus=PINNED.vcpus, scheduler=Scheduler(frozenset({1}), 'rr', 5)
        )
        self.assertEqual(
            ('vcpusched', {'vcpus': '1', 'scheduler': 'rr', 'priority': '5'}),
            present(section(regenerate(BARE, layout), 'cputune'))[-1],
        )
        batch = Layout(
            vcpus=PINNED.vcpus, scheduler=Scheduler(frozenset({0}), 'batch')
        )
        self.assertEqual(
            ('vcpusched', {'vcpus': '0', 'scheduler': 'batch'}),
            present(section(regenerate(BARE, batch), 'cputune'))[-1],
        )

    def test_page_sizes_by_cell(self) -> None:
        layout = Layout(
            cells=(
                Cell(0, frozenset({1}), page_kib=524288),
                Cell(1, frozenset({0})),
            )
        )
        xml = regenerate(domains.read('two-cells-hugepages'), layout)
        self.assertEqual(
            [
                ('hugepages', {}),
                ('page', {'size': '524288', 'unit': 'KiB', 'nodeset': '0'}),
            ],
            section(xml, 'memoryBacking'),
        )

    def test_memory_modes(self) -> None:
        cells = (
            Cell(0, frozenset({1}), 'preferred'),
            Cell(1, frozenset({2}), 'preferred'),
        )
        xml = regenerate(
            domains.read('two-cells-hugepages'), Layout(cells=cells)
        )
        self.assertEqual(
            {'preferred'},
            {
                attributes['mode']
                for _, attributes in present(section(xml, 'numatune'))
            },
        )
        mixed = Layout(cells=(cells[0], Cell(1, frozenset({2}))))
        xml = regenerate(domains.read('two-cells-hugepages'), mixed)
        self.assertEqual(
            ['strict', 'preferred', 'strict'],
            [
                attributes['mode']
                for _, attributes in present(section(xml, 'numatune'))
            ],
        )

    def test_what_was_never_seen_before_is_kept_in_its_place(self) -> None:
        xml = domains.read('one-cell-pinned').replace(
            '  </cputune>', "    <quantumtune qubits='3'/>\n  </cputune>"
        )
        xml = xml.replace(
            "<memory mode='strict' nodeset='1'/>",
            "<memory mode='strict' nodeset='1' migratable='yes'/>"
            "\n    <far away='1'/>",
        )
        xml = xml.replace('<os>', '<!-- a note --><wormhole>in</wormhole><os>')
        after = regenerate(xml, PINNED)
        self.assertEqual(
            ('quantumtune', {'qubits': '3'}),
            present(section(after, 'cputune'))[-1],
        )
        self.assertIn(
            ('far', {'away': '1'}), present(section(after, 'numatune'))
        )
        self.assertEqual(
            (
                'memory',
                {'mode': 'strict', 'nodeset': '4', 'migratable': 'yes'},
            ),
            present(section(after, 'numatune'))[0],
        )
        self.assertIn('<!-- a note --><wormhole>in</wormhole>', after)

    def test_a_source_without_pins_gets_them(self) -> None:
        # Nova's own rewriting raises AttributeError here.
        plain = regenerate(domains.read('one-cell-pinned'), Layout())
        self.assertIsNone(section(plain, 'cputune'))
        self.assertEqual(
            PINNED.vcpus,
            layout_of(parse.parse_domain(regenerate(plain, PINNED))).vcpus,
        )


class TestLayoutsOfAnotherGuest(unittest.TestCase):
    def fails(self, path: str, layout: Layout, xml: str = BARE) -> None:
        with self.assertRaises(LayoutError) as caught:
            regenerate(xml, layout)
        self.assertEqual(path, caught.exception.path)

    def test_other_vcpus(self) -> None:
        self.fails('/domain/vcpu', Layout(vcpus={0: frozenset({1})}))

    def test_other_cells(self) -> None:
        self.fails(
            '/domain/cpu/numa',
            Layout(cells=(Cell(0, frozenset({0})), Cell(1, frozenset({0})))),
        )
        self.fails(
            '/domain/cpu/numa',
            Layout(cells=(Cell(0, frozenset({0})),)),
            domains.read('floating'),
        )

    def test_other_iothreads(self) -> None:
        self.fails(
            '/domain/iothreads',
            Layout(iothreads={5: frozenset({1})}),
            domains.read('two-cells-hugepages'),
        )

    def test_pins_for_iothreads_of_a_guest_that_has_none(self) -> None:
        # A guest that started before Nova gave it any keeps none.
        self.assertIsNone(
            section(
                regenerate(BARE, Layout(iothreads={1: frozenset({1})})),
                'cputune',
            )
        )


class TestGuard(unittest.TestCase):
    def fires(
        self, old: str, new: str, path: str, name: str = 'two-cells-hugepages'
    ) -> None:
        xml = domains.read(name)
        self.assertIn(old, xml)
        with self.assertRaises(AbiError) as caught:
            abi.check(
                parse.parse_domain(xml),
                parse.parse_domain(xml.replace(old, new, 1)),
            )
        self.assertEqual(path, caught.exception.path)

    def test_what_the_guest_sees(self) -> None:
        for old, new, path in (
            ('>2</vcpu>', '>3</vcpu>', '/domain/vcpu[1]'),
            (
                "sockets='2'",
                "sockets='1'",
                '/domain/cpu[1]/topology[1]/@sockets',
            ),
            (
                "memory='65536'",
                "memory='65537'",
                '/domain/cpu[1]/numa[1]/cell[1]/@memory',
            ),
            (
                "<cell id='1' cpus='1' memory='65536' unit='KiB'"
                " memAccess='shared'/>",
                '<node/>',
                '/domain/cpu[1]/numa[1]/cell',
            ),
            ('virt-10.0', 'virt-9.2', '/domain/os[1]/type[1]/@machine'),
            (
                "gic version='3'",
                "gic version='2'",
                '/domain/features[1]/gic[1]/@version',
            ),
            ('<os>', '<os><loader>/fw</loader>', '/domain/os[1]/type'),
            ("<boot dev='hd'/>", '', '/domain/os[1]/boot'),
            ('<gic version', '<acpi/><gic version', '/domain/features[1]/gic'),
            ('<uuid>', '<uuid>f', '/domain/uuid[1]'),
            ("type='kvm'", "type='qemu'", '/domain/@type'),
        ):
            with self.subTest(path):
                self.fires(old, new, path)

    def test_distances(self) -> None:
        self.fires(
            "<sibling id='1' value='21'/>",
            "<sibling id='1' value='20'/>",
            '/domain/cpu[1]/numa[1]/cell[1]/distances[1]/sibling[2]/@value',
            'eight-cells',
        )

    def test_what_never_seen_elements_say(self) -> None:
        xml = BARE.replace('<os/>', '<wormhole/>')
        with self.assertRaisesRegex(AbiError, '/domain/wormhole'):
            abi.check(
                parse.parse_domain(xml),
                parse.parse_domain(xml.replace('<wormhole/>', '')),
            )
        with self.assertRaisesRegex(AbiError, '/domain/hole'):
            abi.check(
                parse.parse_domain(xml),
                parse.parse_domain(
                    xml.replace('</domain>', '<hole/></domain>')
                ),
            )

    def test_what_is_the_hosts(self) -> None:
        xml = domains.read('two-cells-hugepages')
        for old, new in (
            ("cpuset='1'", "cpuset='0'"),
            ("placement='static'", "cpuset='3'"),
            ("nodeset='0-1'", "nodeset='2'"),
            ('<partition>/machine', '<partition>/other'),
            ('<devices>', '<devices> '),
        ):
            abi.check(
                parse.parse_domain(xml),
                parse.parse_domain(xml.replace(old, new)),
            )


class TestBadInput(unittest.TestCase):
    def refused(self, xml: str | bytes, path: str, words: str = '.') -> None:
        with self.assertRaises(DomainXmlError) as caught:
            regenerate(xml, Layout())
        self.assertEqual(path, caught.exception.path)
        self.assertRegex(str(caught.exception), words)

    def test_document_types(self) -> None:
        for prolog in (
            '',
            '\n',
            '<?xml version="1.0"?>\n',
            '<!-- x --> ',
            '\ufeff',
            '<?a?><!--b--><?c?>',
        ):
            for body in (
                '<!DOCTYPE domain SYSTEM "file:///etc/passwd">',
                '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/p">]>',
            ):
                self.refused(prolog + body + BARE, '/', 'document type')

    def test_a_document_type_behind_many_comments(self) -> None:
        self.refused(
            '<!---->' * 200 + '<!DOCTYPE domain []>' + BARE,
            '/',
            'document type',
        )

    def test_entities_that_nobody_has_defined(self) -> None:
        self.refused(BARE.replace('>2<', '>&bomb;<'), '/', 'not XML')

    def test_not_xml(self) -> None:
        for xml in ('', 'x', '<domain>', b'\xff\xfe<', '<domain/>x'):
            self.refused(xml, '/', 'is not XML')

    def test_not_a_domain(self) -> None:
        self.refused('<network/>', '/', 'not a libvirt domain')

    def test_too_large(self) -> None:
        self.refused('<domain>' + ' ' * parse.LIMIT, '/', 'bytes')

    def test_numbers(self) -> None:
        for old, new, path in (
            ('<vcpu>2</vcpu>', '', '/domain/vcpu'),
            ('<vcpu>2</vcpu>', '<vcpu>0</vcpu>', '/domain/vcpu'),
            ('>2<', '>two<', '/domain/vcpu'),
            ('>2<', '>99999<', '/domain/vcpu'),
            ('>2<', '>\u0662<', '/domain/vcpu'),
            ('<os/>', '<iothreads/>', '/domain/iothreads'),
            ("id='0'", "id='-1'", '/domain/cpu/numa/cell/@id'),
        ):
            with self.subTest(new):
                self.refused(BARE.replace(old, new), path)

    def test_layouts_that_can_not_be_read_back(self) -> None:
        for old, new, path in (
            (
                "cpuset='2'",
                "cpuset='2-'",
                '/domain/cputune/vcpupin[1]/@cpuset',
            ),
            (
                "cpuset='2'",
                "cpuset='7-3'",
                '/domain/cputune/vcpupin[1]/@cpuset',
            ),
            (
                "cpuset='2'",
                "cpuset='99999'",
                '/domain/cputune/vcpupin[1]/@cpuset',
            ),
            ("cpuset='2'", "cpuset=''", '/domain'),
            (
                '<numatune>',
                "<memoryBacking><hugepages><page size='1'"
                " unit='furlong'/></hugepages></memoryBacking><numatune>",
                '/domain/memoryBacking/hugepages/page/@unit',
            ),
            (
                '<numatune>',
                "<memoryBacking><hugepages><page size='x'/>"
                '</hugepages></memoryBacking><numatune>',
                '/domain/memoryBacking/hugepages/page/@size',
            ),
        ):
            with (
                self.subTest(new),
                self.assertRaises(DomainXmlError) as caught,
            ):
                layout_of(
                    parse.parse_domain(
                        domains.read('one-cell-pinned').replace(old, new)
                    )
                )
            self.assertEqual(path, caught.exception.path)

    def test_layouts_of_other_forms_can(self) -> None:
        domain = parse.parse_domain("""<domain><vcpu>4</vcpu>
            <memoryBacking><hugepages><page size='1' unit='GiB'/>
              <page size='2' unit='MiB' nodeset='1'/></hugepages>
            </memoryBacking>
            <cputune><vcpupin vcpu='3' cpuset='0-3,^2'/>
              <vcpusched vcpus='3' scheduler='idle'/></cputune>
            <numatune><memory mode='interleave' nodeset='0-1'/></numatune>
            <cpu><numa><cell/><cell/></numa></cpu></domain>""")
        layout = layout_of(domain)
        self.assertEqual(frozenset({0, 1, 3}), layout.vcpus[3])
        self.assertEqual(Scheduler(frozenset({3}), 'idle'), layout.scheduler)
        self.assertEqual(
            (
                Cell(0, frozenset({0, 1}), 'interleave', 1 << 20),
                Cell(1, frozenset({0, 1}), 'interleave', 2048),
            ),
            layout.cells,
        )
