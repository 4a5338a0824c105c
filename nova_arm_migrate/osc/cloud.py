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

"""Read hosts, services and servers from Nova's API.

What the API returns about a host comes from that host, which is not trusted.
Names become printable text of bounded length here. Only identifiers and names
that the user has typed become a part of an URL.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import datetime
import email.utils
import re
from typing import Any
from urllib.parse import quote
import uuid

from openstack import exceptions

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.osc.records import CloudHost
from nova_arm_migrate.osc.records import printable
from nova_arm_migrate.osc.records import Reader

#: The newest microversion that shows ``cpu_info``.
MICROVERSION = '2.87'
#: The newest microversion that shows ``cpu_info`` as the text that the
#: database has. Nova parses it in later ones, and answers 500 if it is not
#: JSON on only one host.
_AS_TEXT = '2.27'
#: Hosts per request; Nova's default ``max_limit``.
_PAGE = 1000


class Cloud:
    """What Nova's API knows.

    Every method raises `openstack.exceptions.HttpException` if the API
    refuses a request.

    :param compute: the SDK's adapter for Nova's API
    """

    def __init__(self, compute: Any) -> None:
        self._compute = compute

    def hosts(self, ages: bool = False) -> list[CloudHost]:
        """Return the Arm64 hosts, by name.

        :param ages: also ask how long ago each service reported
        """
        reader = Reader(self._ages() if ages else {})
        hosts = [
            host
            for row in self._hypervisors()
            if (host := reader.host(row)) is not None
        ]
        hosts.sort(key=lambda host: host.name)
        return hosts

    def server(self, name: str) -> Mapping[str, Any]:
        """Return a server by its name or ID, as the API shows it.

        :raises CommandError: if there is none, or more than one
        """
        if _is_uuid(name):
            response = self._get(f'/servers/{quote(name, safe="")}')
            if response.status_code != 404:
                return _object(_content(response), 'server')
        response = self._get(
            '/servers/detail',
            {'name': f'^{re.escape(name)}$', 'all_tenants': 'True'},
        )
        found = [
            server
            for server in _objects(_content(response), 'servers')
            if server.get('name') == name
        ]
        if len(found) != 1:
            number = 'no server' if not found else f'{len(found)} servers'
            raise CommandError(
                f'{number} with the name or ID {printable(name)}'
                + ('; use the ID' if found else '')
            )
        return found[0]

    def server_by_id(self, server_id: str) -> Mapping[str, Any] | None:
        """Return a server, None if it does not exist any more."""
        response = self._get(f'/servers/{quote(server_id, safe="")}')
        if response.status_code == 404:
            return None
        return _object(_content(response), 'server')

    def servers_on(self, host: str) -> list[Mapping[str, Any]]:
        """Return the servers of a host, as the API shows them.

        :param host: of the compute service, as the API writes it
        """
        query = {'host': host, 'all_tenants': 'True', 'limit': str(_PAGE)}
        found: list[Mapping[str, Any]] = []
        while True:
            content = _content(self._get('/servers/detail', query))
            rows = _objects(content, 'servers')
            # To those who may not see hosts, Nova shows all servers.
            found += [
                row for row in rows if row.get('OS-EXT-SRV-ATTR:host') == host
            ]
            if not rows or not content.get('servers_links'):
                return found
            query['marker'] = str(rows[-1].get('id'))

    def live_migrate(self, server_id: str, host: str) -> None:
        """Ask Nova to live-migrate a server to a host.

        Nova's scheduler and both computes check the move as always.
        """
        exceptions.raise_from_response(
            self._compute.post(
                f'/servers/{quote(server_id, safe="")}/action',
                json={
                    'os-migrateLive': {
                        'host': host,
                        'block_migration': 'auto',
                    }
                },
                microversion=MICROVERSION,
            )
        )

    def last_migration(self, server_id: str) -> Mapping[str, Any] | None:
        """Return the newest live migration of a server, None without one."""
        response = self._get(
            '/os-migrations',
            {
                'instance_uuid': server_id,
                'migration_type': 'live-migration',
                'limit': '1',
            },
        )
        found = _objects(_content(response), 'migrations')
        return found[0] if found else None

    def last_request(self, server_id: str) -> str:
        """Return the ID of the newest request to live-migrate a server."""
        actions = _objects(
            _content(self._get(_actions(server_id))), 'instanceActions'
        )
        return next(
            (
                str(one.get('request_id'))
                for one in actions
                if one.get('action') == 'live-migration'
            ),
            '',
        )

    def problem(self, server_id: str, request: str) -> str:
        """Return why a request about a server failed; empty if unknown.

        It is the text of the instance action event with an error. If the user
        may not see events, it is the message of the action.
        """
        shown = _object(
            _content(
                self._get(f'{_actions(server_id)}/{quote(request, safe="")}')
            ),
            'instanceAction',
        )
        events = shown.get('events')
        for event in events if isinstance(events, list) else ():
            if isinstance(event, dict) and event.get('result') == 'Error':
                return printable(event.get('details') or event.get('event'))
        return printable(shown.get('message') or '')

    def _hypervisors(self) -> Iterator[Mapping[str, Any]]:
        """Yield every host, page by page."""
        query = {'limit': str(_PAGE)}
        while True:
            response = self._get('/os-hypervisors/detail', query)
            if response.status_code == 500 and 'marker' not in query:
                response = self._get(
                    '/os-hypervisors/detail', {}, microversion=_AS_TEXT
                )
            content = _content(response)
            rows = _objects(content, 'hypervisors')
            yield from rows
            if not rows or not content.get('hypervisors_links'):
                return
            query['marker'] = str(rows[-1].get('id'))

    def _ages(self) -> dict[str, float]:
        """Return the seconds since each compute service reported, by host.

        The clock is the API's, if its answer says the time.
        """
        response = self._get('/os-services', {'binary': 'nova-compute'})
        services = _objects(_content(response), 'services')
        now = _date(response.headers.get('Date'))
        ages = {}
        for service in services:
            try:
                then = datetime.datetime.fromisoformat(
                    str(service.get('updated_at'))
                ).replace(tzinfo=datetime.timezone.utc)
            except ValueError:
                continue
            ages[str(service.get('host'))] = max(
                0.0, (now - then).total_seconds()
            )
        return ages

    def _get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        microversion: str = MICROVERSION,
    ) -> Any:
        return self._compute.get(
            path, params=dict(query or {}), microversion=microversion
        )


def _actions(server_id: str) -> str:
    return f'/servers/{quote(server_id, safe="")}/os-instance-actions'


def _content(response: Any) -> Mapping[str, Any]:
    """Return an answer's JSON object.

    :raises openstack.exceptions.HttpException: if the API has refused
    :raises CommandError: if the answer is no JSON object
    """
    exceptions.raise_from_response(response)
    try:
        content = response.json()
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CommandError("the API's answer is not a JSON object")
    return content


def _objects(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = content.get(key)
    if not isinstance(found, list):
        raise CommandError(f"the API's answer has no list of {key}")
    return [one for one in found if isinstance(one, dict)]


def _object(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key)
    if not isinstance(found, dict):
        raise CommandError(f"the API's answer has no {key}")
    return found


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _date(header: str | None) -> datetime.datetime:
    """Return the time of an HTTP header, or of this machine's clock."""
    try:
        found = email.utils.parsedate_to_datetime(header or '')
    except ValueError:
        return datetime.datetime.now(datetime.timezone.utc)
    return (
        found.replace(tzinfo=datetime.timezone.utc)
        if found.tzinfo is None
        else found
    )
