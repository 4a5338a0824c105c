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

"""Baselines of hosts with different cores and kernels."""

from collections.abc import Iterable
import dataclasses
from typing import Any
import unittest

import hypothesis
from hypothesis import strategies as st

from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core import crossing
from nova_arm_migrate.core import crossing_pools
from nova_arm_migrate.core import crossing_words
from nova_arm_migrate.core.baseline_changes import diff
from nova_arm_migrate.core.baseline_changes import Direction
from nova_arm_migrate.core.baseline_changes import given_up
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.cpu_baseline import start
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.vcpu import with_features_off
from tests import silicon
from tests.present import present
from tests.unit.core import kvm_rule
from tests.unit.core import synthetic as s
from tests.unit.core import test_baseline_laws as laws

Fleet = tuple[list[Host], list[tuple[Register, Field]]]

NEOVERSE_V2 = 0x410FD4F1
REVIDR, AIDR = s.CODES['REVIDR_EL1'], s.CODES['AIDR_EL1']
BMAP_2 = s.CODES['VENDOR_HYP_BMAP_2']
WRITABLE_IMPLEMENTATION = {s.MIDR: 0xFFFFFFFF, REVIDR: s.ALL, AIDR: s.ALL}
#: Each example compares several hosts, twice.
FEWER = hypothesis.settings(max_examples=20)
CAPABLE = (('STEAL_TIME', 1), ('WRITABLE_IMP_ID_REGS', 1))
FEATURE_BITS = {
    (code, bits)
    for feature in FEATURES.values()
    for code, bits in feature.bits.items()
}


def capable(host: Host, midr: int | None = None, **changes: Any) -> Host:
    """The host with a KVM that lets a VMM write the implementation."""
    masks = dict(present(host.writable)) | WRITABLE_IMPLEMENTATION
    changes = {'capabilities': CAPABLE, 'writable': Values(masks)} | changes
    values = dict(host.values)
    if midr is not None:
        values[s.MIDR] = midr
    return dataclasses.replace(host, values=Values(values), **changes)


def with_register(baseline: CpuBaseline, code: int, value: int) -> CpuBaseline:
    registers = {**baseline.registers, code: value}
    return dataclasses.replace(
        baseline, registers=Values({c: v for c, v in registers.items() if v})
    )


def names(refusals: Iterable[crossing.Refusal]) -> set[str]:
    return {refusal.finding.name for refusal in refusals}


def of_feature(register: Register, field: Field) -> bool:
    return any(
        register.code in feature.registers for feature in FEATURES.values()
    ) or any(
        register.code == code and field.mask & bits
        for code, bits in FEATURE_BITS
    )


@st.composite
def fleets(draw: st.DrawFn, writable: bool = False) -> Fleet:
    """Hosts with different cores that differ in a few fields.

    :param writable: only fields that a rule lets a VMM lower, all writable
    """
    members, differing = draw(laws.fleets())
    differing = [
        (register, field)
        for register, field in differing
        if not of_feature(register, field)
        # No CPU has another value; the tables' own laws try them.
        and f'{register.name}.{field.name}' != 'ID_AA64PFR0_EL1.EL0'
        and not (writable and field.rule is Rule.EQUAL)
    ]
    hypothesis.assume(differing)
    kept = []
    for host in members:
        if writable:
            masks = dict.fromkeys((one.code for one, _ in differing), s.ALL)
            own = {
                register.code: host.values.read(register.code)
                & sum(f.mask for one, f in differing if one is register)
                | s.VALUES.get(register.code, 0)
                & ~sum(f.mask for one, f in differing if one is register)
                for register in laws.FEATURE_REGISTERS
            }
            host = dataclasses.replace(
                laws.with_values(host, own),
                writable=Values(dict(s.WRITABLE) | masks),
            )
        host = s.with_field(host, 'ID_AA64PFR0_EL1.EL0', 2)
        for code, bits in FEATURE_BITS:
            value = host.values.read(code) & ~bits
            value |= s.VALUES.get(code, 0) & bits
            host = laws.with_values(host, {code: value})
        kept.append(
            capable(
                host,
                draw(
                    st.sampled_from(
                        [s.NEOVERSE_V1, s.NEOVERSE_N1, NEOVERSE_V2]
                    )
                ),
            )
        )
    return kept, differing


