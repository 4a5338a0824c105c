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

"""The simulated QEMU against real kernels, and apart from the product."""

from collections.abc import Iterable
import dataclasses
import functools
from typing import Any
import unittest
from unittest import mock

from nova_arm_migrate.core import rules
from nova_arm_migrate.core.incoming import LoadResult
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.vcpu import guest_started_on
from simulated import kvm_rule
from simulated import machine
from simulated.machine import VcpuState
from tests.present import present
from tests.unit.core import synthetic
from tests.unit.probe import base as probe_base

#: Records of schema 1 do not tell what the hardware has and KVM hides. The
#: same emulated core on the same kernel is on record in schema 2, too.
SAME_CORE = {'neoverse-v1-no-pauth-linux-7.2': 'neoverse-v1-linux-7.2'}


def domain(disabled: Iterable[str] = (), gic: int | None = None) -> str:
    features = ''.join(
        f"<feature name='{name}' policy='disable'/>"
        for name in sorted(disabled)
    )
    given = f"<features><gic version='{gic}'/></features>" if gic else ''
    return f"<domain type='kvm'>{given}<cpu>{features}</cpu></domain>"


@functools.cache
def recorded(name: str) -> machine.RecordedMachine:
    host = probe_base.recorded(name)
    if name in SAME_CORE:
        host = dataclasses.replace(
            host, tried=probe_base.recorded(SAME_CORE[name]).tried
        )
    return machine.RecordedMachine(host)


def texts(codes: Iterable[int], why: str) -> set[str]:
    return {f'{register_of(code).name}: {why}' for code in codes}


def changed(state: VcpuState, code: int, value: int) -> VcpuState:
    return dataclasses.replace(
        state, values=Values(dict(state.values) | {code: value})
    )


