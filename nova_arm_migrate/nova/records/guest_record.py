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

"""The guest's own record, stored with its instance.

In ``Instance.vcpu_model`` Nova stores a guest's CPU: arch, model, topology
and a list of features by name and policy. The record is one more entry in
that list: the feature's name is a prefix and the JSON text. No other field
has room for it and is stored with the instance, follows it from host to host
and is never shown by the API. Nova builds a libvirt CPU from the list only
for a named model (``_vcpu_model_to_cpu_config``), and on AArch64 it discards
that CPU again; our driver leaves the entry out there.

A compute without the extension overwrites the list when it defines the guest
again. So a record does not survive a restart that Nova does there.
"""

from typing import Any

from nova import objects

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.core.record import load_guest

_PREFIX = 'arm_migrate:'


def take(vcpu_model: Any) -> Guest | None:
    """Return the record in a VirtCPUModel, None if there is none.

    :param vcpu_model: ``nova.objects.VirtCPUModel`` or None
    :raises ProfileError: if this version can't read the record
    """
    for feature in _features(vcpu_model):
        if feature.name.startswith(_PREFIX):
            return load_guest(feature.name[len(_PREFIX) :])
    return None


def put(vcpu_model: Any, guest: Guest | None) -> Any:
    """Replace the record in a VirtCPUModel, and return the model.

    :param vcpu_model: is changed in place; None creates a new one
    :param guest: None removes the record
    """
    if vcpu_model is None:
        vcpu_model = objects.VirtCPUModel()
    features = cpu_features(vcpu_model)
    if guest is not None:
        features.append(
            objects.VirtCPUFeature(
                name=_PREFIX + dump_guest(guest), policy='optional'
            )
        )
    vcpu_model.features = features
    return vcpu_model


def cpu_features(vcpu_model: Any) -> list[Any]:
    """Return the real CPU features: all but the record."""
    return [
        feature
        for feature in _features(vcpu_model)
        if not feature.name.startswith(_PREFIX)
    ]


def _features(vcpu_model: Any) -> list[Any]:
    if vcpu_model is None or 'features' not in vcpu_model:
        return []
    return list(vcpu_model.features)


def save(instance: Any) -> None:
    """Store only the instance's vcpu_model.

    The manager has unsaved changes in the same instance, and saves them with
    an expected task state. ``instance.save()`` here would store them without
    that check.
    """
    only = objects.Instance(context=instance._context, uuid=instance.uuid)
    only.obj_reset_changes()
    only.vcpu_model = instance.vcpu_model
    only.save()
    instance.obj_reset_changes(['vcpu_model'], recursive=True)
