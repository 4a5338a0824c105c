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

"""Prevent a deadlock in Nova's own fixture.

``nova.tests.fixtures.CellDatabases`` has a readers-writer lock. A test that
runs the periodic tasks holds it as a reader, and waits for threads that need
it as readers. If a writer asks for the lock at that time, the writer waits for
the test, and the threads wait for the writer. With native threads this lasts
for ever. It was seen in about 1 of 20 runs of
``NUMALiveMigrationRollbackTests``.
"""

import fixtures


class ReadersFirst(fixtures.Fixture):
    """Gives readers the lock while a writer waits for other readers."""

    def _setUp(self) -> None:
        self.useFixture(
            fixtures.MonkeyPatch(
                'fasteners.ReaderWriterLock.has_pending_writers', False
            )
        )
