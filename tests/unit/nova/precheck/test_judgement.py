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

"""The verdict of records, rule, trial and options."""

import dataclasses
import json
from typing import Any
import unittest

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.nova.conf import Settings
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.precheck import judgement
from nova_arm_migrate.nova.precheck.judgement import Action
from nova_arm_migrate.nova.records.domain import Domain
from nova_arm_migrate.probe.recorded import RecordedHost
from tests.present import present
from tests.unit.core import synthetic as s

HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)
NO_SVE = s.with_field(HOST, 'ID_AA64PFR0_EL1.SVE', 0)
OTHER_TIMER = s.host(cntfrq=62500000)


def started(host: Host = HOST, **kwargs: Any) -> Guest:
    return guest_started_on(host, **kwargs)


def judge(
    recorded: Guest | str | None,
    source: Host | str,
    destination: Host | str,
    settings: Settings = Settings(),
    trial: Any = None,
) -> judgement.Judgement:
    return judgement.judge(
        judgement.migrating_guest(recorded, source, Domain()),
        destination,
        settings,
        trial,
    )


class TestMigratingGuest(unittest.TestCase):
    def test_its_own_record_counts_and_not_its_host(self) -> None:
        leaving = judgement.migrating_guest(started(LESSER), HOST, Domain())
        self.assertEqual(started(LESSER), leaving.guest)
        self.assertEqual((), leaving.unknown)

    def test_without_a_record_its_host_counts(self) -> None:
        leaving = judgement.migrating_guest(
            None, HOST, Domain(disabled=frozenset({'pmu'}), memory=1 << 30)
        )
        self.assertEqual(
            started(
                disabled=frozenset({'pmu'}), memory=1 << 30, inferred=True
            ),
            leaving.guest,
        )

    def test_registers_gained_on_the_way_count(self) -> None:
        newer = s.host(reg_list=s.LISTED | {s.TCR2})
        leaving = judgement.migrating_guest(started(), newer, Domain())
        self.assertIn(s.TCR2, present(present(leaving.guest).reg_list))

    def test_nothing_known_is_unknown(self) -> None:
        leaving = judgement.migrating_guest(None, 'it has no record', Domain())
        self.assertIsNone(leaving.guest)
        self.assertEqual(['SOURCE'], [f.name for f in leaving.unknown])

    def test_a_host_that_keeps_no_records_leaves_doubt(self) -> None:
        leaving = judgement.migrating_guest(started(), 'it has none', Domain())
        self.assertEqual(started(), leaving.guest)
        self.assertEqual(['SOURCE'], [f.name for f in leaving.unknown])

    def test_a_damaged_record_is_not_replaced_by_a_guess(self) -> None:
        leaving = judgement.migrating_guest('not JSON', HOST, Domain())
        self.assertIsNone(leaving.guest)
        self.assertEqual(['GUEST'], [f.name for f in leaving.unknown])


class TestBaseline(unittest.TestCase):
    """The destination compares its own file with the guest."""

    def outcome(self, **given: Any) -> judgement.Judgement:
        guest = dataclasses.replace(started(), baseline='pool-1/2')
        host = s.host(baselines=frozenset({'pool-1/2'}))
        leaving = judgement.migrating_guest(guest, HOST, Domain())
        return judgement.judge(leaving, host, Settings(), **given)

    def test_it_was_not_asked(self) -> None:
        outcome = self.outcome()
        self.assertIs(Verdict.UNKNOWN, outcome.report.verdict)

    def test_it_offers_it(self) -> None:
        self.assertIs(Action.ACCEPT, self.outcome(no_baseline='').action)

    def test_it_offers_another_one(self) -> None:
        outcome = self.outcome(no_baseline='the file here is another one')
        (finding,) = outcome.report.findings
        self.assertEqual(
            'BASELINE: guest pool-1/2, host another one', finding.brief('host')
        )
        self.assertIs(Action.REFUSE, outcome.action)


