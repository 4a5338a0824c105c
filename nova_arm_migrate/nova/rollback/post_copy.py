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

"""Continue a post-copy migration that has broken."""

from collections.abc import Callable
import time
from typing import Any

import nova.conf
from oslo_log import log as logging

from nova_arm_migrate.core.job import next_step
from nova_arm_migrate.core.job import Observation
from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.core.job import Step
from nova_arm_migrate.core.job import Thread
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.nova.rollback import destination

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Seconds between two attempts to continue.
_INTERVAL = 10

#: libvirt's error codes if it does not know VIR_MIGRATE_POSTCOPY_RESUME:
#: VIR_ERR_NO_SUPPORT, VIR_ERR_INVALID_ARG, VIR_ERR_ARGUMENT_UNSUPPORTED.
_NO_RESUME = (3, 8, 74)


def recover(
    guest: Any,
    uri: str,
    kwargs: dict[str, Any],
    failure: Exception,
    look: Callable[[], Presence],
    ask: Callable[[], destination.Answer],
    instance: Any,
    dest: str,
) -> None:
    """Continue a post-copy job, repeatedly if needed.

    This is done only while the destination can be reached, and no more after
    a restart of libvirt there: then libvirt 11.3 crashes with a segmentation
    fault when it is asked to continue (``qemuProcessIncomingDefNew``).

    :param guest: ``nova.virt.libvirt.guest.Guest``
    :param kwargs: the arguments of its ``migrate``
    :param failure: why post-copy has broken
    :param look: returns the guest's state on this host
    :param ask: asks the destination for the guest's state there
    :param dest: name of the destination
    :raises Exception: `failure`, when no attempt is left, or if the job was
        not in post-copy
    """
    LOG.warning('The migration has failed: %s', failure, instance=instance)
    end = time.monotonic() + conf.current(CONF).post_copy_recovery
    libvirt = numa_host.libvirt_module()
    resume = getattr(libvirt, 'VIR_MIGRATE_POSTCOPY_RESUME', 0)
    # Without a domain at the destination nothing can be continued.
    final = (*_NO_RESUME, libvirt.VIR_ERR_NO_DOMAIN)
    while True:
        again = bool(resume) and time.monotonic() < end
        decision = next_step(
            Observation(
                Thread.RAISED,
                source=look(),
                recoverable=again,
                patient=again,
            )
        )
        if decision.step not in (Step.RECOVER, Step.WAIT):
            raise failure
        time.sleep(_INTERVAL)
        if decision.step is Step.WAIT:
            continue
        before = ask()
        if not before.reached:
            continue
        try:
            guest.migrate(
                uri, **kwargs | {'flags': kwargs.get('flags', 0) | resume}
            )
            return
        except numa_host.libvirt_error() as error:
            LOG.warning(
                'Cannot continue post-copy: %s', error, instance=instance
            )
            if error.get_error_code() in final:
                raise failure from error
        after = ask()
        if before.libvirt is None or (
            after.reached and after.libvirt != before.libvirt
        ):
            LOG.error(
                'libvirt on %s may have restarted: the post-copy migration is'
                ' not continued again',
                dest,
                instance=instance,
            )
            raise failure
