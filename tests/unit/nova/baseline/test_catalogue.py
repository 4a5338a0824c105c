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

"""What this host's files have, and what it offers."""

import dataclasses
import pathlib
import tempfile
import unittest

from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.baseline import catalogue
from tests.unit.core import synthetic as s
from tests.unit.nova.baseline import pool


class TestCatalogue(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.text = baseline_file.dump(pool.baseline())

    def write(self, name: str, text: str) -> None:
        (self.directory / f'{name}.json').write_text(text)

    def offered(
        self, host: Host | str, reason: str | None = None
    ) -> catalogue.Offered:
        return catalogue.offered(
            catalogue.read(str(self.directory)), host, lambda *_: reason
        )

    def test_each_member_offers_it(self) -> None:
        self.write('pool-1', self.text)
        for host in pool.hosts():
            found = self.offered(host)
            self.assertEqual({'pool-1/1'}, found.identities)
            self.assertEqual(pool.baseline(), found.find('pool-1/1'))

    def test_another_version_is_not_offered(self) -> None:
        self.write('pool-1', self.text)
        self.assertEqual(
            'this host has version 1, not 2',
            self.offered(pool.hosts()[0]).find('pool-1/2'),
        )

    def test_an_older_version_beside_the_new_one(self) -> None:
        self.write('pool-1', baseline_file.dump(pool.baseline(version=3)))
        self.write('pool-1@1', self.text)
        for name, text in (
            ('pool-1@2', self.text),
            ('pool-1@3', baseline_file.dump(pool.baseline(version=3))),
            ('other@1', self.text),
        ):
            self.write(name, text)
        found = self.offered(pool.hosts()[0])
        self.assertEqual({'pool-1/1', 'pool-1/3'}, found.identities)
        self.assertEqual(pool.baseline(version=3), found.find('pool-1'))
        self.assertEqual(pool.baseline(), found.find('pool-1/1'))
        self.assertEqual(
            'this host has version 3, not 2', found.find('pool-1/2')
        )
        for name, words in (
            ('pool-1@2', 'version: 1 is not in the name of the file'),
            ('pool-1@3', 'version: pool-1.json has no newer one'),
            ('other@1', 'name: pool-1 is not the name of the file'),
        ):
            self.assertIn(f'{name}.json: {words}', found.refused[name])

    def test_an_older_version_alone(self) -> None:
        self.write('pool-1@1', self.text)
        found = self.offered(pool.hosts()[0])
        self.assertEqual(frozenset(), found.identities)
        self.assertIn(
            'version: pool-1.json has no newer one', found.refused['pool-1@1']
        )

    def test_no_directory_has_no_files(self) -> None:
        found = catalogue.read(str(self.directory / 'none'))
        self.assertEqual((0, 0), (len(found.baselines), len(found.bad)))

    def test_one_above_the_host_names_the_field(self) -> None:
        self.write('pool-1', self.text)
        host = s.with_field(pool.hosts()[0], 'ID_AA64ISAR0_EL1.DP', 0)
        found = self.offered(host)
        self.assertEqual(frozenset(), found.identities)
        self.assertIn(
            'ID_AA64ISAR0_EL1.DP: baseline 1, this host 0',
            str(found.find('pool-1/1')),
        )

    def test_a_timer_of_another_frequency(self) -> None:
        self.write('pool-1', self.text)
        host = dataclasses.replace(pool.hosts()[0], cntfrq=1_000_000_000)
        self.assertIn('CNTFRQ_EL0', self.offered(host).refused['pool-1'])

    def test_bad_files_leave_the_others_alone(self) -> None:
        self.write('pool-1', self.text)
        self.write('cut', self.text[:-100])
        self.write('renamed', self.text)
        self.write('schema', self.text.replace('"schema": 1', '"schema": 7'))
        self.write('field', self.text.replace('"ID_AA64ZFR', '"ID_AA64ZZZ'))
        (self.directory / 'bytes.json').write_bytes(b'\xff\xfe')
        (self.directory / 'directory.json').mkdir()
        found = self.offered(pool.hosts()[0])
        self.assertEqual({'pool-1/1'}, found.identities)
        for name, words in (
            ('cut', 'file is not JSON'),
            ('renamed', 'name: pool-1 is not the name of the file'),
            ('schema', 'file has schema 7'),
            ('field', 'a baseline has no register'),
            ('bytes', 'not UTF-8'),
            ('directory', 'Is a directory'),
        ):
            with self.subTest(name):
                self.assertIn(words, found.refused[name])
                self.assertIn(f'{name}.json: ', found.refused[name])
                self.assertNotIn('\n', found.refused[name])

    def test_no_back_end(self) -> None:
        self.write('pool-1', self.text)
        found = self.offered(pool.hosts()[0], 'the shim: not set')
        self.assertEqual({'pool-1': 'the shim: not set'}, found.refused)

    def test_a_host_that_can_not_be_probed(self) -> None:
        self.write('pool-1', self.text)
        found = self.offered('no /dev/kvm')
        self.assertEqual({'pool-1': 'no /dev/kvm'}, found.refused)
