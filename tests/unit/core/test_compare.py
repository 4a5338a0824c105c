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

"""Whole guests against whole hosts."""

import dataclasses
from typing import Any
import unittest

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import ccsidr
from nova_arm_migrate.core.registers import firmware
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict
from tests.present import present
from tests.unit.core import synthetic as s


class CompareCase(unittest.TestCase):
    def verdict(
        self, expected: Verdict, guest: Guest, host: Host, **options: Any
    ) -> Report:
        report = compare(guest, host, Options(**options))
        self.assertEqual(
            expected, report.verdict, [sentence(f) for f in report.findings]
        )
        return report

    def compatible(self, guest: Guest, host: Host, **options: Any) -> Report:
        return self.verdict(Verdict.COMPATIBLE, guest, host, **options)

    def incompatible(self, guest: Guest, host: Host, **options: Any) -> Report:
        return self.verdict(Verdict.INCOMPATIBLE, guest, host, **options)

    def unknown(self, guest: Guest, host: Host, **options: Any) -> Report:
        return self.verdict(Verdict.UNKNOWN, guest, host, **options)


class TestDirection(CompareCase):
    def test_same_host(self) -> None:
        report = self.compatible(guest_started_on(s.host()), s.host())
        self.assertEqual((), report.findings)

    def test_lesser_to_greater_and_not_back(self) -> None:
        greater = s.host()
        lesser = s.with_field(greater, 'ID_AA64ISAR0_EL1.AES', 1)
        self.compatible(guest_started_on(lesser), greater)
        report = self.incompatible(guest_started_on(greater), lesser)
        self.assertEqual(
            ['ID_AA64ISAR0_EL1.AES'], [f.name for f in report.decisive]
        )

    def test_guest_of_an_older_host_returns_from_a_newer_one(self) -> None:
        older = s.with_field(s.host(), 'ID_AA64ISAR0_EL1.AES', 1)
        guest = guest_started_on(older)
        self.compatible(guest, s.host())
        self.compatible(guest, older)

    def test_aarch32_copies_are_named_last(self) -> None:
        lesser = s.with_field(s.host(), 'ID_AA64DFR0_EL1.PMUVer', 1)
        lesser = s.with_field(lesser, 'ID_DFR0_EL1.PerfMon', 3)
        report = self.incompatible(guest_started_on(s.host()), lesser)
        self.assertEqual(
            ['ID_AA64DFR0_EL1.PMUVer', 'ID_DFR0_EL1.PerfMon'],
            [f.name for f in report.decisive],
        )

    def test_register_that_is_zero_in_the_guest(self) -> None:
        code = s.CODES['ID_AA64ZFR0_EL1']
        guest = guest_started_on(s.host({code: 0}))
        self.compatible(guest, s.host())
        fixed = s.host(writable=Values())
        report = self.incompatible(guest, fixed)
        self.assertEqual(
            {'ID_AA64ZFR0_EL1'}, {f.register for f in report.decisive}
        )

    def test_register_that_the_guest_does_not_have_is_not_judged(self) -> None:
        newer = sysreg(3, 0, 0, 7, 4)
        guest = guest_started_on(s.host(reg_list=s.LISTED - {newer}))
        self.compatible(guest, s.host({newer: 5}))


