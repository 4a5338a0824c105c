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

import configparser
import pathlib
import tempfile
import unittest
from unittest import mock

from demo.watcher import process


class TestInstall(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name) / 'venv'
        self.create = self.patch('venv.create')
        self.create.side_effect = lambda path, **_: path.mkdir(exist_ok=True)
        self.pip = self.patch('subprocess.run')
        self.pip.return_value.returncode = 0

    def patch(self, name: str) -> mock.MagicMock:
        patcher = mock.patch(name, autospec=True)
        self.addCleanup(patcher.stop)
        found: mock.MagicMock = patcher.start()
        return found

    def test_it_is_installed_once(self) -> None:
        process.install(self.directory)
        command = self.pip.call_args.args[0]
        self.assertEqual(str(self.directory / 'bin' / 'pip'), command[0])
        self.assertIn(str(process.CONSTRAINTS), command)
        process.install(self.directory)
        self.pip.assert_called_once()

    def test_other_versions_are_replaced(self) -> None:
        process.install(self.directory)
        (self.directory / 'constraints.txt').write_text('python-watcher==1')
        process.install(self.directory)
        self.assertEqual(2, self.pip.call_count)
        self.assertTrue(self.create.call_args.kwargs['clear'])

    def test_a_failure_is_said_in_one_line(self) -> None:
        self.pip.return_value.returncode = 1
        self.pip.return_value.stderr = 'much\nERROR: no network\n'
        with self.assertRaisesRegex(
            process.WatcherFailed, '^pip: ERROR: no network$'
        ):
            process.install(self.directory)
        self.pip.return_value.returncode = 0
        process.install(self.directory)
        self.assertEqual(2, self.pip.call_count)

    def test_the_versions_are_pinned(self) -> None:
        pins = process.CONSTRAINTS.read_text().splitlines()
        self.assertIn('python-watcher==17.0.0', pins)


class TestWatcher(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.programs = self.directory / 'bin'
        self.programs.mkdir()
        self.write('watcher-db-manage', 'exit 0')
        self.watcher = process.Watcher(self.directory, self.directory)
        self.addCleanup(self.watcher.close)

    def write(self, name: str, script: str) -> None:
        program = self.programs / name
        program.write_text(f'#!/bin/sh\n{script}\n')
        program.chmod(0o755)

    def test_what_it_writes_is_in_its_directory(self) -> None:
        self.watcher.configure('http://x/identity/v3')
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(self.directory / 'watcher.conf')
        for section, name in (
            ('DEFAULT', 'log_file'),
            ('database', 'connection'),
            ('oslo_concurrency', 'lock_path'),
        ):
            self.assertIn(str(self.directory), parser[section][name])
        self.assertEqual(
            'http://x/identity/v3', parser['watcher_clients_auth']['auth_url']
        )

    def test_it_is_ready_and_ready_again(self) -> None:
        self.write(
            'python', 'echo ready; while read line; do echo ready; done'
        )
        self.watcher.start()
        self.watcher.synchronize()
        self.watcher.synchronize()

    def test_one_that_does_not_start(self) -> None:
        self.write('python', 'echo much; exit 3')
        with self.assertRaisesRegex(process.WatcherFailed, 'ended with 3'):
            self.watcher.start()

    def test_a_database_that_is_not_created(self) -> None:
        self.write('watcher-db-manage', 'echo no schema >&2; exit 1')
        with self.assertRaisesRegex(
            process.WatcherFailed, '^watcher-db-manage: no schema$'
        ):
            self.watcher.configure('http://x')
