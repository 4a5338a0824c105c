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


from collections.abc import Iterator

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.trial import with_trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.probe.recorded import RecordedHost
from tests.unit.probe import base

#: Its field NV may be a stale value of the hardware, which the rule can't
#: tell (verdict unknown), and which the twin therefore refuses.
ID_AA64MMFR2_EL1 = sysreg(3, 0, 0, 7, 2)


def recorded_trials() -> Iterator[
    tuple[Host, Guest, frozenset[int], frozenset[int]]
]:
    """Yield (host, guest, refused codes, missing codes)."""
    for name, origin, disabled, refused, missing in base.recorded_answers():
        guest = guest_started_on(base.recorded(origin), disabled=disabled)
        yield base.recorded(name), guest, refused, missing


class TestRecordedTrials(base.ProbeTestCase):
    """The rule against real kernels' answers."""

    def test_the_twin_answers_as_the_kernel_did(self) -> None:
        trials = 0
        for host, guest, refused, missing in recorded_trials():
            trial = RecordedHost(host).trial(guest)
            self.assertEqual(missing, frozenset(trial.missing))
            twin = frozenset(code for code, _ in trial.refused)
            self.assertLessEqual(refused, twin)
            self.assertLessEqual(twin - refused, {ID_AA64MMFR2_EL1})
            trials += 1
        self.assertEqual(506, trials)

    def test_the_rule_never_disagrees_with_the_kernel(self) -> None:
        for host, guest, refused, missing in recorded_trials():
            _, differ = with_trial(
                compare(guest, host),
                guest,
                refused=dict.fromkeys(refused, 'EINVAL'),
                missing=missing,
            )
            self.assertEqual((), differ)
