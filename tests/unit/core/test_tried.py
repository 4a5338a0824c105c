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


import dataclasses
import json
from typing import Any
import unittest

from nova_arm_migrate.core import checks
from nova_arm_migrate.core import record
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import ccsidr
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1
from nova_arm_migrate.core.trial import before_trial
from nova_arm_migrate.core.trial import trial_decides
from nova_arm_migrate.core.trial import with_trial
from nova_arm_migrate.core.tried import Answer
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict
from tests.present import present
from tests.unit.core import synthetic as s

PFR2 = s.CODES['ID_AA64PFR2_EL1']
MMFR2 = s.CODES['ID_AA64MMFR2_EL1']
PFR1_32 = s.CODES['ID_PFR1_EL1']
#: NV 2 is taken and ignored, where the host shows 0.
NV = Tried({MMFR2: [Answer(24, 4, 0b101, 0b100)]})
V3 = Vgic(3, (), 0x8C00, 0x4B00343B, 0x4B00043B, 0b1100)


class TriedTestCase(unittest.TestCase):
    def judge(
        self,
        guest: Guest,
        host: Host,
        verdict: Verdict,
        *causes: Cause,
        options: Options = Options(),
    ) -> Report:
        report = compare(guest, host, options)
        self.assertIs(verdict, report.verdict, report.findings)
        self.assertEqual(
            list(causes), [finding.cause for finding in report.findings]
        )
        return report

    def compatible(
        self, guest: Guest, host: Host, *causes: Cause, **kwargs: Any
    ) -> Report:
        return self.judge(guest, host, Verdict.COMPATIBLE, *causes, **kwargs)

    def incompatible(self, guest: Guest, host: Host, *causes: Cause) -> Report:
        return self.judge(guest, host, Verdict.INCOMPATIBLE, *causes)


class TestTried(unittest.TestCase):
    def test_is_a_value(self) -> None:
        one = Tried({2: [Answer(4, 4, 1, 0), Answer(0, 4, 3, 2)], 1: []})
        two = Tried({1: [], 2: (Answer(0, 4, 3, 2), Answer(4, 4, 1, 0))})
        self.assertEqual(one, two)
        self.assertEqual(hash(one), hash(two))
        self.assertEqual(hash(one), hash(one))
        self.assertEqual([1, 2], list(one))
        self.assertEqual(2, len(one))
        self.assertEqual(0, one[2][0].shift)
        self.assertNotEqual(one, {1: (), 2: ()})
        self.assertEqual('Tried({0x1: ()})', repr(Tried({1: []})))
        self.assertEqual((), one.of(3))

    def test_answers_of_changed_fields_do_not_hold(self) -> None:
        low, high = Answer(0, 4, 3, 0), Answer(8, 4, 7, 0)
        tried = Tried({1: [low, high], 2: [low]})
        self.assertIs(tried, tried.without({3: 0xF}))
        self.assertEqual(Tried({1: [high], 2: [low]}), tried.without({1: 0x8}))
        self.assertEqual(Tried({1: [low, high]}), tried.without({2: 0xF}))

    def test_features_that_are_off_take_theirs_along(self) -> None:
        host = s.host(
            tried=Tried({s.PFR0: [Answer(32, 4, 3, 0), Answer(40, 4, 3, 2)]})
        )
        self.assertEqual(
            Tried({s.PFR0: [Answer(40, 4, 3, 2)]}),
            with_features_off(host, frozenset({'sve'})).tried,
        )
        self.assertIs(
            host.tried, with_features_off(host, frozenset({'pmu'})).tried
        )


