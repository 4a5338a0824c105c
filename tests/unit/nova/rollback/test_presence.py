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


from nova_arm_migrate.core.job import JobType
from nova_arm_migrate.core.job import Presence
from nova_arm_migrate.nova.rollback import presence
from tests import logs


class TestDomainState(logs.TestCase):
    def test_states(self) -> None:
        for (state, reason), expected in {
            (1, 1): Presence.RUNNING,
            (1, 2): Presence.RUNNING,
            (1, 10): Presence.POST_COPY,
            (1, 11): Presence.POST_COPY_FAILED,
            (2, 0): Presence.RUNNING,
            (3, 1): Presence.PAUSED,
            (3, 2): Presence.HELD,
            (3, 11): Presence.HELD,
            (3, 14): Presence.HELD,
            (3, 12): Presence.POST_COPY,
            (3, 13): Presence.POST_COPY_FAILED,
            (4, 1): Presence.RUNNING,
            (5, 1): Presence.STOPPED,
            (5, 4): Presence.MIGRATED,
            (6, 0): Presence.STOPPED,
            (7, 0): Presence.PAUSED,
            (0, 0): Presence.UNKNOWN,
            (99, 1): Presence.UNKNOWN,
        }.items():
            self.assertIs(expected, presence.classify(state, reason))

    def test_job_types(self) -> None:
        for kind in JobType:
            self.assertIs(kind, presence.job_type(presence.number_of(kind)))
        self.assertIs(JobType.NONE, presence.job_type(17))
