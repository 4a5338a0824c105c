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

"""Map libvirt's states of a domain and its job to those of `core.job`."""

from typing import Any

from nova import exception
from oslo_log import log as logging

from nova_arm_migrate.core.job import JobType
from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova.layout import numa_host

LOG = logging.getLogger(__name__)

# virDomainState and its reasons, include/libvirt/libvirt-domain.h. These are
# numbers because an older libvirt-python does not have newer names.
_RUNNING, _BLOCKED, _PAUSED, _SHUTDOWN = 1, 2, 3, 4
_SHUTOFF, _CRASHED, _PMSUSPENDED = 5, 6, 7
_RUNNING_POSTCOPY, _RUNNING_POSTCOPY_FAILED = 10, 11
_PAUSED_MIGRATION, _PAUSED_STARTING_UP = 2, 11
_PAUSED_POSTCOPY, _PAUSED_POSTCOPY_FAILED, _PAUSED_API_ERROR = 12, 13, 14
_SHUTOFF_MIGRATED = 4

_BY_REASON = {
    (_RUNNING, _RUNNING_POSTCOPY): Presence.POST_COPY,
    (_RUNNING, _RUNNING_POSTCOPY_FAILED): Presence.POST_COPY_FAILED,
    (_PAUSED, _PAUSED_MIGRATION): Presence.HELD,
    (_PAUSED, _PAUSED_STARTING_UP): Presence.HELD,
    # libvirt could not start the vCPUs again after a failed job
    # (qemuMigrationSrcRestoreDomainState).
    (_PAUSED, _PAUSED_API_ERROR): Presence.HELD,
    (_PAUSED, _PAUSED_POSTCOPY): Presence.POST_COPY,
    (_PAUSED, _PAUSED_POSTCOPY_FAILED): Presence.POST_COPY_FAILED,
    (_SHUTOFF, _SHUTOFF_MIGRATED): Presence.MIGRATED,
}
_BY_STATE = {
    _RUNNING: Presence.RUNNING,
    _BLOCKED: Presence.RUNNING,
    # The guest has asked for the shutdown; QEMU still runs.
    _SHUTDOWN: Presence.RUNNING,
    _PMSUSPENDED: Presence.PAUSED,
    _PAUSED: Presence.PAUSED,
    _SHUTOFF: Presence.STOPPED,
    _CRASHED: Presence.STOPPED,
}

_JOB_TYPES = {
    0: JobType.NONE,
    1: JobType.UNBOUNDED,
    2: JobType.UNBOUNDED,
    3: JobType.COMPLETED,
    4: JobType.FAILED,
    5: JobType.CANCELLED,
}


def job_type(number: int) -> JobType:
    """Return the job type for libvirt's virDomainJobType."""
    return _JOB_TYPES.get(number, JobType.NONE)


def number_of(kind: JobType) -> int:
    """Return libvirt's virDomainJobType for a job type."""
    return max(number for number, one in _JOB_TYPES.items() if one is kind)


def classify(state: int, reason: int) -> Presence:
    """Return what a domain's state means for a migration.

    :param state: virDomainState
    :param reason: of that state, as virDomainGetState gives it
    """
    return _BY_REASON.get(
        (state, reason), _BY_STATE.get(state, Presence.UNKNOWN)
    )


def look(host: Any, instance: Any) -> Presence:
    """Ask libvirt on this host for the guest's domain.

    :param host: ``nova.virt.libvirt.host.Host``
    :returns: UNKNOWN if libvirt does not answer
    """
    try:
        domain = host.get_guest(instance)._domain
        ask = getattr(domain, 'state', None)
        if ask is None:  # Nova's simulated libvirt has no state()
            return classify(domain.info()[0], 0)
        return classify(*ask()[:2])
    except exception.InstanceNotFound:
        return Presence.ABSENT
    except numa_host.libvirt_error() as error:
        if (
            error.get_error_code()
            == numa_host.libvirt_module().VIR_ERR_NO_DOMAIN
        ):
            return Presence.ABSENT
        LOG.warning(
            "libvirt does not report the guest's state: %s",
            error,
            instance=instance,
        )
    except exception.NovaException as error:
        LOG.warning(
            "libvirt does not report the guest's state: %s",
            error,
            instance=instance,
        )
    return Presence.UNKNOWN
