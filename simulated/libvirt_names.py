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

"""Names and numbers of libvirt that Nova's fake libvirt does not have.

States, reasons and flags are those of ``include/libvirt/libvirt-domain.h``
(virDomainRunningReason, virDomainPausedReason, virDomainShutoffReason,
virDomainMigrateFlags), error codes of ``include/libvirt/virterror.h``.
"""

from __future__ import annotations

import typing as ty

from nova.tests.fixtures import libvirt as fakelibvirt

MISSING: ty.Final[dict[str, int]] = {
    'VIR_DOMAIN_PMSUSPENDED': 7,
    'VIR_DOMAIN_RUNNING_UNKNOWN': 0,
    'VIR_DOMAIN_RUNNING_BOOTED': 1,
    'VIR_DOMAIN_RUNNING_MIGRATED': 2,
    'VIR_DOMAIN_RUNNING_RESTORED': 3,
    'VIR_DOMAIN_RUNNING_FROM_SNAPSHOT': 4,
    'VIR_DOMAIN_RUNNING_UNPAUSED': 5,
    'VIR_DOMAIN_RUNNING_MIGRATION_CANCELED': 6,
    'VIR_DOMAIN_RUNNING_SAVE_CANCELED': 7,
    'VIR_DOMAIN_RUNNING_WAKEUP': 8,
    'VIR_DOMAIN_RUNNING_CRASHED': 9,
    'VIR_DOMAIN_RUNNING_POSTCOPY': 10,
    'VIR_DOMAIN_RUNNING_POSTCOPY_FAILED': 11,
    'VIR_DOMAIN_PAUSED_UNKNOWN': 0,
    'VIR_DOMAIN_PAUSED_USER': 1,
    'VIR_DOMAIN_PAUSED_MIGRATION': 2,
    'VIR_DOMAIN_PAUSED_SAVE': 3,
    'VIR_DOMAIN_PAUSED_DUMP': 4,
    'VIR_DOMAIN_PAUSED_IOERROR': 5,
    'VIR_DOMAIN_PAUSED_WATCHDOG': 6,
    'VIR_DOMAIN_PAUSED_FROM_SNAPSHOT': 7,
    'VIR_DOMAIN_PAUSED_SHUTTING_DOWN': 8,
    'VIR_DOMAIN_PAUSED_SNAPSHOT': 9,
    'VIR_DOMAIN_PAUSED_CRASHED': 10,
    'VIR_DOMAIN_PAUSED_STARTING_UP': 11,
    'VIR_DOMAIN_PAUSED_POSTCOPY': 12,
    'VIR_DOMAIN_PAUSED_POSTCOPY_FAILED': 13,
    'VIR_DOMAIN_PAUSED_API_ERROR': 14,
    'VIR_DOMAIN_SHUTDOWN_UNKNOWN': 0,
    'VIR_DOMAIN_SHUTDOWN_USER': 1,
    'VIR_DOMAIN_SHUTOFF_UNKNOWN': 0,
    'VIR_DOMAIN_SHUTOFF_SHUTDOWN': 1,
    'VIR_DOMAIN_SHUTOFF_DESTROYED': 2,
    'VIR_DOMAIN_SHUTOFF_CRASHED': 3,
    'VIR_DOMAIN_SHUTOFF_MIGRATED': 4,
    'VIR_DOMAIN_SHUTOFF_SAVED': 5,
    'VIR_DOMAIN_SHUTOFF_FAILED': 6,
    'VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT': 7,
    'VIR_DOMAIN_SHUTOFF_DAEMON': 8,
    'VIR_DOMAIN_CRASHED_UNKNOWN': 0,
    'VIR_DOMAIN_CRASHED_PANICKED': 1,
    'VIR_MIGRATE_POSTCOPY_RESUME': 1 << 19,  # since 8.5.0
    'VIR_DOMAIN_JOB_STATS_COMPLETED': 1,
    'VIR_DOMAIN_ABORT_JOB_POSTCOPY': 1,  # since 8.5.0
    'VIR_ERR_OPERATION_ABORTED': 78,
}


def number(name: str) -> int:
    """Return the number of libvirt's name in the fake libvirt.

    Some numbers in the fake differ from libvirt's on purpose.
    """
    known: int | None = getattr(fakelibvirt, name, None)
    return MISSING[name] if known is None else known
