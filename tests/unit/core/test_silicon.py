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

"""Real fleets: what a kernel update does, and what keeps cores apart.

By the rule alone. What it can't tell, a trial on the destination can.
"""

import itertools
import unittest

from nova_arm_migrate.core import crossing
from nova_arm_migrate.core import record
from nova_arm_migrate.core.baseline_changes import given_up
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict
from tests import silicon

MMFR2 = sysreg(3, 0, 0, 7, 2)


def in_the_way(start: silicon.Silicon, end: silicon.Silicon) -> set[str]:
    return {
        finding.name
        for finding in silicon.judge(start, end).findings
        if finding.severity is not Severity.NOTE
    }


class TestSilicon(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.profiles = silicon.profiles()
        self.by_core = {
            core: list(same)
            for core, same in itertools.groupby(
                self.profiles, key=lambda one: one.core
            )
        }

    def test_there_are_three_fleets_with_two_kernels(self) -> None:
        self.assertEqual(
            {
                core: ['6.1', '6.18']
                for core in ('Neoverse-N1', 'Neoverse-V1', 'Neoverse-V2')
            },
            {
                core: [one.kernel for one in same]
                for core, same in self.by_core.items()
            },
        )

    def test_profiles_are_records_that_say_what_is_borrowed(self) -> None:
        for one in self.profiles:
            text = record.dump_host(one.host)
            self.assertLess(len(text), 4096)
            self.assertEqual(one.host, record.load_host(text))
            self.assertRegex(
                one.host.why_absent('writable'),
                "another host's record, Linux (6.1|7.2)",
            )
            self.assertEqual(
                (None, None, None, None),
                (
                    one.host.sve_lengths,
                    one.host.cntfrq,
                    one.host.gic,
                    one.host.ipa_bits,
                ),
            )

    def test_a_newer_kernel_of_the_same_fleet_refuses_nothing_known(
        self,
    ) -> None:
        """MPAM and NV are hidden by 6.18: what it takes of them is tried."""
        for core, (older, newer) in self.by_core.items():
            hidden = (
                set()
                if core == 'Neoverse-N1'
                else {'ID_AA64PFR0_EL1.MPAM', 'ID_AA64MMFR2_EL1.NV'}
            )
            self.assertIsNot(
                Verdict.INCOMPATIBLE, silicon.judge(older, newer).verdict
            )
            self.assertLessEqual(in_the_way(older, newer), hidden)

    def test_nothing_goes_back_to_the_older_kernel(self) -> None:
        for older, newer in self.by_core.values():
            self.assertIs(
                Verdict.INCOMPATIBLE, silicon.judge(newer, older).verdict
            )
            self.assertLessEqual(
                {'ID_AA64DFR0_EL1.DebugVer', 'PSCI_VERSION'},
                in_the_way(newer, older),
            )

    def test_cores_are_kept_apart(self) -> None:
        """By what they are; and by more than an implementation's number."""
        for start, end in itertools.permutations(self.profiles, 2):
            if start.core != end.core:
                names = in_the_way(start, end)
                self.assertLessEqual({'MIDR_EL1', 'REVIDR_EL1'}, names)
                self.assertGreater(len(names), 2)


class TestPools(unittest.TestCase):
    """Pools of real cores, by the registers that KVM showed on them."""

    def setUp(self) -> None:
        super().setUp()
        self.members = {one.core: one for one in silicon.members()}

    def found(self, *cores: str) -> crossing.Common:
        return silicon.crossing(*(self.members[core] for core in cores))

    def test_v1_and_v2_have_a_baseline(self) -> None:
        """Graviton3 and Graviton4; Grace has the core of the latter."""
        found = self.found('Neoverse-V1', 'Neoverse-V2')
        self.assertTrue(found.taken)
        self.assertEqual(
            'Neoverse-V2 r0p1', found.baseline.implementation.name
        )
        self.assertEqual(
            {
                'ID_AA64PFR0_EL1.EL0',
                'ID_AA64ISAR0_EL1.SM3',
                'ID_AA64ISAR0_EL1.SM4',
                'ID_AA64MMFR0_EL1.TGRAN4_2',
                'ID_AA64MMFR0_EL1.TGRAN16_2',
                'ID_AA64MMFR0_EL1.TGRAN64_2',
            },
            self.gives_up(found, 'Neoverse-V1'),
        )
        v2 = self.gives_up(found, 'Neoverse-V2')
        self.assertEqual(15, len(v2))
        self.assertLessEqual(
            {'ID_AA64PFR1_EL1.BT', 'ID_AA64MMFR2_EL1.E0PD'}, v2
        )

    def gives_up(self, found: crossing.Common, core: str) -> set[str]:
        return {
            change.name
            for change in given_up(found.baseline, self.members[core].host)
        }

    def test_what_keeps_n1_out(self) -> None:
        for other in ('Neoverse-V1', 'Neoverse-V2'):
            found = self.found('Neoverse-N1', other)
            self.assertEqual(
                {
                    (1, 'ID_AA64MMFR2_EL1.EVT'),
                    (1, 'ID_AA64MMFR2_EL1.FWB'),
                    (1, 'ID_AA64MMFR2_EL1.IDS'),
                },
                {(place, r.finding.name) for place, r in found.refusals},
            )

    def test_the_lab_s_n1_is_unlike_metal(self) -> None:
        """Its EVT is 0, so it has a baseline with A76 that metal may lack."""
        lab = {one.core: one for one in silicon.lab_hosts()}
        evt = REGISTERS[MMFR2].field('EVT')
        for one, expected in (
            (self.members['Neoverse-N1'], 1),
            (lab['neoverse-n1'], 0),
        ):
            self.assertEqual(expected, evt.of(one.host.values.read(MMFR2)))

    def test_masks_and_capability_say_whose_they_are(self) -> None:
        for one in self.members.values():
            for attribute in ('writable', 'capabilities'):
                self.assertIn(
                    "another host's record", one.host.why_absent(attribute)
                )


class TestJoining(unittest.TestCase):
    """What KVM would have to let a VMM write; the page for upstream has it."""

    N1 = {'ID_AA64MMFR2_EL1.EVT', 'ID_AA64MMFR2_EL1.FWB'} | {
        'ID_AA64MMFR2_EL1.IDS'
    }
    A64FX = {'ID_AA64MMFR1_EL1.VMIDBits', 'CTR_EL0.CWG', 'CTR_EL0.ERG'}

    def test_the_fields_of_each_pair(self) -> None:
        found = {
            frozenset(one.core for one in pair): set(joining.fields)
            for _, pair, joining in silicon.joinable()
        }
        expected = {
            frozenset({n1, other}): self.N1
            for n1, others in (
                ('Neoverse-N1', ('Neoverse-V1', 'Neoverse-V2')),
                ('neoverse-n1', ('neoverse-v1', 'neoverse-n2', 'cortex-a710')),
            )
            for other in others
        }
        expected[frozenset({'a64fx', 'neoverse-n1'})] = self.A64FX
        for other in ('neoverse-v1', 'neoverse-n2', 'cortex-a710'):
            expected[frozenset({'a64fx', other})] = self.A64FX | self.N1
        self.assertEqual(expected, found)

    def test_what_no_field_joins(self) -> None:
        """The level of mitigations is the firmware's."""
        for _, pair, joining in silicon.joinable():
            with self.subTest(f'{pair[0].core} {pair[1].core}'):
                self.assertEqual(
                    {'SMCCC_ARCH_WORKAROUND_1', 'SMCCC_ARCH_WORKAROUND_3'}
                    if pair[0].core == 'a64fx'
                    else set(),
                    {words.partition(':')[0] for words in joining.rest},
                )

    def test_hosts_with_a_baseline_need_nothing(self) -> None:
        members = {one.core: one for one in silicon.members()}
        self.assertEqual(
            silicon.Joining((), ()),
            silicon.joining(members['Neoverse-V1'], members['Neoverse-V2']),
        )


class TestPaper(unittest.TestCase):
    """The pairs of the documentation, and what their members give up."""

    def test_each_pair(self) -> None:
        found = {}
        for _, pair in silicon.paper_pools():
            common = silicon.crossing(*pair)
            # How many fields and features each core gives up.
            found[pair[0].core, pair[1].core] = common.taken and tuple(
                len(given_up(common.baseline, one.host)) for one in pair
            )
        self.assertEqual(
            {
                ('Neoverse-V1', 'Neoverse-V2'): (6, 15),
                ('Neoverse-N1', 'Neoverse-V1'): False,
                ('Neoverse-N1', 'Neoverse-V2'): False,
                ('neoverse-v1', 'neoverse-n2'): (5, 23),
                ('cortex-a710', 'neoverse-n2'): (2, 4),
                ('cortex-a710', 'neoverse-v1'): (25, 9),
                ('cortex-a76', 'neoverse-n1'): (0, 3),
                ('neoverse-n1', 'neoverse-v1'): False,
                ('neoverse-n1', 'neoverse-n2'): False,
                ('neoverse-n1', 'cortex-a710'): False,
                ('a64fx', 'neoverse-n1'): False,
            },
            found,
        )

    def test_a_real_n1_keeps_a76_out(self) -> None:
        """EVT is 1 on real Neoverse-N1; the emulated Cortex-A76 has 0."""
        (n1,) = [one for one in silicon.members() if one.core == 'Neoverse-N1']
        a76 = silicon.lab_host('cortex-a76_trixie')
        found = silicon.crossing(n1, silicon.Silicon('a76', '6.12', a76))
        self.assertIn(
            'ID_AA64MMFR2_EL1.EVT',
            {refusal.finding.name for _, refusal in found.refusals},
        )

    def test_an_update_of_the_kernel_is_no_pool(self) -> None:
        """Linux 6.1 lets a VMM write no ID register."""
        profiles = silicon.profiles()
        for core in ('Neoverse-N1', 'Neoverse-V1', 'Neoverse-V2'):
            pair = [one for one in profiles if one.core == core]
            self.assertFalse(silicon.crossing(*pair).taken)
