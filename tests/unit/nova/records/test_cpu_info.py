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

"""The host record in cpu_info, read as if a hostile host had written it."""

import json
import unittest

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.records import cpu_info
from tests.unit.core import synthetic

CPU_INFO = json.dumps(
    {
        'arch': 'aarch64',
        'model': None,
        'vendor': 'ARM',
        'topology': {'cells': 1, 'sockets': 1, 'cores': 8, 'threads': 1},
        'features': ['sha2', 'aes', 'fp'],
    }
)


class TestPut(unittest.TestCase):
    def test_round_trip(self) -> None:
        host = synthetic.host()
        self.assertEqual(
            host, cpu_info.take_host(cpu_info.put_host(CPU_INFO, host))
        )

    def test_what_nova_put_there_stays(self) -> None:
        before = json.loads(CPU_INFO)
        after = json.loads(cpu_info.put_host(CPU_INFO, synthetic.host()))
        del after['arm_migrate']
        self.assertEqual(before | {'features': ['aes', 'fp', 'sha2']}, after)

    def test_the_same_host_gives_the_same_bytes(self) -> None:
        other = json.loads(CPU_INFO)
        other['features'].reverse()
        self.assertEqual(
            cpu_info.put_host(CPU_INFO, synthetic.host()),
            cpu_info.put_host(json.dumps(other), synthetic.host()),
        )

    def test_it_is_small(self) -> None:
        text = cpu_info.put_host(CPU_INFO, synthetic.host())
        self.assertLess(len(text), 4096 + len(CPU_INFO))


class TestTake(unittest.TestCase):
    def refused(self, text: str | None, words: str) -> None:
        with self.assertRaisesRegex(cpu_info.NoHostRecord, words) as caught:
            cpu_info.take_host(text)
        self.assertNotIn('\n', str(caught.exception))
        self.assertLess(len(str(caught.exception)), 200)

    def test_nothing_there(self) -> None:
        self.refused(None, 'nothing is known')
        self.refused('', 'nothing is known')

    def test_stock_nova(self) -> None:
        self.refused(CPU_INFO, 'nova-arm-migrate does not run there')

    def test_damaged(self) -> None:
        for text in ('{', '[1]', '"x"', '7', 'null', '[' * 100000):
            with self.subTest(text[:20]):
                self.refused(text, 'not JSON|no record')
        records: tuple[object, ...] = (
            [],
            'x',
            7,
            {},
            {'schema': 1},
            {'schema': 1, 'kind': 'guest'},
            {'schema': 1, 'kind': 'host', 'values': {'x': 'y'}},
        )
        for record in records:
            with self.subTest(record):
                self.refused(
                    json.dumps({'arm_migrate': record}), 'cannot be read'
                )

    def test_a_key_that_is_there_twice(self) -> None:
        text = cpu_info.put_host(CPU_INFO, synthetic.host())
        self.refused(
            text.replace('"gic":', '"gic":[2],"gic":'),
            "read: 'gic': the record has this key twice",
        )

    def test_another_schema(self) -> None:
        for schema in (0, 3, 999, '1', None):
            record = json.loads(cpu_info.put_host(CPU_INFO, Host()))
            record['arm_migrate']['schema'] = schema
            with self.subTest(schema):
                self.refused(json.dumps(record), 'schema .* this version')

    def test_huge(self) -> None:
        self.refused('[' * 10**6, '1000000 characters')
        self.refused(
            json.dumps({'arm_migrate': {'x' * 200000: 1}}), 'characters'
        )
