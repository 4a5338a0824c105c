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

"""Profiles from dumps of registers, in the form of other tools."""

from collections.abc import Collection
import dataclasses
import json
import pathlib
from typing import Any
import unittest

from nova_arm_migrate.core.dump import host_of_dump
from nova_arm_migrate.core.dump import LONGEST
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.registers import sysreg
from tests.present import present
from tests.unit.core import synthetic as s

PROFILES = pathlib.Path(__file__).parents[2] / 'fixtures' / 'profiles'
CNTVCT = sysreg(3, 3, 14, 3, 2)  # as KVM numbers it
CNTPCT = sysreg(3, 3, 14, 0, 1)
MIDR_ID = '0x603000000013c000'


def dump(registers: Any, **more: Any) -> str:
    return json.dumps(more | {'registers': registers})


def dump_of(host: Host, leave_out: Collection[int] = ()) -> str:
    """What another tool would have dumped on this host."""
    return dump(
        {
            f'{kvm_id(code):#x}': f'{host.values.read(code):#x}'
            for code in present(host.reg_list)
            if code not in leave_out
        },
        kernel=host.kernel,
    )


def recorded(name: str) -> Host:
    return load_host((PROFILES / f'{name}.json').read_text().strip())


class TestImport(unittest.TestCase):
    def test_of_a_recorded_host(self) -> None:
        """A dump of all registers gives what the probe recorded of them."""
        for name in (
            'neoverse-n1-no-pmu-linux-6.1',
            'neoverse-v1-linux-6.1',
            'neoverse-v1-linux-7.2',
            'max-linux-6.12',
        ):
            host = recorded(name)
            made = host_of_dump(dump_of(host), host)
            for attribute in (
                'values',
                'reg_list',
                'features',
                'writable',
                'kernel',
            ):
                self.assertEqual(
                    getattr(host, attribute),
                    getattr(made, attribute),
                    attribute,
                )

    def test_what_a_dump_does_not_tell_is_absent(self) -> None:
        made = host_of_dump(dump_of(recorded('neoverse-n1-linux-7.2')))
        for attribute in (
            'writable',
            'sve_lengths',
            'gic',
            'ipa_bits',
            'page_size',
            'huge_page_sizes',
            'cntfrq',
            'dczid',
            'hwcap',
            'qemu',
            'libvirt',
        ):
            self.assertIsNone(getattr(made, attribute), attribute)
            self.assertIn('not in a dump', made.why_absent(attribute))
        self.assertEqual(((), ()), (made.cores, made.capabilities))
        self.assertIn('one core', made.why_absent('cores'))
        self.assertIn('no pauth, sve;', made.why_absent('features'))
        self.assertEqual(made, load_host(dump_host(made)))

    def test_a_dump_with_all_features_says_nothing_of_them(self) -> None:
        made = host_of_dump(dump_of(recorded('neoverse-v1-linux-7.2')))
        self.assertNotIn('features', dict(made.absent))
        self.assertNotIn('reg_list', dict(made.absent))

    def test_counts_that_run_are_added(self) -> None:
        for name, counts in (
            ('neoverse-n1-linux-6.1', {CNTVCT}),
            ('neoverse-n1-linux-7.2', {CNTVCT, CNTPCT}),
        ):
            host = recorded(name)
            made = host_of_dump(dump_of(host, leave_out=counts))
            self.assertEqual(host.reg_list, made.reg_list)
            self.assertEqual(
                len(counts), made.why_absent('reg_list').count('CNT')
            )

    def test_masks_say_whose_they_are(self) -> None:
        host = recorded('neoverse-n1-linux-7.2')
        made = host_of_dump(dump_of(host), recorded('max-linux-7.2'))
        self.assertEqual(host.writable, made.writable)
        self.assertIn(
            "another host's record, Linux 7.2.12", made.why_absent('writable')
        )
        unknown = dataclasses.replace(host, kernel=None)
        made = host_of_dump(dump_of(unknown), unknown)
        self.assertIsNone(made.kernel)
        self.assertIn('Linux unknown', made.why_absent('writable'))

    def test_masks_that_do_not_fit(self) -> None:
        host = recorded('neoverse-n1-linux-7.2')
        text = dump_of(host)
        without = dataclasses.replace(
            host, writable=None, absent=(('writable', 'no KVM'),)
        )
        with self.assertRaisesRegex(ProfileError, 'no writable.*no KVM'):
            host_of_dump(text, without)
        narrow = s.with_field(host, 'ID_AA64PFR0_EL1.EL0', 1)
        with self.assertRaisesRegex(ProfileError, '32-bit EL0'):
            host_of_dump(text, narrow)
        host_of_dump(dump_of(narrow), narrow)

    def test_cpu_state_is_passed_over(self) -> None:
        made = host_of_dump(
            dump(
                {
                    MIDR_ID: '0x1',
                    '0x6030000000100000': '0x5',
                    '0x6080000000150000': '0x' + 'f' * 512,
                }
            )
        )
        self.assertEqual(Values({s.MIDR: 1}), made.values)
        self.assertEqual({s.MIDR}, made.reg_list)

    def test_state_of_a_guest_is_not_kept(self) -> None:
        made = host_of_dump(
            dump({MIDR_ID: '0x1', f'{kvm_id(s.SCTLR):#x}': '0x30d00980'})
        )
        self.assertEqual({s.MIDR: 1}, dict(made.values))
        self.assertIn(s.SCTLR, present(made.reg_list))


class TestBadDumps(unittest.TestCase):
    def test_refused(self) -> None:
        good = {MIDR_ID: '0x411fd401'}
        for text, words in (
            ('', 'not JSON'),
            ('[' * 100_000, 'not JSON'),
            ('[]', 'not a JSON object'),
            ('{}', 'registers: missing'),
            ('{"registers": []}', 'registers: missing'),
            (
                f'{{"registers": {{"{MIDR_ID}": "0x1", "{MIDR_ID}": "0x2"}}}}',
                'the same key twice',
            ),
            (dump({}), 'MIDR_EL1 is missing'),
            (dump({MIDR_ID: '0x0'}), 'MIDR'),
            (dump(good, kernel=6), 'kernel: 6 is not'),
            (dump(good, kernel='6\n1'), "kernel: '6"),
            (dump(good | {'midr': '0x1'}), "'midr' is not KVM's id"),
            (dump(good | {'0x603000000013c00': '0x1'}), "not KVM's id"),
            (dump(good | {'0x603000000013C001': '0x1'}), "not KVM's id"),
            # The right register, by a wrong size.
            (dump(good | {'0x602000000013c001': '0x1'}), "not KVM's id"),
            (dump(good | {'0x6030000000110000': '0x1'}), "not KVM's id"),
            (dump({MIDR_ID: 5}), '5 is not a register value'),
            (dump({MIDR_ID: '411fd401'}), 'is not a register value'),
            (dump({MIDR_ID: '0x' + '1' * 17}), 'is not a register value'),
            (dump({MIDR_ID: '0x-1'}), 'is not a register value'),
            (
                dump({f'0x6030000000{n:06x}': '0x0' for n in range(2049)}),
                'more than 2048',
            ),
            (' ' * (LONGEST + 1), 'more than'),
        ):
            with self.assertRaisesRegex(ProfileError, words) as caught:
                host_of_dump(text)
            self.assertNotIn('\n', str(caught.exception))

    def test_other_keys_are_passed_over(self) -> None:
        self.assertEqual(
            host_of_dump(dump({MIDR_ID: '0x1'})),
            host_of_dump(dump({MIDR_ID: '0x1'}, cpu='x', note=[1])),
        )
