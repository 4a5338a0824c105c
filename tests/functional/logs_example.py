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

"""What `test_logs` runs: two tests that log, the second of which fails."""

import logging

from tests.functional import base

LOG = logging.getLogger(__name__)


class Example(base.ArmServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        LOG.error('%s began', self.id())

    def test_a_passes(self) -> None:
        pass

    def test_b_fails(self) -> None:
        self.fail('as it should')
