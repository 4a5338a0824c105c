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
import mmap
import os
import pathlib
import struct
import sys
from unittest import mock

import fixtures
import testtools

from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.probe import programs
from nova_arm_migrate.probe import user_registers
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.system import format_list
from nova_arm_migrate.probe.system import parse_list
from nova_arm_migrate.probe.system import System
from tests.unit.probe import base
from tests.unit.probe.fake_kvm import write_tree


class TestSystem(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.recorded = base.recorded(base.V1_612)
        write_tree(self.root, self.recorded)
        self.system = System(self.root)

    def write(self, path: str, content: bytes) -> None:
        (self.root / path).write_bytes(content)

    def test_recorded_tree(self) -> None:
        self.assertEqual(self.recorded.cores, self.system.cores())
        self.assertEqual(self.recorded.hwcap, self.system.hwcap())
        self.assertEqual(4096, self.system.page_size())
        self.assertEqual(
            self.recorded.huge_page_sizes, self.system.huge_page_sizes()
        )
        self.assertEqual('6.12.117', self.system.kernel_release())

    def test_kernel_releases(self) -> None:
        for text, release in (
            (b'6.1.0-51-arm64\n', '6.1.0'),
            (b'7.2+deb', '7.2'),
            (b'5.14.0-427.el9.aarch64+64k\n', '5.14.0'),
        ):
            self.write('proc/sys/kernel/osrelease', text)
            self.assertEqual(release, self.system.kernel_release())

    def test_cores_are_grouped_by_all_three_registers(self) -> None:
        write_tree(
            self.root,
            dataclasses.replace(
                self.recorded,
                cores=(
                    Core(1, 0, None, '0,2'),
                    Core(1, 1, None, '1'),
                    Core(1, 1, 7, '3-4'),
                ),
            ),
        )
        self.assertEqual(
            (
                Core(1, 0, None, '0,2'),
                Core(1, 1, None, '1'),
                Core(1, 1, 7, '3-4'),
            ),
            self.system.cores(),
        )

    def test_cores_without_midr(self) -> None:
        (
            self.root
            / 'sys/devices/system/cpu/cpu1/regs/identification'
            / 'midr_el1'
        ).unlink()
        error = self.assertRaises(ProbeError, self.system.cores)
        self.assertIn('CPU 1', str(error))

    def test_nonsense_in_an_identification_file(self) -> None:
        self.write(
            'sys/devices/system/cpu/cpu0/regs/identification/revidr_el1',
            b'\xff\xfe',
        )
        self.write(
            'sys/devices/system/cpu/cpu1/regs/identification/revidr_el1', b''
        )
        self.assertEqual(
            (Core(self.recorded.cores[0].midr, None, None, '0-1'),),
            self.system.cores(),
        )

    def test_all_hwcaps(self) -> None:
        self.write(
            'proc/self/auxv',
            struct.pack('<10Q', 16, 1, 26, 0, 29, 3, 30, 0, 0, 0),
        )
        self.assertEqual((1, 0, 3), self.system.hwcap())

    def test_a_truncated_vector(self) -> None:
        self.write('proc/self/auxv', struct.pack('<2Q', 6, 4096) + b'123')
        self.assertEqual(4096, self.system.page_size())
        error = self.assertRaises(ProbeError, self.system.hwcap)
        self.assertIn('AT_HWCAP', str(error))
        self.write('proc/self/auxv', b'')
        self.assertRaises(ProbeError, self.system.page_size)

    def test_no_huge_pages(self) -> None:
        empty = System(self.useFixture(fixtures.TempDir()).path)
        error = self.assertRaises(ProbeError, empty.huge_page_sizes)
        self.assertIn('/sys/kernel/mm/hugepages', str(error))
        self.assertNotIn(str(self.root), str(error))

    def test_device_tree_frequency(self) -> None:
        directory = self.root / 'sys/firmware/devicetree/base/timer'
        directory.mkdir(parents=True)
        (directory / 'clock-frequency').write_bytes(b'\0\1\0\0')
        self.assertEqual(65536, self.system.device_tree_timer_frequency())
        (directory / 'clock-frequency').write_bytes(b'\0\1')
        self.assertRaises(ProbeError, self.system.device_tree_timer_frequency)

    def test_lists(self) -> None:
        for text, numbers in (
            ('', []),
            ('0', [0]),
            ('0-3', [0, 1, 2, 3]),
            ('0-1,4,6-7', [0, 1, 4, 6, 7]),
        ):
            self.assertEqual(numbers, parse_list(text))
            self.assertEqual(text, format_list(numbers))
        self.assertRaises(ProbeError, parse_list, '0-x')


class TestEl0(testtools.TestCase):
    #: Machine code of ``return 42``.
    FORTY_TWO = {
        'x86_64': b'\xb8\x2a\0\0\0\xc3',
        'aarch64': struct.pack('<II', 0xD2800540, 0xD65F03C0),
    }

    def test_instructions(self) -> None:
        """Source: Arm ARM, MRS: 0xd53 then o0, op1, CRn, CRm, op2, Rt."""

        def mrs(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
            return (
                0xD5200000
                | op0 << 19
                | op1 << 16
                | crn << 12
                | crm << 8
                | op2 << 5
            )

        self.assertEqual(mrs(3, 3, 14, 0, 0), user_registers.CNTFRQ_EL0)
        self.assertEqual(mrs(3, 3, 0, 0, 7), user_registers.DCZID_EL0)

    def test_code_is_run_and_nothing_is_left(self) -> None:
        code = self.FORTY_TWO.get(os.uname().machine)
        if code is None:
            self.skipTest('no code for this machine')
        before = base.open_descriptors()
        self.assertEqual(42, user_registers.run(code))
        self.assertEqual(before, base.open_descriptors())

    def test_arm_code_is_run_on_arm_only(self) -> None:
        ran = []

        def run(code: bytes) -> int:
            ran.append(code)
            return 7

        self.patch(user_registers, 'run', run)
        for machine, times in (('x86_64', 0), ('aarch64', 1)):
            self.patch(
                os,
                'uname',
                lambda machine=machine: os.uname_result(
                    ('Linux', '', '', '', machine)
                ),
            )
            try:
                self.assertEqual(
                    7, user_registers.read(user_registers.DCZID_EL0)
                )
            except ProbeError as error:
                self.assertIn('x86_64', str(error))
            self.assertEqual(times, len(ran))
        self.assertEqual([struct.pack('<II', 0xD53B00E0, 0xD65F03C0)], ran)

    def test_no_ctypes(self) -> None:
        with mock.patch.dict(sys.modules, {'ctypes': None}):
            error = self.assertRaises(
                ProbeError, user_registers.run, b'unused'
            )
        self.assertIn('no ctypes', str(error))

    def test_no_memory_file(self) -> None:
        def refuse(name: str, flags: int) -> None:
            raise OSError(1, 'Operation not permitted')

        self.patch(os, 'memfd_create', refuse)
        error = self.assertRaises(ProbeError, user_registers.run, b'unused')
        self.assertIn('not permitted', str(error))

    def test_a_machine_that_lets_no_code_be_mapped(self) -> None:
        # Mapping with a length of 0 fails as a refusal does.
        self.patch(mmap, 'PAGESIZE', 0)
        before = base.open_descriptors()
        error = self.assertRaises(ProbeError, user_registers.run, b'unused')
        self.assertIn('cannot be mapped', str(error))
        self.assertEqual(before, base.open_descriptors())


class TestPrograms(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(
            fixtures.EnvironmentVariable(
                'PATH', f'{self.directory}:/usr/bin:/bin'
            )
        )

    def program(
        self, name: str, script: str, mode: int = 0o755
    ) -> tuple[str, str]:
        path = self.directory / name
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(mode)
        return (name, '--version')

    def test_versions(self) -> None:
        for text, version in (
            ('QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)', '10.0.2'),
            ('libvirtd (libvirt) 11.3.0', '11.3.0'),
            ('9.0.0', '9.0.0'),
        ):
            command = self.program('a', f"echo '{text}'")
            self.assertEqual(version, programs.version((command,)))

    def test_the_next_one_is_asked(self) -> None:
        silent = self.program('silent', 'exit 3')
        good = self.program('good', 'echo version 1.2')
        self.assertEqual(
            '1.2', programs.version((('nova-no-such-program',), silent, good))
        )

    def test_none_found(self) -> None:
        error = self.assertRaises(
            ProbeError, programs.version, (('nova-no-such-program', '-v'),)
        )
        self.assertEqual('no nova-no-such-program found', str(error))

    def test_reasons(self) -> None:
        command = self.program('silent', 'exit 3')
        error = self.assertRaises(ProbeError, programs.version, (command,))
        self.assertEqual('silent: prints no version', str(error))
        command = self.program('broken', '', mode=0o644)
        (self.directory / 'broken').write_bytes(b'\x7fELF')
        (self.directory / 'broken').chmod(0o755)
        error = self.assertRaises(ProbeError, programs.version, (command,))
        self.assertIn('broken: ', str(error))

    def test_one_that_does_not_end(self) -> None:
        command = self.program('hangs', 'exec sleep 60')
        error = self.assertRaises(
            ProbeError, programs.version, (command,), timeout=0.05
        )
        self.assertEqual('hangs: no answer in 0.05 s', str(error))
