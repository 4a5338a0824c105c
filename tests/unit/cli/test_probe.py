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
import json
import os

import fixtures

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.probe import errors
from nova_arm_migrate.probe.recorded import RecordedHost
from tests.unit.cli import base


def read(path: str) -> Host:
    with open(path) as file:
        return load_host(file.read().strip())


class HostCommandTestCase(base.CommandTestCase):
    #: What the command has asked of the last host.
    degraded: bool

    def play(self, host: Host | Exception, trial: Trial | None = None) -> None:
        """Let the commands find a recorded host where they run."""
        case = self

        class Twin(RecordedHost):
            def __init__(self, degraded: bool = False) -> None:
                super().__init__(host if isinstance(host, Host) else Host())
                case.degraded = degraded

            def host(self) -> Host:
                if isinstance(host, Exception):
                    raise host
                return host

            def trial(self, guest: Guest) -> Trial:
                return trial or super().trial(guest)

        for command in ('probe', 'trial'):
            self.useFixture(
                fixtures.MonkeyPatch(
                    f'nova_arm_migrate.cli.{command}.LocalHost', Twin
                )
            )


class TestProbe(HostCommandTestCase):
    def test_json_is_the_record(self) -> None:
        host = read(base.MAX_72)
        self.play(host)
        code, out, err = self.run_command('probe')
        self.assertEqual((0, dump_host(host) + '\n', ''), (code, out, err))
        self.assertFalse(self.degraded)

    def test_degraded(self) -> None:
        self.play(
            Host(
                kernel='6.12.1',
                absent=(('reg_list', 'no KVM'), ('values', 'no KVM')),
            )
        )
        code, out, _ = self.run_command('probe', '--degraded', '-f', 'table')
        self.assertEqual(0, code)
        self.assertTrue(self.degraded)
        self.assertIn('kernel          6.12.1\n', out)
        self.assertIn('  registers: no KVM', out)
        self.assertNotIn('Registers that a guest sees', out)

    def test_table(self) -> None:
        self.play(read(base.V1_612))
        code, out, _ = self.run_command('probe', '-f', 'table')
        self.assertEqual(0, code)
        for line in (
            'cores           CPUs 0-1: Neoverse-V1 r1p2 (MIDR 0x411fd402,'
            ' REVIDR 0x0)',
            'page size       4 KiB',
            'huge pages      64 KiB, 2 MiB, 32 MiB, 1 GiB',
            'vCPU features   pauth, pmu, sve',
            'SVE lengths     128, 256 bits',
            'timer           62500000 Hz',
            'ID_AA64PFR0_EL1         0x1101000121110112',
            'SMCCC_ARCH_WORKAROUND_1 0x2',
        ):
            self.assertIn(line, out.splitlines())
        self.assertIn(
            'GIC registers   GICv3: ICC_CTLR_EL1 0x8c00, GICD_IIDR'
            ' 0x4b00343b, GICR_IIDR 0x4b00043b\n',
            out,
        )
        self.assertIn(
            'unlike tables   ID_AA64PFR0_EL1.EL0 takes 0, 1, 2;'
            ' ID_AA64PFR0_EL1.EL1 takes 0, 1\n',
            out,
        )
        self.assertIn('CSV3=1* CSV2=1*', out)
        self.assertIn('SVE=1 ', out)
        self.assertNotIn('Absent:', out)
        self.assertLessEqual(max(map(len, out.splitlines())), 100)

    def test_table_of_a_host_that_has_little(self) -> None:
        self.play(
            dataclasses.replace(
                read(base.N1_61),
                features=frozenset(),
                capabilities=(),
                huge_page_sizes=(),
                writable=None,
            )
        )
        _, out, _ = self.run_command('probe', '-f', 'table')
        for line in (
            'vCPU features   none',
            'SVE lengths     none',
            'huge pages      none',
            'capabilities    none',
            'unlike tables   nothing',
        ):
            self.assertIn(line, out.splitlines())

    def test_registers_without_fields_show_that_they_are_writable(
        self,
    ) -> None:
        host = read(base.N1_61)
        self.play(
            dataclasses.replace(
                host, values=Values({0xC006: 5}), writable=Values({0xC006: 1})
            )
        )
        _, out, _ = self.run_command('probe', '-f', 'table')
        self.assertIn('REVIDR_EL1              0x5\n    *', out)

    def test_output_file(self) -> None:
        host = read(base.V1_612)
        self.play(host)
        path = self.directory / 'host.json'
        path.write_text('old')
        code, out, _ = self.run_command('probe', '-o', str(path))
        self.assertEqual((0, ''), (code, out))
        self.assertEqual(dump_host(host) + '\n', path.read_text())
        self.assertEqual(['host.json'], os.listdir(self.directory))

    def test_output_that_cannot_be_written(self) -> None:
        self.play(read(base.V1_612))
        self.assertIn(
            'No such file',
            self.assert_refused('probe', '-o', '/nowhere/host.json'),
        )
        self.assertIn(
            'directory',
            self.assert_refused('probe', '-o', str(self.directory)).lower(),
        )
        self.assertEqual([], os.listdir(self.directory))

    def test_a_host_that_cannot_be_probed(self) -> None:
        for error in (
            errors.NotArm64('x86_64'),
            errors.NoPermission('/dev/kvm'),
            errors.NoKvm('/dev/kvm', 'No such file'),
            errors.KvmFailed('KVM_CREATE_VM', 12, 'ENOMEM'),
        ):
            self.play(error)
            self.assertIn(str(error), self.assert_refused('probe'))
            self.assertIn(
                str(error), self.assert_refused('trial', base.V1_612)
            )


