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
from typing import Any

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.special import CLIDR_EL1
from nova_arm_migrate.core.tables.special import VENDOR_HYP_BMAP_2
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.tried import Answer
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.probe import errors
from nova_arm_migrate.probe.recorded import RecordedHost
from simulated import kvm_rule
from tests.present import present
from tests.unit.probe import base

PFR0, PFR1, MMFR2 = kvm_rule.PFR0, kvm_rule.PFR1, kvm_rule.MMFR2
V1_72 = 'neoverse-v1-linux-7.2'
MPAM = 1 << 40
ICC_CTLR = 0xC664


def schema_1(name: str) -> Host:
    """A recorded host as a probe without tries would have recorded it."""
    return dataclasses.replace(
        base.recorded(name),
        tried=None,
        vgics=None,
        hypercalls=None,
        own_caches=None,
    )


class TriesTestCase(base.ProbeTestCase):
    def host(
        self, name: str, hardware: dict[int, int] | None = None, **changes: Any
    ) -> Host:
        """What the probe records of a host that hides something."""
        self.recorded = dataclasses.replace(base.recorded(name), **changes)
        self.kernel = self.play(self.recorded)
        self.kernel.hardware = hardware or {}
        return self.probe(self.recorded).host()


class TestIgnored(TriesTestCase):
    def test_what_the_hardware_has_and_guests_do_not_see(self) -> None:
        host = self.host(V1_72, {PFR0: MPAM, PFR1: 1 << 16, MMFR2: 2 << 24})
        self.assertEqual(
            {
                PFR0: (Answer(40, 4, 0b11, 0b10),),
                PFR1: (Answer(16, 4, 0b11, 0b10),),
                MMFR2: (Answer(24, 4, 0b101, 0b100),),
            },
            dict(present(host.tried)),
        )

    def test_nothing_where_the_hardware_has_none_of_it(self) -> None:
        self.assertEqual({}, dict(present(self.host(V1_72).tried)))

    def test_el0_and_el1_without_64_bits(self) -> None:
        """Linux 6.12 takes 0, Linux 7.2 does not."""
        self.assertEqual(
            {PFR0: (Answer(0, 4, 0b111, 0), Answer(4, 4, 0b11, 0))},
            dict(present(self.host(base.V1_612).tried)),
        )

    def test_the_vcpu_is_left_as_it_was(self) -> None:
        self.host(V1_72, {PFR0: MPAM, MMFR2: 2 << 24})
        (machine,) = (vm for vm in self.kernel.machines if vm['values'])
        for code, value in machine['values'].items():
            self.assertEqual(
                self.recorded.values.read(code), value, register_of(code).name
            )

    def test_a_field_that_cannot_be_read_back_fails_the_probe(self) -> None:
        self.host(base.V1_612)
        taken = []

        def fails(number: int) -> int:
            taken.append(self.kernel.calls[-1])
            return errno.EIO * (taken[-2:] == ['set_one_reg', 'get_one_reg'])

        self.kernel.fails = fails
        error = self.assertRaises(
            errors.KvmFailed, self.probe(self.recorded).host
        )
        self.assertIn('KVM_GET_ONE_REG', str(error))

    def test_registers_for_32_bit_code_where_there_is_none(self) -> None:
        """KVM ignores all that is written to them, and nothing is tried."""
        recorded = base.recorded('a64fx-linux-7.2')
        self.assertEqual(1, recorded.values.read(PFR0) & 15)
        host = self.host('a64fx-linux-7.2')
        self.assertEqual({}, dict(present(host.tried)))
        self.assertNotIn(0xC008, {code for code, _ in self.kernel.written})

    def test_few_tries_find_what_all_of_them_then_tell(self) -> None:
        """Of registers for 32-bit code, where the kernel tells no masks."""
        recorded = base.recorded(base.N1_61)
        code, shown = 0xC010, recorded.values[0xC010]
        kernel = self.play(recorded)
        judge = kernel._write

        def write(state: dict[str, Any], register: int, value: int) -> int:
            # Takes and ignores 15 and 7 in the lowest field.
            if register == code and value in (shown | 15, shown & ~15 | 7):
                return 0
            return judge(state, register, value)

        self.assertEqual(0, shown & 15)
        self.patch(kernel, '_write', write)
        self.assertEqual(
            {code: (Answer(0, 4, 0x8081, 0x8080),)},
            dict(present(self.probe(recorded).host().tried)),
        )

    def test_no_call_for_fields_that_the_kernel_says_are_writable(
        self,
    ) -> None:
        self.host(V1_72)
        codes = {code for code, _ in self.kernel.written}
        self.assertNotIn(0xC010, codes)
        # EL0 and EL1, which some kernels judge by more than that.
        self.assertIn(
            (PFR0, self.recorded.values[PFR0] & ~0xF), self.kernel.written
        )

    def test_the_record_stays_small_and_comes_back(self) -> None:
        everything = dict.fromkeys((PFR0, PFR1, MMFR2), 18446744073709551615)
        for name in base.recorded_names():
            host = self.host(name, everything)
            text = dump_host(host)
            self.assertLessEqual(len(text), 4096, name)
            self.assertEqual(host, load_host(text))


