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
import errno

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.probe.errors import ProbeError
from tests.unit.probe import base

#: MIDR_EL1, ID_AA64PFR0_EL1, PSCI_VERSION: enough for every kind of call.
FEW = frozenset({0xC000, 0xC027, 0x140000})


def small(name: str) -> Host:
    """A recorded host with a few registers only: probes are quick."""
    recorded = base.recorded(name)
    values = {
        code: value for code, value in recorded.values.items() if code in FEW
    }
    return dataclasses.replace(recorded, values=Values(values), reg_list=FEW)


class TestLeaks(base.ProbeTestCase):
    def test_10000_probes_leave_no_descriptor(self) -> None:
        """Good ones, and ones whose every k-th ioctl fails."""
        profile = small(base.N1_61)
        kernel = self.play(profile)
        probe = self.probe(profile)
        guest = guest_started_on(profile)
        before = base.open_descriptors()
        outcomes = {True: 0, False: 0}
        for number in range(10000):
            every = number % 50
            kernel.fails = lambda count: (
                errno.EIO * (every > 0 and count % every == 0)
            )
            kernel.calls.clear()
            try:
                probe.host()
                outcomes[True] += 1
            except ProbeError:
                outcomes[False] += 1
            if number % 100 == 0:
                probe.trial(guest)
                self.assertEqual(before, base.open_descriptors())
        self.assertEqual(before, base.open_descriptors())
        # Both kinds did happen.
        self.assertGreater(min(outcomes.values()), 100)

    def test_each_call_failing_once(self) -> None:
        """Every single ioctl of a probe, a view and a trial fails once."""
        for name, gic in ((base.N1_61, (3,)), (base.MAX_72, (2, 3))):
            profile = dataclasses.replace(small(name), gic=gic)
            kernel = self.play(profile)
            probe = self.probe(profile)
            guest = guest_started_on(profile)
            for ask in (
                probe.host,
                lambda: probe.trial(guest),
                lambda: probe.guest_view(frozenset({'sve256'})),
            ):
                kernel.fails = lambda number: 0
                kernel.calls.clear()
                ask()
                calls = len(kernel.calls)
                before = base.open_descriptors()
                for failing in range(calls):
                    left = iter(range(failing))
                    kernel.fails = lambda number: (
                        0 if next(left, None) is not None else errno.ENOMEM
                    )
                    try:
                        ask()
                    except ProbeError:
                        pass
                    self.assertEqual(before, base.open_descriptors())
