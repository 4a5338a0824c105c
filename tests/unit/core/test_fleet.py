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

"""Baselines, pools, traits, names, and the trial's word."""

import dataclasses
from typing import Any
import unittest

from nova_arm_migrate.core import record
from nova_arm_migrate.core.baseline import Baseline
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import firmware
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1
from nova_arm_migrate.core.tables.values import NAMES
from nova_arm_migrate.core.traits import host_traits
from nova_arm_migrate.core.traits import is_generated
from nova_arm_migrate.core.trial import Disagreement
from nova_arm_migrate.core.trial import with_trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict
from tests.present import present
from tests.unit.core import synthetic as s


class TestBaseline(unittest.TestCase):
    def of(self, *hosts: Host) -> Baseline:
        found = baseline(hosts)
        for place, host in enumerate(hosts):
            compatible = (
                compare(found.guest, host).verdict is Verdict.COMPATIBLE
            )
            self.assertEqual(
                compatible, place not in {c.host for c in found.conflicts}
            )
        return found

    def test_of_one_host_is_its_guest(self) -> None:
        found = self.of(s.host())
        self.assertEqual(
            dataclasses.replace(guest_started_on(s.host()), gic=3), found.guest
        )

    def test_of_none(self) -> None:
        self.assertRaises(ValueError, baseline, [])

    def test_weakest_of_writable_fields(self) -> None:
        one = s.with_field(s.host(), 'ID_AA64ISAR0_EL1.AES', 1)
        two = s.with_field(s.host(), 'ID_AA64ISAR0_EL1.SHA2', 0)
        guest = self.of(one, two).guest
        value = guest.values.read(s.ISAR0)
        self.assertEqual((1, 0), (value >> 4 & 15, value >> 12 & 15))

    def test_rules_other_than_lower_safe(self) -> None:
        one = s.with_field(s.host(), 'CTR_EL0.L1Ip', 3)
        two = s.with_field(s.host(), 'CTR_EL0.L1Ip', 2)
        two = s.with_field(two, 'CTR_EL0.CWG', 6)
        two = s.with_field(two, 'ID_AA64MMFR1_EL1.SpecSEI', 2)
        two = s.with_field(two, 'CTR_EL0.ERG', 0)
        mask = Values(dict(present(one.writable)) | {s.CTR: 0x3FFFC00F})
        hosts = [dataclasses.replace(h, writable=mask) for h in (one, two)]
        guest = self.of(*hosts).guest
        ctr = guest.values.read(s.CTR)
        self.assertEqual(
            (2, 6, 0), (ctr >> 14 & 3, ctr >> 24 & 15, ctr >> 20 & 15)
        )
        self.assertEqual(2, guest.values.read(s.MMFR1) >> 24 & 15)

    def test_firmware(self) -> None:
        one = s.host({firmware(1): 1, bitmap(2): 1, s.PMCR: 4 << 11})
        guest = self.of(s.host(), one).guest
        self.assertEqual(
            (1, 1, 4),
            (
                guest.values.read(firmware(1)),
                guest.values.read(bitmap(2)),
                guest.values.read(s.PMCR) >> 11 & 31,
            ),
        )

    def test_slots(self) -> None:
        code = s.CODES['PMMIR_EL1']
        found = self.of(s.host({code: 8}), s.host({code: 5}))
        self.assertEqual(0, found.guest.values.read(code))

    def test_fixed_field_is_a_conflict(self) -> None:
        other = s.with_field(s.host(), 'ID_AA64PFR0_EL1.RAS', 2)
        (conflict,) = self.of(s.host(), other).conflicts
        self.assertEqual(
            (1, 'ID_AA64PFR0_EL1.RAS'), (conflict.host, conflict.finding.name)
        )

    def test_another_core_is_a_conflict(self) -> None:
        other = s.host({s.MIDR: s.NEOVERSE_N1})
        self.assertEqual(
            ['MIDR_EL1'],
            [c.finding.name for c in self.of(s.host(), other).conflicts],
        )

    def test_feature_that_one_host_lacks_is_switched_off(self) -> None:
        plain = s.with_field(s.host(), 'ID_AA64PFR0_EL1.SVE', 0)
        plain = dataclasses.replace(
            plain,
            sve_lengths=(),
            features=frozenset({'pauth', 'pmu'}),
            reg_list=present(plain.reg_list) - {s.ZCR},
            values=Values(
                {c: v for c, v in plain.values.items() if c != s.ZFR0}
            ),
        )
        found = self.of(s.host(), plain)
        self.assertEqual(frozenset({'sve'}), found.guest.disabled)
        self.assertEqual((), found.conflicts)

    def test_longer_vectors_are_switched_off(self) -> None:
        guest = self.of(s.host(), s.host(sve_lengths=(128,))).guest
        self.assertEqual(
            (frozenset({'sve256'}), (128,)),
            (guest.disabled, guest.sve_lengths),
        )

    def test_no_vector_length_in_common(self) -> None:
        guest = self.of(s.host(), s.host(sve_lengths=(256,))).guest
        self.assertEqual(
            (frozenset({'sve'}), ()), (guest.disabled, guest.sve_lengths)
        )

    def test_gic(self) -> None:
        self.assertEqual(2, self.of(s.host(), s.host(gic=(2,))).guest.gic)
        found = self.of(s.host(gic=(2,)), s.host(gic=(3,)))
        self.assertEqual(['GIC'], [c.finding.name for c in found.conflicts])

    def test_smallest_pages(self) -> None:
        found = self.of(s.host(page_size=65536), s.host())
        self.assertEqual((4096, ()), (found.guest.page_size, found.conflicts))
        found = self.of(s.host(page_size=None), s.host())
        self.assertIsNone(found.guest.page_size)

    def test_what_is_not_recorded_is_a_conflict(self) -> None:
        bare = s.host(reg_list=None, gic=None, ipa_bits=None)
        found = self.of(s.host(), bare)
        self.assertIsNone(found.guest.gic)
        self.assertIsNone(found.guest.ipa_bits)
        self.assertIn(
            'REGISTER_LIST', {c.finding.name for c in found.conflicts}
        )


