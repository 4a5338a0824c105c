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


import dataclasses
import io
import json
import os
import sys
from unittest import mock

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.vcpu import guest_started_on
from tests.unit.cli import base


def read(path: str) -> Host:
    with open(path) as file:
        return load_host(file.read().strip())


class TestVerdicts(base.CommandTestCase):
    def test_compatible_is_0(self) -> None:
        code, out, err = self.run_command(
            'compare', base.V1_612, base.V1_612, '-f', 'json'
        )
        self.assertEqual((0, ''), (code, err))
        self.assertEqual(
            {'verdict': 'compatible', 'findings': []}, json.loads(out)
        )

    def test_incompatible_is_1_and_names_the_field(self) -> None:
        code, out, err = self.run_command(
            'compare', base.MAX_72, base.V1_612, '-f', 'json'
        )
        self.assertEqual((1, ''), (code, err))
        report = json.loads(out)
        self.assertEqual('incompatible', report['verdict'])
        self.assertIn(
            ('ID_AA64ZFR0_EL1', 'SVEver', 'blocks'),
            {
                (f['register'], f['field'], f['severity'])
                for f in report['findings']
            },
        )

    def test_unknown_is_3(self) -> None:
        host = dataclasses.replace(read(base.V1_612), dczid=None)
        path = self.file('host.json', dump_host(host))
        code, out, _ = self.run_command('compare', base.V1_612, path)
        self.assertEqual(3, code)
        self.assertIn('verdict: unknown', out)
        self.assertIn('DCZID_EL0', out)

    def test_a_guests_own_record(self) -> None:
        guest = guest_started_on(
            read(base.V1_612), disabled=frozenset({'sve'})
        )
        path = self.file('guest.json', dump_guest(guest))
        code, _, _ = self.run_command('compare', path, base.V1_612)
        self.assertEqual(0, code)

    def test_standard_input(self) -> None:
        with open(base.V1_612, 'rb') as file:
            data = io.TextIOWrapper(io.BytesIO(file.read()))
        with mock.patch.object(sys, 'stdin', data):
            code, _, _ = self.run_command('compare', '-', base.V1_612)
        self.assertEqual(0, code)

    def test_table(self) -> None:
        code, out, _ = self.run_command('compare', base.MAX_72, base.V1_612)
        self.assertEqual(1, code)
        lines = out.splitlines()
        self.assertEqual('verdict: incompatible', lines[0])
        self.assertIn(
            ['blocks', 'ID_AA64PFR1_EL1.BT', '1', '0', 'LOWER_SAFE'],
            [line.split() for line in lines],
        )
        self.assertIn('128,256,384,512,6...  128,256  ', out)
        # A sentence for each kind of finding, not for each finding.
        self.assertEqual(1, out.count('destination offers at most'))
        self.assertIn('Neoverse-V1 r1p2', out)
        self.assertLessEqual(max(map(len, lines)), 105)

    def test_hazards(self) -> None:
        longer = dataclasses.replace(read(base.V1_612), cntfrq=25000000)
        path = self.file('host.json', dump_host(longer))
        code, out, _ = self.run_command('compare', base.V1_612, path)
        self.assertEqual(1, code)
        self.assertIn(
            'silent hazard  CNTFRQ_EL0  62500000  25000000  EQUAL', out
        )
        code, _, _ = self.run_command(
            'compare', base.V1_612, path, '--hazards', 'warn'
        )
        self.assertEqual(0, code)

    def test_overrides(self) -> None:
        host = read(base.V1_612)
        other = dataclasses.replace(
            host,
            cntfrq=25000000,
            values=Values(dict(host.values) | {0xC000: 0x410FD0C1}),
        )
        path = self.file('host.json', dump_host(other))
        code, out, _ = self.run_command(
            'compare',
            base.V1_612,
            path,
            '--override',
            'MIDR_EL1',
            '--override',
            'CNTFRQ_EL0',
        )
        self.assertEqual(0, code)
        self.assertEqual(2, out.count('overridden'))

    def test_an_override_that_names_nothing(self) -> None:
        for name in ('MIDR', 'ID_AA64PFR0_EL1.SVEE', '', 'a\nb', '\x1b[31m'):
            self.assertIn(
                '--override',
                self.assert_refused(
                    'compare', base.V1_612, base.V1_612, '--override', name
                ),
            )


class TestBadInput(base.CommandTestCase):
    def refuse(self, path: str) -> str:
        self.assert_refused('compare', base.V1_612, path)
        return self.assert_refused('compare', path, base.V1_612)

    def test_files_that_hold_no_profile(self) -> None:
        for content in (
            b'',
            b'{',
            b'[]',
            b'null',
            b'12',
            b'[' * 9000,
            b'\xff\xfe',
            b'\0' * 64,
            os.urandom(4096),
            b'{}',
            b'{"schema": 1}',
            b'{"schema": 3, "kind": "host"}',
            b'{"schema": 1, "kind": "host", "values": {"zz": "1"}}',
            b'{"schema": 1, "kind": "host", "page": 1e99}',
            '{\u2028}'.encode(),
        ):
            error = self.refuse(self.file('bad.json', content))
            self.assertIn('bad.json', error)

    def test_huge_files(self) -> None:
        self.assertIn(
            'longer than', self.refuse(self.file('huge.json', b' ' * 20000))
        )
        self.assertIn('longer than', self.refuse('/dev/zero'))

    def test_no_file(self) -> None:
        self.assertIn('No such file', self.refuse('/nowhere/a.json'))
        self.assertIn('Is a directory', self.refuse(str(self.directory)))
        self.refuse('a\0b')
        self.refuse('/nowhere/\udcff\n.json')

    def test_a_guest_where_a_host_is_wanted(self) -> None:
        path = self.file(
            'guest.json', dump_guest(guest_started_on(read(base.V1_612)))
        )
        self.assertIn(
            'not a host profile',
            self.assert_refused('compare', base.V1_612, path),
        )
