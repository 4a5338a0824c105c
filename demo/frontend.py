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

"""One loopback HTTP server in front of every API of the simulated cloud.

The services sit under path prefixes of one port (``/identity``,
``/compute``, ``/placement``, ``/image``, ``/network``), as devstack puts
them.  nova-api and placement are the real WSGI applications; identity,
image and network are what the ``openstack`` client and keystonemiddleware
need from those services, and no more.
"""

from __future__ import annotations

import collections.abc
import errno
import http.client
import json
import re
import typing as ty
import urllib.parse

from demo import wsgi

PROJECT_ID = '6f70656e737461636b20342065766572'
"""The project of ``nova.tests.fixtures``: its network belongs to it."""

USER_ID = 'c0ffee00c0ffee00c0ffee00c0ffee00'
TOKEN = 'simulated-cloud-token'

Environ: ty.TypeAlias = dict[str, ty.Any]
StartResponse: ty.TypeAlias = collections.abc.Callable[..., ty.Any]
App: ty.TypeAlias = collections.abc.Callable[
    [Environ, StartResponse], collections.abc.Iterable[bytes]
]
Json: ty.TypeAlias = dict[str, ty.Any]


class PortInUse(Exception):
    """The TCP port can't be used; the text names it."""


def respond(
    start_response: StartResponse,
    status: int,
    body: Json,
    *headers: tuple[str, str],
) -> list[bytes]:
    """Answer a request with JSON."""
    data = json.dumps(body).encode()
    start_response(
        f'{status} {http.client.responses[status]}',
        [
            ('Content-Type', 'application/json'),
            ('Content-Length', str(len(data))),
            *headers,
        ],
    )
    return [data]


def query_of(environ: Environ) -> dict[str, str]:
    """Return the parameters after the question mark of a URL."""
    return dict(urllib.parse.parse_qsl(environ.get('QUERY_STRING', '')))


def _base_url(environ: Environ) -> str:
    return (
        f'{environ["wsgi.url_scheme"]}://{environ["HTTP_HOST"]}'
        f'{environ.get("SCRIPT_NAME", "")}'
    )


class Identity:
    """A keystone that knows one administrator and gives one token.

    :param catalog: service type to public URL.
    """

    def __init__(self, catalog: collections.abc.Mapping[str, str]) -> None:
        self._catalog = [
            {
                'id': kind,
                'type': kind,
                'name': kind,
                'endpoints': [
                    {
                        'id': f'{kind}-{interface}',
                        'interface': interface,
                        'region': 'RegionOne',
                        'region_id': 'RegionOne',
                        'url': url,
                    }
                    for interface in ('public', 'internal', 'admin')
                ],
            }
            for kind, url in catalog.items()
        ]

    def _token(self) -> Json:
        domain = {'id': 'default', 'name': 'Default'}
        return {
            'token': {
                'methods': ['password'],
                'audit_ids': ['simulated'],
                'issued_at': '2026-01-01T00:00:00.000000Z',
                'expires_at': '2099-01-01T00:00:00.000000Z',
                'user': {
                    'id': USER_ID,
                    'name': 'admin',
                    'domain': domain,
                    'password_expires_at': None,
                },
                'project': {
                    'id': PROJECT_ID,
                    'name': 'demo',
                    'domain': domain,
                },
                'roles': [
                    {'id': role, 'name': role}
                    for role in (
                        'admin',
                        'manager',
                        'member',
                        'reader',
                        'service',
                    )
                ],
                'is_domain': False,
                'catalog': self._catalog,
            }
        }

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        path = environ['PATH_INFO'].rstrip('/')
        version = {
            'id': 'v3.14',
            'status': 'stable',
            'media-types': [],
            'updated': '2020-04-07T00:00:00Z',
            'links': [{'rel': 'self', 'href': _base_url(environ) + '/v3/'}],
        }
        if path == '':
            return respond(
                start_response, 300, {'versions': {'values': [version]}}
            )
        if path == '/v3':
            return respond(start_response, 200, {'version': version})
        if path == '/v3/auth/tokens':
            if environ['REQUEST_METHOD'] == 'POST':
                return respond(
                    start_response,
                    201,
                    self._token(),
                    ('X-Subject-Token', TOKEN),
                )
            if environ.get('HTTP_X_SUBJECT_TOKEN') == TOKEN:
                return respond(
                    start_response,
                    200,
                    self._token(),
                    ('X-Subject-Token', TOKEN),
                )
        return respond(
            start_response,
            404,
            {
                'error': {
                    'code': 404,
                    'title': 'Not Found',
                    'message': f'not simulated: identity {path}',
                }
            },
        )


