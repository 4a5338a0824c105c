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

"""The guest that stays on this host after a failed migration."""

from typing import Any

from nova import exception
from nova.compute import power_state
from nova.compute import vm_states
from oslo_log import log as logging

from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.nova.rollback import presence
from nova_arm_migrate.nova.rollback.problem import Problem

LOG = logging.getLogger(__name__)


def restore(host: Any, instance: Any, paused_by_nova: bool) -> list[Problem]:
    """Resume the guest, and set its state in the instance.

    The instance is not saved: the manager's rollback saves it with the rest.

    :param host: ``nova.virt.libvirt.host.Host``
    :param paused_by_nova: Nova has paused the guest to complete the job
    :returns: why the guest does not run, if it should
    """
    paused_before = instance.vm_state == vm_states.PAUSED
    state = presence.look(host, instance)
    if not paused_before and (
        state is Presence.HELD or (state is Presence.PAUSED and paused_by_nova)
    ):
        _resume(host, instance)
        state = presence.look(host, instance)
    name = instance.host
    if state in (Presence.PAUSED, Presence.HELD):
        instance.power_state = power_state.PAUSED
        if paused_before:
            return []
        instance.vm_state = vm_states.PAUSED
        return [
            Problem(
                'guest',
                f'The guest is paused on {name}. Run openstack server unpause',
                fatal=False,
            )
        ]
    if state in (Presence.STOPPED, Presence.MIGRATED):
        instance.power_state = power_state.SHUTDOWN
        instance.vm_state = vm_states.STOPPED
        return [
            Problem(
                'guest',
                'The guest stopped during the migration.'
                f' Its disks are on {name}',
                fatal=False,
            )
        ]
    if state is Presence.ABSENT:
        return [
            Problem(
                'guest',
                f'The domain of the guest is missing on {name}.'
                ' Its disks are kept',
            )
        ]
    if state is Presence.UNKNOWN:
        return [
            Problem(
                'guest',
                f"libvirt on {name} does not report the guest's state",
            )
        ]
    return []


def _resume(host: Any, instance: Any) -> None:
    try:
        host.get_guest(instance).resume()
    except (exception.NovaException, numa_host.libvirt_error()) as error:
        LOG.warning('Cannot resume the guest: %s', error, instance=instance)
