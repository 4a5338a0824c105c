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

"""A deadlock of Nova's own fixture, taken out.

``nova.tests.fixtures.CellDatabases`` has a lock for readers and writers. A
test that runs the periodic tasks reads, and waits for threads that read, too.
A writer that comes meanwhile waits for the test, and makes the threads wait
for itself. On native threads nothing ends that: seen in 1 of 20 runs of
``NUMALiveMigrationRollbackTests``.
"""

import fixtures


class ReadersFirst(fixtures.Fixture):
    """Lets readers in while a writer still waits for other readers."""

    def _setUp(self) -> None:
        self.useFixture(
            fixtures.MonkeyPatch(
                'fasteners.ReaderWriterLock.has_pending_writers', False
            )
        )
