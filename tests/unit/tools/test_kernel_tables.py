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

"""Reading kernel sources: on a small kernel that is made up here.

Its registers do not exist. The sources have the forms that real ones have,
each once.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import io
import pathlib
import subprocess
from typing import Any
import unittest

import fixtures
import testtools

from nova_arm_migrate.core import registers as ours
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.vcpu import has_32bit_el0
from tests.present import present
from tools.kernel_tables import __main__ as command
from tools.kernel_tables import check
from tools.kernel_tables import csource
from tools.kernel_tables import facts
from tools.kernel_tables import kernel
from tools.kernel_tables import sysreg

LAB = pathlib.Path(__file__).parents[2] / 'fixtures' / 'lab'

SYSREG = """
# made up
SysregFields LEN_ELx
Res0 63:4
Field 3:0 LEN
EndSysregFields

Sysreg ID_ZOO_EL1 3 0 0 7 5
SignedEnum 63:60 APE
    0b0000 IMP
    0b1111 NI
EndEnum
UnsignedEnum 59:56 BEAR
    0b0000 NI
    0b0001 IMP
EndEnum
Res1 55
Res0 54:8
Unkn 7
Raz 6
Field 5:4 CAT
Enum 3:0 DOG
    0b0010 BARKS
EndEnum
EndSysreg

Sysreg ZOO_LEN_EL1 3 0 1 2 7
Fields LEN_ELx
EndSysreg

Sysreg SMIDR_EL1 3 1 0 0 6
Field 15 SMPS
EndSysreg
"""
HEADER = """
#define sys_reg(op0, op1, crn, crm, op2) \\
    (((op0) << 19) | ((op1) << 16))
#define SYS_OLD_EL1 sys_reg(3, 0, 11, 0, 0)
#define __row(n) (0x8 | ((n) >> 3))   /* a comment */
#define SYS_CAGEn_EL0(n) sys_reg(3, 3, 11, __row(n), (n) & 7)
#define ID_ZOO_EL1_EMU_SHIFT 12
#define EMU_WIDTH 4U
"""
FEATURES = """
static const struct arm64_ftr_bits ftr_id_zoo[] = {
    S_ARM64_FTR_BITS(FTR_VISIBLE, FTR_STRICT, FTR_LOWER_SAFE,
                     ID_ZOO_EL1_APE_SHIFT, 4, ID_ZOO_EL1_APE_NI),
    // as the host sees it
    ARM64_FTR_BITS(FTR_VISIBLE_IF_IS_ENABLED(CONFIG_ZOO), FTR_STRICT,
                   FTR_EXACT, ID_ZOO_EL1_BEAR_SHIFT, 4, 0),
    ARM64_FTR_BITS(FTR_HIDDEN, FTR_STRICT, FTR_EXACT, 55, 1, 1),
    ARM64_FTR_BITS(FTR_HIDDEN, FTR_STRICT, FTR_LOWER_SAFE,
                   ID_ZOO_EL1_CAT_SHIFT, ID_ZOO_EL1_CAT_WIDTH, 0),
    ARM64_FTR_END,
};
static const struct arm64_ftr_bits ftr_emu[] = {
    ARM64_FTR_BITS(FTR_HIDDEN, FTR_STRICT, FTR_HIGHER_SAFE,
                   ID_ZOO_EL1_EMU_SHIFT, EMU_WIDTH, 0),
    ARM64_FTR_END,
};
struct arm64_ftr_reg arm64_ftr_reg_ctrel0 = {
    .name = "SYS_OLD_EL1",
    .ftr_bits = ftr_emu
};
static const struct entry arm64_ftr_regs[] = {
    ARM64_FTR_REG_OVERRIDE(SYS_ID_ZOO_EL1, ftr_id_zoo,
                           &id_zoo_override),
};
"""
SYS_REGS = """
#define CALLBACKS .access = access_id_reg, .get_user = get_id_reg, \\
    .set_user = set_id_reg
