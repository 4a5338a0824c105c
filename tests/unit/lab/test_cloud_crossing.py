# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""How the scenario of crossing CPU models makes its baseline."""

import pathlib
from typing import Any
from unittest import mock

import testtools

from nova_arm_migrate.core import record
from tests.lab import crossing as crossings
from tests.lab import errors
from tests.lab import oracle
from tests.lab import spec
from tests.lab.cloud import crossing

FIXTURES = pathlib.Path(__file__).parents[2] / 'fixtures/lab'


class DeployTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        for target, name in (
            (oracle, 'prepare'),
            (oracle, 'host_profile'),
            (crossings, 'compile_shim'),
        ):
            patch = mock.patch.object(target, name, autospec=True)
            patched = patch.start()
            self.addCleanup(patch.stop)
            if name == 'host_profile':
                patched.side_effect = self.profile

    def profile(self, on: mock.Mock) -> object:
        path = FIXTURES / f'{on.spec.cpu}_forky.json'
        return record.load_host(path.read_text())

    def test_its_hosts_have_a_baseline_with_all_features(self) -> None:
        on: list[Any] = [mock.Mock(), mock.Mock()]
        for one, text in zip(on, crossing.HOSTS):
            one.spec = spec.parse(text)
        baseline = crossing._deploy(on)
        self.assertEqual('a710-n2/1', baseline.identity)
        self.assertEqual(set(), set(baseline.disabled) & {'sve', 'pauth'})
        for one in on:
            targets = [call.args[1] for call in one.channel.put.call_args_list]
            self.assertEqual(
                [f'{crossing.FOLDER}/a710-n2.json', crossings.LIBRARY], targets
            )

    def test_hosts_without_one(self) -> None:
        on: list[Any] = [mock.Mock(), mock.Mock()]
        for one, text in zip(on, ('neoverse-n1', 'neoverse-n2')):
            one.spec = spec.parse(text)
        with testtools.ExpectedException(errors.LabError, '.*: no baseline'):
            crossing._deploy(on)
