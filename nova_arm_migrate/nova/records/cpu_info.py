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

"""Put the host record into a compute node's ``cpu_info``.

`core.cpu_info` reads it.
"""

import json

from oslo_serialization import jsonutils

from nova_arm_migrate.core.cpu_info import CPU_INFO_KEY as CPU_INFO_KEY
from nova_arm_migrate.core.cpu_info import NoHostRecord as NoHostRecord
from nova_arm_migrate.core.cpu_info import take_host as take_host
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import dump_host


def put_host(cpu_info: str, host: Host) -> str:
    """Return ``cpu_info`` with the host's record.

    The same host always gives the same text, because the scheduler parses
    each distinct text. Nova writes the features in the order of a set, which
    differs from one start to the next.

    :param cpu_info: JSON, as Nova's driver writes it
    """
    info = jsonutils.loads(cpu_info)
    if isinstance(info.get('features'), list):
        info['features'] = sorted(info['features'])
    info[CPU_INFO_KEY] = json.loads(dump_host(host))
    return str(jsonutils.dumps(info, separators=(',', ':')))
