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

import unittest

from prometheus_client import exposition
from prometheus_client import parser

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.trial import Disagreement
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.nova.monitoring import declared
from nova_arm_migrate.nova.monitoring import metrics
from nova_arm_migrate.nova.precheck.judgement import Action
from nova_arm_migrate.nova.precheck.judgement import Judgement
from tests.unit.core import synthetic as s

#: A register that no table has: op0 3, op1 0, CRn 15, CRm 7, op2 7.
UNKNOWN_REGISTER = 0x603000000013C7BF


def finding(
    register: str = 'CTR_EL0',
    field: str = 'DIC',
    severity: Severity = Severity.BLOCKS,
    overridden: bool = False,
) -> Finding:
    return Finding(
        Cause.ABOVE, severity, register, field, 1, 0, overridden=overridden
    )


def judgement(*findings: Finding, differs: str = '') -> Judgement:
    return Judgement(
        Action.REFUSE,
        Report(Verdict.INCOMPATIBLE, findings),
        disagreements=(
            (Disagreement(differs, 'accepted', 'EINVAL'),) if differs else ()
        ),
    )


class TestMetrics(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.metrics = metrics.Metrics()
        self.registry = self.metrics.start()

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(
            declared.PREFIX + name, labels or None
        )

    def test_a_refused_migration(self) -> None:
        self.metrics.judged(
            judgement(
                finding(),
                finding(severity=Severity.HAZARD),
                finding(severity=Severity.NOTE, overridden=True),
                differs='CTR_EL0',
            )
        )
        self.assertEqual(
            1,
            self.value(
                'prechecks_total', verdict='incompatible', action='refuse'
            ),
        )
        for severity in ('blocks', 'hazard', 'overridden'):
            self.assertEqual(
                1,
                self.value(
                    'findings_total', field='CTR_EL0.DIC', severity=severity
                ),
            )
        self.assertEqual(
            1, self.value('disagreements_total', register='CTR_EL0')
        )

    def test_what_another_host_names_is_no_label(self) -> None:
        name = register_of(UNKNOWN_REGISTER).name
        self.metrics.judged(
            judgement(
                finding(name, ''),
                finding('CTR_EL0', 'nope"\n'),
                finding('GUEST', ''),
                differs=name,
            )
        )
        self.assertEqual(
            2, self.value('findings_total', field='other', severity='blocks')
        )
        self.assertEqual(
            1, self.value('findings_total', field='GUEST', severity='blocks')
        )
        self.assertEqual(
            1, self.value('disagreements_total', register='other')
        )

    def test_trials(self) -> None:
        for trial in (
            Trial(written=3),
            Trial(refused=((1, 'EINVAL'),)),
            Trial(unjudged=(1,)),
            Trial(ran=False, why_not='no /dev/kvm'),
        ):
            self.metrics.tried(trial, 0.004)
        for result in ('accepted', 'refused', 'undecided', 'not_run'):
            self.assertEqual(1, self.value('trials_total', result=result))
        # A trial that did not run took no time.
        self.assertEqual(3, self.value('trial_duration_seconds_count'))
        self.assertEqual(
            3, self.value('trial_duration_seconds_bucket', le='0.005')
        )
        self.assertEqual(
            0, self.value('trial_duration_seconds_bucket', le='0.0025')
        )

    def test_the_host(self) -> None:
        self.metrics.host('no /dev/kvm')
        self.assertEqual(0, self.value('host_recorded'))
        host: Host = s.host(kernel='6.12.41', qemu='10.0.2', libvirt='11.3.0')
        self.metrics.host(host)
        self.assertEqual(1, self.value('host_recorded'))
        (info,) = [
            sample
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == declared.HOST.name
        ]
        self.assertEqual(
            ('6.12.41', '10.0.2', '11.3.0'),
            tuple(info.labels[n] for n in ('kernel', 'qemu', 'libvirt')),
        )

    def test_the_end_of_migrations(self) -> None:
        self.metrics.migrated('stayed', True)
        self.metrics.problem('volumes')
        self.metrics.problem('something new')
        self.assertEqual(
            1,
            self.value('migrations_total', guest='stayed', outcome='settled'),
        )
        self.assertEqual(
            0,
            self.value('migrations_total', guest='left', outcome='unsettled'),
        )
        for part in ('volumes', 'other'):
            self.assertEqual(
                1, self.value('settlement_problems_total', part=part)
            )

    def test_baselines_and_drift(self) -> None:
        self.metrics.baselines(2, 1)
        self.metrics.drifted(3, 4)
        self.assertEqual(1, self.value('baselines', state='refused'))
        self.assertEqual(4, self.value('drifted_guests', change='lost'))

    def test_what_is_exposed_is_what_is_declared(self) -> None:
        """The documentation is made from what is declared."""
        self.metrics.judged(judgement(finding(), differs='CTR_EL0'))
        self.metrics.requested('cached')
        self.metrics.host(s.host())
        text = exposition.generate_latest(self.registry).decode()
        found = {
            family.name: family
            for family in parser.text_string_to_metric_families(text)
            if not family.name.endswith('_created')
        }
        self.assertEqual(
            {metric.name.removesuffix('_total') for metric in declared.ALL},
            set(found),
        )
        for metric in declared.ALL:
            family = found[metric.name.removesuffix('_total')]
            self.assertEqual(metric.text, family.documentation)
            samples = [
                sample
                for sample in family.samples
                if not sample.name.endswith('_created')
            ]
            self.assertEqual(
                set(metric.exposed), {sample.name for sample in samples}
            )
            for label in metric.labels:
                values = {sample.labels[label.name] for sample in samples}
                if label.values and metric.known:
                    self.assertEqual(set(label.values), values)
                else:
                    self.assertTrue(label.meaning or values)


class TestOff(unittest.TestCase):
    def test_nothing_is_counted_until_it_is_started(self) -> None:
        counts = metrics.Metrics()
        counts.judged(judgement(finding()))
        counts.tried(Trial(), 1)
        counts.requested('cached')
        counts.host(s.host())
        counts.baselines(1, 0)
        counts.drifted(1, 0)
        counts.migrated('left', True)
        counts.problem('ports')
        registry = counts.start()
        self.assertEqual(
            0,
            registry.get_sample_value(
                'nova_arm_migrate_trials_total', {'result': 'accepted'}
            ),
        )