class TestRealKernels(unittest.TestCase):
    def test_it_answers_trials_as_real_kernels_did(self) -> None:
        trials = refusals = 0
        for (
            name,
            origin,
            disabled,
            refused,
            missing,
        ) in probe_base.recorded_answers():
            loaded = recorded(name).load(
                recorded(origin).reset(domain(disabled))
            )
            self.assertEqual(
                texts(refused, 'EINVAL') | texts(missing, 'missing here'),
                set(loaded.refused),
                f'{origin} {disabled} to {name}',
            )
            trials += 1
            refusals += bool(loaded.refused)
        self.assertEqual(506, trials)
        self.assertGreater(refusals, trials // 4)
        self.assertLess(refusals, trials)

    def test_it_answers_tries_as_real_kernels_did(self) -> None:
        """The values that the probe wrote one by one to one field."""
        answers = 0
        for name in probe_base.recorded_names():
            here = recorded(name)
            new = here.reset(domain())
            for code, tried in (here.host.tried or {}).items():
                for answer in tried:
                    mask = (1 << answer.width) - 1 << answer.shift
                    for raw in range(1 << answer.width):
                        value = (
                            new.values.read(code) & ~mask | raw << answer.shift
                        )
                        loaded = here.load(changed(new, code, value))
                        self.assertEqual(
                            bool(answer.accepted >> raw & 1),
                            not loaded.refused,
                            f'{name}: {register_of(code).name} {value:#x}',
                        )
                        if answer.ignored >> raw & 1:
                            self.assertEqual(new, loaded.state)
                        answers += 1
        self.assertGreaterEqual(answers, 100)

    def test_its_list_of_registers_tells_whether_a_kernel_makes_up_caches(
        self,
    ) -> None:
        """As writing to real kernels has, where a record says so."""
        known = 0
        for name in probe_base.recorded_names():
            host = probe_base.recorded(name)
            if host.own_caches is not None:
                self.assertIs(
                    host.own_caches,
                    kvm_rule.makes_up_caches(present(host.reg_list)),
                    name,
                )
                known += 1
        self.assertGreaterEqual(known, 8)

    def test_a_kernel_with_a_backport_takes_other_caches(self) -> None:
        """Its version says nothing; schema 1 has no answers."""
        host = dataclasses.replace(
            probe_base.recorded('cortex-a76-linux-6.12'),
            kernel='5.14.0-611.el9.aarch64',
        )
        here = machine.RecordedMachine(host)
        new = here.reset(domain())
        other = new.values.read(0x110000) + (1 << 13)
        self.assertEqual((), here.load(changed(new, 0x110000, other)).refused)
        old = machine.RecordedMachine(
            dataclasses.replace(
                host,
                reg_list=present(host.reg_list)
                - set(range(0x110003, 0x11000E)),
            )
        )
        self.assertEqual(
            ('CCSIDR_EL1[0]: EINVAL',),
            old.load(changed(old.reset(domain()), 0x110000, other)).refused,
        )


class TestIndependence(unittest.TestCase):
    """The product's rule is broken: it accepts everything."""

    def setUp(self) -> None:
        super().setUp()
        accept: dict[Any, Any] = dict.fromkeys(rules.JUDGES, lambda *args: [])
        patches: tuple[Any, ...] = (
            mock.patch.dict(rules.JUDGES, accept),
            mock.patch(
                'nova_arm_migrate.probe.incoming.missing_register_result',
                lambda *args: LoadResult.DROPPED,
            ),
            mock.patch(
                'nova_arm_migrate.probe.recorded.find_gic', lambda *args: []
            ),
        )
        for patch in patches:
            patch.start()
            self.addCleanup(patch.stop)

    def refused(
        self,
        here: machine.RecordedMachine,
        origin: machine.RecordedMachine,
        gic: int | None = None,
    ) -> tuple[str, ...]:
        """What QEMU refuses, and the driver's probe does not."""
        trial = here.probe.trial(guest_started_on(origin.host, gic=gic))
        self.assertIs(True, trial.accepted)
        return here.load(origin.reset(domain(gic=gic))).refused

    def test_a_register_is_refused(self) -> None:
        self.assertIn(
            'ID_AA64PFR0_EL1: EINVAL',
            self.refused(
                recorded('neoverse-v1-no-sve-linux-6.12'),
                recorded('neoverse-v1-linux-6.12'),
            ),
        )

    def test_a_missing_register_is_refused(self) -> None:
        self.assertIn(
            'TCR2_EL1: missing here',
            self.refused(
                recorded('neoverse-n1-linux-6.1'),
                recorded('neoverse-n1-linux-6.12'),
            ),
        )

    def test_a_gic_is_refused(self) -> None:
        host = probe_base.recorded('neoverse-v1-linux-7.2')
        (vgic,) = present(host.vgics)
        ctlr = present(vgic.ctlr) & ~0x700
        self.assertEqual(
            ('ICC_CTLR_EL1: EINVAL',),
            self.refused(
                machine.RecordedMachine(
                    dataclasses.replace(
                        host, vgics=(vgic._replace(ctlr=ctlr),)
                    )
                ),
                machine.RecordedMachine(host),
                gic=3,
            ),
        )


class TestQemu(unittest.TestCase):
    """Registers that only one of the two hosts has."""

    LAST = 0x16000F  # a bitmap that no kernel has: behind all the others
    TCR2 = synthetic.TCR2
    BITMAP = 0x160003

    def fails(
        self,
        qemu: str | None,
        here: Iterable[int] = (),
        there: Iterable[int] = (),
        value: int = 0,
    ) -> set[str]:
        """Which of the registers `there` fail the load."""
        listed = synthetic.LISTED
        values = {code: value for code in there if value}
        guest = machine.RecordedMachine(
            synthetic.host(values, reg_list=listed | {*there})
        ).reset(domain())
        loaded = machine.RecordedMachine(
            synthetic.host(reg_list=listed | {*here}, qemu=qemu)
        ).load(guest)
        return set(loaded.refused)

    def test_a_register_that_only_the_destination_has_fails_nothing(
        self,
    ) -> None:
        for qemu in ('7.2.22', '10.2.0', '11.1.2'):
            self.assertEqual(set(), self.fails(qemu, here=[self.TCR2]))

    def test_a_register_that_the_destination_lacks(self) -> None:
        for qemu in ('7.2.22', '10.2.0', '11.1.2', None):
            self.assertEqual(
                texts([0x8123], 'missing here'),
                self.fails(qemu, here=[self.LAST], there=[0x8123]),
            )

    def test_one_behind_all_that_the_destination_has(self) -> None:
        """QEMU 10.2 never looks at it, unless its list is the longer one."""
        last = texts([self.LAST], 'missing here')
        for qemu, here, refused in (
            ('10.2.0', [self.TCR2], set()),
            ('10.2.0', [], last),
            ('11.1.2', [self.TCR2], last),
            ('11.0.0', [self.TCR2], last),
        ):
            self.assertEqual(
                refused, self.fails(qemu, here=here, there=[self.LAST])
            )

    def test_tolerances(self) -> None:
        for code, value, qemu, refused in (
            (self.TCR2, 0, '11.1.2', False),
            (self.TCR2, 0, '11.0.0', True),
            (self.TCR2, 0, '10.2.0', True),
            (self.BITMAP, 0, '11.1.2', False),
            (self.BITMAP, 1, '11.1.2', True),
        ):
            self.assertEqual(
                texts([code] if refused else [], 'missing here'),
                self.fails(qemu, there=[code], value=value),
                f'{code:#x} {qemu}',
            )

    def test_a_tolerated_register_clears_no_failure_of_another(self) -> None:
        for code in (0x8123, self.LAST):
            self.assertEqual(
                texts([code], 'missing here'),
                self.fails('11.1.2', there=[code, self.TCR2, self.BITMAP]),
            )
