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

"""What Nova's database knows about a guest and its host.

A function returns the value, or a text that says why it is missing, as
`precheck` expects. A bad record raises nothing here.
"""

from collections.abc import Iterator
import contextlib
from typing import Any

from nova.compute import task_states
from nova.virt import hardware
from oslo_utils import units

from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.records import guest_record
from nova_arm_migrate.nova.records.cpu_info import NoHostRecord
from nova_arm_migrate.nova.records.cpu_info import take_host
from nova_arm_migrate.nova.records.domain import Domain
from nova_arm_migrate.nova.records.domain import switched_off


def recorded(instance: Any) -> Guest | str | None:
    """Return the guest's own record; None if it has none."""
    try:
        return guest_record.take(instance.vcpu_model)
    except ProfileError as error:
        return str(error)


def defined(instance: Any) -> Domain:
    """Return what Nova knows about the guest's domain.

    The vcpu_model has the features that ``[libvirt] cpu_model_extra_flags``
    switched off when Nova defined the guest. It does not have a PMU that the
    flavor or image switches off.

    :raises nova.exception.NovaException: if flavor and image contradict
        each other; Nova starts no such guest
    """
    off = switched_off(
        {
            feature.name: feature.policy
            for feature in guest_record.cpu_features(instance.vcpu_model)
        }
    )
    if (
        hardware.get_pmu_constraint(instance.flavor, instance.image_meta)
        is False
    ):
        off |= {'pmu'}
    return Domain(disabled=off, memory=instance.flavor.memory_mb * units.Mi)


def host_record(cpu_info: str | None) -> Host | str:
    """Return the record in a compute node's ``cpu_info``."""
    try:
        return take_host(cpu_info)
    except NoHostRecord as error:
        return str(error)


@contextlib.contextmanager
def still_migrating(instance: Any) -> Iterator[None]:
    """Keep the server migrating in the database during a ``with`` block.

    Nova's rollback ends with a save that makes the server ACTIVE. In the
    block, that save stores everything but the task state. The object keeps
    the new task state for the first save after the block.
    """

    def save(*args: Any, **kwargs: Any) -> None:
        ends = (
            instance.task_state is None
            and 'task_state' in instance.obj_what_changed()
        )
        if ends:
            instance.task_state = task_states.MIGRATING
        try:
            type(instance).save(instance, *args, **kwargs)
        finally:
            if ends:
                instance.task_state = None

    instance.save = save
    try:
        yield
    finally:
        del instance.save
