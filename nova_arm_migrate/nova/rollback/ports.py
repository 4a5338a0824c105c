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

"""A guest's ports after a live migration."""

from collections.abc import Iterator
from typing import Any

from nova import objects
from nova.network import neutron

from nova_arm_migrate.nova.rollback.problem import Problem

_NOT_FOUND = 404


class Ports:
    """The port bindings of one guest, in Neutron.

    :param manager: ``nova.compute.manager.ComputeManager`` of the source
    :param dest: name of the destination
    """

    def __init__(
        self,
        manager: Any,
        context: Any,
        instance: Any,
        dest: str,
        migrate_data: Any,
    ) -> None:
        self._manager = manager
        self._context = context
        self._instance = instance
        self._dest = dest
        self._data = migrate_data

    def back(self) -> Iterator[Problem]:
        """Leave each port only the binding of this host."""
        return self._bindings(self._manager.host, self._dest)

    def there(self) -> Iterator[Problem]:
        """Leave each port only the binding of the destination."""
        return self._bindings(self._dest, self._manager.host)

    def _bindings(self, here: str, elsewhere: str) -> Iterator[Problem]:
        """Leave each port only the binding of one host."""
        data = self._data
        ports = (
            [vif.port_id for vif in data.vifs]
            if 'vifs' in data and data.vifs
            else []
        )
        if not ports:
            return
        client = neutron.get_client(self._context, admin=True)
        for port in ports:
            try:
                wanted = _binding(client, port, here)
                if wanted is not None and wanted['status'] != 'ACTIVE':
                    client.activate_port_binding(port, here)
                if _binding(client, port, elsewhere) is not None:
                    client.delete_port_binding(port, elsewhere)
            except Exception as error:
                yield Problem(
                    'ports',
                    f'Port {port} may still be bound to {elsewhere}'
                    f' ({type(error).__name__}: {error})',
                )

    def migrate(self) -> None:
        """Do the manager's work for the ports of a guest that has left."""
        migration = objects.Migration(
            source_compute=self._manager.host,
            dest_compute=self._dest,
            migration_type='live-migration',
        )
        network = self._manager.network_api
        network.migrate_instance_start(
            self._context, self._instance, migration
        )
        network.migrate_instance_finish(
            self._context, self._instance, migration, provider_mappings=None
        )
        network.setup_networks_on_host(
            self._context, self._instance, self._manager.host, teardown=True
        )


def _binding(client: Any, port: str, host: str) -> Any:
    """Return a port's binding to a host; None if it has none."""
    try:
        return client.show_port_binding(port, host)['binding']
    except neutron.neutron_client_exc.NeutronClientException as error:
        if error.status_code == _NOT_FOUND:
            return None
        raise