class TestFeatures(CompareCase):
    def without_sve(self) -> Host:
        host = s.with_field(s.host(), 'ID_AA64PFR0_EL1.SVE', 0)
        host = dataclasses.replace(
            host,
            values=Values(
                {c: v for c, v in host.values.items() if c != s.ZFR0}
            ),
        )
        return dataclasses.replace(
            host,
            reg_list=present(host.reg_list) - {s.ZCR},
            sve_lengths=(),
            features=frozenset({'pauth', 'pmu'}),
        )

    def test_feature_the_first_host_lacked_comes_on_elsewhere(self) -> None:
        self.incompatible(guest_started_on(self.without_sve()), s.host())

    def test_feature_the_guest_switched_off_stays_off(self) -> None:
        off = frozenset({'sve'})
        for here, there in (
            (s.host(), self.without_sve()),
            (self.without_sve(), s.host()),
        ):
            self.compatible(guest_started_on(here, disabled=off), there)

    def test_a_pmu_that_qemu_cannot_switch_off(self) -> None:
        """As seen in the lab with QEMU 7.2, 10.0 and 11.1."""
        off = frozenset({'pmu'})
        bare = with_features_off(s.host(qemu='10.0.13'), off)
        self.compatible(guest_started_on(bare), bare)
        guest = guest_started_on(s.host(), disabled=off)
        self.compatible(guest, s.host())
        (finding,) = self.incompatible(guest, bare).decisive
        self.assertEqual('PMU: guest off, h3 none', finding.brief('h3'))
        self.assertIn(
            'choose a destination that has pmu; or stop switching pmu off'
            ' (hw_pmu=false in its image or flavor) and cold-migrate',
            sentence(finding),
        )
        self.compatible(guest, bare, overrides=frozenset({'PMU'}))
        for qemu, judged in (
            ('7.2.22', self.compatible),
            ('8.2.0', self.unknown),
            (None, self.unknown),
            ('11.1.2', self.incompatible),
        ):
            judged(guest, dataclasses.replace(bare, qemu=qemu))
        unknown = self.unknown(guest, Host())
        self.assertNotIn('PMU', {found.name for found in unknown.findings})

    def test_missing_registers_of_a_feature_are_one_finding(self) -> None:
        pmu = {sysreg(3, 3, 9, 12, op2) for op2 in range(4)}
        guest = guest_started_on(s.host(reg_list=s.LISTED | pmu))
        report = self.incompatible(guest, s.host(reg_list=s.LISTED - {s.PMCR}))
        (finding,) = report.decisive
        self.assertIn('(and 3 more) of vCPU feature pmu', sentence(finding))
        self.assertEqual(
            'arm64: PMCR_EL0 (and 3 more) of vCPU feature pmu: not on h3',
            report.summary('h3'),
        )

    def test_one_missing_register_of_a_feature(self) -> None:
        report = self.incompatible(
            guest_started_on(s.host()),
            s.host(reg_list=s.LISTED - {s.APIAKEYLO}),
        )
        self.assertIn(
            'APIAKEYLO_EL1 of vCPU feature pauth', sentence(report.findings[0])
        )


