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

import builtins
import socket
import subprocess
import sys
from typing import Any
import unittest
from unittest import mock
import urllib.error
import urllib.request

from nova_arm_migrate.nova.monitoring import endpoint
from nova_arm_migrate.nova.monitoring import metrics

#: In a process of its own: eventlet patches the whole process. `socketserver`
#: is imported first, which makes the standard library's server stop the loop.
GREEN = """
import socketserver
import eventlet
eventlet.monkey_patch()
import urllib.request
from nova_arm_migrate.nova.monitoring import endpoint, metrics
counts = metrics.Metrics()
served = endpoint.start(counts, '127.0.0.1', {port})
counts.migrated('left', True)
url = f'http://127.0.0.1:{{served.port}}/metrics'
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
print(opener.open(url, timeout=30).read().decode())
served.close()
eventlet.listen(('127.0.0.1', served.port)).close()
print('closed')
"""

#: The same, with a port that another process of eventlet's serves.
GREEN_TAKEN = """
import eventlet
eventlet.monkey_patch()
from nova_arm_migrate.nova.monitoring import endpoint, metrics
other = eventlet.listen(('127.0.0.1', {port}))
print(endpoint.start(metrics.Metrics(), '127.0.0.1', {port}))
"""

GREEN_NO_ADDRESS = """
import eventlet
eventlet.monkey_patch()
from nova_arm_migrate.nova.monitoring import endpoint, metrics
print(endpoint.start(metrics.Metrics(), '', {port}))
"""


def free_port(family: int = socket.AF_INET) -> int:
    with socket.socket(family) as probe:
        probe.bind(('127.0.0.1' if family == socket.AF_INET else '::1', 0))
        port: int = probe.getsockname()[1]
        return port


def run_green(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program, with a free port, in a process of its own."""
    return subprocess.run(
        [sys.executable, '-c', program.format(port=free_port())],
        capture_output=True,
        text=True,
        timeout=120,
    )


def scrape(port: int, address: str = '127.0.0.1') -> str:
    # No proxy for a server on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f'http://{address}:{port}/metrics', timeout=30) as answer:
        text: str = answer.read().decode()
        return text


class TestEndpoint(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.metrics = metrics.Metrics()

    def start(self, port: int, address: str = '127.0.0.1') -> Any:
        served = endpoint.start(self.metrics, address, port)
        if served is not None:
            self.addCleanup(served.close)
        return served

    def test_it_is_off_by_default(self) -> None:
        self.assertIsNone(self.start(0))

    def test_what_is_counted_is_served(self) -> None:
        served = self.start(free_port())
        self.metrics.migrated('stayed', True)
        self.assertIn(
            'nova_arm_migrate_migrations_total'
            '{guest="stayed",outcome="settled"} 1.0',
            scrape(served.port),
        )

    def test_an_address_of_ipv6(self) -> None:
        try:
            port = free_port(socket.AF_INET6)
        except OSError:
            self.skipTest('no IPv6 on this machine')
        served = self.start(port, '::1')
        self.assertIn('nova_arm_migrate', scrape(served.port, '[::1]'))

    def test_a_closed_endpoint_frees_its_port(self) -> None:
        port = free_port()
        served = endpoint.start(self.metrics, '127.0.0.1', port)
        assert served is not None
        served.close()
        with self.assertRaises(urllib.error.URLError):
            scrape(port)
        self.assertIsNotNone(self.start(port))

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
            with self.assertLogs(endpoint.LOG.logger, 'ERROR') as caught:
                self.assertIsNone(self.start(port))
        (line,) = caught.output
        self.assertIn(f'on 127.0.0.1, port {port}: ', line)
        self.assertIn('metrics_address or metrics_port', line)

    def test_nothing_is_counted_that_nobody_serves(self) -> None:
        registries = []
        start = self.metrics.start

        def started() -> Any:
            registries.append(start())
            return registries[0]

        with (
            socket.create_server(('127.0.0.1', 0)) as taken,
            mock.patch.object(self.metrics, 'start', started),
            self.assertLogs(endpoint.LOG.logger, 'ERROR'),
        ):
            self.assertIsNone(self.start(taken.getsockname()[1]))
        self.metrics.migrated('left', True)
        self.assertEqual(
            0,
            registries[0].get_sample_value(
                'nova_arm_migrate_migrations_total',
                {'guest': 'left', 'outcome': 'settled'},
            ),
        )

    def test_an_address_that_this_host_does_not_have(self) -> None:
        for address in ('192.0.2.1', 'no address', ''):
            with self.subTest(address):
                with self.assertLogs(endpoint.LOG.logger, 'ERROR') as caught:
                    self.assertIsNone(self.start(free_port(), address))
                self.assertEqual(1, len(caught.output))

    def test_no_address_on_eventlet(self) -> None:
        """It must not mean all addresses."""
        ran = run_green(GREEN_NO_ADDRESS)
        self.assertEqual('None\n', ran.stdout, ran.stderr)

    def test_the_library_is_not_installed(self) -> None:
        real = builtins.__import__

        def without(name: str, *args: Any, **kwargs: Any) -> Any:
            if name.startswith('prometheus_client'):
                raise ModuleNotFoundError(f'No module named {name!r}')
            return real(name, *args, **kwargs)

        with (
            mock.patch.object(builtins, '__import__', without),
            self.assertLogs(endpoint.LOG.logger, 'ERROR') as caught,
        ):
            self.assertIsNone(self.start(free_port()))
        (line,) = caught.output
        self.assertIn("No module named 'prometheus_client'", line)
        self.assertIn('Install nova-arm-migrate[metrics].', line)
        # It counts nothing, and nothing fails.
        self.metrics.migrated('left', True)

    def test_on_eventlet(self) -> None:
        ran = run_green(GREEN)
        self.assertEqual(0, ran.returncode, ran.stderr)
        self.assertIn(
            'nova_arm_migrate_migrations_total'
            '{guest="left",outcome="settled"} 1.0',
            ran.stdout,
        )
        self.assertTrue(ran.stdout.endswith('closed\n'))

    def test_a_port_that_is_taken_on_eventlet(self) -> None:
        ran = run_green(GREEN_TAKEN)
        self.assertEqual(0, ran.returncode, ran.stderr)
        self.assertEqual('None\n', ran.stdout)
        self.assertIn('Cannot serve metrics on 127.0.0.1, port', ran.stderr)
