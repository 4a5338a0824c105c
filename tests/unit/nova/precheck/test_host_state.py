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

"""The host's record: when it is probed, and what a failure costs."""

from collections.abc import Mapping
import threading
from unittest import mock

from nova_arm_migrate.core.guest_view import GuestView
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.nova.precheck import host_state
from nova_arm_migrate.nova.records.domain import Domain
from nova_arm_migrate.probe.errors import NoPermission
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.recorded import RecordedHost
from tests import logs
from tests.unit.core import synthetic


class Probe(RecordedHost):
    """A recorded host that counts, and fails when told to."""

    def __init__(self, profile: Host) -> None:
        super().__init__(profile)
        self.probes = 0
        self.error: ProbeError | None = None

    def host(self) -> Host:
        self.probes += 1
        if self.error:
            raise self.error
        return super().host()

    def guest_view(
        self,
        disabled: frozenset[str],
        gic: int | None = None,
        written: Mapping[int, int] | None = None,
    ) -> GuestView:
        if self.error:
            raise self.error
        return super().guest_view(disabled, gic, written)


class TestHostProbeCache(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.probe = Probe(synthetic.host())
        self.versions = ('10.0.0', '11.3.0')
        self.host = host_state.HostProbeCache(
            lambda: self.probe, lambda: self.versions
        )

    def test_probed_once(self) -> None:
        self.assertEqual(synthetic.host(), self.host.host())
        self.assertEqual(synthetic.host(), self.host.host_or_reason())
        self.host.trial(guest_started_on(synthetic.host()))
        self.assertEqual(1, self.probe.probes)

    def test_probed_again_after_an_upgrade(self) -> None:
        self.host.host()
        self.versions = ('10.1.0', '11.3.0')
        self.host.host()
        self.assertEqual(2, self.probe.probes)

    def test_a_failure_is_told_once_and_tried_again(self) -> None:
        self.probe.error = NoPermission('/dev/kvm')
        with mock.patch.object(
            host_state.LOG, 'warning', autospec=True
        ) as warning:
            for _ in range(3):
                self.assertIn('group kvm', str(self.host.host_or_reason()))
            self.assertEqual(1, warning.call_count)
            self.probe.error = ProbeError('something else')
            self.host.host_or_reason()
            self.assertEqual(2, warning.call_count)
        self.assertEqual(4, self.probe.probes)
        self.probe.error = None
        self.assertEqual(synthetic.host(), self.host.host_or_reason())

    def test_a_failure_after_a_success_is_news(self) -> None:
        self.probe.error = ProbeError('gone')
        with mock.patch.object(
            host_state.LOG, 'warning', autospec=True
        ) as warning:
            self.host.host_or_reason()
            self.probe.error = None
            self.host.host_or_reason()
            self.probe.error, self.versions = ProbeError('gone'), ('', '')
            self.host.host_or_reason()
        self.assertEqual(2, warning.call_count)

    def test_no_trial_without_a_probe(self) -> None:
        self.probe.error = ProbeError('no such device')
        trial = self.host.trial(Guest())
        self.assertFalse(trial.ran)
        self.assertEqual('no such device', trial.why_not)

    def test_the_probe_holds_up_no_other_thread(self) -> None:
        self.host.host()
        entered, leave = threading.Event(), threading.Event()

        def slow() -> Host:
            entered.set()
            leave.wait()
            return synthetic.host()

        self.versions = ('10.1.0', '11.3.0')
        with mock.patch.object(
            self.probe, 'host', autospec=True, side_effect=slow
        ):
            thread = threading.Thread(target=self.host.host)
            thread.start()
            entered.wait()
        # The first thread is inside its probe until `leave` is set.
        self.assertEqual(synthetic.host(), self.host.host())
        leave.set()
        thread.join()


class TestStarted(TestHostProbeCache):
    def test_the_guest_has_what_kvm_shows_it(self) -> None:
        domain = Domain(
            disabled=frozenset({'sve', 'pmu'}), gic=3, memory=1 << 30
        )
        self.assertEqual(
            guest_started_on(
                synthetic.host(),
                disabled=domain.disabled,
                gic=3,
                memory=1 << 30,
            ),
            self.host.started(domain),
        )

    def test_without_a_scratch_vcpu_it_follows_from_the_profile(self) -> None:
        self.host.host()
        self.probe.error = ProbeError('out of file descriptors')
        domain = Domain(disabled=frozenset({'pauth'}))
        self.assertEqual(
            guest_started_on(synthetic.host(), disabled=domain.disabled),
            self.host.started(domain),
        )

    def test_without_a_profile_there_is_no_record(self) -> None:
        self.probe.error = ProbeError('no such device')
        self.assertRaises(ProbeError, self.host.started, Domain())