class TestKernelUpdate(TriesTestCase):
    """Records alone: what the scheduler has."""

    def verdict(self, guest: Guest, host: Host) -> Verdict:
        return compare(guest, host).verdict

    def test_recorded_hosts(self) -> None:
        for old, new in (
            ('neoverse-v1-linux-6.12', V1_72),
            ('neoverse-n1-linux-6.1', 'neoverse-n1-linux-6.12'),
            ('neoverse-n1-linux-6.12', 'neoverse-n1-linux-7.2'),
            ('neoverse-n1-gic2-linux-6.12', 'neoverse-n1-gic2-linux-7.2'),
        ):
            there = base.recorded(new)
            guest = guest_started_on(
                base.recorded(old), gic=present(there.gic)[-1]
            )
            self.assertIs(
                Verdict.COMPATIBLE,
                self.verdict(guest, there),
                str(compare(guest, there).findings),
            )
            # And on from there, as it is then.
            self.assertIs(
                Verdict.COMPATIBLE,
                self.verdict(after_migration(guest, there), there),
            )

    def test_a_core_with_mpam(self) -> None:
        """Old kernels show it to guests; those of today hide it."""
        started = base.recorded(base.V1_612)
        guest = guest_started_on(
            dataclasses.replace(
                started,
                values=Values(
                    dict(started.values) | {PFR0: started.values[PFR0] | MPAM}
                ),
            )
        )
        hidden = {PFR0: MPAM, MMFR2: 2 << 24}
        for hardware, verdict in (
            (hidden, Verdict.COMPATIBLE),
            (hidden | {PFR0: 2 << 40}, Verdict.INCOMPATIBLE),
            ({}, Verdict.INCOMPATIBLE),
        ):
            there = self.host(V1_72, hardware)
            self.assertIs(verdict, self.verdict(guest, there))
        there = self.host(V1_72, hidden)
        self.assertEqual(
            0, after_migration(guest, there).values[PFR0] >> 40 & 15
        )
        self.assertIs(Verdict.UNKNOWN, self.verdict(guest, schema_1(V1_72)))


class TestOthers(TriesTestCase):
    def test_hypercall_bits(self) -> None:
        host = self.host(V1_72)
        self.assertEqual(
            {VENDOR_HYP_BMAP_2: 3}, dict(present(host.hypercalls))
        )
        self.assertEqual({}, dict(present(self.host(base.V1_612).hypercalls)))

    def test_caches(self) -> None:
        self.assertIs(True, self.host(V1_72).own_caches)
        self.assertIs(False, self.host(base.N1_61).own_caches)

    def test_caches_that_a_distribution_has_brought_to_an_old_kernel(
        self,
    ) -> None:
        """What counts is what KVM does, not what it is called."""
        listed = base.recorded(base.N1_61).reg_list
        host = self.host(
            base.N1_61, reg_list=present(listed) | {*range(0x110000, 0x11000E)}
        )
        self.assertEqual('6.1.0', host.kernel)
        self.assertIs(True, host.own_caches)

    def test_no_caches_to_try(self) -> None:
        listed = {
            code
            for code in present(base.recorded(V1_72).reg_list)
            if code != CLIDR_EL1 and code >> 16 != 0x11
        }
        self.assertIsNone(
            self.host(V1_72, reg_list=frozenset(listed)).own_caches
        )

    def test_steal_time_needs_its_attribute_too(self) -> None:
        recorded = base.recorded(V1_72)
        kernel = self.play(recorded)
        self.assertEqual(
            1, self.probe(recorded).host().capability('STEAL_TIME')
        )
        kernel.steal_time = False
        self.assertEqual(
            0, self.probe(recorded).host().capability('STEAL_TIME')
        )


