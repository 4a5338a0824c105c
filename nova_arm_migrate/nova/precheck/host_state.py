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

"""This host's record, and the records of guests that start on it."""

from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Mapping
import dataclasses
import threading
import time

from oslo_log import log as logging

from nova_arm_migrate.core.guest_view import guest_seen
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.nova.monitoring.metrics import Metrics
from nova_arm_migrate.nova.records.domain import Domain
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.types import HostProbe

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Taken:
    versions: Hashable
    probe: HostProbe
    host: Host


class HostProbeCache:
    """The cached answer of this host's probe. Thread-safe.

    What KVM gives a guest can't change while the kernel runs, and this
    service starts again with another kernel. So one successful probe is
    enough. The host is probed again when libvirt reports another version of
    QEMU or of itself, because both can be upgraded while the service runs.

    :param probe: creates the probe
    :param versions: returns the present versions of QEMU and libvirt
    :param completed: adds to a profile what this service knows
    :param metrics: counts the requests and the trials
    """

    def __init__(
        self,
        probe: Callable[[], HostProbe],
        versions: Callable[[], Hashable],
        completed: Callable[[Host], Host] = lambda host: host,
        metrics: Metrics | None = None,
    ) -> None:
        self._make = probe
        self._versions = versions
        self._completed = completed
        self._metrics = metrics or Metrics()
        # The lock protects single assignments and is never held during a
        # probe. Two threads may probe at once; they get the same answer.
        self._lock = threading.Lock()
        self._taken: _Taken | None = None
        self._told: str | None = None

    def host(self) -> Host:
        """Return the host's profile.

        :raises ProbeError: if the host can't be probed
        """
        return self._take().host

    def host_or_reason(self) -> Host | str:
        """Return the host's profile, or why there is none.

        A reason is logged when it differs from the last one.
        """
        try:
            return self.host()
        except ProbeError as error:
            reason = str(error)
            with self._lock:
                new, self._told = reason != self._told, reason
            if new:
                LOG.warning(
                    'This host cannot be probed and reports no arm64'
                    ' record: %s. Live migrations to and from it cannot be'
                    ' judged; nothing else is affected.',
                    reason,
                )
            return f'it cannot be probed: {reason}'

    def started(self, domain: Domain) -> Guest:
        """Return the record of a guest whose QEMU has just started here.

        :raises ProbeError: if the host can't be probed
        """
        taken = self._take()
        try:
            view = taken.probe.guest_view(domain.disabled, domain.gic)
        except ProbeError as error:
            # The host's profile gives the same answer.
            LOG.debug('No scratch vCPU for a new guest: %s', error)
            return guest_started_on(
                taken.host,
                disabled=domain.disabled,
                gic=domain.gic,
                memory=domain.memory,
            )
        return guest_seen(
            taken.host,
            view,
            disabled=domain.disabled,
            gic=domain.gic,
            memory=domain.memory,
        )

    def started_on_baseline(
        self, domain: Domain, registers: Mapping[int, int]
    ) -> Guest:
        """Return the record of a guest to whose vCPUs registers are written.

        :param registers: values by code, in their order
        :raises ProbeError: if KVM can't be asked, or refuses a register
        """
        taken = self._take()
        return guest_seen(
            taken.host,
            taken.probe.guest_view(domain.disabled, domain.gic, registers),
            disabled=domain.disabled,
            gic=domain.gic,
            memory=domain.memory,
        )

    def trial(self, guest: Guest) -> Trial:
        """Write the guest's registers to a scratch vCPU here."""
        try:
            probe = self._take().probe
        except ProbeError as error:
            failed = Trial(ran=False, why_not=str(error))
            self._metrics.tried(failed, 0)
            return failed
        started = time.monotonic()
        done = probe.trial(guest)
        self._metrics.tried(done, time.monotonic() - started)
        return done

    def _take(self) -> _Taken:
        versions = self._versions()
        with self._lock:
            taken = self._taken
        if taken is not None and taken.versions == versions:
            self._metrics.requested('cached')
            return taken
        try:
            probe = self._make()
            taken = _Taken(versions, probe, self._completed(probe.host()))
        except ProbeError:
            self._metrics.requested('failed')
            raise
        with self._lock:
            self._taken, self._told = taken, None
        self._metrics.requested('probed')
        return taken