class TestVerdict(unittest.TestCase):
    def test_accepted(self) -> None:
        outcome = judge(started(), HOST, HOST)
        self.assertIs(Action.ACCEPT, outcome.action)
        self.assertIs(Verdict.COMPATIBLE, outcome.report.verdict)

    def test_directional(self) -> None:
        self.assertIs(
            Action.ACCEPT, judge(started(LESSER), LESSER, HOST).action
        )
        self.assertIs(Action.REFUSE, judge(started(), HOST, LESSER).action)

    def test_a_guest_goes_home(self) -> None:
        self.assertIs(
            Action.ACCEPT, judge(started(LESSER), HOST, LESSER).action
        )

    def test_unknown(self) -> None:
        cases: tuple[tuple[Any, Any, Any], ...] = (
            (None, 'no record', HOST),
            (started(), HOST, 'no probe'),
            (started(), 'no record', HOST),
            ('damaged', HOST, HOST),
            ('damaged', 'no record', 'no probe'),
        )
        allow = Settings(refuse_unknown=False)
        for case in cases:
            with self.subTest(case[0:2]):
                outcome = judge(*case)
                self.assertIs(Verdict.UNKNOWN, outcome.report.verdict)
                self.assertIs(Action.REFUSE, outcome.action)
                self.assertIs(Action.WARN, judge(*case, allow).action)

    def test_doubt_does_not_soften_a_refusal(self) -> None:
        allow = Settings(refuse_unknown=False)
        outcome = judge(started(), 'no record', LESSER, allow)
        self.assertIs(Action.REFUSE, outcome.action)

    def test_warn_lets_everything_through(self) -> None:
        warn = Settings(enforcement=Enforcement.WARN)
        for destination in (LESSER, OTHER_TIMER, 'no probe'):
            self.assertIs(
                Action.WARN, judge(started(), HOST, destination, warn).action
            )
        self.assertIs(Action.ACCEPT, judge(started(), HOST, HOST, warn).action)

    def test_silent_hazards(self) -> None:
        self.assertIs(
            Action.REFUSE, judge(started(), HOST, OTHER_TIMER).action
        )
        lax = Settings(options=Options(hazards_block=False))
        self.assertIs(
            Action.ACCEPT, judge(started(), HOST, OTHER_TIMER, lax).action
        )

    def test_overrides_are_told(self) -> None:
        settings = Settings(
            options=Options(overrides=frozenset({'CNTFRQ_EL0', 'CTR_EL0.DIC'}))
        )
        outcome = judge(started(), HOST, OTHER_TIMER, settings)
        self.assertIs(Action.ACCEPT, outcome.action)
        self.assertEqual(['CNTFRQ_EL0'], [f.name for f in outcome.overridden])
        self.assertEqual((), judge(started(), HOST, HOST).overridden)

    def test_a_destination_without_the_extension(self) -> None:
        self.assertIs(
            Action.REFUSE, judgement.unjudged_destination(Settings()).action
        )
        self.assertIs(
            Action.WARN,
            judgement.unjudged_destination(
                Settings(refuse_unknown=False)
            ).action,
        )


