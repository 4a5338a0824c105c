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

"""Each cause's remedies, applied to a pair of records.

`CASES` has, for each cause, a pair and how its remedies change the records.
Where another host stands for the destination after a change, it is a
recorded one of the lab if there is one.
"""

import dataclasses
import pathlib
import re
from typing import Any
import unittest

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import firmware
from nova_arm_migrate.core.remedies import CANDIDATES
from nova_arm_migrate.core.remedies import remedies
from nova_arm_migrate.core.remedy import Remedy
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables import writable
from nova_arm_migrate.core.tables.special import ALL_CCSIDR
from nova_arm_migrate.core.trial import with_trial
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Verdict
from tests.present import present
from tests.unit.core import synthetic as s

LAB = pathlib.Path(__file__).parents[2] / 'fixtures/lab'
GIB = 1 << 30


def lab(name: str) -> Host:
    return load_host((LAB / f'{name}.json').read_text())


V1_61, V1_612, V1_72 = (
    lab(f'neoverse-v1_{release}')
    for release in ('bookworm', 'trixie', 'forky')
)
NO_SVE = lab('neoverse-v1_sve-off_trixie')
NO_PMU = lab('neoverse-v1_pmu-off_trixie')
N1 = lab('neoverse-n1_trixie')
MADE_UP = s.LISTED | ALL_CCSIDR
STEAL = (('STEAL_TIME', 1),)
TWO_KINDS = (
    Core(s.NEOVERSE_V1, 0, 0, '0-3'),
    Core(s.NEOVERSE_N1, 0, 0, '4-7'),
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A pair, and what its remedies make of it.

    :ivar first: the host that the guest started on
    :ivar host: the destination
    :ivar expected: the remedies, and for those that change a host or choose
        another one, the destination afterwards
    :ivar guest: what the guest is by now, if more than it started as
    :ivar memory: of the guest, bytes
    :ivar gic: of the guest
    :ivar trial: what a trial on the destination says, if there was one
    """

    cause: Cause
    first: Host
    host: Host
    expected: dict[Remedy, Host | None]
    guest: Guest | None = None
    memory: int | None = None
    gic: int | None = None
    trial: dict[str, Any] | None = None

    def start(self, host: Host | None = None, **changes: Any) -> Guest:
        return guest_started_on(
            host or self.first,
            **({'memory': self.memory, 'gic': self.gic} | changes),
        )

    def judged(
        self, guest: Guest, host: Host, trial: dict[str, Any] | None = None
    ) -> Report:
        report = compare(guest, host)
        if trial is None:
            return report
        return with_trial(report, guest, host=host, **trial)[0]


def field(
    name: str, value: int, host: Host | None = None, **changes: Any
) -> Host:
    return dataclasses.replace(
        s.with_field(host or s.host(), name, value), **changes
    )


def gicv3(ctlr: int) -> Host:
    """A host with this ICC_CTLR_EL1."""
    return s.host(vgics=(Vgic(3, (), ctlr),))


DIGEST = '0123456789abcdef'
OFFERS = s.host(
    baselines=frozenset({'pool-1/2'}),
    baseline_digests=(('pool-1/2', DIGEST),),
)
ON_BASELINE = dataclasses.replace(
    guest_started_on(s.host()), baseline='pool-1/2', baseline_digest=DIGEST
)
COLD: dict[Remedy, Host | None] = {Remedy.COLD: None}
OLD: dict[str, Any] = {'kernel': '6.1.0', 'writable': Values()}

CASES = (
    # Same cores, the same kernel: something hides SVE on the destination.
    Case(
        Cause.ABOVE,
        V1_612,
        NO_SVE,
        {Remedy.HOST_SETTINGS: V1_612, Remedy.FEATURE_OFF: None, **COLD},
    ),
    Case(
        Cause.ABOVE,
        V1_612,
        NO_SVE,
        {Remedy.HOST_SETTINGS: V1_612, Remedy.FEATURE_OFF: None, **COLD},
    ),
    # QEMU 10 cannot switch a PMU off where there is none.
    Case(Cause.ABOVE, V1_612, NO_PMU, {Remedy.HOST_SETTINGS: V1_612, **COLD}),
    Case(
        Cause.SWITCH,
        V1_612,
        NO_PMU,
        {Remedy.NO_SWITCH: V1_612},
        guest=guest_started_on(V1_612, disabled=frozenset({'pmu'})),
    ),
    Case(
        Cause.SWITCH_UNKNOWN,
        V1_612,
        dataclasses.replace(NO_PMU, qemu='9.0.0'),
        {Remedy.NO_SWITCH: V1_612},
        guest=guest_started_on(V1_612, disabled=frozenset({'pmu'})),
    ),
    # QEMU 7.2 can.
    Case(
        Cause.ABOVE,
        V1_612,
        dataclasses.replace(NO_PMU, qemu='7.2.22'),
        {Remedy.HOST_SETTINGS: V1_612, Remedy.FEATURE_OFF: None, **COLD},
    ),
    # An older kernel on the same cores.
    Case(Cause.ABOVE, V1_72, V1_61, {Remedy.UPDATE_KERNEL: V1_72, **COLD}),
    # Other cores: no update makes them alike.
    Case(Cause.ABOVE, V1_612, N1, COLD),
    Case(
        Cause.ABOVE,
        field('ID_AA64MMFR1_EL1.VH', 1),
        s.host(),
        {Remedy.KVM_MODE: field('ID_AA64MMFR1_EL1.VH', 1), **COLD},
    ),
    # A kernel whose version is not known is not told to be old or new.
    Case(
        Cause.ABOVE,
        s.host(kernel='7.2'),
        field('ID_AA64ISAR0_EL1.AES', 1, kernel=None),
        COLD,
    ),
    Case(
        Cause.BELOW,
        s.host(),
        field('ID_AA64MMFR1_EL1.SpecSEI', 1),
        {Remedy.SAME_VALUE: s.host(), **COLD},
    ),
    Case(Cause.FIXED, V1_72, V1_61, {Remedy.UPDATE_KERNEL: V1_72, **COLD}),
    Case(
        Cause.FIXED,
        s.host(),
        field('ID_AA64MMFR1_EL1.VH', 1),
        {Remedy.KVM_MODE: s.host(), **COLD},
    ),
    # The guest's kernel is no newer, but the newest lets the field differ.
    Case(
        Cause.FIXED,
        field('ID_AA64ISAR0_EL1.AES', 1, **OLD),
        s.host(**OLD),
        {Remedy.UPDATE_KERNEL_FOR_FIELD: s.host(kernel='7.2.0'), **COLD},
    ),
    # SVE never may differ; a guest that has none can have it switched off.
    Case(Cause.FIXED, NO_SVE, V1_612, {Remedy.FEATURE_OFF: None, **COLD}),
    Case(
        Cause.FIXED,
        field('ID_AA64MMFR0_EL1.ASIDBITS', 0),
        s.host(),
        {Remedy.SAME_VALUE: field('ID_AA64MMFR0_EL1.ASIDBITS', 0), **COLD},
    ),
    Case(
        Cause.NOT_ALLOWED,
        field('CTR_EL0.L1Ip', 1),
        s.host(),
        {Remedy.SAME_VALUE: field('CTR_EL0.L1Ip', 1), **COLD},
    ),
    Case(
        Cause.RESERVED,
        s.host({s.ISAR0: s.VALUES[s.ISAR0] | 1}),
        s.host(),
        {Remedy.SAME_VALUE: s.host({s.ISAR0: s.VALUES[s.ISAR0] | 1}), **COLD},
    ),
    Case(
        Cause.STALE,
        field('ID_AA64PFR0_EL1.MPAM', 1),
        s.host(),
        {Remedy.TRIAL: None, **COLD},
    ),
    Case(
        Cause.MASK_UNKNOWN,
        field('ID_AA64ISAR0_EL1.AES', 1),
        s.host(writable=None),
        {Remedy.TRIAL: None},
    ),
    Case(
        Cause.IMPLEMENTATION,
        s.host(),
        s.host({s.MIDR: s.NEOVERSE_N1}),
        {Remedy.SAME_CORES: s.host(), **COLD},
    ),
    Case(
        Cause.SEVERAL_CORES,
        s.host(),
        s.host(cores=TWO_KINDS),
        {Remedy.ONE_KIND: s.host(cores=TWO_KINDS[:1])},
    ),
    Case(
        Cause.MISSING,
        s.host(reg_list=s.LISTED | {s.TCR2}),
        s.host(qemu='10.2.0'),
        {Remedy.UPDATE_QEMU: s.host(qemu='11.1.0'), **COLD},
    ),
    # QEMU drops the register only if it is 0.
    Case(
        Cause.MISSING,
        s.host({bitmap(3): 1}, reg_list=s.LISTED | {bitmap(3)}),
        s.host(),
        COLD,
    ),
    # It is the newest already.
    Case(
        Cause.MISSING,
        s.host(reg_list=s.LISTED | {firmware(9)}),
        s.host(qemu='11.2.0'),
        COLD,
    ),
    Case(Cause.MISSING, V1_72, V1_61, {Remedy.UPDATE_KERNEL: V1_72, **COLD}),
    Case(
        Cause.MISSING,
        NO_SVE,
        dataclasses.replace(
            NO_SVE, reg_list=present(NO_SVE.reg_list) - {s.APIAKEYLO}
        ),
        {Remedy.FEATURE_OFF: None, **COLD},
    ),
    Case(
        Cause.MAY_BE_DROPPED,
        s.host(reg_list=s.LISTED | {bitmap(3)}),
        s.host(qemu='11.0.0'),
        {Remedy.UPDATE_QEMU: s.host(qemu='11.1.0'), **COLD},
    ),
    Case(
        Cause.QEMU_UNKNOWN,
        s.host(reg_list=s.LISTED | {bitmap(3)}),
        s.host(qemu=None),
        {Remedy.TRIAL: None, **COLD},
    ),
    # Level 1 is "mitigated", 2 "not affected".
    Case(
        Cause.FIRMWARE_LEVEL,
        s.host(),
        s.host({firmware(3): 0}),
        {Remedy.UPDATE_FIRMWARE: s.host(), **COLD},
    ),
    Case(
        Cause.FIRMWARE_LEVEL,
        s.host({firmware(3): 2}),
        s.host(),
        {Remedy.REBOOT_UPDATED: s.host(), **COLD},
    ),
    Case(
        Cause.FIRMWARE_LEVEL,
        s.host({firmware(2): 2}),
        s.host({firmware(2): 1}),
        {Remedy.UPDATE_FIRMWARE: s.host({firmware(2): 2}), **COLD},
    ),
    Case(
        Cause.FIRMWARE_LEVEL,
        s.host(),
        s.host({firmware(2): 0}),
        {Remedy.REBOOT_UPDATED: s.host({firmware(2): 0}), **COLD},
    ),
    Case(
        Cause.FIRMWARE_BITS,
        s.host({bitmap(0): 3}, kernel='6.18'),
        s.host(),
        {Remedy.UPDATE_KERNEL: s.host({bitmap(0): 3}, kernel='6.18'), **COLD},
    ),
    Case(Cause.FIRMWARE_BITS, s.host({bitmap(0): 3}), s.host(), COLD),
    Case(
        Cause.PSCI_VERSION,
        s.host({firmware(0): 0x10003}, kernel='6.18'),
        s.host(),
        {
            Remedy.UPDATE_KERNEL: s.host(
                {firmware(0): 0x10003}, kernel='6.18'
            ),
            **COLD,
        },
    ),
    Case(
        Cause.CACHE,
        s.host({s.CLIDR: 0x0920_0023}, kernel='6.1'),
        s.host(kernel='6.1'),
        {
            Remedy.UPDATE_KERNEL_FOR_CACHES: s.host(
                reg_list=MADE_UP, kernel='6.3'
            ),
            **COLD,
        },
    ),
    Case(Cause.CACHE, V1_72, V1_61, {Remedy.UPDATE_KERNEL: V1_72, **COLD}),
    # No kernel takes such a cache.
    Case(
        Cause.CACHE,
        s.host({s.CLIDR: 1}),
        s.host(reg_list=MADE_UP),
        {Remedy.SAME_VALUE: s.host({s.CLIDR: 1}), **COLD},
    ),
    Case(
        Cause.CACHE_UNKNOWN,
        s.host({s.CLIDR: 0x0920_0023}),
        s.host(reg_list=None),
        {Remedy.TRIAL: None},
    ),
    Case(
        Cause.COUNTERS,
        s.host({s.PMCR: 8 << 11}),
        s.host(),
        {Remedy.FEATURE_OFF: None, **COLD},
    ),
    Case(
        Cause.SVE_LENGTHS,
        s.host(sve_lengths=(128, 256, 512)),
        s.host(),
        {Remedy.SHORTER_VECTORS: None, **COLD},
    ),
    Case(
        Cause.SVE_LENGTHS,
        s.host(),
        s.host(sve_lengths=()),
        {Remedy.FEATURE_OFF: None, **COLD},
    ),
    Case(
        Cause.SVE_LENGTHS,
        s.host(sve_lengths=(256,)),
        s.host(sve_lengths=(128, 256)),
        COLD,
    ),
    Case(
        Cause.VISITED_VECTORS,
        s.host(sve_lengths=(128,)),
        s.host(sve_lengths=(128,)),
        COLD,
        guest=after_migration(
            guest_started_on(s.host(sve_lengths=(128,))), s.host()
        ),
    ),
    Case(
        Cause.VISITED_WIDE_VECTORS,
        s.host(sve_lengths=(128,)),
        s.host(sve_lengths=(128, 2048)),
        {Remedy.SHORTER_VECTORS: None},
        guest=after_migration(
            guest_started_on(s.host(sve_lengths=(128,))),
            s.host(sve_lengths=(128, 2048)),
        ),
    ),
    Case(
        Cause.WIDE_VECTORS,
        s.host(sve_lengths=(128, 1024, 2048)),
        s.host(sve_lengths=(128, 1024, 2048)),
        {Remedy.SHORTER_VECTORS: None},
    ),
    # Nothing can be done about it.
    Case(
        Cause.SME,
        field('ID_AA64PFR1_EL1.SME', 1),
        field('ID_AA64PFR1_EL1.SME', 1),
        {},
    ),
    Case(
        Cause.TIMER,
        s.host(),
        s.host(cntfrq=25000000),
        {Remedy.SAME_VALUE: s.host(), **COLD},
    ),
    Case(
        Cause.CACHE_ZERO,
        s.host(),
        s.host(dczid=5),
        {Remedy.SAME_VALUE: s.host(), **COLD},
    ),
    Case(
        Cause.MEMORY,
        s.host(),
        s.host(ipa_bits=40),
        {Remedy.MORE_ADDRESSES: s.host(ipa_bits=41)},
        memory=1024 * GIB,
    ),
    Case(
        Cause.WINDOWS,
        s.host(),
        s.host(ipa_bits=40),
        {Remedy.MORE_ADDRESSES: s.host(ipa_bits=41), **COLD},
        memory=600 * GIB,
    ),
    Case(
        Cause.VISITED_WINDOWS,
        s.host(ipa_bits=40),
        s.host(ipa_bits=40),
        {Remedy.MORE_ADDRESSES: s.host(ipa_bits=41), **COLD},
        memory=600 * GIB,
        guest=after_migration(
            guest_started_on(s.host(ipa_bits=40), memory=600 * GIB), s.host()
        ),
    ),
    Case(
        Cause.SMALLER_PAGES,
        s.host(page_size=65536),
        s.host(),
        {Remedy.AS_LARGE_PAGES: s.host(page_size=65536), **COLD},
    ),
    Case(
        Cause.GIC,
        s.host(),
        s.host(gic=(3,)),
        {Remedy.SAME_GIC: s.host(), **COLD},
        gic=2,
    ),
    # One more bit of priority than the destination has; another SEIS.
    Case(
        Cause.GIC_INTERFACE,
        gicv3(0x8D00),
        gicv3(0x8C00),
        {Remedy.SAME_VALUE: gicv3(0x8D00), **COLD},
        gic=3,
    ),
    Case(
        Cause.GIC_INTERFACE,
        gicv3(0xCC00),
        gicv3(0x8C00),
        {Remedy.SAME_VALUE: gicv3(0xCC00), **COLD},
        gic=3,
    ),
    Case(
        Cause.GIC_UNKNOWN, gicv3(0x8C00), s.host(), {Remedy.TRIAL: None}, gic=3
    ),
    Case(Cause.GIC_FIELD, field('ID_AA64PFR2_EL1.GCIE', 1), s.host(), COLD),
    Case(
        Cause.STEAL_TIME,
        s.host(capabilities=STEAL),
        s.host(),
        {Remedy.STEAL_TIME: s.host(capabilities=STEAL), **COLD},
    ),
    Case(
        Cause.BASELINE,
        s.host(),
        s.host(),
        {
            Remedy.OFFER_BASELINE: OFFERS,
            **COLD,
        },
        guest=ON_BASELINE,
    ),
    Case(
        Cause.BASELINE_UNKNOWN,
        OFFERS,
        dataclasses.replace(OFFERS, baseline_digests=()),
        {Remedy.RECORD_BASELINE: OFFERS},
        guest=ON_BASELINE,
    ),
    Case(
        Cause.GUEST_NOT_RECORDED,
        s.host(),
        s.host(),
        {Remedy.RECORD_GUEST: None},
        guest=dataclasses.replace(guest_started_on(s.host()), cntfrq=None),
    ),
    Case(
        Cause.NOT_RECORDED,
        s.host(),
        s.host(cntfrq=None),
        {Remedy.RECORD_HOST: s.host()},
    ),
    Case(
        Cause.TRIAL_REFUSED,
        s.host(),
        s.host(),
        COLD,
        trial={'refused': {s.ISAR0: 'EINVAL'}},
    ),
    Case(
        Cause.LIBVIRT,
        s.host(),
        s.host(),
        {Remedy.UPDATE_LIBVIRT: s.host()},
        trial={'libvirt': 'unsupported configuration: unknown CPU feature'},
    ),
    Case(
        Cause.TRIAL_MISSING,
        s.host(),
        s.host(),
        COLD,
        trial={'missing': [s.SCTLR]},
    ),
)

#: Causes of notes, which change nothing.
NOTES = {
    Cause.DROPPED,
    Cause.LARGER_PAGES,
    Cause.MEMORY_UNKNOWN,
    Cause.GIC_REVISION,
    Cause.INFERRED,
    Cause.TRIAL_ACCEPTED,
}


class TestRemedies(unittest.TestCase):
    def apply(
        self, case: Case, remedy: Remedy, finding: Finding, guest: Guest
    ) -> tuple[Guest, Host, dict[str, Any] | None]:
        """The guest, the destination and the trial after a remedy."""
        text = remedy.text(finding)
        changed = case.expected[remedy]
        match remedy:
            case Remedy.COLD:
                return (
                    case.start(
                        case.host,
                        disabled=guest.disabled,
                        gic=case.host.gic and max(case.host.gic),
                    ),
                    case.host,
                    None,
                )
            case Remedy.FEATURE_OFF:
                off = present(re.match(r'switch (\w+) off', text))[1]
                return (
                    case.start(disabled=guest.disabled | {off}),
                    case.host,
                    None,
                )
            case Remedy.SHORTER_VECTORS:
                off = present(re.search(r'-(sve\d+)', text))[1]
                return (
                    case.start(disabled=guest.disabled | {off}),
                    case.host,
                    None,
                )
            case Remedy.REBOOT_UPDATED:
                return case.start(changed), case.host, None
            case Remedy.RECORD_GUEST:
                return case.start(), case.host, None
            case Remedy.TRIAL | Remedy.UPDATE_LIBVIRT:
                return guest, case.host, {}
            case _:
                return guest, present(changed), None

    def test_each_remedy_changes_the_verdict(self) -> None:
        for number, case in enumerate(CASES):
            with self.subTest(f'{number} {case.cause.value}'):
                guest = case.guest or case.start()
                report = case.judged(guest, case.host, case.trial)
                self.assertIsNot(Verdict.COMPATIBLE, report.verdict)
                finding = next(
                    f
                    for f in report.findings
                    if f.cause is case.cause
                    and list(remedies(f)) == list(case.expected)
                )
                self.assertIn(finding, report.decisive)
                for remedy in case.expected:
                    text = remedy.text(finding)
                    self.assertIn(text, sentence(finding))
                    self.assertNotIn('its version', text)
                    after = case.judged(
                        *self.apply(case, remedy, finding, guest)
                    )
                    causes = {
                        f.cause
                        for f in after.findings
                        if f.severity is not Severity.NOTE
                    }
                    self.assertNotIn(case.cause, causes, remedy)
                    if case.cause is not Cause.CACHE_UNKNOWN:
                        self.assertIs(
                            Verdict.COMPATIBLE, after.verdict, (remedy, causes)
                        )

    def test_each_cause_has_a_case(self) -> None:
        self.assertEqual(set(Cause) - NOTES, {case.cause for case in CASES})
        for cause, candidates in CANDIDATES.items():
            offered = {
                remedy
                for case in CASES
                if case.cause is cause
                for remedy in case.expected
            }
            if cause not in NOTES | {Cause.TRIAL_MISSING}:
                self.assertEqual(set(), offered - set(candidates))

    def test_what_only_tells_needs_no_remedy(self) -> None:
        for cause in NOTES - {Cause.INFERRED}:
            text = sentence(
                Finding(cause, Severity.NOTE, 'N', guest=1, host=2, detail='d')
            )
            self.assertNotIn('Remedy', text)
        guest = guest_started_on(s.host(), inferred=True)
        (note,) = compare(guest, s.host()).findings
        self.assertEqual((Remedy.RECORD_GUEST,), remedies(note))

    def test_without_records_all_are_told(self) -> None:
        finding = Finding(Cause.MISSING, Severity.BLOCKS, 'N', code=s.TCR2)
        self.assertEqual(CANDIDATES[Cause.MISSING], remedies(finding))
        for remedy in Remedy:
            self.assertNotIn('{', remedy.text(finding))

    def test_the_newest_masks_are_those_of_recorded_hosts(self) -> None:
        masks: dict[int, int] = {}
        for path in LAB.glob('*_forky*.json'):
            host = load_host(path.read_text())
            for code, mask in present(host.writable).items():
                if (
                    REGISTERS[code].fields
                    and code != s.MIDR
                    and code != s.CLIDR
                ):
                    masks[code] = masks.get(code, 0) | mask
        self.assertEqual(masks, writable.WRITABLE)
        self.assertLessEqual(writable.KERNEL, (7, 2))