class TestTrial(HostCommandTestCase):
    def test_accepted(self) -> None:
        self.play(read(base.V1_612))
        code, out, _ = self.run_command('trial', base.V1_612)
        self.assertEqual(0, code)
        self.assertIn('verdict: compatible\n', out)
        self.assertIn('83 registers written, 0 refused, 0 missing', out)

    def test_refused(self) -> None:
        self.play(read(base.N1_61))
        code, out, _ = self.run_command('trial', base.MAX_72, '-f', 'json')
        self.assertEqual(1, code)
        result = json.loads(out)
        self.assertEqual('incompatible', result['verdict'])
        self.assertEqual('EINVAL', result['trial']['refused']['MIDR_EL1'])
        self.assertEqual(
            [f'CCSIDR_EL1[{n}]' for n in range(3, 14)]
            + ['ZCR_EL1']
            + [
                f'AP{key}KEY{half}_EL1'
                for key in ('IA', 'IB', 'DA', 'DB', 'GA')
                for half in ('LO', 'HI')
            ]
            + [
                'CNTPCT_EL0',
                'CNTP_CTL_EL0',
                'CNTP_CVAL_EL0',
                'VENDOR_HYP_BMAP_2',
            ],
            result['trial']['missing'],
        )
        self.assertEqual([], result['disagreements'])

    def test_refused_as_a_table(self) -> None:
        self.play(read(base.N1_61))
        code, out, _ = self.run_command('trial', base.MAX_72)
        self.assertEqual(1, code)
        self.assertIn('  refused   MIDR_EL1 (EINVAL)\n', out)
        self.assertIn('  missing   CNTPCT_EL0\n', out)

    def test_disagreement_is_said(self) -> None:
        self.play(
            read(base.V1_612),
            Trial(
                refused=((0xC020, 'EINVAL'),), unjudged=(0xC103,), written=83
            ),
        )
        code, out, _ = self.run_command('trial', base.V1_612)
        self.assertEqual(1, code)
        self.assertIn('rule and trial differ on ID_AA64PFR0_EL1', out)
        self.assertIn('  unjudged  TCR2_EL1', out)
        code, out, _ = self.run_command('trial', base.V1_612, '-f', 'json')
        self.assertEqual(
            'ID_AA64PFR0_EL1', json.loads(out)['disagreements'][0]['register']
        )

    def test_without_a_register_list(self) -> None:
        guest = guest_started_on(read(base.V1_612))
        path = self.file(
            'guest.json', dump_guest(dataclasses.replace(guest, reg_list=None))
        )
        self.play(read(base.V1_612))
        code, out, _ = self.run_command('trial', path)
        self.assertEqual(3, code)
        self.assertIn("not done: the guest's record has no list", out)

    def test_bad_input(self) -> None:
        self.play(read(base.V1_612))
        self.assert_refused('trial', '/nowhere')
        self.assert_refused('trial', base.V1_612, '--override', 'NOTHING')