class TestPools(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.greater = record.dump_host(s.host())
        self.lesser = record.dump_host(
            s.with_field(s.host(), 'ID_AA64ISAR0_EL1.AES', 1)
        )
        self.other = record.dump_host(s.host({s.MIDR: s.NEOVERSE_N1}))
        self.twin = record.dump_host(s.host(huge_page_sizes=()))

    def test_partition(self) -> None:
        found = fleet(
            [
                ('a', self.greater),
                ('b', self.lesser),
                ('c', self.other),
                ('d', self.greater),
                ('e', self.twin),
                ('f', self.other),
            ]
        )
        self.assertEqual(
            [('a', 'd', 'e'), ('c', 'f'), ('b',)],
            [pool.names for pool in found.pools],
        )
        self.assertEqual({(2, 0)}, found.one_way)
        self.assertEqual({}, found.unreadable)

    def test_unreadable_records_are_told(self) -> None:
        found = fleet([('a', 'junk'), ('b', self.greater), ('c', 'junk')])
        self.assertEqual(
            {'a': 'record is not JSON', 'c': 'record is not JSON'},
            found.unreadable,
        )
        self.assertEqual(1, len(found.pools))

    def test_options(self) -> None:
        found = fleet(
            [('a', self.greater), ('b', self.lesser)],
            Options(overrides=frozenset({'ID_AA64ISAR0_EL1.AES'})),
        )
        self.assertEqual([('a', 'b')], [p.names for p in found.pools])


class TestTraits(unittest.TestCase):
    def test_from_what_the_guest_sees(self) -> None:
        traits = host_traits(s.host(capabilities=(('MTE', 1),)))
        self.assertLessEqual(
            {
                'HW_CPU_AARCH64_AES',
                'HW_CPU_AARCH64_PMULL',
                'HW_CPU_AARCH64_SVE',
                'HW_CPU_AARCH64_FPHP',
                'HW_CPU_AARCH64_EVTSTRM',
                'HW_CPU_AARCH64_CPUID',
                'CUSTOM_ARM64_EL0_32BIT',
                'CUSTOM_ARM64_SVE_256',
                'CUSTOM_ARM64_GICV3',
                'CUSTOM_ARM64_PAGE_4K',
                'CUSTOM_ARM64_MTE',
                'CUSTOM_ARM64_PMU',
                'CUSTOM_ARM64_PAUTH',
                'CUSTOM_ARM64_CORE_NEOVERSE_V1',
                'CUSTOM_ARM64_MIDR_410FD400',
                'CUSTOM_ARM64_WRITABLE_ID_REGISTERS',
            },
            traits,
        )
        self.assertNotIn('CUSTOM_ARM64_SVE2', traits)

    def test_without_registers(self) -> None:
        self.assertEqual(frozenset(), host_traits(Host()))

    def test_no_floating_point_is_a_negative_field(self) -> None:
        host = s.with_field(s.host(), 'ID_AA64PFR0_EL1.FP', -1)
        self.assertNotIn('HW_CPU_AARCH64_FP', host_traits(host))

    def test_only_names_that_a_host_can_have_are_ours(self) -> None:
        hosts = [s.host(), s.host(capabilities=(('MTE', 1),))] + [
            s.host(cores=(Core(midr, 0, 0, '0'),))
            for midr in (0x480FD010, 0x410F1230, 0x990F1230, 0x6D0FD490)
        ]
        for host in hosts:
            for trait in host_traits(host):
                self.assertTrue(is_generated(trait), trait)
        for trait in (
            'CUSTOM_ARM64_RACK_7',
            'CUSTOM_ARM64_',
            'CUSTOM_SVE_128',
            'CUSTOM_ARM64_CORE_TEAM',
            'CUSTOM_ARM64_SVE_128_OK',
            'HW_CPU_AARCH64_NOPE',
            'HW_CPU_X86_AESNI',
        ):
            self.assertFalse(is_generated(trait), trait)

    def test_names_are_fit_for_placement(self) -> None:
        host = s.host(cores=(Core(0x480FD010, 0, 0, '0'),))
        traits = host_traits(host)
        self.assertIn('CUSTOM_ARM64_CORE_TSV110_KUNPENG_920', traits)
        for trait in traits:
            self.assertRegex(trait, '^[A-Z0-9_]{1,255}$')


class TestNames(unittest.TestCase):
    def test_implementer_and_part_are_both_matched(self) -> None:
        for midr, name in (
            (0x413FD0C1, 'Neoverse-N1 r3p1'),
            (0x480FD400, 'HiSilicon part 0xd40 r0p0'),
            (0x990F1230, 'implementer 0x99 part 0x123 r0p0'),
        ):
            self.assertEqual(name, core_name(midr))


class TestTrial(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lesser = s.with_field(s.host(), 'ID_AA64ISAR0_EL1.AES', 1)

    def judged(
        self,
        guest: Guest,
        host: Host,
        options: Options = Options(),
        **trial: Any,
    ) -> tuple[Report, tuple[Disagreement, ...]]:
        return with_trial(
            compare(guest, host, options), guest, options=options, **trial
        )

    def test_agreement(self) -> None:
        guest = guest_started_on(s.host())
        report, differ = self.judged(
            guest, self.lesser, refused={s.ISAR0: 'EINVAL'}
        )
        self.assertEqual((Verdict.INCOMPATIBLE, ()), (report.verdict, differ))
        self.assertEqual('ID_AA64ISAR0_EL1.AES', report.decisive[0].name)

    def test_trial_accepts_what_the_rule_refuses(self) -> None:
        guest = guest_started_on(s.host())
        report, differ = self.judged(guest, self.lesser)
        self.assertEqual(Verdict.COMPATIBLE, report.verdict)
        self.assertEqual(Cause.TRIAL_ACCEPTED, report.findings[0].cause)
        self.assertEqual(
            [('ID_AA64ISAR0_EL1', 'accepted')],
            [(d.register, d.trial) for d in differ],
        )

    def test_trial_refuses_what_the_rule_accepts(self) -> None:
        guest = guest_started_on(s.host())
        report, differ = self.judged(
            guest, s.host(), refused={s.ISAR0: 'EINVAL'}, missing=[s.TCR2]
        )
        self.assertEqual(Verdict.INCOMPATIBLE, report.verdict)
        self.assertEqual(
            {Cause.TRIAL_REFUSED, Cause.TRIAL_MISSING},
            {f.cause for f in report.findings},
        )
        self.assertEqual({'EINVAL', 'missing'}, {d.trial for d in differ})

    def test_trial_settles_the_unknown(self) -> None:
        guest = guest_started_on(
            s.with_field(s.host(), 'ID_AA64PFR0_EL1.MPAM', 1)
        )
        report, differ = self.judged(guest, s.host())
        self.assertEqual((Verdict.COMPATIBLE, ()), (report.verdict, differ))
        report, differ = self.judged(
            guest, s.host(), refused={s.PFR0: 'EINVAL'}
        )
        self.assertEqual((Verdict.INCOMPATIBLE, ()), (report.verdict, differ))

    def test_what_the_trial_can_not_tell_stays(self) -> None:
        guest = guest_started_on(s.host(reg_list=s.LISTED | {s.TCR2}))
        report, _ = self.judged(guest, s.host(qemu=None), unjudged=[s.TCR2])
        self.assertEqual(Verdict.UNKNOWN, report.verdict)

    def test_registers_told_together_are_judged_one_by_one(self) -> None:
        codes = [sysreg(2, 0, 0, n, 4) for n in range(3)]
        guest = guest_started_on(s.host(reg_list=s.LISTED | set(codes)))
        report, differ = self.judged(
            guest, s.host(), missing=[codes[1]], unjudged=[codes[2]]
        )
        self.assertEqual(
            [
                ('DBGBVR1_EL1', Severity.BLOCKS),
                ('DBGBVR2_EL1', Severity.BLOCKS),
            ],
            [(f.label, f.severity) for f in report.findings],
        )
        self.assertEqual((), differ)
        report, differ = self.judged(guest, s.host())
        self.assertEqual(Verdict.COMPATIBLE, report.verdict)
        self.assertEqual(['DBGBVR0_EL1'], [d.register for d in differ])

    def test_registers_that_only_the_trial_misses_are_told_together(
        self,
    ) -> None:
        guest = guest_started_on(s.host())
        report, differ = with_trial(
            compare(guest, s.host()),
            guest,
            missing=[s.SCTLR, s.ZCR],
            host=s.host(),
        )
        self.assertEqual(
            ['SCTLR_EL1 (and 1 more)'], [f.label for f in report.findings]
        )
        self.assertEqual(2, len(differ))
        self.assertEqual(
            'arm64: SCTLR_EL1 (and 1 more): not on b', report.summary('b')
        )

    def test_hazards_and_notes_stay(self) -> None:
        guest = guest_started_on(s.host(reg_list=s.LISTED | {s.TCR2}))
        report, _ = self.judged(guest, s.host(qemu='11.1', sve_lengths=(128,)))
        self.assertEqual(
            [Severity.HAZARD, Severity.NOTE],
            [f.severity for f in report.findings],
        )

    def test_overrides_hold_against_the_trial(self) -> None:
        options = Options(overrides=frozenset({'ID_AA64ISAR0_EL1.AES'}))
        guest = guest_started_on(s.host())
        report, _ = self.judged(guest, self.lesser, options)
        self.assertEqual(Verdict.COMPATIBLE, report.verdict)

    def test_registers_of_one_feature_are_one_finding(self) -> None:
        pmu = {sysreg(3, 3, 9, 12, op2) for op2 in range(4)}
        guest = guest_started_on(s.host(reg_list=s.LISTED | pmu))
        bare = s.host(reg_list=s.LISTED - pmu)
        report, differ = self.judged(guest, bare, missing=sorted(pmu))
        self.assertEqual((1, ()), (len(report.decisive), differ))


class TestReport(unittest.TestCase):
    def test_summary_fits_and_leads_with_the_verdict(self) -> None:
        guest = guest_started_on(s.host())
        lesser = s.with_field(s.host(), 'ID_AA64ISAR0_EL1.AES', 1)
        lesser = s.with_field(lesser, 'ID_AA64ISAR0_EL1.SHA2', 1)
        self.assertEqual(
            'arm64: ID_AA64ISAR0_EL1.SHA2: guest 2 (SHA256 and SHA512),'
            ' host-b 1 (SHA256) (+1 more)',
            compare(guest, lesser).summary('host-b'),
        )
        self.assertEqual(
            'arm64: compatible', compare(guest, s.host()).summary('b')
        )
        self.assertEqual(
            "arm64: unknown: CNTFRQ_EL0: not in the host's record",
            compare(guest, s.host(cntfrq=None)).summary('b'),
        )

    def test_values_have_the_architectures_names(self) -> None:
        for name, value, limit, told in (
            (
                'ID_AA64MMFR0_EL1.TGRAN4',
                0,
                0xF,
                'guest 0 (supported), b 0xf (not supported)',
            ),
            ('ID_AA64DFR0_EL1.PMUVer', 4, 1, 'guest 4 (PMUv3p1), b 1 (PMUv3)'),
            ('ID_AA64ISAR0_EL1.CRC32', 1, 0, 'guest 1, b 0'),
        ):
            report = compare(
                guest_started_on(s.with_field(s.host(), name, value)),
                s.with_field(s.host(), name, limit),
            )
            self.assertEqual(f'arm64: {name}: {told}', report.summary('b'))
        guest = guest_started_on(s.host({firmware(0): 0x10003}))
        self.assertEqual(
            'arm64: PSCI_VERSION: guest 0x10003 (1.3), b 0x10001 (1.1)',
            compare(guest, s.host()).summary('b'),
        )
        guest = guest_started_on(s.host({s.MIDR: 0x990F1230}))
        self.assertIn(
            'guest 0x990f1230, b 0x410fd400 (Neoverse-V1 r0p0)',
            compare(guest, s.host()).summary('b'),
        )

    def test_names_are_of_fields_that_exist(self) -> None:
        by_name = {
            register.name: register
            for register in (*REGISTERS.values(), ICC_CTLR_EL1)
        }
        for (register, field), values in NAMES.items():
            if not field:
                self.assertIn(register, by_name)
                continue
            found = by_name[register].field(field)
            self.assertEqual(
                set(values),
                {found.of(found.into(0, value)) for value in values},
            )

    def test_brief_without_values_or_detail(self) -> None:
        guest = guest_started_on(s.host(), inferred=True)
        self.assertEqual(
            'RECORD', compare(guest, s.host()).findings[0].brief('b')
        )

    def test_json(self) -> None:
        guest = guest_started_on(s.host({s.MIDR: s.NEOVERSE_N1}))
        found = compare(guest, s.host(sve_lengths=(128,))).to_dict()
        self.assertEqual('incompatible', found['verdict'])
        first, second = found['findings']
        self.assertEqual(
            ('MIDR_EL1', None, '0x413fd0c1', '0x410fd400', 'blocks'),
            (
                first['register'],
                first['field'],
                first['guest'],
                first['host'],
                first['severity'],
            ),
        )
        self.assertEqual(
            ('128,256', 'silent hazard'), (second['guest'], second['severity'])
        )

    def test_every_cause_has_a_sentence(self) -> None:
        for cause in Cause:
            text = sentence(
                Finding(
                    cause, Severity.BLOCKS, 'N', guest=1, host=2, detail='d'
                )
            )
            self.assertRegex(text, r'^[A-Zd].*\.$')
            self.assertNotRegex(text, r'[{}]')
