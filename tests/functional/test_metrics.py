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

"""Metrics and notifications of computes in a simulated cloud.

The endpoint is prometheus-client's own. A real Prometheus scrapes it, and
answers the queries of the dashboard, if it is installed.
"""

import contextlib
import json
import pathlib
import queue
import shutil
import socket
import subprocess
import time
from typing import Any
import unittest
import urllib.parse
import urllib.request
import uuid

import fixtures
from nova import rpc
import nova.conf
import oslo_messaging
from prometheus_client import parser

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.monitoring import notifications
from tests.functional import base
from tests.functional import test_baseline
from tests.unit.core import synthetic as s

CONF = nova.conf.CONF
ROOT = pathlib.Path(__file__).parents[2]
FILES = ROOT / 'etc/nova-arm-migrate/monitoring'
SAMPLES = ROOT / 'doc/source/notification_samples'
HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)
PREFIX = 'nova_arm_migrate_'
#: Attempts, a quarter of a second each.
PATIENCE = 240


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def get(url: str) -> bytes:
    # No proxy for a server on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body


class Prometheus(fixtures.Fixture):
    """A Prometheus that scrapes computes every second."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__()
        self._ports = ports

    def _setUp(self) -> None:
        self._directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path
        )
        config = self._directory / 'prometheus.json'
        # YAML is a superset of JSON.
        config.write_text(
            json.dumps(
                {
                    'global': {
                        'scrape_interval': '1s',
                        'evaluation_interval': '1s',
                    },
                    'rule_files': [str(FILES / 'prometheus-alerts.yaml')],
                    'scrape_configs': [
                        {
                            'job_name': 'nova-arm-migrate',
                            'static_configs': [
                                {
                                    'targets': [
                                        f'127.0.0.1:{port}'
                                        for port in self._ports
                                    ]
                                }
                            ],
                        }
                    ],
                }
            )
        )
        port = free_port()
        self._url = f'http://127.0.0.1:{port}/api/v1'
        with (self._directory / 'log').open('w') as log:
            server = subprocess.Popen(
                [
                    'prometheus',
                    f'--config.file={config}',
                    f'--storage.tsdb.path={self._directory / "data"}',
                    f'--web.listen-address=127.0.0.1:{port}',
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

    def ask(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        return json.loads(get(f'{self._url}/{path}?{query}'))['data']

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask('query', query=expression)[
            'result'
        ]
        return found

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """Return the answer when it is not empty any more."""
        for _ in range(PATIENCE):
            with contextlib.suppress(OSError):
                if found := self.query(expression):
                    return found
            time.sleep(0.25)
        raise AssertionError(
            f'no answer to {expression}\n'
            + (self._directory / 'log').read_text()
        )


class MetricsTestBase(base.ArmServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.ports: dict[str, int] = {}

    def host(self, name: str, profile: Host, *args: Any, **kw: Any) -> str:
        """Start a compute with a port of its own for its metrics."""
        self.ports[name] = free_port()
        self.flags(metrics_port=self.ports[name], group='arm_migrate')
        host = super().host(name, profile, *args, **kw)
        self.addCleanup(self.computes[name].driver.cleanup_host, name)
        return host

    def restart(self, name: str) -> None:
        """Restart a compute as its service does, on its own port."""
        # Nova's fixtures leave it out.
        self.computes[name].driver.cleanup_host(name)
        self.flags(metrics_port=self.ports[name], group='arm_migrate')
        self.restart_compute_service(name)
        self.addCleanup(self.computes[name].driver.cleanup_host, name)

    def scrape(self, name: str) -> dict[tuple[Any, ...], float]:
        """Return the value of each series that is not 0."""
        text = get(f'http://127.0.0.1:{self.ports[name]}/metrics').decode()
        return {
            (
                sample.name.removeprefix(PREFIX),
                *(value for _, value in sorted(sample.labels.items())),
            ): sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
            if sample.value and not sample.name.endswith('_created')
        }

    def moves(self) -> dict[str, Any]:
        """One migration that succeeds, one refused, and one rolled back."""
        self.host('host-a', HOST)
        self.host('host-b', HOST)
        self.host('host-c', LESSER)
        server = self.boot('host-a')
        self.assertEqual('host-b', self.migrate(server, 'host-b'))
        self.refused(server, 'host-c', 'arm64: ID_AA64ISAR0_EL1.TS')
        self.flags(enforcement='warn', group='arm_migrate')
        self.assertEqual(
            'host-b', self.migrate(server, 'host-c', state='failed')
        )
        self.arm.hosts['host-c'].connection.refusals.clear()
        return server


class TestMetrics(MetricsTestBase):
    def test_what_happened_is_counted_where_it_happened(self) -> None:
        self.moves()
        a, b, c = (self.scrape(f'host-{name}') for name in 'abc')
        self.assertEqual(1, a['migrations_total', 'left', 'settled'])
        self.assertEqual(1, b['migrations_total', 'stayed', 'settled'])
        self.assertEqual(1, b['prechecks_total', 'accept', 'compatible'])
        self.assertEqual(1, b['trials_total', 'accepted'])
        self.assertEqual(1, c['prechecks_total', 'refuse', 'incompatible'])
        self.assertEqual(1, c['prechecks_total', 'warn', 'incompatible'])
        self.assertEqual(
            2, c['findings_total', 'ID_AA64ISAR0_EL1.TS', 'blocks']
        )
        self.assertEqual(2, c['trials_total', 'refused'])
        self.assertEqual(2, c['trial_duration_seconds_count',])
        for host in (a, b, c):
            self.assertEqual(1, host['host_recorded',])
            self.assertEqual(1, host['host_record_requests_total', 'probed'])
            self.assertLess(0, host['host_record_requests_total', 'cached'])


class TestDriftIsShown(test_baseline.BaselineTestBase, MetricsTestBase):
    def test_a_baseline_that_the_host_lost(self) -> None:
        self.pool()
        server = self.boot('v1', extra_specs=test_baseline.ON_POOL)
        self.assertEqual(1, self.scrape('v1')['baselines', 'offered'])
        (self.files / 'pool-1.json').unlink()
        self.restart('v1')
        self.assertEqual(1, self.scrape('v1')['drifted_guests', 'lost'])
        # Its last guest on the baseline has gone.
        self.api.delete_server(server['id'])
        self._wait_until_deleted(server)
        self._run_periodics()
        self.assertNotIn(('drifted_guests', 'lost'), self.scrape('v1'))


@unittest.skipUnless(
    shutil.which('prometheus'),
    'prometheus is not installed (bindep -b metrics)',
)
class TestPrometheus(MetricsTestBase):
    def test_the_dashboard_and_the_alerts(self) -> None:
        server = self.moves()
        prometheus = self.useFixture(Prometheus([*self.ports.values()]))
        prometheus.wait_for('count(up == 1) == 3')
        # Something has to happen between two scrapes.
        self.flags(enforcement='enforce', group='arm_migrate')
        self.refused(server, 'host-c', 'arm64: ID_AA64ISAR0_EL1.TS')
        self.assertEqual('host-a', self.migrate(server, 'host-a'))
        prometheus.wait_for(
            'count(increase('
            'nova_arm_migrate_prechecks_total{action="refuse"}[5m]) > 0)'
        )
        prometheus.wait_for(
            'count(increase('
            'nova_arm_migrate_migrations_total{guest="left"}[5m]) > 0)'
        )
        dashboard = json.loads((FILES / 'grafana-dashboard.json').read_text())
        empty = []
        for panel in dashboard['panels']:
            for target in panel['targets']:
                expression = (
                    target['expr']
                    .replace('$__rate_interval', '5m')
                    .replace('$__range', '5m')
                    .replace('$instance', '.*')
                )
                if not prometheus.query(expression):
                    empty.append(panel['title'])
        # They show only what has happened, and neither has.
        self.assertEqual(
            ['Guests that drift from their baseline', 'Rule and trial differ'],
            empty,
        )
        (group,) = prometheus.ask('rules')['groups']
        self.assertEqual(5, len(group['rules']))
        self.assertEqual({'ok'}, {rule['health'] for rule in group['rules']})

    def test_promtool_finds_nothing_to_complain_about(self) -> None:
        self.host('host-a', HOST)
        ran = subprocess.run(
            ['promtool', 'check', 'metrics'],
            input=get(f'http://127.0.0.1:{self.ports["host-a"]}/metrics'),
            capture_output=True,
        )
        self.assertEqual(
            (0, b'', b''), (ran.returncode, ran.stdout, ran.stderr)
        )


class NotificationsTestBase(base.ArmServersTestBase):
    """Through oslo.messaging, to a listener as a consumer has it."""

    def setUp(self) -> None:
        super().setUp()
        self.flags(notification_format='versioned', group='notifications')
        transport = oslo_messaging.get_notification_transport(
            CONF, url='fake:///'
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.rpc.NOTIFIER',
                oslo_messaging.Notifier(
                    transport,
                    serializer=rpc.RequestContextSerializer(
                        rpc.JsonPayloadSerializer()
                    ),
                    driver='messagingv2',
                    topics=['versioned_notifications'],
                ),
            )
        )
        self.received: queue.Queue[tuple[Any, ...]] = queue.Queue()
        listener = oslo_messaging.get_notification_listener(
            transport,
            [oslo_messaging.Target(topic='versioned_notifications')],
            [self],
            executor='threading',
        )
        listener.start()
        self.addCleanup(listener.wait)
        self.addCleanup(listener.stop)

    # What a consumer has for each priority.

    def info(self, *_: Any) -> None:
        """Leave out Nova's own."""

    def warn(
        self,
        _context: Any,
        publisher: str,
        event_type: str,
        payload: Any,
        _metadata: Any,
    ) -> None:
        self.received.put((publisher, event_type, payload))

    error = warn

    def check_sample(
        self, name: str, payload: dict[str, Any], server: dict[str, Any]
    ) -> None:
        """Check that the documentation shows the payload, but for the ids."""
        text = json.dumps(payload, indent=2, sort_keys=True)
        for number, unlike in enumerate((server['id'], server['tenant_id'])):
            text = text.replace(unlike, str(uuid.UUID(int=number + 1)))
        self.assertEqual(f'{text}\n', (SAMPLES / f'{name}.json').read_text())

    def next(self, event_type: str) -> tuple[str, dict[str, Any]]:
        while True:
            publisher, found, payload = self.received.get(timeout=60)
            if found == event_type:
                return publisher, payload


