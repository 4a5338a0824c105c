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

"""An ML2 mechanism driver for the lab's cloud: bind, and nothing else.

Every host has a bridge of Open vSwitch that is plugged into the one network
of the lab. Neutron's agents would be processes of Python on an emulated
host; a flat network without filters leaves them nothing to do.
"""

from typing import Any

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api

BRIDGE = 'br-int'


class LabMechanismDriver(api.MechanismDriver):
    """Binds any normal port of a flat network, wherever it is asked to."""

    def initialize(self) -> None:
        pass

    @property
    def connectivity(self) -> str:
        return str(portbindings.CONNECTIVITY_L2)

    def bind_port(self, context: Any) -> None:
        for segment in context.segments_to_bind:
            if segment[api.NETWORK_TYPE] == 'flat':
                context.set_binding(
                    segment[api.ID],
                    portbindings.VIF_TYPE_OVS,
                    {
                        portbindings.VIF_DETAILS_BRIDGE_NAME: BRIDGE,
                        portbindings.VIF_DETAILS_CONNECTIVITY: (
                            self.connectivity
                        ),
                        portbindings.CAP_PORT_FILTER: False,
                    },
                    status=constants.PORT_STATUS_ACTIVE,
                )
                return