class TestRule(TriedTestCase):
    """What KVM has answered goes before what the tables say."""

    def guest(self, nv: int = 2) -> Guest:
        return guest_started_on(
            s.with_field(s.host(), 'ID_AA64MMFR2_EL1.NV', nv)
        )

    def test_a_stale_value(self) -> None:
        self.judge(self.guest(), s.host(), Verdict.UNKNOWN, Cause.STALE)
        self.compatible(self.guest(), s.host(tried=NV))
        self.incompatible(self.guest(1), s.host(tried=NV), Cause.ABOVE)
        self.incompatible(self.guest(), s.host(tried=Tried()), Cause.ABOVE)

    def test_the_same_without_masks(self) -> None:
        host = s.host(tried=NV, writable=None)
        self.compatible(self.guest(), host)

    def test_a_value_below_the_least(self) -> None:
        """Linux 6.12 takes EL0 = 0."""
        guest = guest_started_on(
            s.with_field(s.host(), 'ID_AA64PFR0_EL1.EL0', 0)
        )
        self.incompatible(guest, s.host(), Cause.NOT_ALLOWED)
        self.compatible(
            guest, s.host(tried=Tried({s.PFR0: [Answer(0, 4, 0b111, 0)]}))
        )

    def test_a_value_that_the_tables_have_kvm_take(self) -> None:
        guest = guest_started_on(
            s.with_field(s.host(), 'ID_AA64PFR0_EL1.CSV3', 0)
        )
        self.compatible(guest, s.host())
        self.incompatible(
            guest,
            s.host(tried=Tried({s.PFR0: [Answer(60, 4, 0b10, 0)]})),
            Cause.ABOVE,
        )

    def test_an_answer_on_a_field_of_another_width(self) -> None:
        """Of code with other tables: it says nothing here."""
        self.incompatible(
            self.guest(),
            s.host(tried=Tried({MMFR2: [Answer(24, 2, 0b101, 0b100)]})),
            Cause.ABOVE,
        )

    def test_hypercall_bits(self) -> None:
        code = bitmap(3)
        listed = s.LISTED | {code}
        guest = guest_started_on(s.host({code: 4}, reg_list=listed))
        self.incompatible(guest, s.host(reg_list=listed), Cause.FIRMWARE_BITS)
        for bits, verdict, causes in (
            (7, Verdict.COMPATIBLE, ()),
            (3, Verdict.INCOMPATIBLE, (Cause.FIRMWARE_BITS,)),
        ):
            host = s.host(reg_list=listed, hypercalls=Values({code: bits}))
            self.judge(guest, host, verdict, *causes)

    def test_a_stale_value_that_kvm_keeps(self) -> None:
        """What KVM was seen to do goes before the tables, here too."""
        kept = Tried({MMFR2: [Answer(24, 4, 0b101, 0)]})
        there = after_migration(self.guest(), s.host(tried=kept))
        self.assertEqual(2, there.values.read(MMFR2) >> 24 & 15)

    def test_caches(self) -> None:
        guest = guest_started_on(s.host({ccsidr(0): 0xA}))
        for kernel in ('6.1.0', '6.12.41', None):
            self.compatible(guest, s.host(own_caches=True, kernel=kernel))
            self.incompatible(
                guest, s.host(own_caches=False, kernel=kernel), Cause.CACHE
            )

    def test_what_was_ignored_is_the_hosts_own_afterwards(self) -> None:
        there = after_migration(self.guest(), s.host(tried=NV))
        self.assertEqual(0, there.values.read(MMFR2) >> 24 & 15)
        # A field that the tables do not know to be ignored.
        tried = Tried({s.PFR0: [Answer(48, 4, 0b1111, 0b1100)]})
        for has, kept in ((0, 0), (1, 1), (2, 1), (3, 1)):
            guest = guest_started_on(
                s.with_field(s.host(), 'ID_AA64PFR0_EL1.DIT', has)
            )
            there = after_migration(guest, s.host(tried=tried))
            self.assertEqual(kept, there.values.read(s.PFR0) >> 48 & 15)