#define ID_FILTERED(sysreg, name, mask) { \\
    SYS_DESC(SYS_##sysreg), CALLBACKS, .set_user = set_##name, .val = (mask) }
#define CAGE(n) { SYS_DESC(SYS_CAGEn_EL0(n)), .get_user = get_cage }
#define UNALLOCATED(crm) { .name = "S3_0_0_" #crm, CRm(crm), CALLBACKS }
static s64 kvm_arm64_ftr_safe_value(u32 id, s64 new)
{
    switch (id) {
    case SYS_ID_ZOO_EL1:
        if (kvm_ftr.shift == ID_ZOO_EL1_BEAR_SHIFT)
            kvm_ftr.type = FTR_LOWER_SAFE;
    }
    return 0;
}
static int set_id_zoo_el1(struct kvm_vcpu *vcpu, u64 val);
static int set_id_zoo_el1(struct kvm_vcpu *vcpu, u64 val) { return 1; }
static const struct sys_reg_desc sys_reg_descs[] = {
    ID_FILTERED(ID_ZOO_EL1, id_zoo_el1, ~(ID_ZOO_EL1_RES0 | GENMASK(5, 4) |
                                          ID_ZOO_EL1_DOG_MASK | BIT(56))),
    UNALLOCATED(7),
    { SYS_DESC(SYS_ZOO_LEN_EL1), NULL, reset_val, ZOO_LEN_EL1, 0,
      .visibility = hidden_visibility },
    { SYS_DESC(SYS_OLD_EL1), access_old, reset_old, OLD_EL1,
      .set_user = set_old },
    { SYS_DESC(SYS_TRAPPED_EL1), undef_access },
    CAGE(9),
};
"""
CALLS = """
static const u64 kvm_arm_fw_reg_ids[] = {
    KVM_REG_ARM_PSCI_VERSION,
    KVM_REG_ARM_PARROT_BMAP,
};
"""
UAPI = """
#define KVM_REG_ARM_PSCI_VERSION KVM_REG_ARM_FW_REG(0)
#define KVM_REG_ARM_PARROT_BMAP KVM_REG_ARM_FW_FEAT_BMAP_REG(9)
"""
TREE = {
    'Makefile': 'VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\n'
    'EXTRAVERSION = -rc2\n',
    'arch/arm64/tools/sysreg': SYSREG,
    'arch/arm64/include/asm/sysreg.h': HEADER,
    'arch/arm64/include/uapi/asm/kvm.h': UAPI,
    'arch/arm64/kernel/cpufeature.c': FEATURES,
    'arch/arm64/kvm/sys_regs.c': SYS_REGS,
    'arch/arm64/kvm/hypercalls.c': CALLS,
}
ZOO = ours.sysreg(3, 0, 0, 7, 5)
OLD = ours.sysreg(3, 0, 11, 0, 0)


def made_up(**changes: Callable[[str], str]) -> facts.Facts:
    """Read the made-up kernel, some files changed."""
    tree = {}
    for path, text in TREE.items():
        name = path.rsplit('/', 1)[-1].partition('.')[0]
        tree[path] = changes.get(name, str)(text)
    return kernel.read(lambda path: tree.get(path, ''))


class TestKernel(unittest.TestCase):
    def test_version(self) -> None:
        self.assertEqual('7.3.0-rc2', made_up().version)

    def test_fields(self) -> None:
        register = made_up().register(ZOO)
        self.assertEqual(
            ('ID_ZOO_EL1', 'id', 'set_id_zoo_el1'),
            (
                present(register).name,
                present(register).shown,
                present(register).setter,
            ),
        )
        self.assertEqual(
            (
                facts.Field('APE', 60, 4, True, 'LOWER_SAFE', 15, True),
                # KVM's own rule, and one bit of it that can't be written.
                facts.Field('BEAR', 56, 4, False, 'LOWER_SAFE', 0, False),
                facts.Field('CAT', 4, 2, False, 'LOWER_SAFE', 0, False),
                facts.Field('DOG', 0, 4),
            ),
            present(register).fields,
        )

    def test_registers(self) -> None:
        found = {r.name: (r.code, r.shown) for r in made_up().registers}
        self.assertEqual(
            {
                'ID_ZOO_EL1': (ZOO, 'id'),
                'ZOO_LEN_EL1': (ours.sysreg(3, 0, 1, 2, 7), 'hidden'),
                'OLD_EL1': (OLD, 'listed'),
                'CAGEn_EL0(9)': (ours.sysreg(3, 3, 11, 9, 1), 'listed'),
                'SMIDR_EL1': (ours.sysreg(3, 1, 0, 0, 6), ''),
                'PSCI_VERSION': (ours.firmware(0), 'listed'),
                'PARROT_BMAP': (ours.bitmap(9), 'listed'),
            },
            found,
        )

    def test_functions(self) -> None:
        """A body is another one if more than its white space is."""
        found = dict(made_up().functions)
        self.assertEqual(
            {'kvm_arm64_ftr_safe_value', 'set_id_zoo_el1'}, set(found)
        )
        for change, same in (
            (lambda t: t.replace('{ return 1; }', '{\n\treturn 1;\n}'), True),
            (lambda t: t.replace('return 1', 'return /* one */ 1'), True),
            (lambda t: t.replace('return 1', 'return 2'), False),
        ):
            changed = dict(made_up(sys_regs=change).functions)
            self.assertEqual(same, found == changed)

    def test_invariant_registers_are_listed(self) -> None:
        found = made_up(
            sys_regs=lambda text: (
                text
                + """
            static struct sys_reg_desc invariant_sys_regs[] = {
                { SYS_DESC(SYS_CAGEn_EL0(1)), NULL, get_cage },
            };"""
            )
        )
        self.assertIn('CAGEn_EL0(1)', [r.name for r in found.registers])

    def test_older_sources_name_bits_in_the_header(self) -> None:
        found = made_up(
            sysreg=lambda text: (
                text.replace(
                    'Sysreg ID_ZOO_EL1 3 0 0 7 5', 'Sysreg OTHER_EL1 3 0 0 7 6'
                )
                if 'EndSysreg' in text
                else text
                + """
            #define SYS_ID_ZOO_EL1 sys_reg(3, 0, 0, 7, 5)
            #define ID_ZOO_EL1_APE_SHIFT 60
            #define ID_ZOO_EL1_APE_NI 0xf
            #define ID_ZOO_EL1_BEAR_SHIFT 56
            #define ID_ZOO_EL1_CAT_SHIFT 4
            #define ID_ZOO_EL1_CAT_WIDTH 2
            #define ID_ZOO_EL1_RES0 0
            #define ID_ZOO_EL1_DOG_MASK 0xfUL
            """
            )
        )
        self.assertEqual(
            [
                ('bits_60', True),
                ('bits_56', False),
                ('bits_55', False),
                ('bits_4', False),
            ],
            [(f.name, f.signed) for f in present(found.register(ZOO)).fields],
        )

    def test_what_is_no_kernel(self) -> None:
        for changes, words in (
            ({'cpufeature': lambda _: ''}, 'cpufeature.c is missing'),
            (
                {'cpufeature': lambda t: t.replace('ftr_id_zoo,', 'no,')},
                'no table no',
            ),
            (
                {'cpufeature': lambda t: t.replace('EMU_WIDTH', 'HUH')},
                'what is HUH',
            ),
            (
                {'sys_regs': lambda t: t.replace('SYS_OLD_EL1', 'SYS_X')},
                'X: no encoding',
            ),
            (
                {'sysreg': lambda t: t.replace('Raz 6', 'Wat 6')},
                "sysreg line 20: what is 'Wat'",
            ),
            (
                {'sysreg': lambda t: t.replace('Raz 6', 'Raz six')},
                "not bits: 'six'",
            ),
            (
                {'sysreg': lambda t: t.replace('5:4 CAT', '5:4')},
                'sysreg line 21',
            ),
            ({'sysreg': lambda t: 'Res0 3:0\n' + t}, 'outside of'),
        ):
            with self.assertRaisesRegex(csource.SourceError, words):
                made_up(**changes)


class TestSource(unittest.TestCase):
    def test_values(self) -> None:
        names = {'ZOO': 0xF0}
        for text, value in (
            ('0x10UL | BIT(0)', 0x11),
            ('~ZOO', (1 << 64) - 0xF1),
            ('GENMASK_ULL(7, 4) & ZOO', 0xF0),
            ('(3 << 4)', 48),
        ):
            self.assertEqual(value, csource.value_of(text, names))
        for text in ('APE', "__import__('os')", '1 ? 2 : 3'):
            with self.assertRaises(csource.SourceError):
                csource.value_of(text, names)

    def test_macros(self) -> None:
        macros = csource.macros_of(
            '\n'.join(
                (
                    '#define ONE 1',
                    '#define PAIR(a, b) { a ## b, #a, ONE }',
                    '#define LOOP LOOP + 1',
                )
            )
        )
        self.assertEqual(
            '{ xy, "x", 1 }; PAIR',
            csource.expanded('PAIR(x, y); PAIR', macros),
        )
        with self.assertRaisesRegex(csource.SourceError, 'too deep'):
            csource.expanded('LOOP', macros)
        with self.assertRaisesRegex(csource.SourceError, 'not close'):
            csource.expanded('PAIR(x', macros)

    def test_shared_fields(self) -> None:
        blocks = sysreg.parse(SYSREG)
        self.assertEqual([('LEN', 0, 4, False)], blocks['ZOO_LEN_EL1'].fields)


class TestFacts(unittest.TestCase):
    def test_round_trip(self) -> None:
        found = made_up()
        self.assertEqual(found, facts.load(facts.dump(found)))

    def test_other_files(self) -> None:
        self.assertRaises(ValueError, facts.load, 'register\tcode\n')

    def test_versions_are_ordered(self) -> None:
        versions = ['6.1.176', '6.12.1', '7.3.0-rc2', '7.3.0-rc10', '7.3.0']
        found = [facts.Facts(version, ()) for version in versions]
        self.assertEqual(found, sorted(found, key=lambda f: f.number))
        self.assertEqual('7.3', found[3].series)


def table(*fields: Field, **changes: Any) -> dict[int, Register]:
    """Tables that agree with the made-up kernel, but for ``fields``."""
    given = {field.mask: field for field in fields}
    agreeing = (
        ours.signed('APE', 60),
        ours.lower('BEAR', 56),
        ours.lower('Cat', 4, width=2),
        ours.same('DOG', 0),
    )
    code = changes.get('code', ZOO)
    entries = {
        code: ours.Register(
            'ID_ZOO_EL1',
            code,
            tuple(
                given.pop(field.mask, field)
                for field in agreeing
                if field.name != changes.get('without')
            )
            + tuple(given.values()),
        )
    }
    for code, judge in (
        (OLD, ours.Judge.CLIDR),
        (ours.sysreg(3, 0, 1, 2, 7), ours.Judge.STATE),
        (ours.sysreg(3, 3, 11, 9, 1), ours.Judge.STATE),
        (ours.firmware(0), ours.Judge.LEVEL),
        (ours.bitmap(9), ours.Judge.BITMAP),
    ):
        entries[code] = ours.Register('OTHER_EL1', code, judge=judge)
    code = ours.sysreg(3, 1, 0, 0, 6)
    entries[code] = ours.Register(
        'SMIDR_EL1', code, (ours.same('SMPS', 15, 1),)
    )
    return entries


class TestCheck(unittest.TestCase):
    def assert_found(
        self,
        expected: list[tuple[str, check.Kind]],
        entries: dict[int, Register],
        kernels: list[facts.Facts] | None = None,
    ) -> list[str]:
        found = check.differences(kernels or [made_up()], entries)
        self.assertEqual(expected, [(d.name, d.kind) for d in found])
        return [str(difference) for difference in found]

    def test_agreement(self) -> None:
        self.assert_found([], table())

    def test_fields(self) -> None:
        kind = check.Kind
        for entries, expected, words in (
            (
                table(without='DOG'),
                ('DOG', kind.MISSING_FIELD),
                'bits 3:0, here nothing',
            ),
            (
                table(ours.same('DOG', 0, 3), without='DOG'),
                ('DOG', kind.BOUNDS),
                'bits 3:0, here DOG',
            ),
            (
                table(ours.same('WOLF', 0)),
                ('DOG', kind.NAME),
                'DOG, here WOLF',
            ),
            (
                table(ours.lower('DOG', 0)),
                ('DOG', kind.RULE),
                'EQUAL, here LOWER_SAFE',
            ),
            (
                table(ours.higher('BEAR', 56)),
                ('BEAR', kind.RULE),
                'LOWER_SAFE, here HIGHER_SAFE',
            ),
            (
                table(ours.lower('APE', 60)),
                ('APE', kind.SIGN),
                'signed, here unsigned',
            ),
        ):
            name, what = expected
            (line,) = self.assert_found(
                [(f'ID_ZOO_EL1.{name}', what)], entries
            )
            self.assertIn(words, line)

    def test_safe_value(self) -> None:
        exact = facts.Facts(
            '7.3',
            (
                facts.Register(
                    'ID_ZOO_EL1',
                    ZOO,
                    'id',
                    'set_id_zoo_el1',
                    (facts.Field('BEAR', 56, 4, False, 'EXACT', 2),),
                ),
            ),
        )
        self.assert_found([], table(ours.exact('BEAR', 56, 2)), [exact])
        self.assert_found(
            [('ID_ZOO_EL1.BEAR', check.Kind.SAFE)],
            table(ours.exact('BEAR', 56, 1)),
            [exact],
        )

    def test_hidden_fields_have_no_rule(self) -> None:
        hidden = facts.Facts(
            '7.3',
            (
                facts.Register(
                    'ID_ZOO_EL1',
                    ZOO,
                    'hidden',
                    'set_id_reg',
                    (facts.Field('BEAR', 56, 4, False, 'EXACT', 2),),
                ),
            ),
        )
        self.assert_found([], table(), [hidden])

    def test_registers(self) -> None:
        entries = table()
        del entries[OLD]
        self.assert_found([('OLD_EL1', check.Kind.MISSING_REGISTER)], entries)
        unnamed = ours.Register('S3_0_C11_C0_0', OLD)
        self.assert_found(
            [('OLD_EL1', check.Kind.MISSING_REGISTER)],
            entries | {OLD: unnamed},
        )
        # CNTKCTL_EL1 has a name for messages, and is nothing but state.
        known = facts.Facts(
            '7.3',
            (
                facts.Register(
                    'CNTKCTL_EL1',
                    ours.sysreg(3, 0, 14, 1, 0),
                    'listed',
                    'set_it',
                ),
            ),
        )
        self.assert_found(
            [('CNTKCTL_EL1', check.Kind.NOT_JUDGED)], entries, [known]
        )

    def test_functions_that_have_changed(self) -> None:
        now = made_up()
        read = dataclasses.replace(
            now,
            functions=(('kvm_arm64_ftr_safe_value', '0'), ('set_gone', '0')),
        )
        kind = check.Kind.FUNCTION
        found = check.differences([now], table(), read)
        self.assertEqual(
            [
                ('kvm_arm64_ftr_safe_value', kind),
                ('set_id_zoo_el1', kind),
                ('set_gone', kind),
            ],
            [(d.name, d.kind) for d in found],
        )
        self.assertEqual([], check.differences([now], table(), now))

    def test_older_kernels(self) -> None:
        """The newest decides; what others have besides is told once."""
        older = facts.Facts(
            '6.1.2',
            (
                facts.Register(
                    'ID_ZOO_EL1',
                    ZOO,
                    'id',
                    'set_id_reg',
                    (
                        facts.Field('bits_60', 60, 4, False, 'EXACT', 3),
                        facts.Field('bits_0', 0, 4),
                        facts.Field('GONE', 20, 4, False, 'LOWER_SAFE'),
                    ),
                ),
                facts.Register('GONE_EL1', 0x1234, 'listed'),
            ),
        )
        kind = check.Kind
        lines = self.assert_found(
            [
                ('GONE_EL1', kind.MISSING_REGISTER),
                ('ID_ZOO_EL1.APE', kind.OLDER),
                ('ID_ZOO_EL1.GONE', kind.OLDER),
            ],
            table(),
            [older, made_up()],
        )
        self.assertIn(
            'Linux 6.1.2: EXACT (3), here signed LOWER_SAFE', lines[1]
        )


class TestCommand(testtools.TestCase):
    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command.main(arguments)
        return code, out.getvalue(), err.getvalue()

    def tree(self) -> pathlib.Path:
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for path, text in TREE.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return root

    def test_a_directory_and_what_is_written_of_it(self) -> None:
        target = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        code, out, _ = self.run_command(
            str(self.tree()), '--write', str(target)
        )
        self.assertEqual(1, code)
        self.assertIn('PARROT_BMAP: KVM shows it', out)
        self.assertIn('Linux 7.3.0-rc2: ', out)
        (again,) = target.iterdir()
        self.assertEqual('linux-7.3.tsv', again.name)
        self.assertEqual((1, out, ''), self.run_command(str(again)))

    def test_a_bare_repository(self) -> None:
        root = self.tree()
        bare = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'git'

        def git(*arguments: str | pathlib.Path) -> None:
            subprocess.run(
                [
                    'git',
                    '-c',
                    'user.name=x',
                    '-c',
                    'user.email=x@example.org',
                    *arguments,
                ],
                cwd=root,
                check=True,
                capture_output=True,
            )

        git('init', '--quiet')
        git('add', '.')
        git('commit', '--quiet', '--message', 'made up')
        git('clone', '--quiet', '--bare', '.', str(bare))
        _, expected, _ = self.run_command(str(root))
        self.assertEqual((1, expected, ''), self.run_command(f'{bare}:HEAD'))
        self.assertEqual(2, self.run_command(f'{bare}:nothing')[0])

    def test_no_tree(self) -> None:
        root = self.tree()
        (root / 'file').write_text('hello\n')
        for place in ('/nowhere', str(root / 'file'), str(root / 'arch')):
            code, out, err = self.run_command(place)
            self.assertEqual((2, ''), (code, out))
            self.assertEqual(1, err.count('\n'), err)


class TestTables(unittest.TestCase):
    """The project's tables, by the facts of four kernels."""

    def setUp(self) -> None:
        super().setUp()
        self.kernels = [
            command.facts_of(str(path))
            for path in sorted(command.FACTS.iterdir())
        ]

    def test_nothing_is_missing_or_wrong(self) -> None:
        found = check.differences(self.kernels, REGISTERS)
        self.assertEqual(
            [], [str(d) for d in found if d.kind is not check.Kind.OLDER]
        )

    def test_older_kernels_differ_where_the_documentation_says(self) -> None:
        found = {d.name for d in check.differences(self.kernels, REGISTERS)}
        self.assertEqual(
            {
                'ID_AA64DFR0_EL1.PMUVer',
                'ID_DFR0_EL1.PerfMon',
                'ID_AA64DFR0_EL1.DebugVer',
            },
            found,
        )

    def test_masks_are_those_that_kernels_told(self) -> None:
        """Read from source here, asked of the running kernel there."""
        by_series = {one.series: one for one in self.kernels}
        compared = set()
        for path in sorted(LAB.glob('*.json')):
            host = load_host(path.read_text().strip())
            series = '.'.join((host.kernel or '').split('.')[:2])
            # 6.1 has no such ioctl; without 32-bit EL0 masks are hidden.
            if series == '6.1' or not has_32bit_el0(host):
                continue
            for register in by_series[series].registers:
                mask = present(host.writable).read(register.code)
                if register.shown != 'id':
                    continue
                for field in register.fields:
                    whole = (1 << field.width) - 1 << field.shift
                    self.assertEqual(
                        field.writable,
                        mask & whole == whole,
                        f'{path.name}: {register.name}.{field.name}',
                    )
            compared.add(series)
        self.assertEqual({'6.12', '7.2'}, compared)
