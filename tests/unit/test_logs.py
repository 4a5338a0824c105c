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

"""Logs of unit tests: none is printed, those of a failed test are shown."""

import logging
import unittest

import testtools

from tests import logs

LOG = logging.getLogger(__name__)


class Example(logs.TestCase):
    def test_passes(self) -> None:
        LOG.warning('of the one that passes')

    def test_fails(self) -> None:
        self.addCleanup(LOG.warning, 'at the end of the one that fails')
        LOG.info('of the one that fails')
        self.fail('as it should')


def load_tests(
    loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None
) -> unittest.TestSuite:
    """Load none of the example."""
    return loader.loadTestsFromTestCase(TestLogs)


class TestLogs(unittest.TestCase):
    def test_shown_only_if_the_test_fails(self) -> None:
        result = testtools.TestResult()
        Example('test_passes').run(result)
        Example('test_fails').run(result)
        ((_, shown),) = result.failures
        self.assertIn(
            'INFO [tests.unit.test_logs] of the one that fails', shown
        )
        self.assertIn('at the end of the one that fails', shown)
        self.assertNotIn('of the one that passes', shown)
