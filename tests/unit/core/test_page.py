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
"""The page of a matrix, as text; tests/functional has it in a browser."""

import html.parser
import itertools
import json
from typing import Any
import unittest

from nova_arm_migrate.core import page
from nova_arm_migrate.core import record
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.matrix import Mark
from nova_arm_migrate.core.matrix import matrix
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from tests.unit.core import synthetic as s

#: How people see linear RGB who lack one kind of cone (Machado, Oliveira and
#: Fernandes, 2009, severity 1.0), and how others see it.
_VISION = {
    'all cones': ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    'protanopia': (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    'deuteranopia': (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    'tritanopia': (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
_XYZ = (
    (0.4124, 0.3576, 0.1805),
    (0.2126, 0.7152, 0.0722),
    (0.0193, 0.1192, 0.9505),
)
_WHITE = (0.9505, 1.0, 1.089)


class Elements(html.parser.HTMLParser):
    """What a browser would find: elements, attributes, texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.found[-1][0] if self.found else '', data))


def page_of(hosts: dict[str, Host]) -> str:
    records = [(name, record.dump_host(host)) for name, host in hosts.items()]
    return page.page(matrix(fleet(records)), 'compare', '.json')


def linear(colour: str) -> list[float]:
    """Return a colour as linear RGB (IEC 61966-2-1)."""
    numbers = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4
        for one in numbers
    ]


def times(rows: object, vector: list[float]) -> list[float]:
    assert isinstance(rows, tuple)
    return [sum(a * b for a, b in zip(row, vector)) for row in rows]


def lab(rgb: list[float]) -> list[float]:
    """Return linear RGB as CIELAB, in which distances are what eyes see."""
    xyz = [
        max(0.0, one) / white for one, white in zip(times(_XYZ, rgb), _WHITE)
    ]
    x, y, z = (
        one ** (1 / 3) if one > 0.008856 else 7.787 * one + 16 / 116
        for one in xyz
    )
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


class TestPage(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lesser = s.with_field(s.host(), 'ID_AA64ISAR0_EL1.AES', 1)

    def data(self, hosts: dict[str, Host]) -> dict[str, Any]:
        (text,) = (
            text
            for tag, text in Elements(page_of(hosts)).texts
            if tag == 'script' and text.startswith('{')
        )
        found: dict[str, Any] = json.loads(text)
        return found

    def details(
        self, data: dict[str, Any], row: int, column: int
    ) -> list[str]:
        """Return a cell's texts, as the program puts them together."""
        places = data['details'][data['cells'][row][column]][2:]
        texts = [data['texts'][place] for place in places]
        if texts:
            field, said, guest, host, *others = texts
            said = said.replace('\x01', guest).replace('\x02', host)
            texts = [field, said, *others]
        return texts

    def test_a_cell_has_its_field_and_remedy(self) -> None:
        data = self.data({'greater': s.host(), 'lesser': self.lesser})
        self.assertEqual([], self.details(data, 0, 0))
        self.assertEqual([], self.details(data, 1, 0))
        field, said = self.details(data, 0, 1)
        self.assertEqual('ID_AA64ISAR0_EL1.AES', field)
        self.assertTrue(
            said.startswith('The guest has ID_AA64ISAR0_EL1.AES = '), said
        )
        self.assertIn('Remedy: ', said)

    def test_every_cell_says_what_the_comparison_says(self) -> None:
        hosts = {'greater': s.host(), 'lesser': self.lesser} | {
            f'h{hz}': s.host(cntfrq=hz) for hz in range(10, 14)
        }
        data = self.data(hosts)
        named = {
            profile['names'][0]: place
            for place, profile in enumerate(data['profiles'])
        }
        for one, other in itertools.permutations(hosts, 2):
            report = compare(guest_started_on(hosts[one]), hosts[other])
            shown = self.details(data, named[one], named[other])
            self.assertEqual(
                [sentence(found) for found in report.decisive[:1]],
                shown[1:2],
            )

    def test_other_fields_are_named(self) -> None:
        less = s.with_field(self.lesser, 'ID_AA64ISAR0_EL1.CRC32', 0)
        data = self.data({'greater': s.host(), 'less': less})
        field, _, other = self.details(data, 0, 1)
        self.assertEqual(
            {'ID_AA64ISAR0_EL1.CRC32', 'ID_AA64ISAR0_EL1.AES'}, {field, other}
        )

    def test_sentences_that_differ_in_values_are_one_text(self) -> None:
        hosts = {f'h{hz}': s.host(cntfrq=hz) for hz in range(1000, 1020)}
        data = self.data(hosts)
        self.assertEqual(20 * 19 + 1, len(data['details']))
        self.assertLess(len(data['texts']), 30)

    def test_names_are_no_markup(self) -> None:
        name = '</script><img src=x onerror=alert(1)>&\x1b\u202e'
        text = page_of({name: s.host()})
        self.assertEqual(
            [], [t for t, _ in Elements(text).found if t == 'img']
        )
        profiles = self.data({name: s.host()})['profiles']
        self.assertEqual(
            [
                {
                    'names': ['</script><img src=x onerror=alert(1)>&??'],
                    'pool': 1,
                }
            ],
            profiles,
        )

    def test_nothing_is_loaded(self) -> None:
        found = Elements(page_of({'a': s.host()})).found
        for tag, attributes in found:
            self.assertNotIn('src', attributes, tag)
            if 'href' in attributes:
                self.assertEqual('data:,', attributes['href'])
        (policy,) = (
            attributes['content'] or ''
            for _, attributes in found
            if attributes.get('http-equiv') == 'Content-Security-Policy'
        )
        self.assertTrue(policy.startswith("default-src 'none'; "), policy)
        self.assertNotIn('unsafe', policy)


class TestColours(unittest.TestCase):
    def test_colour_blind_people_tell_them_apart(self) -> None:
        """10 is several times what the eye just sees."""
        for who, rows in _VISION.items():
            seen = {
                mark: lab(times(rows, linear(page.COLOURS[mark])))
                for mark in Mark
            }
            for one, other in itertools.combinations(Mark, 2):
                distance = sum(
                    (a - b) ** 2 for a, b in zip(seen[one], seen[other])
                )
                self.assertGreater(distance, 10**2, (who, one, other))

    def test_symbols_can_be_read(self) -> None:
        """7:1 is the highest level of contrast (WCAG 2.2, 1.4.6)."""
        _, ink, _ = times(_XYZ, linear('#111111'))
        for mark, colour in page.COLOURS.items():
            _, luminance, _ = times(_XYZ, linear(colour))
            self.assertGreater((luminance + 0.05) / (ink + 0.05), 7, mark)
        self.assertEqual(len(Mark), len(set(page.SYMBOLS.values())))