class TestMissing(CompareCase):
    def test_newer_kernel_to_older(self) -> None:
        guest = guest_started_on(s.host(reg_list=s.LISTED | {bitmap(3)}))
        for qemu, verdict in (
            ('10.0', Verdict.INCOMPATIBLE),
            ('11.0', Verdict.UNKNOWN),
            ('11.1.2', Verdict.COMPATIBLE),
            (None, Verdict.UNKNOWN),
        ):
            self.verdict(verdict, guest, s.host(qemu=qemu))

    def behind_all(self, *codes: int) -> tuple[Guest, frozenset[int]]:
        """A guest with these, on a host with as many it has not."""
        host = s.host(reg_list=s.LISTED - {s.TCR2} | set(codes))
        return guest_started_on(host), s.LISTED | {
            sysreg(3, 0, 10, 2, n) for n in range(2, 2 + len(codes))
        }

    def test_qemu_does_not_look_behind_its_last_register(self) -> None:
        guest, listed = self.behind_all(bitmap(3))
        for qemu in ('7.2', '10.2', '11.0', '11.1', None):
            report = self.compatible(guest, s.host(reg_list=listed, qemu=qemu))
            self.assertEqual(
                [Cause.DROPPED], [f.cause for f in report.findings]
            )
        guest, listed = self.behind_all(bitmap(9))
        for qemu, verdict in (
            ('10.2', Verdict.COMPATIBLE),
            ('11.0', Verdict.UNKNOWN),
            ('11.1', Verdict.INCOMPATIBLE),
            (None, Verdict.UNKNOWN),
        ):
            self.verdict(verdict, guest, s.host(reg_list=listed, qemu=qemu))

    def test_but_fails_before_if_there_are_too_many(self) -> None:
        guest, listed = self.behind_all(bitmap(9))
        self.incompatible(
            guest,
            s.host(reg_list=listed - {sysreg(3, 0, 10, 2, 2)}, qemu='10.2'),
        )

    def test_what_it_does_not_look_at_may_be_missed(self) -> None:
        guest, listed = self.behind_all(bitmap(9))
        guest = dataclasses.replace(
            guest, values=Values(dict(guest.values) | {bitmap(9): 1})
        )
        self.unknown(guest, s.host(reg_list=listed, qemu='10.2'))

    def test_bitmap_in_use_is_never_dropped(self) -> None:
        host = s.host({bitmap(3): 1}, reg_list=s.LISTED | {bitmap(3)})
        self.incompatible(guest_started_on(host), s.host(qemu='11.1.2'))

    def test_tcr2_is_dropped_whatever_its_value(self) -> None:
        guest = guest_started_on(s.host(reg_list=s.LISTED | {s.TCR2}))
        report = self.compatible(guest, s.host(qemu='11.2.0'))
        self.assertEqual(Cause.DROPPED, report.findings[0].cause)

    def test_any_other_register_blocks(self) -> None:
        fpmr = sysreg(3, 3, 4, 4, 2)
        guest = guest_started_on(s.host(reg_list=s.LISTED | {fpmr}))
        report = self.incompatible(guest, s.host(qemu='11.1.2'))
        self.assertEqual('FPMR', report.decisive[0].name)

    def test_one_that_is_dropped_clears_no_failure_of_another(self) -> None:
        """Before it in QEMU's order, and behind it."""
        for code in (0x8123, bitmap(9)):
            guest = guest_started_on(
                s.host(reg_list=s.LISTED | {code, s.TCR2})
            )
            report = self.incompatible(guest, s.host(qemu='11.1.2'))
            self.assertEqual(
                {(code, Cause.MISSING), (s.TCR2, Cause.DROPPED)},
                {(f.code, f.cause) for f in report.findings},
            )

    def test_registers_of_one_kind_are_one_finding(self) -> None:
        debug = {sysreg(2, 0, 0, n, 4) for n in range(6)}
        caches = {ccsidr(n) for n in range(3, 14)}
        guest = guest_started_on(
            s.host(reg_list=s.LISTED | debug | caches | {s.TCR2, firmware(9)})
        )
        report = self.incompatible(guest, s.host())
        self.assertEqual(
            [
                'DBGBVR0_EL1 (and 5 more)',
                'TCR2_EL1',
                'CCSIDR_EL1[3] (and 10 more)',
                'FW_REG(9)',
            ],
            [f.label for f in report.findings],
        )
        told = report.to_dict()['findings']
        self.assertEqual(6, len(told[0]['registers']))
        self.assertNotIn('registers', told[1])

    def test_an_override_takes_out_its_own_register_only(self) -> None:
        guest = guest_started_on(
            s.host(reg_list=s.LISTED | {ccsidr(n) for n in range(2, 5)})
        )
        report = self.incompatible(
            guest, s.host(), overrides=frozenset({'CCSIDR_EL1[3]'})
        )
        self.assertEqual(
            [('CCSIDR_EL1[2] (and 1 more)', False), ('CCSIDR_EL1[3]', True)],
            [(f.label, f.overridden) for f in report.findings],
        )

    def test_value_of_a_missing_register_is_not_judged_too(self) -> None:
        code = bitmap(9)
        host = s.host({code: 1}, reg_list=s.LISTED | {code})
        report = self.incompatible(guest_started_on(host), s.host())
        self.assertEqual(
            ['FW_FEAT_BMAP_REG(9)'], [f.name for f in report.findings]
        )


