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

"""What no register tells, in the simulated QEMU."""

from collections.abc import Iterable
from typing import Any
import unittest
from unittest import mock

from nova_arm_migrate.core import checks
from nova_arm_migrate.core import memmap
from nova_arm_migrate.core import vcpu
from simulated import machine
from simulated.machine import VcpuState
from tests.present import present
from tests.unit.core import synthetic
from tests.unit.probe import base as probe_base

STEAL_TIME = (('STEAL_TIME', 1),)


def domain(gib: int = 2, disabled: Iterable[str] = ()) -> str:
    features = ''.join(
        f"<feature name='{name}' policy='disable'/>" for name in disabled
    )
    return (
        f"<domain type='kvm'><memory>{gib << 20}</memory>"
        f'<cpu>{features}</cpu></domain>'
    )


def host(**changes: Any) -> machine.RecordedMachine:
    return machine.RecordedMachine(synthetic.host(**changes))


class TestBoard(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        # The product's rules know nothing of all this.
        for patch in (
            mock.patch.object(checks, '_CHECKS', ()),
            mock.patch.object(memmap, '_WINDOWS', ()),
            mock.patch.object(vcpu, '_lengths', None),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def moved(
        self,
        origin: machine.RecordedMachine,
        here: machine.RecordedMachine,
        refused: Iterable[str] = (),
        broken: Iterable[str] = (),
        **kwargs: Any,
    ) -> VcpuState | None:
        """Move a new guest.

        :returns: its state there
        """
        loaded = here.load(origin.reset(domain(**kwargs)))
        self.assertEqual(
            (tuple(refused), tuple(broken)), (loaded.refused, loaded.broken)
        )
        self.assertEqual(not refused, loaded.state is not None)
        return loaded.state

    def test_steal_time(self) -> None:
        has, lacks = host(capabilities=STEAL_TIME), host(capabilities=())
        self.moved(has, has)
        self.moved(lacks, lacks)
        self.moved(has, lacks, refused=['pvtime: unknown RAM block'])

    def test_steal_time_that_a_guest_gains_on_its_way(self) -> None:
        has, lacks = host(capabilities=STEAL_TIME), host(capabilities=())
        gained = self.moved(lacks, has)
        self.assertEqual((), has.load(present(gained)).refused)
        self.assertEqual(
            ('pvtime: unknown RAM block',), lacks.load(present(gained)).refused
        )

    def test_memory_beyond_the_address_space(self) -> None:
        """QEMU's RAM begins at 1 GiB; the guest ends beyond 64 GiB."""
        for gib, refused in (
            (63, []),
            (64, ['memory: beyond the address space']),
        ):
            self.moved(
                host(ipa_bits=36), host(ipa_bits=36), gib=gib, refused=refused
            )

    def test_windows_beyond_the_address_space(self) -> None:
        for bits, missing in (
            (48, []),
            (40, []),
            (39, ['PCI memory']),
            (38, ['PCI configuration space', 'PCI memory', 'redistributors']),
        ):
            self.moved(
                host(ipa_bits=48),
                host(ipa_bits=bits),
                gib=4,
                broken=[f'{name}: missing here' for name in missing],
            )
        # Room that the guest does not use.
        self.moved(host(ipa_bits=38), host(ipa_bits=48), gib=4)

    def test_windows_behind_much_memory(self) -> None:
        """With 600 GiB the PCI memory is from 1 TiB on."""
        self.moved(
            host(ipa_bits=48),
            host(ipa_bits=40),
            gib=600,
            broken=['PCI memory: missing here'],
        )
        self.moved(host(ipa_bits=41), host(ipa_bits=41), gib=600)

    def test_what_is_not_recorded_is_not_judged(self) -> None:
        for name in ('ipa_bits', 'sve_lengths'):
            self.moved(host(), host(**{name: None}))
            self.moved(host(**{name: None}), host())

    def test_vector_lengths(self) -> None:
        others = ['SVE vector lengths: others here']
        for has, offers, disabled, broken in (
            ((128, 256), (128, 256), (), []),
            ((128, 256), (128,), (), others),
            ((128,), (128, 256), (), []),
            # One more in between: the same LEN selects another length.
            ((128, 512), (128, 256, 512), (), others),
            ((128, 256), (128,), ['sve256'], []),
            ((128, 256), (128, 512), ['sve'], []),
            # QEMU does not care for a length that the host lacks.
            ((128, 256, 512), (128, 256), ['sve384'], others),
            ((2048,), (2048,), (), ['SVE registers: cut off on their way']),
        ):
            self.moved(
                host(sve_lengths=has),
                host(sve_lengths=offers),
                disabled=disabled,
                broken=broken,
            )

    def test_vector_lengths_that_were_measured(self) -> None:
        """Real QEMU took this guest, and its processes were killed."""
        here = probe_base.recorded('neoverse-v1-no-sve256-linux-6.12')
        origin = probe_base.recorded('neoverse-v1-linux-6.12')
        self.moved(
            machine.RecordedMachine(origin),
            machine.RecordedMachine(here),
            broken=['SVE vector lengths: others here'],
        )
        self.moved(
            machine.RecordedMachine(here), machine.RecordedMachine(origin)
        )
