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

"""The host record in a compute node's ``cpu_info``.

``cpu_info`` is a JSON text. Nova's driver writes it into its ComputeNode row;
other computes and the scheduler read it from the database, and the commands
from the hypervisors API. The record is one more key in it. The writer may be
another host with another version, so the reader does not trust it.
"""

import json

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import host_from

#: The key in ``cpu_info``.
CPU_INFO_KEY = 'arm_migrate'

#: Characters. Nova's own part takes up to 5000, the record up to 16384.
_LONGEST = 1 << 17


class NoHostRecord(Exception):
    """There is no usable record; the text gives the reason in one line."""


def take_host(cpu_info: str | None) -> Host:
    """Return the host record in ``cpu_info``.

    :raises NoHostRecord: if there is none that this version can read
    """
    if not cpu_info:
        raise NoHostRecord('nothing is known about its CPU')
    if len(cpu_info) > _LONGEST:
        raise NoHostRecord(
            f'its cpu_info has {len(cpu_info)} characters,'
            f' more than {_LONGEST}'
        )
    try:
        info = json.loads(cpu_info, object_pairs_hook=forms.unique)
    except ProfileError as error:
        raise NoHostRecord(f'its cpu_info cannot be read: {error}') from None
    except (ValueError, TypeError, RecursionError):
        raise NoHostRecord('its cpu_info is not JSON') from None
    record = info.get(CPU_INFO_KEY) if isinstance(info, dict) else None
    if record is None:
        raise NoHostRecord(
            'it has no record: nova-arm-migrate does not run'
            ' there, or could not probe it'
        )
    try:
        return host_from(record)
    except ProfileError as error:
        raise NoHostRecord(f'its record cannot be read: {error}') from None
