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

"""Logs are kept during a test, and shown only if the test fails.

A test class uses `KeptLogs` before all other fixtures. Fixtures are cleaned
up in the reverse order, so it keeps the log of their clean-up, too.
"""

import logging
import logging.handlers
import os

import fixtures
import testtools

_FORMAT = '%(asctime)s %(levelname)s [%(name)s] %(message)s'
#: As Nova's own fixture reads it: the whole debug log of a failed test.
_LEVEL = (
    logging.DEBUG
    if os.environ.get('OS_DEBUG', '').lower() in ('true', '1', 'yes')
    else logging.INFO
)

#: Keeps what is logged between two tests, for the next one: by an import, or
#: by a thread that outlives its test.
_between = logging.handlers.MemoryHandler(
    1000, flushLevel=logging.CRITICAL + 1
)


def keep_between_tests() -> None:
    """Replace the handlers of the root logger: nothing is printed any more.

    `nova.test` sets up oslo.log when it is imported, and that prints every
    line which no test keeps.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    _between.setLevel(_LEVEL)
    root.addHandler(_between)


class KeptLogs(fixtures.FakeLogger):
    """Keeps the log; testtools shows it if the test fails.

    :ivar output: the log so far
    """

    def __init__(self) -> None:
        super().__init__(level=_LEVEL, format=_FORMAT)

    def _setUp(self) -> None:
        super()._setUp()
        (handler,) = logging.getLogger().handlers
        # Nova's fixture lowers the logger's level.
        handler.setLevel(_LEVEL)
        _between.setTarget(handler)
        _between.flush()
        _between.setTarget(None)


class TestCase(testtools.TestCase):
    """A test whose log is shown only if it fails."""

    def setUp(self) -> None:
        super().setUp()
        self.logs = self.useFixture(KeptLogs())
