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

"""The JSON form: canonical, compact, and suspicious of what it reads."""

from collections.abc import Callable
import dataclasses
import json
from typing import Any
import unittest

from nova_arm_migrate.core import record
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.vcpu import guest_started_on
from tests.unit.core import synthetic as s


class TestRoundTrip(unittest.TestCase):
    def test_host(self) -> None:
        for host in (
            s.host(),
            Host(),
            s.host(
                writable=None,
                reg_list=None,
                sve_lengths=None,
                cntfrq=None,
                absent=(('cntfrq', 'not readable'),),
            ),
        ):
            text = record.dump_host(host)
            self.assertEqual(host, record.load_host(text))
            self.assertEqual(host, record.load(text))
            self.assertEqual(text, record.dump_host(record.load_host(text)))

    def test_guest(self) -> None:
        for guest in (
            Guest(),
            guest_started_on(
                s.host(),
                disabled=frozenset({'pmu', 'sve256'}),
                gic=3,
                memory=1 << 32,
                inferred=True,
            ),
            Guest(sve_lengths=(128,), sve_visited=(128, 256)),
        ):
            text = record.dump_guest(guest)
            self.assertEqual(guest, record.load_guest(text))
            self.assertEqual(guest, record.load(text))

    def test_order_of_construction_does_not_show(self) -> None:
        host = s.host()
        backwards = Values(dict(reversed(list(host.values.items()))))
        self.assertEqual(
            record.dump_host(host),
            record.dump_host(dataclasses.replace(host, values=backwards)),
        )

    def test_unknown_keys_are_passed_over(self) -> None:
        text = json.loads(record.dump_host(s.host()))
        self.assertEqual(s.host(), record.host_from(text | {'new': [1]}))


class TestValues(unittest.TestCase):
    def test_is_a_value(self) -> None:
        one, two = Values({2: 1, 1: 5}), Values({1: 5, 2: 1})
        self.assertEqual(one, two)
        self.assertEqual(hash(one), hash(two))
        self.assertEqual([1, 2], list(one))
        self.assertNotEqual(one, {1: 5, 2: 1})
        self.assertEqual('Values({0x1: 0x5, 0x2: 0x1})', repr(one))
        self.assertEqual(5, one[1])
        self.assertEqual(0, one.read(9))

    def test_version(self) -> None:
        for text, version in (
            ('6.12.41+deb13', (6, 12)),
            ('10.0', (10, 0)),
            ('', None),
            (None, None),
            ('x6.1', None),
        ):
            self.assertEqual(version, version_of(text))

    def test_why_absent(self) -> None:
        host = Host(absent=(('gic', 'no device'),))
        self.assertEqual('no device', host.why_absent('gic'))
        self.assertEqual("not in the host's record", host.why_absent('ipa'))

    def test_why_the_register_list_is_absent(self) -> None:
        host = Host(absent=(('gic', 'no'), ('reg_list', 'no device')))
        text = record.dump_host(host)
        self.assertIn('"absent":{"gic":"no","listed":"no device"}', text)
        self.assertEqual(host, record.load_host(text))


