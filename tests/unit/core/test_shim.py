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

"""What the interposed library reads, by a parser of its own grammar."""

import re
import unittest

from nova_arm_migrate.core import crossing
from nova_arm_migrate.core import shim
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.cpu_baseline import start
from nova_arm_migrate.core.profile import Host
from tests import silicon

#: The grammar, from the docstring of `shim` and not from its code.
NUMBER = '0x(?:0|[1-9a-f][0-9a-f]{0,15})'
VALUE = re.compile(
    r'1;(?P<name>[A-Za-z0-9._-]{1,64});(?P<flags>(?:pauth)?);'
    rf'(?P<registers>[0-9a-f]{{16}}={NUMBER}(?:,[0-9a-f]{{16}}={NUMBER})*);'
    rf'(?P<told>(?:{NUMBER}/{NUMBER}/{NUMBER}'
    rf'(?:,{NUMBER}/{NUMBER}/{NUMBER})*)?)'
)
#: KVM's ids of system registers, S<op0>_<op1>_C<n>_C<m>_<op2>.
MIDR = 0x603000000013C000
REVIDR = 0x603000000013C006
AIDR = 0x603000000013C807
CTR = 0x603000000013D801
CLIDR = 0x603000000013C801
PMCR = 0x603000000013DCE0
PSCI_VERSION = 0x6030000000140000
WORKAROUND_3 = 0x6030000000140003
BMAP_2 = 0x6030000000160003
ID_DFR0 = 0x603000000013C00A


def parse(
    text: str,
) -> tuple[str, str, list[tuple[int, int]], list[tuple[int, ...]]]:
    """Return name, flags, [(id, value)] and the implementations."""
    match = VALUE.fullmatch(text)
    assert match, text
    registers = [
        (int(one.split('=')[0], 16), int(one.split('=')[1], 16))
        for one in match['registers'].split(',')
    ]
    told = [
        tuple(int(number, 16) for number in one.split('/'))
        for one in match['told'].split(',')
        if one
    ]
    return match['name'], match['flags'], registers, told


def pool(*names: str) -> tuple[CpuBaseline, list[Host]]:
    hosts = [silicon.lab_host(name) for name in names]
    return crossing.common(hosts, name='pool-1').baseline, hosts


class TestRender(unittest.TestCase):
    def test_what_the_library_reads(self) -> None:
        baseline, (v1, n2) = pool('neoverse-v1_forky', 'neoverse-n2_forky')
        name, flags, registers, told = parse(shim.render(baseline, v1))
        self.assertEqual(('pool-1', ''), (name, flags))
        self.assertEqual(
            [MIDR, REVIDR, AIDR], [number for number, _ in registers[:3]]
        )
        self.assertEqual(BMAP_2, registers[-1][0])
        self.assertEqual([(0x410FD493, 0, 0), (0x411FD402, 0, 0)], told)
        self.assertEqual(0x410FD493, dict(registers)[MIDR])
        _, _, there, _ = parse(shim.render(baseline, n2))
        # A new vCPU has the implementation already.
        self.assertNotIn(MIDR, dict(there))

    def test_writing_them_makes_the_guest(self) -> None:
        for names in (
            ('neoverse-v1_forky', 'neoverse-n2_forky'),
            ('cortex-a710_forky', 'neoverse-n2_forky'),
            ('neoverse-n1_forky', 'neoverse-n1_trixie'),
        ):
            baseline, hosts = pool(*names)
            for host in hosts:
                text = shim.render(baseline, host)
                _, _, registers, _ = (
                    parse(text) if '=' in text else ('', '', [], [])
                )
                guest = start(baseline, host)
                for number, value in registers:
                    code = (
                        number & 0xFFFF
                        if number >> 16 & 0xFFF == 0x13
                        else number & 0xFFFFFFF
                    )
                    self.assertEqual(value, guest.values.read(code))

    def test_features_and_counters(self) -> None:
        baseline, (a710, n2) = pool('cortex-a710_forky', 'neoverse-n2_forky')
        _, flags, registers, _ = parse(shim.render(baseline, a710))
        self.assertEqual('pauth', flags)
        self.assertEqual(6, dict(registers)[PMCR] >> 11 & 0x1F)
        _, _, registers, _ = parse(shim.render(baseline, n2))
        self.assertNotIn(PMCR, dict(registers))

    def test_the_order(self) -> None:
        baseline, _ = pool('cortex-a710_forky', 'neoverse-n2_forky')
        _, _, registers, _ = parse(shim.render(baseline))
        numbers = [number for number, _ in registers]
        places = {number: place for place, number in enumerate(numbers)}
        self.assertEqual(len(places), len(numbers))
        identity = [
            places[number]
            for number in numbers
            if number & ~0x1FF == 0x603000000013C000
            and number not in (MIDR, REVIDR)
        ]
        self.assertLess(places[MIDR], min(identity))
        self.assertLess(max(identity), places[CTR])
        self.assertLess(places[CTR], places[CLIDR])
        self.assertLess(places[CLIDR], places[PSCI_VERSION])
        self.assertEqual(len(numbers) - 1, places[BMAP_2])

    def test_what_kvm_keeps_is_not_written(self) -> None:
        baseline, _ = pool('cortex-a710_forky', 'neoverse-n2_forky')
        _, _, registers, _ = parse(shim.render(baseline))
        self.assertNotIn(WORKAROUND_3, dict(registers))

    def test_no_aarch32_registers_without_32_bit_code(self) -> None:
        v1, v2 = (
            one for one in silicon.members() if one.core != 'Neoverse-N1'
        )
        baseline = silicon.crossing(v1, v2, name='graviton').baseline
        for host in (v1.host, v2.host, None):
            name, _, registers, _ = parse(shim.render(baseline, host))
            self.assertEqual('graviton', name)
            self.assertNotIn(ID_DFR0, dict(registers))

    def test_the_environment(self) -> None:
        baseline, (v1, _) = pool('neoverse-v1_forky', 'neoverse-n2_forky')
        self.assertEqual(
            {'NOVA_ARM_BASELINE': shim.render(baseline, v1)},
            shim.environment(baseline, v1),
        )

    def test_why_the_library_has_stopped_a_guest(self) -> None:
        refused = (
            'nova-arm-baseline: pool-1: register 603000000013c031 cannot be'
            ' set: wanted 0x0123456789abcdef, there is 0x11 (Invalid argument)'
        )
        named = (
            'register ID_AA64ISAR1_EL1 cannot be set: wanted'
            ' 0x0123456789abcdef, there is 0x11 (Invalid argument)'
        )
        state = 'register 6030000000100042 cannot be set: wanted 0x1'
        for log, expected in (
            ('', ''),
            ('qemu-system-aarch64: no disk', ''),
            ('nova-arm-baseline: pool-1: registers set: 31', ''),
            # As libvirt quotes it.
            (f"the monitor (vm='guest'): {refused}", named),
            # The first complaint: QEMU goes on with the next vCPU.
            (
                'nova-arm-baseline: pool-1: registers set: 31\n'
                f'{refused}\nnova-arm-baseline: pool-1: a vCPU without the'
                ' baseline does not run\n',
                named,
            ),
            (f'nova-arm-baseline: pool-1: {state}', state),
            (
                'nova-arm-baseline: NOVA_ARM_BASELINE is malformed: no name',
                'NOVA_ARM_BASELINE is malformed: no name',
            ),
        ):
            with self.subTest(log):
                self.assertEqual(expected, shim.complaint(log))
