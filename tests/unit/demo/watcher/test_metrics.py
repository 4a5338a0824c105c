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

import io
import json
from typing import Any
import unittest
from wsgiref import util

from demo.watcher import metrics

GUEST = '5a1b6f8e-0000-4000-8000-000000000001'
OTHER = '5a1b6f8e-0000-4000-8000-000000000002'
#: The queries of watcher.decision_engine.datasources.prometheus_base.
GUEST_CPU = (
    "clamp_max((avg by (resource)(rate(ceilometer_cpu{resource='%s'}"
    '[300s]))/10e+8) *(100/2), 100)'
)
GUEST_MEMORY = "avg_over_time(ceilometer_memory_usage{resource='%s'}[300s])"
HOST_CPU = (
    "100 - (avg by (fqdn)(rate(node_cpu_seconds_total{mode='idle',"
    "fqdn='%s'}[300s])) * 100)"
)
HOST_MEMORY = (
    "(node_memory_MemTotal_bytes{fqdn='%s'} - avg_over_time("
    "node_memory_MemAvailable_bytes{fqdn='%s'}[300s])) / 1024"
)


class TestMetrics(unittest.TestCase):
    def setUp(self) -> None:
        self.metrics = metrics.Metrics(
            8, lambda: {'a': [GUEST, OTHER], 'b': []}
        )
        self.metrics.loads[GUEST] = metrics.Load(80, 2, 1024)
        self.metrics.loads[OTHER] = metrics.Load(40, 1, 512)

    def get(self, path: str, query: str = '') -> Any:
        environ: dict[str, Any] = {
            'PATH_INFO': path,
            'QUERY_STRING': query,
            'wsgi.input': io.BytesIO(),
        }
        util.setup_testing_defaults(environ)
        self.status = ''

        def start(status: str, headers: list[tuple[str, str]]) -> None:
            self.status = status

        return json.loads(b''.join(self.metrics(environ, start)))

    def test_a_guest(self) -> None:
        self.assertEqual(80, self.metrics.value(GUEST_CPU % GUEST))
        self.assertEqual(1024, self.metrics.value(GUEST_MEMORY % GUEST))

    def test_a_host_has_the_load_of_its_guests(self) -> None:
        self.assertEqual((2 * 80 + 40) / 8, self.metrics.value(HOST_CPU % 'a'))
        self.assertEqual(
            1536 * 1024, self.metrics.value(HOST_MEMORY % ('a', 'a'))
        )
        self.assertEqual(0, self.metrics.value(HOST_CPU % 'b'))

    def test_what_is_not_known_has_no_value(self) -> None:
        self.assertIsNone(self.metrics.value(GUEST_CPU % 'nobody'))
        self.assertIsNone(self.metrics.value(HOST_CPU % 'nowhere'))
        self.assertIsNone(self.metrics.value('up'))

    def test_answers_are_those_of_prometheus(self) -> None:
        answer = self.get(
            '/api/v1/query', f'query=ceilometer_cpu{{resource=%27{GUEST}%27}}'
        )
        self.assertEqual('success', answer['status'])
        self.assertEqual('80', answer['data']['result'][0]['value'][1])
        answer = self.get('/api/v1/query', 'query=up')
        self.assertEqual([], answer['data']['result'])
        answer = self.get('/api/v1/targets', 'state=active')
        self.assertEqual(
            ['a', 'b'],
            [
                target['labels']['fqdn']
                for target in answer['data']['activeTargets']
            ],
        )
        self.get('/api/v1/admin/tsdb/snapshot')
        self.assertEqual('404 Not Found', self.status)
