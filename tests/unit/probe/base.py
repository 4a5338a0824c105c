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


"""What the tests of the probe have in common."""

from collections.abc import Callable
from collections.abc import Iterator
import json
import os
import pathlib
from typing import Any

import fixtures
import testtools

from nova_arm_migrate.core.codes import load_codes
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.probe import user_registers
from nova_arm_migrate.probe.host import LocalHost
from tests.unit.probe.fake_kvm import FakeKernel
from tests.unit.probe.fake_kvm import write_tree

PROFILES = pathlib.Path(__file__).parents[2] / 'fixtures' / 'profiles'
TRIALS = PROFILES.parent / 'trials'

V1_612 = 'neoverse-v1-linux-6.12'
MAX_72 = 'max-linux-7.2'
N1_61 = 'neoverse-n1-linux-6.1'


#: What the emulated cores have, and KVM hides from guests, by host: QEMU's
#: TCG gives Neoverse-V1 and newer ones FEAT_NV2 (ID_AA64MMFR2_EL1.NV = 2).
HIDDEN = {
    name: {0xC03A: 2 << 24}
    for name in ('max-linux-7.2', 'neoverse-v1-linux-7.2')
}


def recorded_names() -> list[str]:
    """The names of all profiles that were recorded in the lab."""
    return sorted(path.stem for path in PROFILES.glob('*.json'))


def recorded(name: str) -> Host:
    """A profile that was recorded in the lab."""
    return load_host((PROFILES / f'{name}.json').read_text().strip())


def recorded_answers() -> Iterator[
    tuple[str, str, frozenset[str], frozenset[int], frozenset[int]]
]:
    """What real kernels answered to the registers of guests.

    Yields the names of the destination and of the host that a guest started
    on, the features that it had switched off, the codes of the registers that
    were refused, and the codes of those that were missing.
    """
    for path in sorted(TRIALS.glob('*.json')):
        for name, (refused, missing) in json.loads(path.read_text()).items():
            origin, *disabled = name.split()
            yield (
                path.stem,
                origin,
                frozenset(disabled),
                load_codes('refused', refused),
                load_codes('missing', missing),
            )


def open_descriptors() -> int:
    """How many descriptors this process has."""
    return len(os.listdir('/proc/self/fd'))


class ProbeTestCase(testtools.TestCase):
    """Has a fake kernel, and a tree of /proc and /sys, per host."""

    def play(
        self, profile: Host, fails: Callable[[int], int] | None = None
    ) -> FakeKernel:
        """Let the machine be that of a profile; return its kernel."""
        kernel = FakeKernel(profile, fails)
        self.useFixture(fixtures.MonkeyPatch('fcntl.ioctl', kernel.ioctl))
        registers = {
            user_registers.CNTFRQ_EL0: profile.cntfrq,
            user_registers.DCZID_EL0: profile.dczid,
        }
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_arm_migrate.probe.user_registers.read',
                registers.__getitem__,
            )
        )
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        write_tree(self.root, profile)
        return kernel

    def probe(self, profile: Host, **changes: Any) -> LocalHost:
        """The real probe, on the machine that `play` has set up."""
        given: dict[str, Any] = {
            'qemu': profile.qemu,
            'libvirt': profile.libvirt,
            'root': self.root,
            'device': os.devnull,
            'machine': 'aarch64',
        }
        return LocalHost(**given | changes)