class Collection:
    """Read-only list and show of one kind of resource.

    :param version: a path segment (``v2``), and the version that the
        discovery document at the root gives.
    :param plural: name of the list, ``images``.
    :param singular: wrapper of one resource; None for none (glance).
    :param resources: returns the resources, each with ``id`` and ``name``.
    """

    def __init__(
        self,
        version: str,
        plural: str,
        singular: str | None,
        resources: collections.abc.Callable[[], list[Json]],
    ) -> None:
        self._version = version
        self._plural = plural
        self._singular = singular
        self._resources = resources
        self._route = re.compile(
            rf'/{re.escape(version)}/{plural}(?:\.json)?(?:/([^/]+))?$'
        )

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        path = environ['PATH_INFO'].rstrip('/')
        if path in ('', f'/{self._version}'):
            return respond(
                start_response,
                200,
                {
                    'versions': [
                        {
                            'id': self._version,
                            'status': 'CURRENT',
                            'links': [
                                {
                                    'rel': 'self',
                                    'href': (
                                        f'{_base_url(environ)}/'
                                        f'{self._version}/'
                                    ),
                                }
                            ],
                        }
                    ]
                },
            )
        match = self._route.match(path)
        if match and environ['REQUEST_METHOD'] == 'GET':
            wanted = match.group(1)
            if wanted is None:
                query = query_of(environ)
                found = [
                    item
                    for item in self._resources()
                    if all(
                        str(item[key]) == query[key]
                        for key in ('id', 'name')
                        if key in query
                    )
                ]
                return respond(start_response, 200, {self._plural: found})
            for item in self._resources():
                if item['id'] == wanted:
                    return respond(
                        start_response,
                        200,
                        {self._singular: item} if self._singular else item,
                    )
        return respond(
            start_response,
            404,
            {
                'NeutronError': {
                    'type': 'NotFound',
                    'detail': '',
                    'message': f'not simulated: {path}',
                }
            },
        )


class Frontend:
    """The listening socket and the map from path prefixes to services.

    :param port: TCP port on 127.0.0.1; 0 takes a free one.
    :raises PortInUse: another program listens there, or it isn't allowed.
    """

    def __init__(self, port: int = 0) -> None:
        self._apps: dict[str, App] = {}
        try:
            self._server = wsgi.Server(('127.0.0.1', port), self._dispatch)
        except OSError as exc:
            why = (
                'in use by another program'
                if exc.errno == errno.EADDRINUSE
                else exc.strerror
            )
            raise PortInUse(
                f'cannot listen on 127.0.0.1:{port}: {why}'
            ) from None
        self.url = f'http://127.0.0.1:{self._server.server_port}'

    def mount(self, prefix: str, app: App) -> str:
        """Serve an application under a path prefix; return its URL."""
        self._apps[prefix] = app
        return f'{self.url}/{prefix}'

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def _dispatch(
        self, environ: Environ, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        prefix, slash, rest = environ['PATH_INFO'].lstrip('/').partition('/')
        app = self._apps.get(prefix)
        if app is None:
            return respond(
                start_response, 404, {'error': f'no service at /{prefix}'}
            )
        environ['SCRIPT_NAME'] = f'/{prefix}'
        environ['PATH_INFO'] = slash + rest
        return app(environ, start_response)
