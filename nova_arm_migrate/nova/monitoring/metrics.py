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

"""Counts what happens on a compute, if the operator wants metrics.

prometheus-client is optional and is imported only when metrics are started.
Until then each method returns at once. No method raises, and no caller holds a
lock.
"""

from collections.abc import Mapping
import functools
from importlib import metadata
from typing import Any
from typing import TYPE_CHECKING

from nova_arm_migrate.core.checks import check_override
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.nova.monitoring import declared
from nova_arm_migrate.nova.monitoring.declared import Kind
from nova_arm_migrate.nova.monitoring.declared import Metric
from nova_arm_migrate.nova.monitoring.declared import OTHER
from nova_arm_migrate.nova.precheck.judgement import Judgement

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_PACKAGE = 'nova-arm-migrate'
#: Names of findings that no override can have.
_NOT_OVERRIDABLE = frozenset({'BASELINE', 'DESTINATION', 'GUEST', 'SOURCE'})


class Metrics:
    """The metrics of one compute. Thread-safe."""

    def __init__(self) -> None:
        self._families: Mapping[str, Any] = {}

    def start(self) -> 'CollectorRegistry':
        """Begin to count from zero.

        :returns: what an endpoint serves
        :raises ImportError: if prometheus-client is not installed
        """
        import prometheus_client as client

        registry = client.CollectorRegistry()
        self._families = {
            metric.name: _family(client, metric, registry)
            for metric in declared.ALL
        }
        return registry

    def stop(self) -> None:
        """Count nothing more: nobody reads it."""
        self._families = {}

    def judged(self, outcome: Judgement) -> None:
        """Count a pre-check with its findings."""
        if not self._families:
            return
        self._count(
            declared.PRECHECKS,
            outcome.report.verdict.value,
            outcome.action.value,
        )
        for finding in outcome.report.findings:
            self._count(
                declared.FINDINGS,
                field_label(finding.name),
                _severity(finding),
            )
        for disagreement in outcome.disagreements:
            self._count(
                declared.DISAGREEMENTS, field_label(disagreement.register)
            )

    def tried(self, trial: Trial, seconds: float) -> None:
        """Count a trial.

        :param seconds: that it took
        """
        if not self._families:
            return
        if not trial.ran:
            self._count(declared.TRIALS, 'not_run')
            return
        answers = {True: 'accepted', False: 'refused', None: 'undecided'}
        self._count(declared.TRIALS, answers[trial.accepted])
        self._families[declared.TRIAL_SECONDS.name].observe(seconds)

    def requested(self, result: str) -> None:
        """Count a request of the host's record.

        :param result: one of the values of the label
        """
        self._count(declared.PROBES, result)

    def host(self, host: Host | str) -> None:
        """Show the host's record, or that there is none."""
        recorded = isinstance(host, Host)
        self._set(declared.RECORDED, float(recorded))
        if self._families and isinstance(host, Host):
            self._families[declared.HOST.name].info(
                {
                    'version': _version(),
                    'kernel': host.kernel or '',
                    'qemu': host.qemu or '',
                    'libvirt': host.libvirt or '',
                }
            )

    def baselines(self, offered: int, refused: int) -> None:
        """Show how many baselines the host offers, and how many not."""
        self._set(declared.BASELINES, offered, 'offered')
        self._set(declared.BASELINES, refused, 'refused')

    def drifted(self, changed: int, lost: int) -> None:
        """Show how many guests get another baseline, or none.

        :param changed: guests that a hard reboot gives another baseline
        :param lost: guests that this host can't start again
        """
        self._set(declared.DRIFT, changed, 'changed')
        self._set(declared.DRIFT, lost, 'lost')

    def migrated(self, guest: str, settled: bool) -> None:
        """Count a live migration from this host.

        :param guest: where it is, as in the label
        :param settled: all parts agree with that
        """
        self._count(
            declared.MIGRATIONS, guest, 'settled' if settled else 'unsettled'
        )

    def problem(self, part: str) -> None:
        """Count a part that could not be corrected after a migration."""
        (label,) = declared.PROBLEMS.labels
        self._count(declared.PROBLEMS, part if part in label.values else OTHER)

    def _count(self, metric: Metric, *labels: str) -> None:
        family = self._families.get(metric.name)
        if family is not None:
            family.labels(*labels).inc()

    def _set(self, metric: Metric, value: float, *labels: str) -> None:
        family = self._families.get(metric.name)
        if family is not None:
            (family.labels(*labels) if labels else family).set(value)


def _family(client: Any, metric: Metric, registry: Any) -> Any:
    """Return a metric of prometheus-client, with all its known series.

    A series that appears with its first event hides this event from
    ``rate()``.
    """
    names = tuple(label.name for label in metric.labels)
    if metric.kind is Kind.INFO:
        # The client adds the suffix.
        return client.Info(
            metric.name.removesuffix('_info'), metric.text, registry=registry
        )
    if metric.kind is Kind.HISTOGRAM:
        return client.Histogram(
            metric.name,
            metric.text,
            names,
            registry=registry,
            buckets=declared.TRIAL_BUCKETS,
        )
    kinds = {Kind.COUNTER: client.Counter, Kind.GAUGE: client.Gauge}
    family = kinds[metric.kind](
        metric.name, metric.text, names, registry=registry
    )
    if names:
        for values in metric.known:
            family.labels(*values)
    return family


@functools.lru_cache(maxsize=4096)
def field_label(name: str) -> str:
    """Return the name of a finding, or `OTHER` if it is not in our tables.

    Another host's record can name any register; each name would be a series.
    """
    if name in _NOT_OVERRIDABLE:
        return name
    try:
        return check_override(name)
    except ValueError:
        return OTHER


def _severity(finding: Finding) -> str:
    if finding.overridden:
        return declared.OVERRIDDEN
    return finding.severity.name.lower()


@functools.cache
def _version() -> str:
    try:
        return metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        return ''