class TestLaws(unittest.TestCase):
    @FEWER
    @hypothesis.given(fleets())
    def test_every_member_takes_it_if_any_guest_fits_all(
        self, fleet: Fleet
    ) -> None:
        members, differing = fleet
        found = crossing.common(members, name='pool')
        apart = set()
        for register, field in differing:
            if not laws.common(register, field, members):
                apart.add(f'{register.name}.{field.name}')
        refused = {refusal.finding.name for _, refusal in found.refusals}
        doubts = laws.doubts(found.baseline.registers)
        self.assertEqual(apart - doubts, refused - doubts)
        for place, host in enumerate(members):
            self.assertEqual(
                crossing.refusals(found.baseline, host),
                tuple(r for other, r in found.refusals if other == place),
            )

    @FEWER
    @hypothesis.given(fleets(writable=True))
    def test_nothing_in_it_can_be_raised(self, fleet: Fleet) -> None:
        members, differing = fleet
        found = crossing.common(members, name='pool')
        for register, field in differing:
            value = found.baseline.registers.read(register.code)
            most = field.of(value)
            above = [
                other
                for other in kvm_rule.every_value(field)
                if other != field.as_zero
                and kvm_rule.takes(field, most, other)
                and not kvm_rule.takes(field, other, most)
            ]
            for other in {*above[:1], *above[-1:]}:
                raised = with_register(
                    found.baseline, register.code, field.into(value, other)
                )
                (change,) = diff(found.baseline, raised)
                name = f'{register.name}.{field.name}'
                self.assertEqual(name, change.name)
                self.assertIsNot(Direction.LOWER, change.direction)
                refused = [crossing.refusals(raised, one) for one in members]
                self.assertIn(name, set().union(*map(names, refused)))

    @FEWER
    @hypothesis.given(fleets(writable=True))
    def test_it_can_be_lowered_by_hand(self, fleet: Fleet) -> None:
        members, differing = fleet
        found = crossing.common(members, name='pool')
        before = [crossing.refusals(found.baseline, one) for one in members]
        for register, field in differing:
            value = found.baseline.registers.read(register.code)
            values = laws.common(register, field, members) or set()
            for lower in sorted(values - {field.of(value)})[:2]:
                lowered = with_register(
                    found.baseline, register.code, field.into(value, lower)
                )
                (change,) = diff(found.baseline, lowered)
                self.assertIs(Direction.LOWER, change.direction)
                # A lower value may end a doubt: of a guest whose GIC is not
                # recorded, nobody knows whether it has GIC or GCIE.
                for host, old in zip(members, before, strict=True):
                    self.assertLessEqual(
                        names(crossing.refusals(lowered, host)), names(old)
                    )

    @FEWER
    @hypothesis.given(fleets(writable=True))
    def test_a_guest_has_the_same_on_every_member(self, fleet: Fleet) -> None:
        members, differing = fleet
        found = crossing.common(members, name='pool')
        hypothesis.assume(not found.refusals)
        guests = [start(found.baseline, host) for host in members]
        for register, _ in differing:
            self.assertEqual(
                1,
                len({guest.values.read(register.code) for guest in guests}),
            )
        self.assertEqual(
            {found.baseline.implementation.midr},
            {guest.values.read(s.MIDR) for guest in guests},
        )
        for host in members:
            for change in given_up(found.baseline, host):
                self.assertIs(Direction.LOWER, change.direction, change)

    @FEWER
    @hypothesis.given(fleets(writable=True))
    def test_its_file_is_the_same_baseline(self, fleet: Fleet) -> None:
        members, _ = fleet
        found = crossing.common(members, name='pool')
        pairs = {one.pair for one in found.unacknowledged}
        found = crossing.common(members, name='pool', acknowledged=pairs)
        text = baseline_file.dump(found.baseline)
        self.assertEqual(found.baseline, baseline_file.load(text))