class TestTrial(unittest.TestCase):
    def test_agrees(self) -> None:
        outcome = judge(started(), HOST, HOST, trial=RecordedHost(HOST).trial)
        self.assertIs(Action.ACCEPT, outcome.action)
        self.assertRegex(outcome.trial, '^[0-9]+ accepted$')
        outcome = judge(
            started(), HOST, LESSER, trial=RecordedHost(LESSER).trial
        )
        self.assertIs(Action.REFUSE, outcome.action)
        self.assertRegex(outcome.trial, '^1 of [0-9]+ refused$')
        self.assertEqual((), outcome.disagreements)

    def test_has_the_last_word_against_the_rule(self) -> None:
        outcome = judge(
            started(),
            HOST,
            HOST,
            trial=lambda guest: Trial(refused=((s.CTR, 'EINVAL'),), written=9),
        )
        self.assertIs(Action.REFUSE, outcome.action)
        self.assertEqual('1 of 9 refused', outcome.trial)
        (difference,) = outcome.disagreements
        self.assertEqual(
            ('CTR_EL0', 'accepted', 'EINVAL'),
            (difference.register, difference.static, difference.trial),
        )

    def test_has_the_last_word_for_the_guest(self) -> None:
        outcome = judge(
            started(), HOST, LESSER, trial=lambda guest: Trial(written=9)
        )
        self.assertIs(Action.ACCEPT, outcome.action)
        self.assertEqual(
            ['ID_AA64ISAR0_EL1'], [d.register for d in outcome.disagreements]
        )

    def test_says_nothing_about_silent_hazards(self) -> None:
        outcome = judge(
            started(), HOST, OTHER_TIMER, trial=lambda guest: Trial(written=9)
        )
        self.assertIs(Action.REFUSE, outcome.action)

    def test_does_not_take_away_doubt_about_the_guest(self) -> None:
        outcome = judge(
            started(), 'no record', HOST, trial=lambda guest: Trial(written=9)
        )
        self.assertIs(Verdict.UNKNOWN, outcome.report.verdict)

    def test_that_was_not_made_changes_nothing(self) -> None:
        outcome = judge(
            started(),
            HOST,
            LESSER,
            trial=lambda guest: Trial(ran=False, why_not='no memory'),
        )
        self.assertIs(Action.REFUSE, outcome.action)
        self.assertEqual('not run: no memory', outcome.trial)

    def test_is_an_option(self) -> None:
        outcome = judge(
            started(),
            HOST,
            HOST,
            Settings(trial=False),
            lambda guest: self.fail('tried all the same'),
        )
        self.assertEqual('', outcome.trial)

    def test_needs_a_guest(self) -> None:
        judge(
            None,
            'no record',
            HOST,
            trial=lambda guest: self.fail('tried without a guest'),
        )


TOLD = (
    'arm64: ID_AA64ISAR0_EL1.TS: guest 1 (FlagM), host-b 0 (not implemented)'
)


class TestWords(unittest.TestCase):
    room = 255 - len('Migration pre-check error: ')

    def text(self, *case: Any, host: str = 'host-b', room: int = room) -> str:
        text = judgement.event_text(judge(*case).report, host, room)
        self.assertLessEqual(len(text.encode()), room)
        return text

    def test_the_verdict_comes_first(self) -> None:
        self.assertEqual(TOLD, self.text(started(), HOST, LESSER))

    def test_how_many_more(self) -> None:
        worse = s.with_field(LESSER, 'ID_AA64ISAR0_EL1.RNDR', 0)
        self.assertRegex(
            self.text(started(), HOST, worse),
            r'guest 1, host-b 0 \(\+1 more\)$',
        )

    def test_a_long_name_is_cut_to_its_first_label(self) -> None:
        text = self.text(started(), HOST, LESSER, host='host-b.' + 'x' * 250)
        self.assertEqual(TOLD, text)

    def test_what_is_still_too_long_keeps_its_end(self) -> None:
        worse = s.with_field(LESSER, 'ID_AA64ISAR0_EL1.RNDR', 0)
        text = self.text(started(), HOST, worse, host='ü' * 250)
        self.assertRegex(
            text,
            r'^arm64: ID_AA64ISAR0_EL1.\w+: guest 1.*, ü+'
            r'\.\.\. 0.* \(\+1 more\)$',
        )

    def test_bytes_are_counted_and_not_characters(self) -> None:
        for room in range(40, 60):
            text = self.text(
                started(), HOST, LESSER, host='ü' * 250, room=room
            )
            self.assertTrue(text.endswith('...'), text)

    def test_unknown_says_why(self) -> None:
        self.assertEqual(
            'arm64: unknown: SOURCE: it has no record',
            self.text(started(), 'it has no record', HOST),
        )

    def test_the_whole_is_json(self) -> None:
        outcome = judge(
            started(), HOST, LESSER, trial=lambda guest: Trial(written=9)
        )
        whole = json.loads(json.dumps(outcome.to_dict()))
        self.assertEqual('accept', whole['action'])
        self.assertEqual('9 accepted', whole['trial'])
        self.assertEqual(
            'ID_AA64ISAR0_EL1', whole['disagreements'][0]['register']
        )
        self.assertEqual('TS', whole['findings'][0]['field'])