class TestNotifications(NotificationsTestBase):
    def test_a_refusal(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', LESSER)
        server = self.boot('host-a')
        self.refused(server, 'host-b', 'arm64: ID_AA64ISAR0_EL1.TS')
        publisher, payload = self.next(notifications.REFUSED)
        self.assertEqual(f'nova-compute:{CONF.host}', publisher)
        self.assertEqual(
            ('ArmRefusalPayload', 'nova_arm_migrate', '1.0'),
            tuple(
                payload[f'nova_object.{key}']
                for key in ('name', 'namespace', 'version')
            ),
        )
        data = payload['nova_object.data']
        self.assertEqual(
            (server['id'], 'host-a', 'host-b', 'incompatible', 0),
            tuple(
                data[key]
                for key in (
                    'instance_uuid',
                    'source',
                    'destination',
                    'verdict',
                    'findings_left_out',
                )
            ),
        )
        (finding,) = data['findings']
        self.assertEqual(
            'ID_AA64ISAR0_EL1.TS', finding['nova_object.data']['field']
        )
        self.check_sample('live_migration-refused', payload, server)

    def test_none_if_nova_sends_none(self) -> None:
        self.flags(notification_format='unversioned', group='notifications')
        self.host('host-a', HOST)
        self.host('host-b', LESSER)
        server = self.boot('host-a')
        self.refused(server, 'host-b', 'arm64: ID_AA64ISAR0_EL1.TS')
        self.assertTrue(self.received.empty())


class TestDriftIsTold(NotificationsTestBase, test_baseline.BaselineTestBase):
    def test_drift(self) -> None:
        self.pool()
        server = self.boot('v1', extra_specs=test_baseline.ON_POOL)
        (self.files / 'pool-1.json').unlink()
        self.restart_compute_service('v1')
        _, payload = self.next(notifications.DRIFT)
        data = payload['nova_object.data']
        self.assertEqual(
            {
                'host': 'v1',
                'baseline': 'pool-1/1',
                'next_baseline': None,
                'reason': 'this host has no file of this name',
                'instance_uuids': [server['id']],
                'instances_left_out': 0,
            },
            data,
        )
        self.check_sample('baseline-drift', payload, server)