class TestOwnGic(CompareCase):
    """Records that were made without an interrupt controller."""

    gic, gcie = 'ID_AA64PFR0_EL1.GIC', 'ID_AA64PFR2_EL1.GCIE'

    def fixed(self, name: str, value: int) -> Host:
        """A host that lets this field not differ."""
        return s.with_field(
            s.host(writable=Values(), gic=(2, 3, 5)), name, value
        )

    def test_a_gicv3_guest_never_has_the_field_of_gicv5(self) -> None:
        both = self.fixed(self.gcie, 1)
        for version, verdict in (
            (3, Verdict.COMPATIBLE),
            (2, Verdict.COMPATIBLE),
            (5, Verdict.INCOMPATIBLE),
            (None, Verdict.UNKNOWN),
        ):
            guest = guest_started_on(both, gic=version)
            self.verdict(verdict, guest, self.fixed(self.gcie, 0))
        self.assertEqual(
            0, guest_started_on(both, gic=5).values.read(s.PFR0) >> 24 & 0xF
        )

    def test_a_gicv2_guest_may_have_lost_the_field(self) -> None:
        shown, hidden = self.fixed(self.gic, 1), self.fixed(self.gic, 0)
        guest = guest_started_on(shown, gic=2)
        self.compatible(guest, shown)
        report = self.unknown(guest, hidden)
        self.assertEqual(
            [(Cause.GIC_FIELD, False)],
            [(f.cause, f.settled_by_trial) for f in report.findings],
        )
        # Whatever it has of 0 and 1, neither is 3.
        self.incompatible(guest, self.fixed(self.gic, 3))
        self.incompatible(guest_started_on(shown, gic=3), hidden)

    def test_the_trial_gets_what_the_guest_has(self) -> None:
        both = self.fixed(self.gcie, 1)
        code = s.CODES['ID_AA64PFR2_EL1']
        recorded = dataclasses.replace(guest_started_on(both), gic=3)
        self.assertEqual(1, recorded.values.read(code) >> 12 & 0xF)
        self.assertEqual(0, after_migration(recorded, both).values.read(code))


class TestUnknown(CompareCase):
    def test_empty_records(self) -> None:
        self.unknown(Guest(), s.host())
        self.unknown(guest_started_on(s.host()), Host())
        self.unknown(Guest(), Host())

    def test_no_register_list(self) -> None:
        guest = guest_started_on(s.host())
        self.unknown(dataclasses.replace(guest, reg_list=None), s.host())
        report = self.unknown(
            guest, s.host(reg_list=None, absent=(('reg_list', 'EPERM'),))
        )
        self.assertIn('EPERM', report.summary('b'))

    def test_several_kinds_of_cores(self) -> None:
        host = s.host(
            cores=(
                Core(s.NEOVERSE_V1, 0, 0, '0-3'),
                Core(s.NEOVERSE_N1, 0, 0, '4-7'),
            )
        )
        report = self.unknown(guest_started_on(s.host()), host)
        self.assertIn('0x413fd0c1', sentence(report.findings[0]))

    def test_revisions_alone_are_several_kinds_too(self) -> None:
        for revidr, aidr, told in ((1, 0, 'REVIDR 0x1'), (0, 3, 'AIDR 0x3')):
            host = s.host(
                cores=(
                    Core(s.NEOVERSE_V1, 0, 0, '0-3'),
                    Core(s.NEOVERSE_V1, revidr, aidr, '4-7'),
                )
            )
            report = self.unknown(guest_started_on(s.host()), host)
            self.assertIn(told, report.summary('b'))

    def test_revisions_that_are_not_shown_are_no_other_kind(self) -> None:
        host = s.host(
            cores=(
                Core(s.NEOVERSE_V1, 0, 0, '0-3'),
                Core(s.NEOVERSE_V1, None, None, '4-7'),
            )
        )
        self.compatible(guest_started_on(host), host)

    def test_several_kinds_where_the_guest_started(self) -> None:
        mixed = s.host(
            cores=(
                Core(s.NEOVERSE_V1, 0, 0, '0-3'),
                Core(s.NEOVERSE_N1, 0, 0, '4-7'),
            )
        )
        guest = guest_started_on(mixed)
        report = self.unknown(guest, s.host())
        self.assertEqual(['CORES'], [f.name for f in report.findings])
        self.assertIn('first host', report.summary('b'))
        self.unknown(after_migration(guest, s.host()), s.host())
        self.compatible(guest, s.host(), overrides=frozenset({'CORES'}))

    def test_what_is_known_to_block_outweighs_the_unknown(self) -> None:
        guest = guest_started_on(
            s.with_field(s.host(), 'ID_AA64ISAR0_EL1.AES', 3)
        )
        self.incompatible(guest, s.host(cntfrq=None))

    def test_inferred_is_said(self) -> None:
        report = self.compatible(
            guest_started_on(s.host(), inferred=True), s.host()
        )
        self.assertEqual(
            [(Cause.INFERRED, Severity.NOTE)],
            [(f.cause, f.severity) for f in report.findings],
        )


