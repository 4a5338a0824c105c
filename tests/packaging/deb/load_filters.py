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

"""Print the filters of nova-scheduler, configured as Debian's service."""

import sys
from typing import Any

# oslo.config finds /etc/nova/nova-scheduler.conf.d by the program's name.
sys.argv[0] = '/usr/bin/nova-scheduler'

# As the service does: it chooses eventlet or threads, as its release says.
import nova.cmd.scheduler  # noqa: F401

from nova import config
from nova.scheduler import host_manager

config.parse_args(
    ['nova-scheduler', '--config-file=/etc/nova/nova.conf'], init_rpc=False
)


class HostManager(host_manager.HostManager):  # type: ignore[misc]
    """Nova's, without what it reads from the database when it starts."""

    def refresh_cells_caches(self) -> None:
        pass

    def _init_aggregates(self) -> None:
        pass

    def _init_instance_info(self, *args: Any, **kwargs: Any) -> None:
        pass


print(','.join(type(one).__name__ for one in HostManager().enabled_filters))