class TestGic(TriedTestCase):
    def guest(self, **changes: Any) -> Guest:
        return guest_started_on(s.host(vgics=(V3._replace(**changes),)), gic=3)

    def test_equal(self) -> None:
        guest = self.guest()
        self.assertEqual(V3._replace(revisions=None), guest.vgic)
        self.compatible(guest, s.host(vgics=(V3,)))

    def test_the_interface(self) -> None:
        """As set_gic_ctlr() has it."""
        for ctlr, field in (
            (0x8B00, None),
            (0x8000, None),
            (0x8D00, 'PRIbits'),
            (0x9400, 'IDbits'),
            (0xCC00, 'SEIS'),
            (0x0C00, 'A3V'),
            (0x8C03, None),
        ):
            guest = self.guest(ctlr=ctlr)
            if field is None:
                self.compatible(guest, s.host(vgics=(V3,)))
                continue
            report = self.incompatible(
                guest, s.host(vgics=(V3,)), Cause.GIC_INTERFACE
            )
            self.assertEqual(f'ICC_CTLR_EL1.{field}', report.findings[0].name)
            name = report.findings[0].name
            self.assertEqual(name, checks.check_override(name))
            self.compatible(
                guest,
                s.host(vgics=(V3,)),
                Cause.GIC_INTERFACE,
                options=Options(overrides=frozenset({name})),
            )

    def test_the_trial_has_the_last_word(self) -> None:
        code = ICC_CTLR_EL1.code
        guest, host = self.guest(ctlr=0x8D00), s.host(vgics=(V3,))
        static = compare(guest, host)
        for refused, unjudged, verdict, cause in (
            ({code: 'EINVAL'}, (), Verdict.INCOMPATIBLE, Cause.GIC_INTERFACE),
            ({}, (code,), Verdict.INCOMPATIBLE, Cause.GIC_INTERFACE),
            ({}, (), Verdict.COMPATIBLE, Cause.TRIAL_ACCEPTED),
        ):
            report, _ = with_trial(
                static, guest, refused=refused, unjudged=unjudged
            )
            self.assertIs(verdict, report.verdict)
            self.assertEqual([cause], [f.cause for f in report.findings])
        for guest, value in (
            (self.guest(), 0x8C00),
            (guest_started_on(s.host(), gic=3), None),
        ):
            report, _ = with_trial(
                compare(guest, host), guest, refused={code: 'EINVAL'}
            )
            self.assertEqual(
                ('ICC_CTLR_EL1', value),
                (report.findings[0].name, report.findings[0].guest),
            )

    def test_revisions_are_told_and_change_nothing(self) -> None:
        guest = self.guest(distributor=0x4B00243B)
        report = self.compatible(
            guest, s.host(vgics=(V3,)), Cause.GIC_REVISION
        )
        self.assertIs(Severity.NOTE, report.findings[0].severity)
        self.assertIn('0x4b00243b', sentence(report.findings[0]))
        guest = self.guest(redistributor=0x4B00143B)
        self.compatible(guest, s.host(vgics=(V3,)), Cause.GIC_REVISION)

    def test_a_guest_whose_interface_is_not_recorded(self) -> None:
        """A note: no trial writes a value that nobody knows."""
        for guest in (
            guest_started_on(s.host(), gic=3),
            self.guest(ctlr=None, distributor=None),
        ):
            report = self.compatible(
                guest, s.host(vgics=(V3,)), Cause.GUEST_NOT_RECORDED
            )
            self.assertIs(Severity.NOTE, report.findings[0].severity)
            self.assertIn(
                "ICC_CTLR_EL1 can't be judged", sentence(report.findings[0])
            )
        for gic in (2, None):
            self.compatible(
                guest_started_on(s.host(), gic=gic), s.host(vgics=(V3,))
            )

    def test_a_destination_whose_interface_is_not_recorded(self) -> None:
        """Unknown until the trial writes the guest's value there."""
        guest, code = self.guest(), ICC_CTLR_EL1.code
        for host in (
            s.host(),
            s.host(
                vgics=(
                    V3._replace(
                        ctlr=None, distributor=None, redistributor=None
                    ),
                )
            ),
        ):
            static = compare(guest, host)
            (finding,) = static.findings
            self.assertEqual(
                (Cause.GIC_UNKNOWN, Verdict.UNKNOWN, 'ICC_CTLR_EL1', 0x8C00),
                (finding.cause, static.verdict, finding.name, finding.guest),
            )
            self.assertIn('0x8c00', sentence(finding))
            self.assertIn("not in the host's record", sentence(finding))
            self.assertEqual(finding.name, checks.check_override(finding.name))
            # It drops no host from those that Nova's scheduler may choose.
            self.assertIs(Verdict.COMPATIBLE, before_trial(static).verdict)
            self.assertIs(True, trial_decides(static))
            for refused, unjudged, verdict in (
                ({code: 'EINVAL'}, (), Verdict.INCOMPATIBLE),
                ({}, (code,), Verdict.UNKNOWN),
                ({}, (), Verdict.COMPATIBLE),
            ):
                report, differ = with_trial(
                    static, guest, refused=refused, unjudged=unjudged
                )
                self.assertEqual((verdict, ()), (report.verdict, differ))

    def test_a_gic_that_the_destination_lacks_is_one_finding(self) -> None:
        self.incompatible(self.guest(), s.host(gic=(2,)), Cause.GIC)

    def test_the_baseline_has_what_all_take(self) -> None:
        hosts = [
            s.host(vgics=(V3._replace(ctlr=ctlr),))
            for ctlr in (0x8C00, 0x9400, 0x8D00)
        ]
        found = baseline(hosts)
        self.assertEqual(0x8C00, present(found.guest.vgic).ctlr)
        self.assertEqual((), found.conflicts)
        found = baseline([*hosts, s.host(vgics=(V3._replace(ctlr=0xCC00),))])
        self.assertEqual(
            {(3, 'ICC_CTLR_EL1.SEIS')},
            {
                (conflict.host, conflict.finding.name)
                for conflict in found.conflicts
            },
        )
        found = baseline([*hosts, s.host(vgics=(V3._replace(ctlr=None),))])
        self.assertIsNone(present(found.guest.vgic).ctlr)
        self.assertIsNone(baseline([*hosts, s.host()]).guest.vgic)

    def test_after_a_move(self) -> None:
        """The interface stays; the revisions are those of the new host."""
        guest = self.guest(ctlr=0x8400, distributor=0x4B00243B)
        there = after_migration(guest, s.host(vgics=(V3,)))
        self.assertEqual(
            (0x8400, V3.distributor),
            (present(there.vgic).ctlr, present(there.vgic).distributor),
        )
        for vgics in (None, (V3._replace(version=2),)):
            self.assertEqual(
                guest.vgic, after_migration(guest, s.host(vgics=vgics)).vgic
            )


