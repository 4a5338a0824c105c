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

from typing import Any
from unittest import mock

from nova import objects
from nova.network import neutron
import testtools

from nova_arm_migrate.nova.rollback.ports import Ports


class Neutron:
    """The bindings of one port, host to status."""

    def __init__(self, **bindings: str) -> None:
        self.bindings = bindings

    def show_port_binding(self, port: str, host: str) -> Any:
        if host not in self.bindings:
            raise neutron.neutron_client_exc.NeutronClientException(
                status_code=404
            )
        return {'binding': {'status': self.bindings[host]}}

    def activate_port_binding(self, port: str, host: str) -> None:
        self.bindings = dict.fromkeys(self.bindings, 'INACTIVE')
        self.bindings[host] = 'ACTIVE'

    def delete_port_binding(self, port: str, host: str) -> None:
        del self.bindings[host]


class TestPorts(testtools.TestCase):
    def ports(self, client: object, *names: str) -> Ports:
        patcher = mock.patch.object(
            neutron, 'get_client', mock.Mock(return_value=client)
        )
        patcher.start()
        self.addCleanup(patcher.stop)
        data = objects.LibvirtLiveMigrateData()
        if names:
            data.vifs = [
                objects.VIFMigrateData(port_id=name) for name in names
            ]
        return Ports(
            mock.Mock(host='here'), mock.Mock(), mock.Mock(), 'dest', data
        )

    def test_back(self) -> None:
        client = Neutron(here='INACTIVE', dest='ACTIVE')
        self.assertEqual([], list(self.ports(client, 'p').back()))
        self.assertEqual({'here': 'ACTIVE'}, client.bindings)

    def test_there(self) -> None:
        client = Neutron(here='INACTIVE', dest='ACTIVE')
        self.assertEqual([], list(self.ports(client, 'p').there()))
        self.assertEqual({'dest': 'ACTIVE'}, client.bindings)

    def test_without_multiple_bindings(self) -> None:
        client = Neutron()
        self.assertEqual([], list(self.ports(client, 'p').there()))
        self.assertEqual([], list(self.ports(None).back()))

    def test_each_port_that_may_be_wrong_is_named(self) -> None:
        client = mock.Mock()
        client.show_port_binding.side_effect = OSError('away')
        found = list(self.ports(client, 'p', 'q').back())
        self.assertEqual(2, len(found))
        self.assertIn('Port q may still be bound to dest', found[1].text)
