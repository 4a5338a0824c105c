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

"""What a host offers a vCPU, and what a guest keeps when it moves."""

import unittest

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import firmware
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import longer_vectors
from nova_arm_migrate.core.vcpu import with_features_off
from tests.unit.core import synthetic as s


class TestLongerVectors(unittest.TestCase):
    """What is switched off in a guest, to keep it as it started."""

    def test_all_beyond_the_longest(self) -> None:
        names = longer_vectors(s.host(sve_lengths=(128, 256, 512)))
        self.assertEqual(('sve640', 'sve768'), names[:2])
        self.assertEqual((12, 'sve2048'), (len(names), names[-1]))
        self.assertEqual(
            (),
            longer_vectors(s.host(sve_lengths=tuple(range(128, 2049, 128)))),
        )

    def test_no_sve_or_not_known(self) -> None:
        for lengths in ((), None):
            self.assertEqual((), longer_vectors(s.host(sve_lengths=lengths)))

    def test_a_guest_that_has_them_off_gains_nothing(self) -> None:
        old = s.host(sve_lengths=(128,))
        new = s.host(sve_lengths=(128, 256))
        off = frozenset(longer_vectors(old))
        self.assertEqual(
            old.sve_lengths, with_features_off(new, off).sve_lengths
        )
        self.assertEqual(
            guest_started_on(old).sve_lengths,
            guest_started_on(new, disabled=off).sve_lengths,
        )


class TestOnTheWay(unittest.TestCase):
    """What a guest has after live migrations."""

    extra = s.TCR2

    def newer(self) -> Host:
        return s.host(
            {s.CODES['ID_AA64MMFR3_EL1']: 0x1, s.ISAR0: 0x1},
            reg_list=s.LISTED | {self.extra},
        )

    def test_a_host_like_its_first_changes_nothing(self) -> None:
        guest = guest_started_on(s.host())
        self.assertEqual(guest, after_migration(guest, s.host()))

    def test_it_keeps_its_values_and_gains_registers(self) -> None:
        old = s.host(reg_list=s.LISTED - {s.ZCR, s.CODES['ID_AA64MMFR3_EL1']})
        guest = guest_started_on(old)
        there = after_migration(guest, self.newer())
        self.assertEqual(self.newer().reg_list, there.reg_list)
        self.assertEqual(
            guest.values.read(s.ISAR0), there.values.read(s.ISAR0)
        )
        self.assertEqual(1, there.values.read(s.CODES['ID_AA64MMFR3_EL1']))
        self.assertEqual(there, after_migration(there, self.newer()))

    def test_a_stale_value_is_taken_and_not_kept(self) -> None:
        guest = guest_started_on(
            s.with_field(s.host(), 'ID_AA64PFR0_EL1.MPAM', 1)
        )
        self.assertEqual(
            guest_started_on(s.host()).values,
            after_migration(guest, s.host()).values,
        )
        same = s.with_field(s.host(), 'ID_AA64PFR0_EL1.MPAM', 1)
        self.assertEqual(guest, after_migration(guest, same))

    def test_a_pmu_of_another_kind_becomes_none(self) -> None:
        guest = guest_started_on(
            s.with_field(s.host(), 'ID_AA64DFR0_EL1.PMUVer', 15)
        )
        self.assertEqual(
            0, after_migration(guest, s.host()).values.read(s.DFR0) >> 8 & 0xF
        )

    def test_registers_of_kernels_to_come_are_kept(self) -> None:
        host = s.host({bitmap(9): 5}, reg_list=s.LISTED | {bitmap(9)})
        guest = guest_started_on(host)
        there = after_migration(
            guest, s.host({bitmap(9): 7}, reg_list=host.reg_list)
        )
        self.assertEqual(5, there.values.read(bitmap(9)))

    def test_mitigations_are_those_of_its_host(self) -> None:
        code = firmware(3)
        old, new = (
            s.host({code: level}, reg_list=s.LISTED | {code})
            for level in (0, 1)
        )
        there = after_migration(guest_started_on(old), new)
        self.assertEqual(1, there.values.read(code))
        self.assertEqual(0, after_migration(there, old).values.read(code))
        without = s.host({code: 0}, reg_list=s.LISTED - {code})
        self.assertEqual(
            1,
            after_migration(guest_started_on(without), new).values.read(code),
        )
        self.assertNotIn(code, after_migration(there, without).values)

    def test_a_register_that_is_dropped_is_gone(self) -> None:
        guest = guest_started_on(s.host(reg_list=s.LISTED | {self.extra}))
        self.assertEqual(s.LISTED, after_migration(guest, s.host()).reg_list)

    def test_what_the_guest_switched_off_does_not_come(self) -> None:
        guest = guest_started_on(s.host(), disabled=frozenset({'sve'}))
        self.assertEqual(guest, after_migration(guest, s.host()))

    def test_a_length_that_the_host_lacks_takes_no_longer_ones_along(
        self,
    ) -> None:
        """QEMU looks at supported lengths only (arm_cpu_sve_finalize)."""
        for off, left in (
            (('sve384',), (128, 256, 512)),
            (('sve256',), (128,)),
            (('sve384', 'sve512'), (128, 256)),
            (('sve1024',), (128, 256, 512)),
        ):
            self.assertEqual(
                left,
                with_features_off(
                    s.host(sve_lengths=(128, 256, 512)), frozenset(off)
                ).sve_lengths,
            )

    def test_longer_vectors_of_visited_hosts_are_remembered(self) -> None:
        old, new = (
            s.host(sve_lengths=lengths) for lengths in ((128,), (128, 256))
        )
        guest = guest_started_on(old)
        self.assertIsNone(after_migration(guest, old).sve_visited)
        there = after_migration(guest, new)
        self.assertEqual(
            ((128,), (128, 256)), (there.sve_lengths, there.sve_visited)
        )
        self.assertEqual(there, after_migration(there, old))
        longest = after_migration(there, s.host(sve_lengths=(128, 256, 512)))
        self.assertEqual((128, 256, 512), longest.sve_visited)

    def test_longer_vectors_that_it_can_not_use_are_not(self) -> None:
        new = s.host(sve_lengths=(128, 256))
        off = frozenset(longer_vectors(s.host(sve_lengths=(128,))))
        for guest in (
            guest_started_on(new, disabled=off),
            guest_started_on(s.host(sve_lengths=())),
            guest_started_on(s.host(sve_lengths=None)),
        ):
            self.assertIsNone(after_migration(guest, new).sve_visited)
        guest = guest_started_on(new)
        self.assertIsNone(
            after_migration(guest, s.host(sve_lengths=None)).sve_visited
        )

    def test_without_lists_nothing_is_known(self) -> None:
        guest = Guest(values=Values({s.MIDR: 1}), page_size=4096)
        there = after_migration(guest, s.host())
        self.assertEqual(
            (guest.values, guest.reg_list, guest.page_size),
            (there.values, there.reg_list, there.page_size),
        )
        guest = guest_started_on(s.host())
        self.assertEqual(guest, after_migration(guest, s.host(reg_list=None)))
