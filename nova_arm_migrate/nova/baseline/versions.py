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

"""Which guests get another baseline when their QEMU starts again."""

from collections.abc import Callable
from collections.abc import Collection
import dataclasses
from typing import Any

from nova.compute import vm_states

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.nova.records import instance_state

#: Guests in these states have no QEMU process, nor the state of one: a start
#: gives them a new CPU, without a hard reboot.
NO_QEMU = (
    vm_states.BUILDING,
    vm_states.STOPPED,
    vm_states.SHELVED,
    vm_states.SHELVED_OFFLOADED,
    vm_states.SOFT_DELETED,
    vm_states.DELETED,
)

NONE = 'none'
#: After name and version, if their file has changed since the guest started.
CHANGED = ' (other contents)'


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Change:
    """A guest that would get another baseline, or that can't start again.

    :ivar has: name and version of the baseline that it runs on, or `NONE`
    :ivar gets: the same after a hard reboot, with `CHANGED` if only the
        contents are others; empty if its host does not offer what it has
    :ivar host: on which it is
    :ivar uuid: of the guest
    """

    has: str
    gets: str
    host: str
    uuid: str


def name_of(identity: str) -> str:
    """Return the name in a baseline's identity."""
    return identity.partition('/')[0]


def current(offered: Collection[str]) -> dict[str, str]:
    """Return the newest version of each baseline that a host offers.

    :param offered: names and versions, as in `Host.baselines`
    :returns: identities by name
    """
    found: dict[str, str] = {}
    for identity in sorted(offered, key=number):
        found[name_of(identity)] = identity
    return found


def number(identity: str) -> int:
    """Return the version in a baseline's identity."""
    version = identity.partition('/')[2]
    return int(version) if version.isdecimal() else 0


def has(instance: Any) -> str:
    """Return the name of the baseline on which a guest runs; or empty."""
    record = instance_state.recorded(instance)
    if not isinstance(record, Guest) or record.baseline is None:
        return ''
    return name_of(record.baseline)


def change(
    instance: Any,
    wanted: str,
    offered: Collection[str],
    has_changed: Callable[[Guest], bool],
) -> Change | None:
    """Return what a hard reboot changes for a guest; None if nothing.

    :param wanted: the name of the baseline that it is to have; empty for none
    :param offered: what its host offers, as in `Host.baselines`
    :param has_changed: says whether its host offers other contents as the
        version that a guest has
    """
    record = instance_state.recorded(instance)
    if not isinstance(record, Guest):
        # It does not run, or started before baselines were known.
        return None
    runs_on = record.baseline or NONE
    newest = current(offered)
    if record.baseline is not None and name_of(runs_on) not in newest:
        gets = ''
    else:
        gets = newest.get(wanted, runs_on) if wanted else NONE
        if gets == record.baseline and has_changed(record):
            gets += CHANGED
        if gets == runs_on or instance.vm_state in NO_QEMU:
            return None
    return Change(runs_on, gets, instance.host, instance.uuid)