class TestRegistersOfTheGic(TriedTestCase):
    """Fields of ID registers that tell of the GIC."""

    def both(self) -> Host:
        """A host that shows a guest with a GICv2 no GICv3 (Linux 7.2)."""
        values = dict(s.host({PFR1_32: 0x10010000}).values)
        return s.host(
            {PFR1_32: 0x10010000},
            vgics=(
                Vgic(
                    2,
                    (
                        (PFR1_32, 0x10000),
                        (s.PFR0, values[s.PFR0] & ~(15 << 24)),
                    ),
                ),
                V3,
            ),
        )

    def test_a_guest_has_what_its_own_gic_shows(self) -> None:
        host = self.both()
        # The record has no GICv5: a guest with one has no field of GICv3.
        for gic, field in ((2, 0), (3, 1), (None, 1), (5, 0)):
            for off in (frozenset(), frozenset({'sve'})):
                guest = guest_started_on(host, gic=gic, disabled=off)
                self.assertEqual(field, guest.values[s.PFR0] >> 24 & 15)
                self.assertEqual(
                    'sve' not in off, bool(guest.values[s.PFR0] >> 32 & 15)
                )
                self.assertEqual(field << 28 | 0x10000, guest.values[PFR1_32])

    def test_what_the_record_has_is_not_in_doubt(self) -> None:
        """A GICv2 guest of a kernel that shows it a GICv3, and another."""
        name = 'ID_AA64PFR0_EL1.GIC'
        hidden = s.with_field(s.host(writable=Values()), name, 0)
        shown = s.host(vgics=(V3._replace(version=2, ctlr=None),))
        self.incompatible(guest_started_on(shown, gic=2), hidden, Cause.ABOVE)
        self.judge(
            guest_started_on(s.host(), gic=2),
            hidden,
            Verdict.UNKNOWN,
            Cause.GIC_FIELD,
        )

    def test_a_guest_without_that_moves_to_a_host_with_it(self) -> None:
        """Schema 1 says GCIE, and the new host does not have it."""
        wrong = dataclasses.replace(
            guest_started_on(s.host(), gic=3),
            values=s.host({PFR2: 0x1000}).values,
        )
        self.assertNotIn(PFR2, after_migration(wrong, self.both()).values)

    def test_kvm_sets_them_where_the_guest_runs(self) -> None:
        old = s.host(
            {PFR1_32: 0x10010000},
            writable=Values(s.WRITABLE | {PFR1_32: 0xFFFFFFFF}),
        )
        guest = guest_started_on(old, gic=2)
        self.compatible(guest, self.both())
        there = after_migration(guest, self.both())
        self.assertEqual(
            guest_started_on(self.both(), gic=2).values, there.values
        )
        self.compatible(there, old)
        self.assertEqual(guest.values, after_migration(guest, old).values)

    def test_no_running_guest_has_gcie_beside_an_older_gic(self) -> None:
        """Schema 1: what a machine without a GIC shows on a GICv5."""
        five = s.host({PFR2: 0x1000})
        self.assertEqual(0x1000, guest_started_on(five).values[PFR2])
        for gic in (2, 3):
            guest = guest_started_on(five, gic=gic)
            self.assertNotIn(PFR2, guest.values)
            # A guest's record that says so all the same.
            wrong = dataclasses.replace(guest, values=five.values)
            notes = [Cause.GUEST_NOT_RECORDED] if gic == 3 else []
            self.compatible(wrong, s.host(), *notes)
            self.assertNotIn(PFR2, after_migration(wrong, s.host()).values)


