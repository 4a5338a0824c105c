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


"""Reading cpu_info texts once."""

import json
import threading
from typing import Any
import unittest
from unittest import mock

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.records import cpu_info
from nova_arm_migrate.nova.scheduler import host_cache
from tests.unit.core import synthetic as s

HOST = s.host()
STOCK = json.dumps({'arch': 'aarch64', 'features': ['fp', 'asimd']})


def text_of(host: Host = HOST, **nova: Any) -> str:
    """A cpu_info text; a new string object each time."""
    return cpu_info.put_host(json.dumps({'arch': 'aarch64', **nova}), host)


class TestRead(unittest.TestCase):
    def test_a_host_with_a_record(self) -> None:
        info = host_cache.read(text_of())
        self.assertEqual(
            (HOST, 'aarch64', False), (info.host, info.arch, info.foreign)
        )

    def test_hosts_without_a_record(self) -> None:
        for text, arch, foreign in (
            (STOCK, 'aarch64', False),
            ('{"arch": "x86_64"}', 'x86_64', True),
            ('{"arch": "pdp-11"}', None, False),
            ('{"arch": ["x86_64"]}', None, False),
            ('{}', None, False),
            ('[]', None, False),
            ('', None, False),
            ('{', None, False),
            ('[' * 100000, None, False),
            (' ' * (1 << 20) + '{"arch": "x86_64"}', None, False),
        ):
            with self.subTest(text[:30]):
                info = host_cache.read(text)
                self.assertIsInstance(info.host, str)
                self.assertEqual((arch, foreign), (info.arch, info.foreign))


class TestHostCache(unittest.TestCase):
    def setUp(self) -> None:
        patched = mock.patch.object(
            host_cache, 'read', autospec=True, side_effect=host_cache.read
        )
        self.read = patched.start()
        self.addCleanup(patched.stop)

    def test_one_reading_a_distinct_text(self) -> None:
        cache = host_cache.HostCache()
        hosts = [s.host(kernel=f'6.12.{n}') for n in range(40)]
        for _ in range(2):
            texts = [text_of(hosts[n % 40]) for n in range(400)]
            found = cache.read_all(texts)
            self.assertEqual(
                [hosts[n % 40] for n in range(400)],
                [info.host for info in found],
            )
        self.assertEqual(40, self.read.call_count)
        self.assertEqual(40, len(set(found)))

    def test_texts_that_differ_in_any_one_character(self) -> None:
        text = text_of()
        texts = [
            text[:place] + '~' + text[place + 1 :]
            for place in range(len(text))
        ]
        cache = host_cache.HostCache(len(texts))
        for _ in range(2):
            for text, info in zip(texts, cache.read_all(texts)):
                self.assertIs(info, cache.read(text))
        self.assertEqual(len(texts), self.read.call_count)

    def test_nothing_counts_as_empty(self) -> None:
        one, two = host_cache.HostCache().read_all([None, ''])
        self.assertIs(one, two)
        self.assertIn('nothing is known', str(one.host))

    def test_the_least_recently_used_goes(self) -> None:
        cache = host_cache.HostCache(2)
        a, b, c = (text_of(model=name) for name in 'abc')
        for text in (a, b, a, c):
            cache.read(text)
        self.assertEqual(2, len(cache))
        cache.read(a)
        self.assertEqual(3, self.read.call_count)
        cache.read(b)
        self.assertEqual(4, self.read.call_count)

    def test_what_is_too_long_is_not_kept(self) -> None:
        cache = host_cache.HostCache()
        text = text_of(model='m' * (1 << 15))
        self.assertEqual(HOST, cache.read(text).host)
        self.assertEqual(0, len(cache))

    def test_threads_that_meet_a_text_together_keep_one_result(self) -> None:
        cache = host_cache.HostCache()
        meeting = threading.Barrier(4)
        real = host_cache.CpuInfo

        def read(text: str) -> host_cache.CpuInfo:
            meeting.wait(timeout=60)
            return real(text, None)

        self.read.side_effect = read
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(cache.read('text')))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        self.assertEqual(['text'] * 4, [info.host for info in found])
        self.assertEqual(1, len(cache))
        self.assertIn(cache.read('text'), found)
