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

"""The shim, compiled here and run over a fake KVM.

What is compiled is in ``tests/shim``. Each case of ``cases.c`` is run in two
forms: linked with the shim, with the address and undefined-behaviour
sanitizers, and with the shim preloaded as QEMU has it.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import functools
import itertools
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
TESTS = ROOT / 'tests' / 'shim'
SHIM = ROOT / 'shim' / 'nova_arm_baseline.c'
CASES = tuple(
    re.findall(r'^    CASE\((\w+),', (TESTS / 'cases.c').read_text(), re.M)
)
FLAGS = ('-std=c11', '-g', '-Wall', '-Wextra', '-Werror')
SANITIZERS = ('-fsanitize=address,undefined', '-fno-sanitize-recover=all')
#: The exit status of a case that this machine cannot run.
SKIPPED = 77


@dataclasses.dataclass(frozen=True)
class Built:
    """The programs, and where they are."""

    folder: tempfile.TemporaryDirectory[str]
    sanitized: str
    plain: str
    library: str
    reader: str


def _compile(*arguments: str) -> None:
    subprocess.run(('cc', *FLAGS, *arguments), check=True, text=True)


def _has_sanitizers(folder: str) -> bool:
    return (
        subprocess.run(
            ('cc', *SANITIZERS, '-x', 'c', '-', '-o', f'{folder}/empty'),
            input='int main(void) { return 0; }',
            capture_output=True,
            check=False,
            text=True,
        ).returncode
        == 0
    )


@functools.cache
def build() -> Built | str:
    """Compile everything once in this process, or return why it cannot be."""
    for tool in ('cc', 'make'):
        if not shutil.which(tool):
            return f'{tool} is not installed'
    holder = tempfile.TemporaryDirectory(prefix='shim-')
    folder = holder.name
    if not _has_sanitizers(folder):
        return 'the C compiler has no sanitizers'
    built = Built(
        folder=holder,
        sanitized=f'{folder}/cases-sanitized',
        plain=f'{folder}/cases',
        library=f'{folder}/nova-arm-baseline.so',
        reader=f'{folder}/reader',
    )
    cases = str(TESTS / 'cases.c')
    for form, program, sources, flags in (
        ('sanitized', built.sanitized, (cases, str(SHIM)), SANITIZERS),
        ('plain', built.plain, (cases,), ()),
    ):
        fake = f'{folder}/libfake-{form}.so'
        _compile(
            *flags, '-shared', '-fPIC', str(TESTS / 'fake_kvm.c'), '-o', fake
        )
        _compile(*flags, *sources, fake, '-pthread', '-o', program)
    _compile(*SANITIZERS, str(TESTS / 'reader.c'), '-o', built.reader)
    subprocess.run(
        ('make', '-s', 'shim', f'SHIM={built.library}', 'SHIM_CC=cc'),
        cwd=ROOT,
        check=True,
    )
    return built


def accepts(text: str) -> str | None:
    """Read a baseline as the format says; return it as the reader prints it.

    This is an own implementation of the format, the tests' oracle.
    """
    fields = re.fullmatch(
        r'1;(?P<name>[A-Za-z0-9._-]{1,64});(?:pauth)?;'
        r'(?P<registers>[^;]*);(?P<targets>[^;]*)',
        text,
    )
    if fields is None or len(text.encode()) >= 16384:
        return None
    registers: dict[str, int] = {}
    for item in fields['registers'].split(','):
        found = re.fullmatch(
            r'(60([23])[0-9a-f]{13})=0x([0-9a-f]{1,16})', item
        )
        if found is None or found[1] in registers or len(registers) == 128:
            return None
        registers[found[1]] = int(found[3], 16)
        if found[2] == '2' and registers[found[1]] >= 1 << 32:
            return None
    targets = fields['targets'].split(',') if fields['targets'] else []
    for target in targets:
        if not re.fullmatch(r'0x[0-9a-f]{1,16}(/0x[0-9a-f]{1,16}){2}', target):
            return None
    if len(targets) > 64:
        return None
    imp_id = {'603000000013c000', '603000000013c006', '603000000013c807'}
    return '+ {} {} {} {:d} {:d}'.format(
        fields['name'],
        ','.join(f'{id_}={value:x}' for id_, value in registers.items()),
        ','.join(
            '/'.join(f'{int(part, 16):x}' for part in target.split('/'))
            for target in targets
        ),
        not imp_id.isdisjoint(registers),
        '6030000000160003' in registers,
    )


def _registers(count: int) -> str:
    return ','.join(f'603000000013{n:04x}=0x{n:x}' for n in range(count))


def _targets(count: int) -> str:
    return ','.join(f'0x{n:x}/0x0/0xff' for n in range(count))


GOOD = (
    '1;a;;603000000013c000=0x410fd490;',
    '1;a;pauth;603000000013c006=0xffffffffffffffff;0x1/0x2/0x3',
    '1;A.b_c-9;;603000000013c807=0x0,6020000000110000=0xffffffff;0x0/0x0/0x0',
    f'1;{"n" * 64};;6030000000160003=0x3;{_targets(64)}',
    f'1;a;;{_registers(128)};',
)
#: Each differs from a good one by one thing.
MALFORMED = {
    'nothing': '',
    'text': 'baseline',
    'version 0': '0;a;;603000000013c000=0x1;',
    'version 10': '10;a;;603000000013c000=0x1;',
    'no version': ';a;;603000000013c000=0x1;',
    'four fields': '1;a;;603000000013c000=0x1',
    'six fields': '1;a;;603000000013c000=0x1;;',
    'no name': '1;;;603000000013c000=0x1;',
    'space in the name': '1;a b;;603000000013c000=0x1;',
    'newline in the name': '1;a\nb;;603000000013c000=0x1;',
    'long name': f'1;{"n" * 65};;603000000013c000=0x1;',
    'not ASCII': '1;\xe4;;603000000013c000=0x1;',
    'unknown flag': '1;a;sve;603000000013c000=0x1;',
    'flags with a comma': '1;a;pauth,;603000000013c000=0x1;',
    'one unknown flag': '1;a;pauth,sve;603000000013c000=0x1;',
    'no registers': '1;a;;;',
    'a comma alone': '1;a;;,;',
    'comma at the end': '1;a;;603000000013c000=0x1,;',
    'comma at the start': '1;a;;,603000000013c000=0x1;',
    'id of 15 digits': '1;a;;60300000013c000=0x1;',
    'id of 17 digits': '1;a;;0603000000013c000=0x1;',
    'id with 0x': '1;a;;0x603000000013c0=0x1;',
    'upper-case id': '1;a;;603000000013C000=0x1;',
    'id of 128 bits': '1;a;;604000000013c000=0x1;',
    'id of 2048 bits': '1;a;;6080000000150000=0x1;',
    'id of x86': '1;a;;203000000013c000=0x1;',
    'no value': '1;a;;603000000013c000;',
    'empty value': '1;a;;603000000013c000=;',
    'value is 0x': '1;a;;603000000013c000=0x;',
    'value without 0x': '1;a;;603000000013c000=1;',
    'value of 17 digits': '1;a;;603000000013c000=0x10000000000000000;',
    'negative value': '1;a;;603000000013c000=-0x1;',
    'signed value': '1;a;;603000000013c000=0x-1;',
    'upper-case value': '1;a;;603000000013c000=0xA;',
    'space after a value': '1;a;;603000000013c000=0x1 ;',
    'two values': '1;a;;603000000013c000=0x1=0x1;',
    'value beyond 32 bits': '1;a;;6020000000110000=0x100000000;',
    'register twice': '1;a;;603000000013c000=0x1,603000000013c000=0x1;',
    '129 registers': f'1;a;;{_registers(129)};',
    'target of two': '1;a;;603000000013c000=0x1;0x1/0x2',
    'target of four': '1;a;;603000000013c000=0x1;0x1/0x2/0x3/0x4',
    'target without 0x': '1;a;;603000000013c000=0x1;1/2/3',
    'empty part of a target': '1;a;;603000000013c000=0x1;0x1//0x3',
    'comma after the targets': '1;a;;603000000013c000=0x1;0x1/0x2/0x3,',
    '65 targets': f'1;a;;603000000013c000=0x1;{_targets(65)}',
    'very long': f'1;a;;603000000013c000=0x1;{"," * 20000}',
}


def _environment(**more: str) -> dict[str, str]:
    # A test process may have these for itself.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ('LD_PRELOAD', 'NOVA_ARM_BASELINE', 'SHIM_CASE')
    }
    # The fake's objects live as long as the process: no look for leaks.
    return {
        **kept,
        'ASAN_OPTIONS': 'detect_leaks=0:log_path=stdout',
        'UBSAN_OPTIONS': 'log_path=stdout',
        **more,
    }


class BuiltTestCase(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        built = build()
        if isinstance(built, str):
            self.skipTest(built)
        self.built = built

    def run_case(self, program: str, name: str, **environment: str) -> None:
        """Run a case, and expect that it passes."""
        with tempfile.NamedTemporaryFile(dir=self.built.folder.name) as log:
            done = subprocess.run(
                (program, name, log.name),
                env=_environment(**environment),
                stdout=subprocess.PIPE,
                check=False,
                text=True,
            )
        if done.returncode == SKIPPED:
            self.skipTest(f'this machine cannot run {name}')
        self.assertEqual((0, 'passed\n'), (done.returncode, done.stdout))


class TestShim(BuiltTestCase):
    """One method for each case of ``cases.c`` and each of the two forms."""

    def test_every_case_is_here(self) -> None:
        printed = subprocess.run(
            (self.built.plain, '--list'),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout.split()
        self.assertEqual(printed, list(CASES))


def _sanitized(name: str) -> Callable[[TestShim], None]:
    def test(self: TestShim) -> None:
        self.run_case(self.built.sanitized, name)

    return test


def _preloaded(name: str) -> Callable[[TestShim], None]:
    def test(self: TestShim) -> None:
        self.run_case(self.built.plain, name, LD_PRELOAD=self.built.library)

    return test


for _name in CASES:
    setattr(TestShim, f'test_{_name}', _sanitized(_name))
    setattr(TestShim, f'test_{_name}_preloaded', _preloaded(_name))


class TestFormat(BuiltTestCase):
    def read(self, texts: Iterable[str]) -> list[str]:
        return subprocess.run(
            (self.built.reader,),
            input=''.join(f'{text}\n' for text in texts),
            env=_environment(),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            encoding='latin-1',
        ).stdout.splitlines()

    def test_good(self) -> None:
        for text in GOOD:
            self.assertIsNotNone(accepts(text), text)
        self.assertEqual([accepts(text) for text in GOOD], self.read(GOOD))

    def test_malformed_creates_no_vm(self) -> None:
        for what, text in MALFORMED.items():
            with self.subTest(what):
                self.assertIsNone(accepts(text))
                self.run_case(
                    self.built.sanitized,
                    'malformed',
                    SHIM_CASE='malformed',
                    NOVA_ARM_BASELINE=text,
                )

    def test_random_changes(self) -> None:
        """The shim reads what the oracle reads, and nothing else."""
        dice = random.Random(14)
        alphabet = '0123456789abcdefxX=,;/.-_ Zpauth\x00\x7f\xff'.replace(
            '\x00', ''
        )
        texts = []
        for text in itertools.islice(itertools.cycle(GOOD), 6000):
            characters = list(text)
            for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
                place = dice.randrange(len(characters) + 1)
                match dice.randrange(4):
                    case 0:
                        characters.insert(place, dice.choice(alphabet))
                    case 1:
                        del characters[place : place + dice.choice((1, 1, 9))]
                    case 2:
                        characters[place : place + 1] = dice.choice(alphabet)
                    case 3:
                        end = place + dice.randrange(40)
                        characters[place:place] = characters[place:end]
            texts.append(''.join(characters))
        expected = [accepts(text) for text in texts]
        printed = [
            line if line.startswith('+') else None for line in self.read(texts)
        ]
        for text, one, other in zip(texts, expected, printed, strict=True):
            self.assertEqual(one, other, text)
        # Both kinds are frequent, or the test would say little.
        self.assertGreater(sum(line is None for line in expected), 300)
        self.assertGreater(sum(line is not None for line in expected), 300)


class TestCrossBuild(unittest.TestCase):
    def test_arm64(self) -> None:
        if not shutil.which('aarch64-linux-gnu-gcc'):
            self.skipTest('aarch64-linux-gnu-gcc is not installed')
        with tempfile.TemporaryDirectory() as folder:
            library = pathlib.Path(folder, 'nova-arm-baseline.so')
            subprocess.run(
                (
                    'make',
                    '-s',
                    'shim',
                    f'SHIM={library}',
                    'SHIM_CC=aarch64-linux-gnu-gcc',
                ),
                cwd=ROOT,
                check=True,
            )
            symbols = subprocess.run(
                ('aarch64-linux-gnu-nm', '-D', '--defined-only', library),
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout.splitlines()
        self.assertEqual(['ioctl'], [symbol.split()[-1] for symbol in symbols])
