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

"""The metrics as data. The documentation's table is made from it.

No host and no server is a label: Prometheus adds the host (``instance``), and
a metric for each server would grow without a limit. Every label has few
values, whatever another host's record says.
"""

import dataclasses
import enum
import itertools

from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.nova.precheck.judgement import Action

PREFIX = 'nova_arm_migrate_'

#: The value of the label ``field`` for a register that the tables lack.
OTHER = 'other'
#: The value of the label ``severity`` for a finding that an option overrides.
OVERRIDDEN = 'overridden'

#: Seconds. A trial takes some milliseconds on hardware.
TRIAL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)


class Kind(str, enum.Enum):
    """The types of metrics that are used, by Prometheus' names."""

    COUNTER = 'counter'
    GAUGE = 'gauge'
    HISTOGRAM = 'histogram'
    INFO = 'info'


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """A label of a metric.

    :ivar values: all that it can have; empty if they are too many to list
    :ivar meaning: what the value is, if they are not listed
    """

    name: str
    values: tuple[str, ...] = ()
    meaning: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    :ivar name: as Prometheus shows it; of a histogram without its suffixes
    :ivar text: what it counts, in one sentence
    """

    name: str
    kind: Kind
    text: str
    labels: tuple[Label, ...] = ()

    @property
    def exposed(self) -> tuple[str, ...]:
        """The names of its time series."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(
                f'{self.name}_{suffix}'
                for suffix in ('bucket', 'count', 'sum')
            )
        return (self.name,)

    @property
    def known(self) -> tuple[tuple[str, ...], ...]:
        """All combinations of values; none if a label has no list of them."""
        if not all(label.values for label in self.labels):
            return ()
        return tuple(
            itertools.product(*(label.values for label in self.labels))
        )


PRECHECKS = Metric(
    PREFIX + 'prechecks_total',
    Kind.COUNTER,
    'Pre-checks of live migrations. The destination makes them, and the'
    ' source if the destination does not have nova-arm-migrate.',
    (
        Label('verdict', tuple(one.value for one in Verdict)),
        Label('action', tuple(one.value for one in Action)),
    ),
)
FINDINGS = Metric(
    PREFIX + 'findings_total',
    Kind.COUNTER,
    'Findings of these pre-checks.',
    (
        Label(
            'field',
            meaning='a register, a field or a hazard, as in the findings;'
            f' {OTHER} for a register that this version does not know',
        ),
        Label(
            'severity',
            (*(one.name.lower() for one in Severity), OVERRIDDEN),
        ),
    ),
)
TRIALS = Metric(
    PREFIX + 'trials_total',
    Kind.COUNTER,
    "Trials of guests' registers on a scratch vCPU of this host.",
    (Label('result', ('accepted', 'refused', 'undecided', 'not_run')),),
)
TRIAL_SECONDS = Metric(
    PREFIX + 'trial_duration_seconds',
    Kind.HISTOGRAM,
    'The time of each trial.',
)
DISAGREEMENTS = Metric(
    PREFIX + 'disagreements_total',
    Kind.COUNTER,
    "Registers on which the rule and the trial differed. The trial's answer"
    ' counts. Please report them.',
    (Label('register', meaning=f'its name, or {OTHER}'),),
)
PROBES = Metric(
    PREFIX + 'host_record_requests_total',
    Kind.COUNTER,
    "Requests of this host's record: answered from memory, by a new probe, or"
    ' not at all.',
    (Label('result', ('cached', 'probed', 'failed')),),
)
RECORDED = Metric(
    PREFIX + 'host_recorded',
    Kind.GAUGE,
    '1 if this host has a record, 0 if it cannot be probed.',
)
HOST = Metric(
    PREFIX + 'host_info',
    Kind.INFO,
    'Versions on this host. The value is 1.',
    (
        Label('version', meaning='of nova-arm-migrate'),
        Label('kernel', meaning='its release'),
        Label('qemu', meaning='its version'),
        Label('libvirt', meaning='its version'),
    ),
)
BASELINES = Metric(
    PREFIX + 'baselines',
    Kind.GAUGE,
    'Guest CPU baselines in baseline_directory, by whether this host offers'
    ' them.',
    (Label('state', ('offered', 'refused')),),
)
DRIFT = Metric(
    PREFIX + 'drifted_guests',
    Kind.GAUGE,
    'Guests that a hard reboot gives another baseline (changed), or that this'
    ' host cannot start again because it does not offer their baseline any'
    ' more (lost).',
    (Label('change', ('changed', 'lost')),),
)
MIGRATIONS = Metric(
    PREFIX + 'migrations_total',
    Kind.COUNTER,
    'Live migrations from this host, by where the guest is at the end, and'
    ' whether everything else agrees with that. Those with guest="stayed" are'
    ' rollbacks.',
    (
        Label('guest', ('left', 'stayed', 'unknown')),
        Label('outcome', ('settled', 'unsettled')),
    ),
)
PROBLEMS = Metric(
    PREFIX + 'settlement_problems_total',
    Kind.COUNTER,
    'What could not be corrected after a live migration.',
    (
        Label(
            'part',
            (
                'allocations',
                'cleanup',
                'disks',
                'guest',
                'interfaces',
                'ports',
                'record',
                'source',
                'volumes',
                OTHER,
            ),
        ),
    ),
)

ALL = (
    PRECHECKS,
    FINDINGS,
    TRIALS,
    TRIAL_SECONDS,
    DISAGREEMENTS,
    PROBES,
    RECORDED,
    HOST,
    BASELINES,
    DRIFT,
    MIGRATIONS,
    PROBLEMS,
)
