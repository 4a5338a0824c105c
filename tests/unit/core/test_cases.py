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

"""Pairs from public reports: the right word, and the right remedy."""

import dataclasses
import pathlib
import unittest

from nova_arm_migrate.core import record
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import ccsidr
from nova_arm_migrate.core.remedies import remedies
from nova_arm_migrate.core.remedy import Remedy
from nova_arm_migrate.core.tables.special import ALL_CCSIDR
from nova_arm_migrate.core.tables.special import CLIDR_EL1
from nova_arm_migrate.core.trial import before_trial
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Verdict
from tests.present import present

CASES = pathlib.Path(__file__).parents[2] / 'fixtures/cases'


def read(name: str) -> Host | Guest:
    return record.load((CASES / f'{name}.json').read_text())


def pair(name: str) -> tuple[Guest, Host | None, Host]:
    """The guest, its first host (None if not at hand), the destination."""
    first, host = read(f'{name}.guest'), read(f'{name}.host')
    assert isinstance(host, Host)
    if isinstance(first, Guest):
        return first, None, host
    return guest_started_on(first), first, host


class TestCases(unittest.TestCase):
    def judged(self, verdict: Verdict, guest: Guest, host: Host) -> Report:
        report = compare(guest, host)
        self.assertIs(
            verdict, report.verdict, [sentence(f) for f in report.findings]
        )
        return report

    def found(
        self, name: str, verdict: Verdict, finding: str, *helps: Remedy
    ) -> Finding:
        """The one finding, and what helps against it."""
        guest, _, host = pair(name)
        report = self.judged(verdict, guest, host)
        (one,) = report.decisive
        self.assertEqual((finding, helps), (one.label, remedies(one)))
        return one

    def test_steal_time_missing(self) -> None:
        self.found(
            'steal-time-missing',
            Verdict.INCOMPATIBLE,
            'STEAL_TIME',
            Remedy.STEAL_TIME,
            Remedy.COLD,
        )
        _, first, lacks = pair('steal-time-missing')
        has = present(first)
        gained = after_migration(guest_started_on(lacks), has)
        self.judged(Verdict.COMPATIBLE, guest_started_on(lacks), has)
        self.judged(Verdict.INCOMPATIBLE, gained, lacks)
        self.judged(Verdict.COMPATIBLE, gained, has)

    def test_biglittle_source(self) -> None:
        one = self.found(
            'biglittle-source', Verdict.UNKNOWN, 'CORES', Remedy.ONE_KIND
        )
        self.assertIn('Cortex-A55 r2p0', sentence(one))
        # No trial tells on which core the guest's values were read.
        self.assertFalse(one.settled_by_trial)
        guest, source, host = pair('biglittle-source')
        first = present(source)
        alike = dataclasses.replace(
            first,
            cores=(
                first.cores[0],
                dataclasses.replace(first.cores[0], cpus='4-7'),
            ),
        )
        self.judged(Verdict.COMPATIBLE, guest_started_on(alike), host)
        self.judged(Verdict.UNKNOWN, after_migration(guest, host), host)

    def test_gicv5_legacy_guest(self) -> None:
        guest, _, host = pair('gicv5-legacy-guest')
        self.judged(Verdict.COMPATIBLE, guest, host)
        # Of a guest whose GIC is not known the record can't tell.
        unsure = dataclasses.replace(guest, gic=None)
        report = self.judged(Verdict.UNKNOWN, unsure, host)
        self.assertEqual(
            ['ID_AA64PFR2_EL1.GCIE'], [f.name for f in report.findings]
        )
        self.assertFalse(report.findings[0].settled_by_trial)
        # A GICv5 guest has the field, and the destination emulates none.
        report = self.judged(
            Verdict.INCOMPATIBLE, dataclasses.replace(guest, gic=5), host
        )
        self.assertEqual(
            {'ID_AA64PFR2_EL1.GCIE', 'GIC'}, {f.name for f in report.decisive}
        )

    def test_caches_that_a_backport_makes_up(self) -> None:
        for name in ('rhel9-backport-caches', 'kernel-unknown-caches'):
            guest, _, host = pair(name)
            self.judged(Verdict.COMPATIBLE, guest, host)
            unlisted = dataclasses.replace(host, reg_list=None)
            report = self.judged(Verdict.UNKNOWN, guest, unlisted)
            self.assertIn('CLIDR_EL1', [f.name for f in report.decisive])

    def test_caches_of_a_kernel_that_is_not_known(self) -> None:
        # Compatible, and not unknown, although the record does not name the
        # kernel: its list of registers is that kernel's own answer. The list
        # has CCSIDR_EL1 for all 14 values of CSSELR_EL1, while CLIDR_EL1
        # describes two caches. A KVM that shows the hardware's caches lists
        # those that CLIDR_EL1 describes, and no others (is_valid_cache), so
        # that this one makes them up and lets a guest bring its own.
        guest, _, host = pair('kernel-unknown-caches')
        self.assertIsNone(host.kernel)
        instruction, unified = 1, 4
        self.assertEqual(
            unified << 3 | instruction, host.values[CLIDR_EL1] & (1 << 21) - 1
        )
        listed = present(host.reg_list)
        self.assertLess(ALL_CCSIDR, listed)
        self.judged(Verdict.COMPATIBLE, guest, host)
        # With those two alone it shows the hardware's, and takes no others.
        described = ALL_CCSIDR - {ccsidr(1), ccsidr(2)}
        report = self.judged(
            Verdict.INCOMPATIBLE,
            guest,
            dataclasses.replace(host, reg_list=listed - described),
        )
        self.assertIn('CLIDR_EL1', [f.name for f in report.decisive])

    def test_the_kernels_version_decides_no_word(self) -> None:
        for path in sorted(CASES.glob('*.host.json')):
            guest, _, host = pair(path.name.removesuffix('.host.json'))
            words = {
                compare(
                    dataclasses.replace(guest, kernel=there),
                    dataclasses.replace(host, kernel=here),
                ).verdict
                for here in ('4.18.0', '7.2.12', None)
                for there in ('4.18.0', '7.2.12', None)
            }
            self.assertEqual(1, len(words), path.name)

    def test_hisi_tsv110_bhb(self) -> None:
        one = self.found(
            'hisi-tsv110-bhb',
            Verdict.INCOMPATIBLE,
            'SMCCC_ARCH_WORKAROUND_3',
            Remedy.REBOOT_UPDATED,
            Remedy.COLD,
        )
        self.assertIn('2 (not affected)', sentence(one))
        self.assertIn('1 (mitigated)', sentence(one))

    def test_vhe_to_nvhe(self) -> None:
        one = self.found(
            'vhe-to-nvhe',
            Verdict.INCOMPATIBLE,
            'ID_AA64MMFR1_EL1.VH',
            Remedy.KVM_MODE,
            Remedy.COLD,
        )
        self.assertIn('kvm-arm.mode', sentence(one))
        _, vhe, nvhe = pair('vhe-to-nvhe')
        report = self.judged(
            Verdict.INCOMPATIBLE, guest_started_on(nvhe), present(vhe)
        )
        self.assertEqual(
            (Remedy.KVM_MODE, Remedy.COLD), remedies(report.decisive[0])
        )

    def test_auger_tcr2_forward(self) -> None:
        one = self.found(
            'auger-tcr2-forward',
            Verdict.INCOMPATIBLE,
            'TCR2_EL1 (and 2 more)',
            Remedy.UPDATE_QEMU,
            Remedy.COLD,
        )
        self.assertIn('QEMU (10.1.0) to 11.1 or newer', sentence(one))
        guest, _, host = pair('auger-tcr2-forward')
        self.judged(
            Verdict.COMPATIBLE, guest, dataclasses.replace(host, qemu='11.1.0')
        )

    def test_mpam(self) -> None:
        self.found(
            'mpam',
            Verdict.UNKNOWN,
            'ID_AA64PFR0_EL1.MPAM',
            Remedy.TRIAL,
            Remedy.COLD,
        )
        guest, _, host = pair('mpam')
        self.assertIs(
            Verdict.COMPATIBLE, before_trial(compare(guest, host)).verdict
        )