class TestRecord(unittest.TestCase):
    def full(self) -> Host:
        return s.host(
            vgics=(Vgic(2, ((s.PFR0, 0x11),), None, 0x4B00243B), V3),
            tried=Tried({s.PFR0: [Answer(40, 4, 3, 2), Answer(4, 4, 3, 0)]}),
            hypercalls=Values({bitmap(3): 3}),
            own_caches=True,
        )

    def test_round_trip(self) -> None:
        for host in (
            self.full(),
            s.host(tried=Tried()),
            s.host(vgics=()),
            s.host(tried=Tried(), own_caches=False, hypercalls=Values()),
        ):
            text = record.dump_host(host)
            self.assertEqual(2, json.loads(text)['schema'])
            self.assertEqual(host, record.load_host(text))
            self.assertEqual(text, record.dump_host(record.load_host(text)))

    def test_what_it_looks_like(self) -> None:
        item = json.loads(record.dump_host(self.full()))
        self.assertEqual({'c020': '4+4:3 28+4:3:2'}, item['tried'])
        self.assertEqual(
            {
                '2': {'shown': {'c020': '11'}, 'dist': '4b00243b'},
                '3': {
                    'ctlr': '8c00',
                    'dist': '4b00343b',
                    'redist': '4b00043b',
                    'rev': 'c',
                },
            },
            item['vgic'],
        )
        self.assertEqual({'160003': '3'}, item['hvc'])
        self.assertIs(True, item['caches'])

    def test_guests(self) -> None:
        guest = guest_started_on(self.full(), gic=3)
        text = record.dump_guest(guest)
        self.assertEqual(2, json.loads(text)['schema'])
        self.assertEqual(guest, record.load_guest(text))

    def test_what_was_not_tried_is_written_as_before(self) -> None:
        """For code that reads schema 1 alone."""
        host = json.loads(record.dump_host(s.host()))
        self.assertEqual(1, host['schema'])
        self.assertEqual(set(), {'vgic', 'tried', 'hvc', 'caches'} & set(host))
        guest = record.dump_guest(guest_started_on(s.host(), gic=3))
        self.assertEqual(1, json.loads(guest)['schema'])
        old = record.load_host('{"schema":1,"kind":"host"}')
        self.assertEqual(
            (None,) * 4, (old.vgics, old.tried, old.hypercalls, old.own_caches)
        )

    def test_bad_ones(self) -> None:
        tried: tuple[Any, ...] = (
            [],
            1,
            {'c020': 1},
            {'c020': ''},
            {'x': '4+4:3'},
            {'c020': '4+4'},
            {'c020': '4+0:1'},
            {'c020': '0+7:1'},
            {'c020': '3d+4:1'},
            {'c020': '4+4:10000'},
            {'c020': '4+4:1:2'},
            {'c020': '4+4:1 ' * 600},
            {'ffffffff1': '4+4:1'},
            {'0c020': '4+4:1'},
            {'c020': '4+4:1 0+4:1'},
            {'c020': '0+4:1 3+4:1'},
            {'c020': '04+4:1'},
            {'c020': '4+4:01'},
            {'c020': '4+4:1:0'},
            {'c020': '4+4:1  8+4:1'},
            {'c020': '4+4:1 '},
            {'c020': ' 4+4:1'},
            {'c020': '4+4:1\t8+4:1'},
            {'c020': '4+4:1 4+4:1'},
            {'c020': None},
            {f'{code:x}': '4+4:1' for code in range(300)},
        )
        vgics: tuple[Any, ...] = (
            [],
            {'3': 1},
            {'10': {}},
            {'03': {}},
            {'x': {}},
            {'3': {'ctlr': 1}},
            {'3': {'ctlr': None}},
            {'1': {}},
            {'3': {'ctlr': '08c00'}},
            {'3': {'dist': '100000000'}},
            {'3': {'redist': '100000000'}},
            {'3': {'rev': '10000'}},
            {'3': {'shown': {}}},
            {'3': {'shown': None}},
            {'3': {'shown': {'0c020': '1'}}},
            {'3': {'ctrl': '8c00'}},
            {'3': {'dist': 'xyz'}},
            {'3': {'shown': []}},
            {'3': {'shown': {'c020': 1}}},
            {'3': {f'k{n}': '1' for n in range(20)}},
            {str(n): {} for n in range(10)},
        )
        bad: list[tuple[str, Any]] = [
            *(('tried', value) for value in tried),
            *(('vgic', value) for value in vgics),
            ('caches', 1),
            ('caches', 'yes'),
            ('hvc', {'1': 1}),
        ]
        for key, value in bad:
            text = json.dumps({'schema': 2, 'kind': 'host', key: value})
            with self.assertRaises(ProfileError, msg=text[:60]) as caught:
                record.load_host(text)
            self.assertIn(key, str(caught.exception))
            self.assertLess(len(str(caught.exception)), 160)
        for gic, vgic in (
            (3, '3'),
            (3, '{}'),
            (3, '{"2":{}}'),
            ('null', '{"3":{}}'),
            (3, '{"2":{},"3":{}}'),
        ):
            with self.assertRaisesRegex(ProfileError, '^vgic: '):
                record.load_guest(
                    f'{{"schema":2,"kind":"guest","gic":{gic},"vgic":{vgic}}}'
                )

    def test_a_key_that_is_there_twice(self) -> None:
        for text in (
            '"tried":{"c020":"4+4:1","c020":"4+4:3"}',
            '"vgic":{"3":{},"3":{"ctlr":"8c00"}}',
            '"vgic":{"3":{"ctlr":"1","ctlr":"8c00"}}',
        ):
            with self.assertRaisesRegex(ProfileError, 'twice'):
                record.load_host(f'{{"schema":2,"kind":"host",{text}}}')

    def test_the_schema_is_that_of_what_is_in_the_record(self) -> None:
        for kind, rest, words in (
            ('host', '"schema":1,"tried":{}', 'the key tried of schema 2'),
            (
                'host',
                '"schema":1,"caches":false',
                'the key caches of schema 2',
            ),
            ('host', '"schema":2', 'schema 2 and none of its keys'),
            ('guest', '"schema":2,"vgic":null', 'none of its keys'),
            ('guest', '"schema":2,"tried":{}', 'none of its keys'),
            ('host', '"schema":2.0,"tried":{}', 'schema 2.0; this'),
            ('host', '"schema":true,"tried":{}', 'schema True; this'),
            ('host', '"schema":3,"tried":{}', 'reads 1 and 2'),
        ):
            with self.assertRaisesRegex(ProfileError, words):
                record.load(f'{{"kind":"{kind}",{rest}}}')
        for host in (s.host(own_caches=False), s.host(hypercalls=Values())):
            text = record.dump_host(host)
            self.assertEqual(2, json.loads(text)['schema'])
            self.assertEqual(host, record.load_host(text))

    def test_the_largest_answers(self) -> None:
        tried = Tried({s.CTR: [Answer(32, 6, s.ALL, s.ALL - 1)]})
        host = Host(tried=tried)
        self.assertEqual(host, record.load_host(record.dump_host(host)))
