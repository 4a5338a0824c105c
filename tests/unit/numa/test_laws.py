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


"""What holds for every domain and every layout."""

import copy
from typing import Any
import unittest

from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from lxml import etree

from nova_arm_migrate.numa import abi
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa import wire
from nova_arm_migrate.numa.domain import layout_of
from nova_arm_migrate.numa.errors import DomainXmlError
from nova_arm_migrate.numa.errors import LayoutError
from nova_arm_migrate.numa.errors import NumaError
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.regenerate import regenerate
from tests.present import present
from tests.unit.numa import domains

# The machine's load decides how long an example takes: no deadline.
law = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
names = st.sampled_from(domains.NAMES)


@st.composite
def cases(draw: st.DrawFn, count: int = 1) -> tuple[Any, ...]:
    """A domain and *count* layouts for it."""
    name = draw(names)
    return (
        domains.read(name),
        *(draw(domains.layouts(name)) for _ in range(count)),
    )


def outside(domain: etree._Element) -> bytes:
    """A copy of the domain without what a layout may change."""
    rest = copy.deepcopy(domain)
    for path in (
        'memoryBacking/hugepages',
        'cputune/vcpupin',
        'cputune/emulatorpin',
        'cputune/iothreadpin',
        'cputune/vcpusched',
        'numatune/memory',
        'numatune/memnode',
    ):
        for element in rest.findall(path):
            present(element.getparent()).remove(element)
    for section in ('memoryBacking', 'cputune', 'numatune'):
        found = rest.find(section)
        if found is not None and not len(found):
            rest.remove(found)
    attributes = present(rest.find('vcpu')).attrib
    if 'cpuset' in attributes:
        del attributes['cpuset']
    # lxml-stubs lack the arguments of this method.
    return etree.tostring(  # type: ignore[call-overload]
        rest, method='c14n2', strip_text=True
    )


class TestLaws(unittest.TestCase):
    @law
    @given(cases())
    def test_twice_is_once(self, case: tuple[str, Layout]) -> None:
        xml, layout = case
        once = regenerate(xml, layout)
        self.assertEqual(once, regenerate(once, layout))

    @law
    @given(cases(2))
    def test_there_and_back(self, case: tuple[str, Layout, Layout]) -> None:
        xml, here, there = case
        before = regenerate(xml, here)
        self.assertEqual(before, regenerate(regenerate(before, there), here))

    @law
    @given(names, st.data())
    def test_home_again_is_what_libvirt_had_written(
        self, name: str, data: st.DataObject
    ) -> None:
        xml = domains.read(name)
        home = layout_of(parse.parse_domain(xml))
        there = data.draw(domains.layouts(name))
        back = regenerate(regenerate(xml, there), home)
        self.assertEqual(
            etree.canonicalize(xml.strip()), etree.canonicalize(back)
        )

    @law
    @given(cases())
    def test_it_has_what_the_layout_says(
        self, case: tuple[str, Layout]
    ) -> None:
        xml, layout = case
        domain = parse.parse_domain(regenerate(xml, layout))
        found = layout_of(domain)
        self.assertEqual(layout.vcpus, found.vcpus)
        self.assertEqual(layout.emulator, found.emulator)
        self.assertEqual(layout.shared, found.shared)
        self.assertEqual(layout.scheduler, found.scheduler)
        for number in parse.guest_iothreads(domain):
            self.assertEqual(layout.iothread(number), found.iothread(number))
        if layout.cells:
            self.assertEqual(layout.cells, found.cells)
        else:
            self.assertEqual(frozenset(), found.nodes)

    @law
    @given(cases())
    def test_nothing_is_outside_the_layout(
        self, case: tuple[str, Layout]
    ) -> None:
        xml, layout = case
        domain = parse.parse_domain(regenerate(xml, layout))
        for pin in domain.iterfind('cputune//*[@cpuset]'):
            self.assertLessEqual(parse.numbers(pin, 'cpuset'), layout.cpus)
        for nodes in domain.iterfind('numatune/*'):
            self.assertLessEqual(parse.numbers(nodes, 'nodeset'), layout.nodes)

    @law
    @given(cases())
    def test_the_guard_never_fires_and_the_rest_stays(
        self, case: tuple[str, Layout]
    ) -> None:
        xml, layout = case
        before = parse.parse_domain(xml)
        after = parse.parse_domain(regenerate(xml, layout))
        abi.check(before, after)
        self.assertEqual(outside(before), outside(after))

    @law
    @given(cases())
    def test_a_layout_survives_the_wire(
        self, case: tuple[str, Layout]
    ) -> None:
        _xml, layout = case
        text = wire.dump(layout)
        self.assertEqual(layout, wire.load(text))
        self.assertEqual(text, wire.dump(wire.load(text)))

    @law
    @given(cases(), st.data())
    def test_a_damaged_layout_gives_the_typed_error(
        self, case: tuple[str, Layout], data: st.DataObject
    ) -> None:
        text = wire.dump(case[1])
        at = data.draw(st.integers(0, len(text) - 1))
        junk = data.draw(st.text(max_size=4))
        try:
            wire.load(text[:at] + junk + text[at + 1 :])
        except LayoutError as error:
            self.assertNotIn('\n', str(error))

    @law
    @given(cases(), st.data())
    def test_a_damaged_domain_gives_the_typed_error(
        self, case: tuple[str, Layout], data: st.DataObject
    ) -> None:
        xml, layout = case
        at = data.draw(st.integers(0, len(xml) - 1))
        junk = data.draw(st.text(max_size=4))
        try:
            regenerate(xml[:at] + junk + xml[at + 1 :], layout)
        except NumaError as error:
            self.assertTrue(error.path)

    @law
    @given(st.text())
    def test_no_text_gives_anything_but_the_typed_error(
        self, text: str
    ) -> None:
        with self.assertRaises(DomainXmlError):
            parse.parse_domain(text)