class TestHazards(CompareCase):
    def hazard(self, name: str, guest: Guest, host: Host) -> Finding:
        report = self.incompatible(guest, host)
        self.assertEqual(
            [(name, Severity.HAZARD)],
            [(f.name, f.severity) for f in report.findings],
        )
        self.compatible(guest, host, hazards_block=False)
        report = self.compatible(guest, host, overrides=frozenset({name}))
        self.assertTrue(report.findings[0].overridden)
        return report.findings[0]

    def test_sve_lengths(self) -> None:
        guest = guest_started_on(s.host())
        finding = self.hazard('SVE_LENGTHS', guest, s.host(sve_lengths=(128,)))
        self.assertEqual(('128,256', '128'), (finding.guest, finding.host))
        self.hazard('SVE_LENGTHS', guest, s.host(sve_lengths=()))
        self.compatible(guest, s.host(sve_lengths=(128, 256, 512)))
        gap = guest_started_on(s.host(sve_lengths=(128, 512)))
        self.hazard('SVE_LENGTHS', gap, s.host(sve_lengths=(128, 256, 512)))

    def test_sve_registers_that_qemu_does_not_carry_whole(self) -> None:
        wide = s.host(sve_lengths=(128, 1024, 2048))
        finding = self.hazard('SVE_LENGTHS', guest_started_on(wide), wide)
        self.assertEqual((2048, 1024), (finding.guest, finding.host))
        self.compatible(
            guest_started_on(wide, disabled=frozenset({'sve2048'})), wide
        )

    def test_sve_lengths_that_a_reset_on_the_way_would_have_given(
        self,
    ) -> None:
        old, new = (
            s.host(sve_lengths=lengths) for lengths in ((128,), (128, 256))
        )
        visited = after_migration(guest_started_on(old), new)
        self.compatible(visited, new)
        self.compatible(visited, s.host(sve_lengths=(128, 256, 512)))
        report = self.unknown(visited, old)
        self.assertEqual(['SVE_LENGTHS'], [f.name for f in report.findings])
        self.assertEqual(
            'arm64: unknown: SVE_LENGTHS: guest may use 128,256, host-b 128',
            report.summary('host-b'),
        )
        self.assertIn(
            'If it rebooted from inside, it now uses them',
            sentence(report.findings[0]),
        )
        self.unknown(visited, s.host(sve_lengths=(128, 512)))
        self.compatible(visited, old, overrides=frozenset({'SVE_LENGTHS'}))
        wide = s.host(sve_lengths=(128, 2048))
        report = self.unknown(
            after_migration(guest_started_on(old), wide), wide
        )
        self.assertEqual(
            'arm64: unknown: SVE_LENGTHS: guest may use 2048-bit SVE; QEMU'
            ' migrates only 1024 bits',
            report.summary('host-b'),
        )
        self.assertIn('vectors of 2048 bits', sentence(report.findings[0]))

    def test_sme_is_not_recorded(self) -> None:
        host = s.with_field(s.host(), 'ID_AA64PFR1_EL1.SME', 1)
        report = self.unknown(guest_started_on(host), host)
        self.assertEqual(['SME_LENGTHS'], [f.name for f in report.findings])
        self.compatible(
            guest_started_on(host, disabled=frozenset({'sme'})), host
        )

    def test_longest_length_switched_off_in_the_guest(self) -> None:
        guest = guest_started_on(s.host(), disabled=frozenset({'sve256'}))
        self.assertEqual((128,), guest.sve_lengths)
        self.compatible(guest, s.host(sve_lengths=(128,)))

    def test_lengths_not_recorded(self) -> None:
        self.unknown(guest_started_on(s.host()), s.host(sve_lengths=None))
        guest = guest_started_on(s.host(sve_lengths=None))
        self.unknown(guest, s.host())

    def test_lengths_not_recorded_do_not_matter_without_sve(self) -> None:
        host = s.with_field(s.host(), 'ID_AA64PFR0_EL1.SVE', 0)
        host = dataclasses.replace(host, sve_lengths=None)
        self.compatible(guest_started_on(host), host)

    def test_numbers(self) -> None:
        for attribute, name, value in (
            ('cntfrq', 'CNTFRQ_EL0', 25000000),
            ('dczid', 'DCZID_EL0', 5),
        ):
            other = s.host(**{attribute: value})
            absent = s.host(**{attribute: None})
            self.hazard(name, guest_started_on(s.host()), other)
            self.unknown(guest_started_on(s.host()), absent)
            self.unknown(guest_started_on(absent), s.host())

    def test_pages(self) -> None:
        small, large = s.host(), s.host(page_size=65536)
        report = self.compatible(guest_started_on(small), large)
        self.assertEqual(
            [(Cause.LARGER_PAGES, Severity.NOTE)],
            [(f.cause, f.severity) for f in report.findings],
        )
        report = self.incompatible(guest_started_on(large), small)
        self.assertEqual(
            'arm64: PAGE_SIZE: guest 65536, b 4096', report.summary('b')
        )
        visited = after_migration(guest_started_on(small), large)
        self.incompatible(visited, small)
        self.compatible(visited, large)
        self.unknown(guest_started_on(small), s.host(page_size=None))
        self.unknown(guest_started_on(s.host(page_size=None)), small)

    def test_zeroing_that_the_guest_must_not_use(self) -> None:
        guest = guest_started_on(s.host(dczid=0x14))
        self.compatible(guest, s.host(dczid=5))

    def test_addresses(self) -> None:
        small, large = s.host(ipa_bits=36), s.host(ipa_bits=40)
        self.hazard('IPA_BITS', guest_started_on(s.host()), small)
        report = self.compatible(guest_started_on(s.host()), large)
        self.assertEqual(
            [(Cause.MEMORY_UNKNOWN, Severity.NOTE)],
            [(f.cause, f.severity) for f in report.findings],
        )
        self.compatible(guest_started_on(small), small)
        self.unknown(guest_started_on(s.host()), s.host(ipa_bits=None))
        self.compatible(guest_started_on(s.host(ipa_bits=None)), s.host())

    def test_large_guests_on_few_addresses(self) -> None:
        gib = 1 << 30
        wide, narrow = s.host(ipa_bits=48), s.host(ipa_bits=40)
        self.compatible(guest_started_on(wide, memory=500 * gib), narrow)
        finding = self.hazard(
            'IPA_BITS', guest_started_on(wide, memory=600 * gib), narrow
        )
        self.assertEqual(
            (Cause.WINDOWS, 41, 40),
            (finding.cause, finding.guest, finding.host),
        )
        # QEMU has left the window out where the guest started.
        small = guest_started_on(narrow, memory=600 * gib)
        self.compatible(small, narrow)
        self.compatible(small, wide)
        report = self.incompatible(
            guest_started_on(wide, memory=64 * gib), s.host(ipa_bits=36)
        )
        self.assertEqual(
            (Cause.MEMORY, Severity.BLOCKS, 37),
            (
                report.findings[0].cause,
                report.findings[0].severity,
                report.findings[0].guest,
            ),
        )

    def test_windows_that_a_reset_on_the_way_would_have_given(self) -> None:
        gib = 1 << 30
        wide, narrow = s.host(ipa_bits=48), s.host(ipa_bits=40)
        visited = after_migration(
            guest_started_on(narrow, memory=600 * gib), wide
        )
        self.compatible(visited, wide)
        report = self.unknown(visited, narrow)
        self.assertEqual(
            'arm64: unknown: IPA_BITS: guest may use 41, b 40',
            report.summary('b'),
        )
        self.assertEqual(visited, after_migration(visited, narrow))
        self.assertEqual(
            48, after_migration(visited, s.host(ipa_bits=None)).ipa_visited
        )
        self.incompatible(visited, s.host(ipa_bits=36))
        small = after_migration(guest_started_on(narrow, memory=4 * gib), wide)
        self.compatible(small, narrow)
        unsized = after_migration(guest_started_on(narrow), wide)
        self.compatible(unsized, narrow)

    def test_steal_time(self) -> None:
        steal = s.host(capabilities=(('STEAL_TIME', 1),))
        report = self.incompatible(guest_started_on(steal), s.host())
        self.assertEqual(
            [('STEAL_TIME', Severity.BLOCKS)],
            [(f.name, f.severity) for f in report.findings],
        )
        self.compatible(guest_started_on(s.host()), steal)
        self.compatible(
            guest_started_on(steal),
            s.host(),
            overrides=frozenset({'STEAL_TIME'}),
        )
        lost = dataclasses.replace(guest_started_on(steal), steal_time=None)
        self.compatible(lost, steal)
        self.unknown(lost, s.host())
        self.unknown(guest_started_on(steal), s.host(reg_list=None))

    def test_gic(self) -> None:
        guest = guest_started_on(s.host(), gic=2)
        self.compatible(guest, s.host())
        report = self.incompatible(guest, s.host(gic=(3,)))
        self.assertEqual('arm64: GIC: guest 2, b GICv3', report.summary('b'))
        self.incompatible(guest, s.host(gic=()))
        self.unknown(guest, s.host(gic=None))