class TestMachine(TriesTestCase):
    def test_it_is_made_in_qemus_order(self) -> None:
        self.host(V1_72)
        first = self.kernel.calls[: self.kernel.calls.index('reg_list')]
        order = [
            call
            for call in first
            if call not in ('check_extension', 'get_one_reg')
        ]
        self.assertEqual(
            [
                'get_api_version',
                'create_vm',
                'enable_cap',
                'preferred_target',
                'create_vcpu',
                'vcpu_init',
                'vcpu_finalize',
                # Which GICs there are, and then the newest.
                'create_device',
                'create_device',
                'create_device',
                # Interrupts, initialisation, two addresses; the PMU's two.
                *['set_device_attr'] * 6,
                # Steal time, and the masks.
                'has_device_attr',
                'create_device',
                'create_device',
                'writable_masks',
            ],
            order,
        )

    def test_no_gic_at_all(self) -> None:
        host = self.host(V1_72, gic=(), vgics=())
        self.assertEqual((), host.vgics)
        self.assertNotIn('set_device_attr', self.kernel.calls)

    def test_no_pmu(self) -> None:
        host = self.host('neoverse-n1-no-pmu-linux-7.2')
        self.assertEqual(
            4 + 16 + 1, self.kernel.calls.count('set_device_attr')
        )
        self.assertNotIn('pmu', host.features)

    def test_both_versions_of_the_gic(self) -> None:
        """Linux 7.2 shows a guest with a GICv2 no GICv3."""
        host = self.host('neoverse-n1-linux-7.2', gic=(2, 3), vgics=None)
        two, three = present(host.vgics)
        self.assertEqual((), three.shown)
        self.assertEqual(0x8C00, three.ctlr)
        self.assertEqual(0b1100, three.revisions)
        self.assertEqual(
            (
                (0xC009, self.recorded.values[0xC009] & ~(15 << 28)),
                (PFR0, self.recorded.values[PFR0] & ~(15 << 24)),
            ),
            two.shown,
        )
        self.assertIsNone(two.ctlr)
        self.assertEqual(0x4B00343B, two.distributor)

    def test_both_versions_where_the_kernel_shows_one_thing(self) -> None:
        host = self.host('neoverse-n1-linux-6.12', gic=(2, 3), vgics=None)
        self.assertEqual(
            [(), ()], [vgic.shown for vgic in present(host.vgics)]
        )

    def test_a_view_is_of_the_guests_own_gic(self) -> None:
        host = self.host('neoverse-n1-linux-7.2', gic=(2, 3), vgics=None)
        probe, twin = self.probe(self.recorded), RecordedHost(host)
        for gic in (None, 2, 3, 5):
            for disabled in (frozenset(), frozenset({'pmu'})):
                view = probe.guest_view(disabled, gic)
                self.assertEqual(view, twin.guest_view(disabled, gic))
                if gic != 5:
                    # Without a GICv5 the view is of the newest GIC.
                    self.assertEqual(
                        view.values,
                        guest_started_on(
                            host, gic=gic, disabled=disabled
                        ).values,
                    )

    def test_a_controller_that_tells_nothing(self) -> None:
        recorded = base.recorded(V1_72)
        kernel = self.play(recorded)
        kernel.fails = lambda number: (
            errno.ENXIO * (kernel.calls[-1] == 'get_device_attr')
        )
        (vgic,) = present(self.probe(recorded).host().vgics)
        self.assertEqual((3, (), None, None, None, None), tuple(vgic))

    def test_a_controller_that_kvm_does_not_make(self) -> None:
        for call in ('create_device', 'set_device_attr'):
            recorded = base.recorded(V1_72)
            kernel = self.play(recorded)
            # The first two are tests of what there is.
            kernel.fails = lambda number: (
                errno.ENOMEM
                * (kernel.calls.count(call) == 3 and kernel.calls[-1] == call)
            )
            before = base.open_descriptors()
            self.assertRaises(errors.KvmFailed, self.probe(recorded).host)
            self.assertEqual(before, base.open_descriptors())

    def test_qemu_does_without_the_capability_that_kvm_refuses(self) -> None:
        recorded = base.recorded(V1_72)
        kernel = self.play(recorded)
        kernel.fails = lambda number: (
            errno.EINVAL * (kernel.calls[-1] == 'enable_cap')
        )
        self.assertEqual(recorded.values, self.probe(recorded).host().values)


