# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Users, services and endpoints in keystone, all in one process.

The client would need 30 processes of three seconds each. The names of services
are the arguments; what exists already is kept.
"""

import sys

import openstack
from openstack.identity.v3 import _proxy

from tests.lab.cloud import settings

PROJECT = 'service'


def register(
    identity: _proxy.Proxy,
    catalogue: dict[str, tuple[str, str]],
) -> None:
    """Register services, each with a user of its name.

    :param identity: keystone, as its administrator sees it
    :param catalogue: name -> type, path after the port
    """
    project = identity.find_project(PROJECT) or identity.create_project(
        name=PROJECT, domain_id='default'
    )
    roles = [
        identity.find_role(name) or identity.create_role(name=name)
        for name in ('admin', 'service')
    ]
    for name, (kind, path) in catalogue.items():
        if identity.find_service(name):
            continue
        user = identity.create_user(
            name=name,
            password=settings.PASSWORD,
            domain_id='default',
            default_project_id=project.id,
        )
        for role in roles:
            identity.assign_project_role_to_user(project, user, role)
        service = identity.create_service(name=name, type=kind)
        for interface in ('public', 'internal', 'admin'):
            identity.create_endpoint(
                service_id=service.id,
                interface=interface,
                region_id='RegionOne',
                url=settings.url(name) + path,
            )


if __name__ == '__main__':
    known = settings.CATALOGUE | settings.WATCHER_CATALOGUE
    found = openstack.connect().identity
    assert isinstance(found, _proxy.Proxy)
    register(found, {name: known[name] for name in sys.argv[1:]})
