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

"""The overrides for metrics.

`LayoutDriver` extends this class. On a host that is not aarch64 with
``[libvirt] virt_type = kvm`` each override only calls its parent.
"""

from typing import Any

import nova.conf
from nova.objects import fields
from nova.virt.libvirt import driver as libvirt_driver

from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.monitoring import endpoint
from nova_arm_migrate.nova.monitoring.metrics import Metrics

CONF = nova.conf.CONF


class MonitoredDriver(libvirt_driver.LibvirtDriver):
    """LibvirtDriver with metrics.

    :ivar metrics: of this compute
    """

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        """Count nothing yet."""
        super().__init__(virtapi, read_only)
        self.metrics = Metrics()
        self._endpoint: endpoint.Endpoint | None = None

    def _is_arm_kvm(self) -> bool:
        return bool(
            CONF.libvirt.virt_type == 'kvm'
            and self._host.get_capabilities().host.cpu.arch
            == fields.Architecture.AARCH64
        )

    def init_host(self, host: str) -> None:
        """Serve the metrics from the start of the service, if wanted."""
        super().init_host(host)
        if self._is_arm_kvm():
            settings = conf.current(CONF)
            self._endpoint = endpoint.start(
                self.metrics, settings.metrics_address, settings.metrics_port
            )

    def cleanup_host(self, host: str) -> None:
        """Free the port at the end of the service."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
        super().cleanup_host(host)
