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

"""Guests that start on a baseline, for the driver."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import json
from typing import Any

from nova import exception
import nova.conf
from oslo_log import log as logging

from nova_arm_migrate.core import record_baselines
from nova_arm_migrate.core import shim
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.baseline import backends
from nova_arm_migrate.nova.baseline import catalogue
from nova_arm_migrate.nova.baseline import choice
from nova_arm_migrate.nova.baseline import domain_xml
from nova_arm_migrate.nova.baseline import drift
from nova_arm_migrate.nova.baseline import readback
from nova_arm_migrate.nova.baseline import versions
from nova_arm_migrate.nova.baseline.running import RunningQemu
from nova_arm_migrate.nova.conf import Settings
from nova_arm_migrate.nova.layout import channel
from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.nova.precheck.host_state import HostProbeCache
from nova_arm_migrate.nova.records import instance_state
from nova_arm_migrate.nova.records.domain import Domain
from nova_arm_migrate.probe.errors import ProbeError

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class BaselineFailed(exception.NovaException):
    """A guest can't start on its baseline here.

    If the server is being built, the manager tries the next host: it does so
    after every exception that it does not know.
    """

    msg_fmt = 'Guest CPU baseline %(name)s: %(reason)s'


class Baselines:
    """The baselines of this host.

    :param arm: returns the host's probe
    :param pool: returns the baseline of guests that name none; empty for none
    :param libvirt: returns why libvirt here does not take CPU features that a
        domain switches off; empty if it takes them, or cannot say
    """

    def __init__(
        self,
        arm: Callable[[], HostProbeCache],
        pool: Callable[[], str],
        libvirt: Callable[[Iterable[str]], str],
    ) -> None:
        self._arm = arm
        self._pool = pool
        self._libvirt = libvirt
        self._files = catalogue.Files({}, {})
        self._settings = Settings()
        self._found = catalogue.Offered({}, {})
        self._told: dict[tuple[str, str, str], set[str]] = {}

    def load(self, settings: Settings) -> None:
        """Read the files when the service starts. Raises nothing."""
        self._settings = settings
        self._files = catalogue.read(settings.baseline_directory)

    def log(self) -> None:
        """Log what this host offers, and what it does not and why."""
        host = self._arm().host_or_reason()
        if isinstance(host, str):
            self._found = catalogue.offered(self._files, host, lambda *_: None)
        catalogue.log(self._found, self._pool())

    def completed(self, host: Host) -> Host:
        """Return the profile of this host with what it offers."""
        self._found = catalogue.offered(self._files, host, self._no_way)
        return dataclasses.replace(
            host,
            baselines=self._found.identities,
            baseline_digests=self._found.digests,
        )

    def with_default(self, host: Host) -> Host:
        """Return the profile with the baseline of guests that name none.

        A source reads it before it stops a guest. It may change while the
        service runs.
        """
        name = self._pool()
        known = name != choice.NONE and record_baselines.is_name(name)
        return dataclasses.replace(
            host, baseline_default=name if known else None
        )

    def _no_way(self, baseline: CpuBaseline, host: Host) -> str | None:
        """Return why no guest here gets a baseline; None if guests get it."""
        found = self._plan(baseline, host)
        if isinstance(found, str):
            return found
        # If libvirt refuses them, no guest on the baseline can start here.
        why = self._libvirt(found.features_off)
        return (
            f'libvirt does not take its CPU features: {why}' if why else None
        )

    def _plan(self, baseline: CpuBaseline, host: Host) -> backends.Plan | str:
        unfit = domain_xml.unfit(CONF.libvirt.cpu_mode or '')
        return unfit or backends.plan(
            (
                backends.CpuFeatures(),
                # Ask QEMU here when a release has these properties.
                backends.QemuProperties(dict),
                backends.Shim(self._settings.baseline_shim),
            ),
            baseline,
            host,
        )

    # Starts

    def wanted(self, instance: Any) -> str:
        """Return the name of a guest's baseline; empty if it has none."""
        return choice.wanted(instance, self._pool())

    def plan(self, instance: Any) -> backends.Plan | None:
        """Return how a guest gets its baseline; None if it has none.

        :raises BaselineFailed: if this host does not offer it
        """
        name = self.wanted(instance)
        return self._of_name(name) if name else None

    def _of_name(self, name: str) -> backends.Plan:
        """Return the plan of a baseline.

        :param name: with a version, as in `Guest.baseline`, or without one:
            then of the newest version
        :raises BaselineFailed: if this host does not offer it
        """
        host = self._arm().host_or_reason()
        reason: str | backends.Plan | CpuBaseline
        if isinstance(host, str):
            reason = host
        else:
            reason = self._found.find(name)
            if isinstance(reason, CpuBaseline):
                reason = self._plan(reason, host)
                if isinstance(reason, backends.Plan):
                    return reason
        raise BaselineFailed(name=name, reason=reason)

    @staticmethod
    def changes(
        record: Guest | str | None, plan: backends.Plan | None
    ) -> bool:
        """Whether a guest is to have another baseline than before.

        :param record: of the guest
        :param plan: how it is to start
        """
        if not isinstance(record, Guest):
            return False
        if plan is None or record.baseline != plan.baseline.identity:
            return record.baseline is not None or plan is not None
        return bool(readback.another(record, plan.baseline))

    def restores(self, instance: Any) -> None:
        """Check that a suspended guest can be started again.

        :raises BaselineFailed: if this host does not offer its baseline
        """
        record = instance_state.recorded(instance)
        if isinstance(record, Guest) and record.baseline is not None:
            try:
                self._of_name(record.baseline)
            except BaselineFailed:
                self._of_name(versions.name_of(record.baseline))

    def why_not(self, record: Guest) -> str:
        """Return why this host does not offer the baseline of a guest.

        :returns: empty if it offers it, or the guest has none
        """
        if record.baseline is None:
            return ''
        host = self._arm().host_or_reason()
        if isinstance(host, str):
            return host
        found = self._found.find(record.baseline)
        if isinstance(found, str):
            return found
        differs = readback.another(record, found)
        return f'the file here is another one: {differs}' if differs else ''

    def define(self, instance: Any, xml: str, plan: backends.Plan) -> str:
        """Return a guest's XML with the plan.

        :raises BaselineFailed: if the domain can't show a baseline
        """
        try:
            changed = domain_xml.with_baseline(xml, plan)
        except domain_xml.UnfitDomain as error:
            raise BaselineFailed(
                name=plan.baseline.identity, reason=error
            ) from None
        LOG.info(
            'The guest starts on the CPU baseline %(baseline)s with'
            ' %(backend)s',
            {'baseline': plan.baseline.identity, 'backend': plan.backend},
            instance=instance,
        )
        return changed

    @contextlib.contextmanager
    def starting(self, plan: backends.Plan | None) -> Iterator[None]:
        """Name the register if the library stops QEMU in a ``with`` block.

        Nova's events have only the name of libvirt's exception.

        :param plan: of the guest; None if it has no baseline
        :raises BaselineFailed: if the library has stopped it
        """
        try:
            yield
        except numa_host.libvirt_error() as error:
            reason = shim.complaint(str(error)) if plan is not None else ''
            if plan is None or not reason:
                raise
            raise BaselineFailed(
                name=plan.baseline.identity,
                reason=f'QEMU has not started ({plan.backend}): {reason}',
            ) from error

    def check(
        self, plan: backends.Plan, domain: Domain, qemu: RunningQemu
    ) -> Guest:
        """Return the record of a guest that has its baseline.

        :param domain: of the guest, which runs
        :raises BaselineFailed: if it does not have it, or that can't be read
        """
        try:
            return readback.guest(
                plan,
                domain,
                qemu,
                self._arm().host(),
                lambda domain, plan: self._arm().started_on_baseline(
                    domain, plan.registers
                ),
            )
        except (readback.NotTheBaseline, ProbeError) as error:
            raise BaselineFailed(
                name=plan.baseline.identity,
                reason=f'the guest does not have it ({plan.backend}): {error}',
            ) from None

    # Moves

    def arrived(
        self, identity: str, domain: Domain, qemu: RunningQemu
    ) -> None:
        """Check a guest that has arrived in a live migration.

        :param identity: of its baseline
        :param domain: of the guest, which runs
        :raises BaselineFailed: if it has not got it here, or that can't be
            read
        """
        try:
            readback.process(self._of_name(identity), domain, qemu)
        except (readback.NotTheBaseline, ProbeError) as error:
            raise BaselineFailed(
                name=identity, reason=f'the guest runs without it: {error}'
            ) from None

    def send(self, instance: Any, migrate_data: Any) -> None:
        """Tell the source what a guest's QEMU needs on this host.

        :raises BaselineFailed: if this host does not offer its baseline
        """
        record = instance_state.recorded(instance)
        if not isinstance(record, Guest) or record.baseline is None:
            return
        reason = self.why_not(record)
        if reason:
            raise BaselineFailed(name=record.baseline, reason=reason)
        plan = self._of_name(record.baseline)
        channel.put(
            migrate_data,
            channel.BASELINE,
            json.dumps(
                {
                    'baseline': plan.baseline.identity,
                    'features_off': sorted(plan.features_off),
                    'environment': dict(plan.environment),
                    'arguments': list(plan.arguments),
                }
            ),
        )

    # Drift

    @property
    def counts(self) -> tuple[int, int]:
        """How many baselines this host offers, and how many files not."""
        return len(self._found.baselines), len(self._found.refused)

    @property
    def can_drift(self) -> bool:
        """Whether guests of this host may have a baseline."""
        return bool(any(self.counts) or self._told)

    def drifts(self, instances: Iterable[Any]) -> list[drift.Drift]:
        """Return which guests a hard reboot would change, or lose.

        Guests without a baseline are not among them.
        """
        changes: dict[tuple[str, str], list[str]] = {}
        for instance in instances:
            found = versions.change(
                instance,
                self.wanted(instance),
                self._found.identities,
                self._has_changed,
            )
            if found is not None and found.has != versions.NONE:
                changes.setdefault((found.has, found.gets), []).append(
                    found.uuid
                )
        return [
            drift.Drift(has, gets, self._why_lost(has, gets), tuple(uuids))
            for (has, gets), uuids in sorted(changes.items())
        ]

    def _has_changed(self, record: Guest) -> bool:
        """Whether the file of a guest's version has other contents now."""
        found = self._found.find(record.baseline or '')
        return isinstance(found, CpuBaseline) and bool(
            readback.another(record, found)
        )

    def _why_lost(self, has: str, gets: str) -> str:
        found = '' if gets else self._found.find(versions.name_of(has))
        return found if isinstance(found, str) else ''

    def fresh_drifts(self, drifts: Iterable[drift.Drift]) -> list[drift.Drift]:
        """Return those that the last call did not have.

        Fewer guests with the same drift are nothing new.
        """
        given = list(drifts)
        fresh = [
            one
            for one in given
            if not set(one.guests)
            <= self._told.get((one.has, one.gets, one.reason), set())
        ]
        self._told = {
            (one.has, one.gets, one.reason): set(one.guests) for one in given
        }
        return fresh


class GuestWithBaseline:
    """A guest whose XML for a migration has what the destination's QEMU needs.

    :param guest: ``nova.virt.libvirt.guest.Guest``
    :param needs: what `Baselines.send` has sent
    """

    def __init__(self, guest: Any, needs: str) -> None:
        self._guest = guest
        given = json.loads(needs)
        # A destination with an earlier version of this package leaves it out.
        self._baseline = given.get('baseline', '')
        self._features_off = frozenset(given['features_off'])
        self._environment = dict(given['environment'])
        self._arguments = tuple(given['arguments'])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guest, name)

    def migrate(self, destination: str, **kwargs: Any) -> Any:
        """Migrate with that XML.

        :raises BaselineFailed: if libvirt can't move the guest to a QEMU that
            switches off other features
        """
        xml = kwargs.get('destination_xml')
        if xml:
            reason = domain_xml.unequal_features(xml, self._features_off)
            if reason:
                raise BaselineFailed(name=self._baseline, reason=reason)
            kwargs['destination_xml'] = domain_xml.for_host(
                xml, self._environment, self._arguments
            )
        return self._guest.migrate(destination, **kwargs)