class TestBaseline(CompareCase):
    """A guest on a baseline needs its name, version and contents."""

    SAME, OTHER = '0' * 15 + '1', '0' * 15 + '2'

    def guest(self, digest: str | None = SAME) -> Guest:
        return dataclasses.replace(
            guest_started_on(s.host()),
            baseline='pool-1/2',
            baseline_digest=digest,
        )

    def host(self, *identities: str, digest: str | None = SAME) -> Host:
        return s.host(
            baselines=frozenset(identities),
            baseline_digests=tuple((one, digest) for one in identities)
            if digest
            else (),
        )

    def test_the_same(self) -> None:
        self.compatible(self.guest(), self.host('pool-1/1', 'pool-1/2'))

    def test_another_one(self) -> None:
        for host, shown in (
            (self.host(), 'none'),
            (self.host('pool-1/1', 'pool-2/2'), 'pool-1/1, pool-2/2'),
            (self.host('pool-1/2', digest=self.OTHER), 'another one'),
        ):
            with self.subTest(shown):
                (found,) = self.incompatible(self.guest(), host).findings
                self.assertEqual(
                    f'BASELINE: guest pool-1/2, host {shown}',
                    found.brief('host'),
                )

    def test_a_record_without_contents(self) -> None:
        for guest, host, words in (
            (self.guest(None), self.host('pool-1/2'), 'the guest'),
            (
                self.guest(),
                self.host('pool-1/2', digest=None),
                'the destination',
            ),
        ):
            with self.subTest(words):
                (found,) = self.unknown(guest, host).findings
                self.assertIn(
                    f'the record of {words} is too old.', sentence(found)
                )
        # What is not offered at all is known.
        self.incompatible(self.guest(None), self.host('pool-1/1'))

    def test_a_guest_without_one(self) -> None:
        self.compatible(guest_started_on(s.host()), self.host('pool-1/2'))