class TestBadRecords(unittest.TestCase):
    def refused(
        self,
        text: str,
        words: str,
        load: Callable[[str], object] = record.load_host,
    ) -> None:
        with self.assertRaises(ProfileError) as caught:
            load(text)
        message = str(caught.exception)
        self.assertIn(words, message)
        self.assertNotIn('\n', message)
        self.assertLess(len(message), 160)

    def test_not_a_record(self) -> None:
        for text in ('', 'nonsense', '[' * 10000, '\x00', 'NaN,'):
            self.refused(text, 'not JSON')
        for text in (
            '{"schema":1,"kind":"host","ipa":NaN}',
            '{"schema":1,"kind":"host","new":Infinity}',
        ):
            self.refused(text, 'not JSON')
        for text in ('[]', 'null', '1', '"x"'):
            self.refused(text, 'not a JSON object')
        self.refused(' ' * 20000, 'more than 16384')
        things: tuple[Any, ...] = (None, [], 3)
        for thing in things:
            with self.assertRaises(ProfileError):
                record.host_from(thing)

    def test_schema_and_kind(self) -> None:
        self.refused('{"schema":3,"kind":"host"}', 'has schema 3')
        self.refused('{"schema":true,"kind":"host"}', 'has schema True')
        self.refused('{"schema":1.0,"kind":"host"}', 'has schema 1.0')
        self.refused('{"kind":"host"}', 'has schema None')
        self.refused('{"schema":1,"kind":"guest"}', 'not a host profile')
        self.refused('{"schema":1}', 'not a host profile', record.load)
        self.refused(
            record.dump_host(s.host()),
            'not a guest profile',
            record.load_guest,
        )

    def test_a_key_that_is_there_twice(self) -> None:
        text = record.dump_host(s.host())
        for old, new in (
            ('"gic":[2,3]', '"gic":[2,3],"gic":[2]'),
            ('"values":{', '"values":{"c000":"1","c000":"2",'),
            ('"caps":{', '"caps":{"SVE":0,'),
            ('"page"', '"new":{"x":1,"x":2},"page"'),
        ):
            self.assertIn(old, text)
            twice = text.replace(old, new)
            self.refused(twice, 'the record has this key twice')
            self.refused(twice, 'twice', record.load)
        self.refused(
            '{"schema":1,"kind":"host","gic":[2],"gic":[3]}',
            "'gic': the record has this key twice",
        )

    def test_the_same_in_another_form(self) -> None:
        self.damaged("values: '0c000' is not allowed", values={'0c000': '5'})
        self.damaged("values: '05' is not allowed", values={'c000': '05'})
        self.damaged("writable: '0c000'", writable={'0c000': '5'})
        self.damaged("hwcap: '00' is not allowed", hwcap=['00'])
        self.damaged(
            "cores: '01' is not allowed", cores=[['01', None, None, '0']]
        )
        for listed in (
            '0c000',
            'c000+0',
            'c000+01',
            'c000  c002',
            ' c000',
            'c000\tc002',
            'c000\u2003c002',
        ):
            self.damaged('listed: ', listed=listed)
        for listed in ('c002 c000', 'c000 c000', 'c000 c001', 'c000+3 c002'):
            self.damaged('listed: not in ascending runs', listed=listed)
        self.damaged("listed: 'fffffff+1' is too large", listed='fffffff+1')
        self.damaged(
            'features: not in ascending order', features=['pmu', 'pmu']
        )
        self.damaged(
            'features: not in ascending order', features=['sve', 'pmu']
        )

    def test_lists_of_cpus(self) -> None:
        for cpus in (
            '0-1,,,---',
            '-',
            ',',
            '0,',
            ',0',
            '0-',
            '-1',
            '0--1',
            '00',
            '01',
            '0-01',
            '0-0',
            '1-0',
            '0,1',
            '0-1,2',
            '1,0',
            '0-3,2',
            '0,0',
            '100000',
            '0-100000',
        ):
            self.damaged(
                f"cores: '{cpus}' is not a list of CPUs",
                cores=[['1', None, None, cpus]],
            )
        self.damaged("'' is not allowed", cores=[['1', None, None, '']])
        self.damaged(
            'cores: CPU 4 is in the lists twice',
            cores=[['1', None, None, '0-1,3-4'], ['2', None, None, '2,4-5']],
        )

    def test_sizes(self) -> None:
        for page in (4097, 8192, 0, 1 << 20):
            self.damaged(f'page: {page} bytes is not a page size', page=page)
        self.damaged('huge: 5000 bytes is not a page size', huge=[5000])
        self.damaged('huge: 2048 is not a number', huge=[2048])
        self.damaged('ipa: 31 is not a number', ipa=31)
        self.damaged('cntfrq: 4294967296 is not', cntfrq=1 << 32)
        self.damaged('gic: 1 is not a number', gic=[1])

    def damaged(self, words: str, **changes: Any) -> None:
        raw = json.loads(record.dump_host(s.host()))
        self.refused(json.dumps(raw | changes), words)

    def test_every_part_is_checked(self) -> None:
        self.damaged('is not a list', cores={})
        self.damaged('not [MIDR', cores=[['1', '2']])
        self.damaged('not [MIDR', cores=[7])
        self.damaged('not allowed', cores=[['zz', None, None, '0']])
        self.damaged('not allowed', cores=[['1', None, None, '0; rm']])
        self.damaged('more than 64', cores=[['1', None, None, '0']] * 65)
        self.damaged('is not an object', values=[])
        self.damaged('not allowed', values={'c000': 5})
        self.damaged('not allowed', values={'C000': '5'})
        self.damaged('not allowed', values={'c000': '1' * 17})
        self.damaged('too large', values={'1' * 9: '1'})
        with self.assertRaisesRegex(ProfileError, 'more than 2048'):
            record.host_from(
                {
                    'schema': 1,
                    'kind': 'host',
                    'values': {f'{n:x}': '0' for n in range(2049)},
                }
            )
        self.damaged('is not a text', listed=5)
        self.damaged('not a run of codes', listed='c000-7')
        self.damaged('more than 2048 codes', listed='c000+fff')
        self.damaged('not a run', listed='c000+ffff')
        self.damaged('unknown name', features=['tme'])
        self.damaged('not allowed', features=['\n'])
        self.damaged('not allowed', caps={'SVE; --': 1})
        self.damaged('is not a number', caps={'SVE': True})
        self.damaged('ascending', gic=[3, 2])
        self.damaged('ascending', gic=[3, 3])
        self.damaged('is not a number', gic=['3'])
        self.damaged('is not a number', ipa=65)
        self.damaged('is not a number', page=1.5)
        self.damaged('is not a number', cntfrq=-1)
        self.damaged('multiple of 128', sve=[128, 200])
        self.damaged('is not a number', sve=[64])
        self.damaged('not allowed', hwcap=[3])
        self.damaged('is not a text', kernel=6)
        self.damaged('not allowed', kernel='6.1\n')
        self.damaged('not allowed', absent={'x': '\x1b[2J'})
        self.damaged("'reg_list' is not allowed", absent={'reg_list': 'no'})

    def test_guest_parts(self) -> None:
        raw = json.loads(record.dump_guest(guest_started_on(s.host())))
        for words, changes in (
            ('unknown name', {'disabled': ['sve100']}),
            ('true or false', {'inferred': 1}),
            ('is not a number', {'memory': 1 << 60}),
        ):
            self.refused(json.dumps(raw | changes), words, record.load_guest)
