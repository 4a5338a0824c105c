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

import dataclasses
import unittest

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.checks import CHECK_NAMES
from nova_arm_migrate.core.checks import run_checks
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.vcpu import guest_started_on
from tests.unit.core import synthetic as s


class TestCounters(unittest.TestCase):
    def found(self, counters: int, host: Host) -> list[Finding]:
        guest = guest_started_on(s.host({s.PMCR: counters << 11}))
        return [
            finding
            for finding in run_checks(guest, host)
            if finding.cause is Cause.COUNTERS
        ]

    def test_missing_counters_are_a_silent_hazard(self) -> None:
        for counters in (0, 4, 6):
            self.assertEqual([], self.found(counters, s.host()))
        (finding,) = self.found(8, s.host())
        self.assertEqual(
            (Severity.HAZARD, 8, 6),
            (finding.severity, finding.guest, finding.host),
        )
        self.assertIn(finding.name, CHECK_NAMES)

    def test_a_host_without_a_pmu_has_another_finding(self) -> None:
        without = s.host(reg_list=s.LISTED - {s.PMCR})
        self.assertEqual([], self.found(8, without))

    def test_a_host_without_values_has_another_finding(self) -> None:
        unread = dataclasses.replace(s.host(), values=Values())
        self.assertEqual([], self.found(8, unread))
