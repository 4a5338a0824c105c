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

from collections.abc import Callable
import io
import json
import socket
from typing import Any
import unittest
import urllib.error
import urllib.request

from demo import frontend

IMAGES = [{'id': 'a-1', 'name': 'debian'}, {'id': 'b-2', 'name': 'fedora'}]


def call(
    app: Callable[..., Any],
    path: str,
    method: str = 'GET',
    query: str = '',
    **headers: str,
) -> tuple[str, dict[str, str], Any]:
    """Call an application. :returns: (status line, headers, JSON)"""
    seen: dict[str, Any] = {}

    def start_response(
        status: str, response_headers: list[tuple[str, str]]
    ) -> None:
        seen['status'], seen['headers'] = status, dict(response_headers)

    body = b''.join(
        app(
            {
                'PATH_INFO': path,
                'REQUEST_METHOD': method,
                'QUERY_STRING': query,
                'wsgi.url_scheme': 'http',
                'HTTP_HOST': '127.0.0.1:1',
                'SCRIPT_NAME': '/there',
                'wsgi.input': io.BytesIO(),
                **headers,
            },
            start_response,
        )
    )
    return seen['status'], seen['headers'], json.loads(body)


class TestIdentity(unittest.TestCase):
    def setUp(self) -> None:
        self.app = frontend.Identity({'compute': 'http://c', 'image': 'i'})

    def test_discovery_leads_to_version_3(self) -> None:
        status, _headers, body = call(self.app, '/')
        self.assertEqual('300 Multiple Choices', status)
        (version,) = body['versions']['values']
        self.assertEqual(
            'http://127.0.0.1:1/there/v3/', version['links'][0]['href']
        )
        self.assertEqual(version, call(self.app, '/v3/')[2]['version'])

    def test_token_names_every_service(self) -> None:
        status, headers, body = call(self.app, '/v3/auth/tokens', 'POST')
        self.assertEqual('201 Created', status)
        self.assertEqual(frontend.TOKEN, headers['X-Subject-Token'])
        self.assertEqual(
            {'compute': 'http://c', 'image': 'i'},
            {
                entry['type']: entry['endpoints'][0]['url']
                for entry in body['token']['catalog']
            },
        )

    def test_its_own_token_is_valid_and_no_other(self) -> None:
        for token, expected in (
            (frontend.TOKEN, '200 OK'),
            ('forged', '404 Not Found'),
        ):
            with self.subTest(token=token):
                self.assertEqual(
                    expected,
                    call(
                        self.app, '/v3/auth/tokens', HTTP_X_SUBJECT_TOKEN=token
                    )[0],
                )


class TestCollection(unittest.TestCase):
    def setUp(self) -> None:
        self.glance = frontend.Collection('v2', 'images', None, lambda: IMAGES)
        self.neutron = frontend.Collection(
            'v2.0', 'networks', 'network', lambda: IMAGES
        )

    def test_list(self) -> None:
        self.assertEqual(
            {'images': IMAGES}, call(self.glance, '/v2/images')[2]
        )

    def test_list_by_name(self) -> None:
        self.assertEqual(
            {'images': IMAGES[1:]},
            call(self.glance, '/v2/images', query='name=fedora&limit=1')[2],
        )

    def test_show_is_wrapped_as_the_service_does(self) -> None:
        self.assertEqual(IMAGES[0], call(self.glance, '/v2/images/a-1')[2])
        self.assertEqual(
            {'network': IMAGES[0]}, call(self.neutron, '/v2.0/networks/a-1')[2]
        )

    def test_discovery(self) -> None:
        (version,) = call(self.neutron, '/')[2]['versions']
        self.assertEqual('v2.0', version['id'])

    def test_nothing_else(self) -> None:
        for path, method in (
            ('/v2/images/c-3', 'GET'),
            ('/v2/x', 'GET'),
            ('/v2/images', 'POST'),
        ):
            with self.subTest(path=path, method=method):
                self.assertEqual(
                    '404 Not Found', call(self.glance, path, method)[0]
                )


class TestFrontend(unittest.TestCase):
    def setUp(self) -> None:
        self.frontend = frontend.Frontend()
        self.addCleanup(self.frontend.stop)
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({})
        )

    def get(self, url: str) -> Any:
        with self.opener.open(url, timeout=30) as answer:
            return json.load(answer)

    def test_services_share_a_port_by_their_prefixes(self) -> None:
        def echo(
            environ: dict[str, Any], start_response: Callable[..., Any]
        ) -> list[bytes]:
            start_response('200 OK', [])
            return [
                json.dumps(
                    [environ['SCRIPT_NAME'], environ['PATH_INFO']]
                ).encode()
            ]

        one = self.frontend.mount('one', echo)
        two = self.frontend.mount('two', echo)
        self.frontend.start()
        self.assertEqual(['/one', '/a/b'], self.get(f'{one}/a/b'))
        self.assertEqual(['/two', ''], self.get(two))
        with self.assertRaises(urllib.error.HTTPError) as raised:
            self.get(f'{self.frontend.url}/three')
        self.assertEqual(404, raised.exception.code)

    def test_a_port_in_use_is_said_in_one_line(self) -> None:
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            with self.assertRaises(frontend.PortInUse) as raised:
                frontend.Frontend(port)
        self.assertEqual(
            f'cannot listen on 127.0.0.1:{port}: in use by another program',
            str(raised.exception),
        )

    def test_it_listens_on_loopback_only(self) -> None:
        self.assertTrue(self.frontend.url.startswith('http://127.0.0.1:'))
