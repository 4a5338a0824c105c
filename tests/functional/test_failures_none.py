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

"""Nothing fails: the results of the checks of `failures_base`."""

from tests.functional import base
from tests.functional import failures_base


class TestNothingFails(failures_base.FailuresTestBase):
    volumes = ports = True

    def test_shared(self) -> None:
        self.cloud(base.STOCK)
        self.assert_settled('a')
        self.assertEqual('completed', self.migrate_server('b'))
        self.assert_settled('b')
        self.assert_moves_on('c')


class TestNothingFailsBlock(failures_base.FailuresTestBase):
    volumes = ports = block = True

    def test_block(self) -> None:
        self.cloud()
        self.assert_settled('a')
        self.assertEqual('completed', self.migrate_server('b'))
        self.assert_settled('b')
        self.assert_moves_on('c')

    def test_refused_by_qemu(self) -> None:
        self.cloud()
        self.job().fail('switch-over')
        self.assertEqual('failed', self.migrate_server('b'))
        self.assert_settled('a')
        self.assert_moves_on('c')