class TestTrial(TriesTestCase):
    def trial(self, guest: Guest, host: Host) -> Trial:
        """On the real probe and on its twin."""
        trial = self.probe(self.recorded).trial(guest)
        self.assertEqual(trial, RecordedHost(host).trial(guest))
        return trial

    def test_a_stale_value(self) -> None:
        host = self.host(V1_72, {MMFR2: 2 << 24})
        guest = guest_started_on(base.recorded(base.V1_612), gic=3)
        self.assertEqual(2, guest.values[MMFR2] >> 24 & 15)
        self.assertIs(True, self.trial(guest, host).accepted)
        self.kernel.hardware = {}
        host = self.probe(self.recorded).host()
        self.assertEqual(((MMFR2, 'EINVAL'),), self.trial(guest, host).refused)

    def test_the_gics_interface(self) -> None:
        host = self.host(V1_72)
        guest = guest_started_on(host, gic=3)
        for ctlr, accepted in (
            (0x8C00, True),
            (0x8B00, True),
            (0x8400, True),
            (0x8003, True),
            (0x8D00, False),
            (0x9400, False),
            (0xCC00, False),
            (0x0C00, False),
        ):
            trial = self.trial(
                dataclasses.replace(
                    guest, vgic=present(guest.vgic)._replace(ctlr=ctlr)
                ),
                host,
            )
            self.assertIs(accepted, trial.accepted, hex(ctlr))
            self.assertEqual(
                () if accepted else ((ICC_CTLR, 'EINVAL'),), trial.refused
            )

    def test_a_gic_that_the_host_has_not(self) -> None:
        """Its interface is not tried: QEMU does not even start there."""
        guest = guest_started_on(self.host(V1_72), gic=3)
        host = self.host('neoverse-v1-linux-7.2', gic=(2,), vgics=None)
        trial = self.trial(guest, host)
        self.assertEqual((ICC_CTLR,), trial.unjudged)
        self.assertIsNone(trial.accepted)

    def test_a_gicv2_guest_of_a_kernel_that_shows_it_a_gicv3(self) -> None:
        there = 'neoverse-n1-linux-6.12'
        before = self.host(there, gic=(2, 3), vgics=None)
        guest = guest_started_on(before, gic=2)
        host = self.host('neoverse-n1-linux-7.2', gic=(2, 3), vgics=None)
        self.assertNotEqual(
            guest.values[PFR0], guest_started_on(host, gic=2).values[PFR0]
        )
        self.assertIs(True, self.trial(guest, host).accepted)

    def test_legacy_guest_of_a_host_with_gicv5(self) -> None:
        """Schema 1: GCIE as a machine without a GIC shows it."""
        started = schema_1(V1_72)
        started = dataclasses.replace(
            started,
            values=Values(dict(started.values) | {kvm_rule.PFR2: 1 << 12}),
        )
        guest = guest_started_on(started, gic=3)
        host = self.host(V1_72, {MMFR2: 2 << 24})
        self.assertIs(True, self.trial(guest, host).accepted)
        # One whose record says so all the same.
        guest = dataclasses.replace(guest, values=started.values)
        self.assertIs(True, self.trial(guest, host).accepted)