class TestMembers(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.v1 = capable(s.host())
        self.v2 = capable(s.host(), NEOVERSE_V2)

    def refused(self, *hosts: Host, **options: Any) -> set[tuple[int, str]]:
        """What prevents a common baseline: (place, name)."""
        found = crossing.common(hosts, name='pool', **options)
        return {(place, r.finding.name) for place, r in found.refusals}

    def test_needs_a_host(self) -> None:
        with self.assertRaises(ValueError):
            crossing.common([])

    def test_cores_need_the_capability(self) -> None:
        self.assertEqual(set(), self.refused(self.v1, self.v2))
        without = dataclasses.replace(
            self.v1, capabilities=(('STEAL_TIME', 1),)
        )
        # The other one can show this one's implementation.
        found = crossing.common([without, self.v2], name='pool')
        self.assertEqual((), found.refusals)
        self.assertEqual(s.NEOVERSE_V1, found.baseline.implementation.midr)
        self.assertEqual({'BHB'}, {d.name for d in found.unacknowledged})
        both = dataclasses.replace(self.v2, capabilities=(('STEAL_TIME', 1),))
        self.assertTrue(self.refused(without, both))

    def test_a_capability_that_is_not_recorded(self) -> None:
        host = dataclasses.replace(
            self.v1, capabilities=(), absent=(('capabilities', 'a dump'),)
        )
        (refusal,) = [
            refusal
            for refusal in crossing.refusals(
                crossing.common([self.v2], name='pool').baseline, host
            )
            if refusal.finding.name == 'MIDR_EL1'
        ]
        self.assertIs(Severity.UNKNOWN, refusal.finding.severity)
        self.assertIn('a dump', crossing_words.sentence(refusal, 'host-a'))

    def test_one_core_needs_no_capability(self) -> None:
        old = dataclasses.replace(self.v1, capabilities=(('STEAL_TIME', 1),))
        lower = s.with_field(old, 'ID_AA64ISAR0_EL1.AES', 1)
        self.assertEqual(set(), self.refused(old, lower))

    def test_a_host_with_another_implementation(self) -> None:
        found = crossing.common([self.v1, self.v2], name='pool')
        other = capable(s.host(), s.NEOVERSE_N1)
        refused = crossing.refusals(found.baseline, other)
        self.assertEqual({'IMPLEMENTATION'}, names(refused))
        self.assertEqual(
            'host-n has 0x413fd0c1/0x0/0x0, which is not among the'
            ' implementations of the baseline: 0x410fd400/0x0/0x0,'
            ' 0x410fd4f1/0x0/0x0.',
            crossing_words.sentence(refused[0], 'host-n'),
        )

    def test_pointer_authentication_that_differs_is_switched_off(self) -> None:
        other = s.with_field(self.v2, 'ID_AA64ISAR1_EL1.APA', 0)
        other = s.with_field(other, 'ID_AA64ISAR1_EL1.API', 3)
        found = crossing.common([self.v1, other], name='pool')
        self.assertTrue(found.taken)
        self.assertEqual({'pmu', 'sve'}, found.baseline.features)
        self.assertNotIn(s.APIAKEYLO, present(found.baseline.reg_list))
        self.assertIn('pauth', found.baseline.disabled)
        self.assertIn(
            'vCPU features',
            {c.name for c in given_up(found.baseline, self.v1)},
        )

    def test_what_a_domain_switches_off(self) -> None:
        """The same on all members, where QEMU knows the property.

        QEMU 10.0 on neoverse-n1 (lab) starts with ``sve=off`` and
        ``pauth=off``, and not with ``sme=off``. libvirt 9.0 refuses the name
        ``pauth``.
        """
        off = frozenset({'sve', 'pauth', 'sme'})
        bare = with_features_off(self.v2, off)
        found = crossing.common([self.v1, bare], name='pool')
        self.assertTrue(found.taken)
        baseline = found.baseline
        self.assertEqual({'pmu'}, baseline.features)
        self.assertEqual({'sve', 'pauth'}, baseline.switched_off(bare))
        self.assertEqual({'sve', 'pauth'}, baseline.switched_off(self.v1))
        other = with_features_off(self.v1, off)
        alone = crossing.common([other, bare], name='pool').baseline
        self.assertEqual(frozenset(), alone.switched_off(bare))
        older = dataclasses.replace(baseline, given_up=None)
        self.assertEqual(frozenset(), older.switched_off(bare))
        self.assertEqual(older.digest, baseline.digest)

    def test_a_pmu_on_some_hosts_alone(self) -> None:
        """QEMU in the lab does not know ``pmu`` on a host without a PMU."""
        bare = with_features_off(self.v2, frozenset({'pmu'}))
        found = crossing.common([self.v1, bare], name='pool')
        self.assertFalse(found.taken)
        ((place, refusal),) = found.refusals
        self.assertEqual((1, False), (place, refusal.starts))
        self.assertEqual(
            'PMU: baseline off, b none', crossing_words.brief(refusal, 'b')
        )
        self.assertIn(
            'b does not have it, and QEMU',
            crossing_words.sentence(refusal, 'b'),
        )
        self.assertEqual(
            ((0,), (1,)), crossing_pools.partition([self.v1, bare]).pools
        )
        alone = crossing.common([bare], name='pool').baseline
        self.assertEqual((), crossing.refusals(alone, bare))
        (refusal,) = crossing.refusals(alone, self.v2)
        self.assertTrue(refusal.starts)
        self.assertEqual(
            'PMU: baseline none, v2 off', crossing_words.brief(refusal, 'v2')
        )
        self.assertIn(
            'v2 has its PMU switched off',
            crossing_words.sentence(refusal, 'v2'),
        )

    def test_vector_lengths_and_counters(self) -> None:
        other = dataclasses.replace(self.v2, sve_lengths=(128, 256, 512))
        other = s.with_field(other, 'PMCR_EL0.N', 4)
        found = crossing.common([self.v1, other], name='pool')
        self.assertTrue(found.taken)
        self.assertEqual((128, 256), found.baseline.sve_lengths)
        self.assertEqual(4, found.baseline.counters)
        self.assertEqual((128, 256), start(found.baseline, other).sve_lengths)
        self.assertEqual(
            {'event counters'},
            {c.name for c in given_up(found.baseline, self.v1)},
        )
        self.assertEqual(
            {'SVE lengths'}, {c.name for c in given_up(found.baseline, other)}
        )

    def test_hosts_without_32_bit_code(self) -> None:
        """ID_DFR0_EL1 is 0 there, which the other host refuses."""
        other = s.with_field(self.v2, 'ID_AA64PFR0_EL1.EL0', 1)
        other = laws.with_values(other, {s.DFR0_32: 0})
        found = crossing.common([self.v1, other], name='pool')
        self.assertTrue(found.taken)
        self.assertEqual(0, found.baseline.registers.read(s.DFR0_32))
        self.assertFalse(found.baseline.has_32bit_el0)

    def test_what_no_vmm_can_change(self) -> None:
        for other, name in (
            (dataclasses.replace(self.v2, cntfrq=100_000_000), 'CNTFRQ_EL0'),
            (dataclasses.replace(self.v2, dczid=6), 'DCZID_EL0'),
            (dataclasses.replace(self.v2, page_size=65536), 'PAGE_SIZE'),
        ):
            refused = self.refused(self.v1, other)
            self.assertEqual({name}, {which for _, which in refused}, name)

    def test_firmware_that_can_be_set_says_so(self) -> None:
        other = dataclasses.replace(self.v2, cntfrq=100_000_000)
        found = crossing.common([self.v1, other], name='pool')
        ((place, refusal),) = found.refusals
        self.assertEqual(1, place)
        self.assertEqual(
            'The timer runs at 1000000000 Hz in the baseline and at 100000000'
            ' Hz on b. Guests read it from the hardware. Set the frequency of'
            ' the system counter to one value in the firmware of all members,'
            ' if the firmware has that setting.',
            crossing_words.sentence(refusal, 'b'),
        )

    def test_a_mitigation_that_a_guest_relies_on(self) -> None:
        """A guest reads the level of its first host, whatever is written."""
        code = s.CODES['SMCCC_ARCH_WORKAROUND_3']
        better = laws.with_values(self.v2, {code: 2})
        self.assertEqual(
            {(1, 'SMCCC_ARCH_WORKAROUND_3')}, self.refused(self.v1, better)
        )
        fleet = crossing_pools.partition([self.v1, better])
        self.assertEqual(((0,), (1,)), fleet.pools)
        self.assertEqual({(0, 1)}, fleet.one_way)

    def test_smaller_cache_lines(self) -> None:
        found = crossing.common([self.v1], name='pool')
        smaller = s.with_field(self.v1, 'CTR_EL0.DminLine', 3)
        refused = crossing.refusals(found.baseline, smaller)
        self.assertEqual({'CTR_EL0.DminLine'}, names(refused))
        self.assertIn(
            'No firmware setting', crossing_words.sentence(refused[0], 'b')
        )
        self.assertEqual(set(), self.refused(self.v1, smaller))

    def test_fields_that_are_not_writable(self) -> None:
        other = s.with_field(self.v2, 'ID_AA64MMFR0_EL1.ASIDBITS', 0)
        self.assertEqual(
            {(0, 'ID_AA64MMFR0_EL1.ASIDBITS')}, self.refused(self.v1, other)
        )

    def test_registers_that_older_kernels_lack(self) -> None:
        """Lowered fields hide them, if the kernel hides them at all."""
        mmfr3 = s.CODES['ID_AA64MMFR3_EL1']
        masks = dict(present(self.v1.writable)) | {mmfr3: s.ALL}
        newer = dataclasses.replace(
            laws.with_values(self.v1, {mmfr3: 0x101, BMAP_2: 0}),
            reg_list=present(self.v1.reg_list) | {s.TCR2, BMAP_2},
            writable=Values(masks),
            qemu='11.1.0',
        )
        older = dataclasses.replace(
            self.v1, qemu='10.0.2', writable=Values(masks)
        )
        found = crossing.common([newer, older], name='pool')
        self.assertNotIn(s.TCR2, present(found.baseline.reg_list))
        self.assertNotIn(
            s.TCR2, present(start(found.baseline, newer).reg_list)
        )
        always = dataclasses.replace(
            newer, reg_list=present(newer.reg_list) - {BMAP_2}
        )
        self.assertIn(s.TCR2, present(start(found.baseline, always).reg_list))

    def test_guests_are_told_of_the_implementations(self) -> None:
        hosts = [
            dataclasses.replace(
                host,
                reg_list=s.LISTED | {BMAP_2},
                hypercalls=Values({BMAP_2: 3}),
            )
            for host in (self.v1, self.v2)
        ]
        found = crossing.common(hosts, name='pool')
        self.assertEqual(3, found.baseline.registers.read(BMAP_2))
        self.assertEqual(
            found.baseline.implementations, found.baseline.targets
        )
        found = crossing.common([self.v1, hosts[1]], name='pool')
        self.assertEqual((), found.baseline.targets)

    def test_differences_are_acknowledged_by_pair(self) -> None:
        n1 = capable(s.host(), s.NEOVERSE_N1)
        found = crossing.common([self.v1, n1], name='pool')
        self.assertEqual((), found.refusals)
        self.assertFalse(found.taken)
        pairs = {found.pair for found in found.unacknowledged}
        self.assertEqual({(s.NEOVERSE_V1, s.NEOVERSE_N1)}, pairs)
        self.assertTrue(
            crossing.common(
                [self.v1, n1], name='pool', acknowledged=pairs
            ).taken
        )


def forky(name: str) -> silicon.Silicon:
    return next(one for one in silicon.lab_hosts() if one.core == name)


class TestLab(unittest.TestCase):
    """Recorded hosts with Linux 7.2; the moves were seen in the lab."""

    def common(self, *cores: str) -> crossing.Common:
        hosts = [forky(core).host for core in cores]
        return crossing.common(hosts, name='pool')

    def test_v1_and_n2_without_pointer_authentication(self) -> None:
        found = self.common('neoverse-v1', 'neoverse-n2')
        self.assertTrue(found.taken)
        self.assertEqual({'pmu', 'sve'}, found.baseline.features)
        registers = found.baseline.registers
        field = REGISTERS[s.MMFR0].field('TGRAN4_2')
        self.assertEqual(1, field.of(registers.read(s.MMFR0)))

    def test_a710_and_n2_with_everything(self) -> None:
        found = self.common('cortex-a710', 'neoverse-n2')
        self.assertTrue(found.taken)
        self.assertEqual({'pauth', 'pmu', 'sve'}, found.baseline.features)
        field = REGISTERS[s.CTR].field('DIC')
        self.assertEqual(0, field.of(found.baseline.registers.read(s.CTR)))

    def test_three_cores(self) -> None:
        self.assertTrue(
            self.common('neoverse-v1', 'neoverse-n2', 'cortex-a710').taken
        )

    def test_what_keeps_n1_and_a64fx_out(self) -> None:
        mmfr2 = {f'ID_AA64MMFR2_EL1.{name}' for name in ('EVT', 'FWB', 'IDS')}
        for other in ('neoverse-v1', 'neoverse-n2', 'cortex-a710'):
            found = self.common('neoverse-n1', other)
            self.assertEqual(
                mmfr2, {r.finding.name for _, r in found.refusals}, other
            )
        found = self.common('a64fx', 'neoverse-n1')
        self.assertLessEqual(
            {'ID_AA64MMFR1_EL1.VMIDBits', 'CTR_EL0.CWG', 'CTR_EL0.ERG'},
            {r.finding.name for _, r in found.refusals},
        )

    def test_a_kernel_pool(self) -> None:
        newer, older = (
            silicon.lab_host(name)
            for name in ('neoverse-n1_forky', 'neoverse-n1_trixie')
        )
        found = crossing.common([newer, older], name='pool')
        self.assertTrue(found.taken)
        self.assertEqual(
            older.values.read(s.CODES['PSCI_VERSION']),
            found.baseline.registers.read(s.CODES['PSCI_VERSION']),
        )
        v1 = [
            silicon.lab_host(name)
            for name in ('neoverse-v1_forky', 'neoverse-v1_trixie')
        ]
        self.assertEqual(
            {'ID_AA64MMFR2_EL1.NV'},
            {
                r.finding.name
                for _, r in crossing.common(v1, name='pool').refusals
            },
        )

    def test_pools(self) -> None:
        hosts = silicon.lab_hosts()
        found = crossing_pools.partition([one.host for one in hosts])
        self.assertEqual(
            [
                {'cortex-a710', 'neoverse-n2', 'neoverse-v1'},
                {'a64fx'},
                {'neoverse-n1'},
            ],
            [{hosts[place].core for place in pool} for pool in found.pools],
        )


class TestRules(unittest.TestCase):
    def test_every_rule_is_met(self) -> None:
        """The laws reach fields of each rule, in and out of AArch32."""
        self.assertEqual(set(Rule), set(laws.FIELDS))
        self.assertLessEqual(
            {Judge.FEATURES, Judge.FEATURES_32BIT},
            {register.judge for register in laws.FEATURE_REGISTERS},
        )
