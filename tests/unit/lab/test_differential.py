# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

import dataclasses
import random

import testtools

from nova_arm_migrate.core import profile
from nova_arm_migrate.core import registers
from nova_arm_migrate.core import tried
from tests.lab import differential

ISAR0 = registers.sysreg(3, 0, 0, 6, 0)
CCSIDR = registers.ccsidr(0)


def host(isar0: int = 0x20, writable: int = 0xF0) -> profile.Host:
    return profile.Host(
        values=profile.Values({ISAR0: isar0}),
        reg_list=frozenset([ISAR0]),
        writable=profile.Values({ISAR0: writable}),
        kernel='6.12.1',
    )


class ValuesTest(testtools.TestCase):
    def test_every_value_of_every_field(self) -> None:
        values = differential.boundary_values(0x20)
        for field in range(16):
            self.assertIn(field << 4, values)
            self.assertIn(0x20 | field << 60, values)
        self.assertIn(0x21, values)

    def test_random_values_are_of_64_bits_and_mostly_near(self) -> None:
        source = random.Random(1)
        values = [differential.random_value(0x20, source) for _ in range(1000)]
        self.assertTrue(all(0 <= value < 1 << 64 for value in values))
        self.assertGreater(sum(value < 0x100000000 for value in values), 10)

    def test_as_many_as_asked_for_and_the_same_again(self) -> None:
        one = differential.writes(host(), 1000, 7)
        self.assertEqual(1000, len(one))
        self.assertEqual(one, differential.writes(host(), 1000, 7))
        self.assertNotEqual(one, differential.writes(host(), 1000, 8))

    def test_width(self) -> None:
        self.assertEqual(64, differential.width(ISAR0))
        self.assertEqual(32, differential.width(CCSIDR))


class CompareTest(testtools.TestCase):
    def tally(self, value: int, failure: int) -> differential.Tally:
        (tally,) = differential.compare(
            host(), [(ISAR0, value)], [failure]
        ).values()
        return tally

    def test_agreement(self) -> None:
        for value, failure in ((0x20, 0), (0x10, 0), (0x30, 22), (0x21, 22)):
            self.assertEqual(0, self.tally(value, failure).differ)

    def test_a_difference_is_counted_and_told(self) -> None:
        tally = self.tally(0x10, 22)
        self.assertEqual(
            (1, 0, 1), (tally.written, tally.accepted, tally.differ)
        )
        self.assertEqual(
            [
                'ID_AA64ISAR0_EL1 0x10 (host 0x20): rule accepts, kernel'
                ' refuses'
            ],
            tally.examples,
        )

    def test_the_report_sums_up(self) -> None:
        lines = differential.report(
            differential.compare(
                host(), [(ISAR0, 0x10), (ISAR0, 0x30)], [0, 0]
            )
        )
        self.assertEqual(['total', '2', '2', '0', '1'], lines[2].split())
        self.assertEqual(
            'ID_AA64ISAR0_EL1: 1 times: kernel accepts ID_AA64ISAR0_EL1.AES 3',
            lines[3],
        )
        self.assertIn('rule refuses, kernel accepts', lines[4])

    def test_what_the_hosts_kernel_was_seen_to_take(self) -> None:
        """Linux 6.12 takes EL0 = 0, and its record says so."""
        pfr0 = registers.sysreg(3, 0, 0, 4, 0)
        there = profile.Host(
            values=profile.Values({pfr0: 0x112}),
            reg_list=frozenset([pfr0]),
            writable=profile.Values({pfr0: 0xFFF}),
            kernel='6.12.1',
        )
        seen = tried.Tried({pfr0: [tried.Answer(0, 4, 0b111, 0)]})
        for host_there, value, failure, differ in (
            (there, 0x110, 0, 1),
            (there, 0x110, 22, 0),
            (dataclasses.replace(there, tried=seen), 0x110, 0, 0),
            (dataclasses.replace(there, tried=seen), 0x110, 22, 1),
            (dataclasses.replace(there, tried=seen), 0x113, 22, 0),
        ):
            (tally,) = differential.compare(
                host_there, [(pfr0, value)], [failure]
            ).values()
            self.assertEqual(differ, tally.differ, hex(value))
