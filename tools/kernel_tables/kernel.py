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

"""Read one kernel's tables from its sources.

==========================================  ================================
``arch/arm64/tools/sysreg``                 registers, fields, their bits
``arch/arm64/include/asm/sysreg.h``         what older kernels had there
``arch/arm64/kernel/cpufeature.c``          ``arm64_ftr_bits``: sign, rule
``arch/arm64/kvm/sys_regs.c``               what KVM shows and lets write
``arch/arm64/kvm/guest.c, hypercalls.c``    firmware registers
``arch/arm64/include/uapi/asm/kvm.h``       their numbers
==========================================  ================================
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import hashlib
import pathlib
import re
import subprocess

from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.registers import firmware
from nova_arm_migrate.core.registers import sysreg
from tools.kernel_tables import csource
from tools.kernel_tables import facts
from tools.kernel_tables import sysreg as layouts
from tools.kernel_tables.csource import SourceError

#: Path inside the tree to its text; empty if the kernel has no such file.
Reader = Callable[[str], str]

_ARM64 = 'arch/arm64'
_FTR_BITS = re.compile(r'\b(S_)?ARM64_FTR_BITS(?=\()')
_FTR_TABLE = re.compile(r'struct arm64_ftr_bits (ftr_\w+)\[\]\s*=\s*(?=\{)')
_FTR_REG = re.compile(r'\bARM64_FTR_REG(?:_OVERRIDE)?\(SYS_(\w+),\s*(\w+)')
_FTR_CTR = re.compile(r'\.name\s*=\s*"SYS_(\w+)",\s*\.ftr_bits\s*=\s*(\w+)')
#: kvm_arm64_ftr_safe_value() applies rules to some fields that differ from
#: the host's.
_OVERRIDE = re.compile(r'\b(\w+)_SHIFT\b[^;]*?\.type\s*=\s*FTR_(\w+);')
_SYS_REG = re.compile(r'\bsys_reg(?=\()')
#: Tables of registers that KVM shows, the second one up to Linux 6.14.
_KVM_TABLES = ('sys_reg_descs', 'invariant_sys_regs')
_KEPT_MACROS = ('SYS_DESC',)
_FIRMWARE = re.compile(
    r'#define\s+KVM_REG_ARM_(\w+)\s+KVM_REG_ARM_FW_(FEAT_BMAP_)?REG\((\d+)\)'
)
#: Functions that check a write, besides the setters of the table.
_JUDGES = frozenset(
    {
        'arm64_check_features',
        'arm64_ftr_safe_value',
        'demux_c15_set',
        'kvm_arm64_ftr_safe_value',
        'set_ccsidr',
        'kvm_finalize_sys_regs',
        'kvm_arm_set_fw_reg',
        'kvm_arm_set_fw_reg_bmap',
    }
)
_VERSION = ('VERSION', 'PATCHLEVEL', 'SUBLEVEL', 'EXTRAVERSION')


@dataclasses.dataclass(frozen=True, slots=True)
class _Ftr:
    """One arm64_ftr_bits."""

    low: int
    width: int
    signed: bool
    rule: str
    safe: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """The relevant parts of one sys_reg_desc."""

    name: str
    listed: bool
    setter: str
    visibility: str
    mask: str


def reader_of(place: str) -> Reader:
    """Return a reader of a tree.

    :param place: a directory, or ``GITDIR:REVISION`` of a bare repository
    :raises SourceError: if it is neither
    """
    if pathlib.Path(place, _ARM64).is_dir():
        return lambda path: _text(pathlib.Path(place, path))
    directory, _, revision = place.rpartition(':')
    if not directory or not pathlib.Path(directory).is_dir():
        raise SourceError(f'{place}: no kernel tree, no GITDIR:REVISION')
    return lambda path: _shown(directory, f'{revision}:{path}')


def _text(path: pathlib.Path) -> str:
    return path.read_text('utf-8', 'replace') if path.is_file() else ''


def _shown(directory: str, name: str) -> str:
    done = subprocess.run(
        ['git', '--git-dir', directory, 'show', name],
        capture_output=True,
        check=False,
    )
    return done.stdout.decode('utf-8', 'replace')


def read(reader: Reader) -> facts.Facts:
    """Return a kernel's facts about the registers that KVM shows.

    :raises SourceError: if its sources have an unknown form
    """
    blocks = layouts.parse(reader(f'{_ARM64}/tools/sysreg'))
    header = csource.uncommented(reader(f'{_ARM64}/include/asm/sysreg.h'))
    source = csource.uncommented(reader(f'{_ARM64}/kvm/sys_regs.c'))
    features = csource.uncommented(reader(f'{_ARM64}/kernel/cpufeature.c'))
    if not source or not features:
        raise SourceError(
            'no arm64 kernel: sys_regs.c or cpufeature.c is missing'
        )
    macros = csource.macros_of(header)
    names = _Names(layouts.names_of(blocks.values()), macros)
    codes = {
        name: sysreg(*block.encoding)
        for name, block in blocks.items()
        if block.encoding
    }
    tables = _ftr_tables(features, source, names)
    found = {}
    for row in _rows(source):
        if not _shown_as(row):
            continue
        code = codes.get(row.name)
        if code is None:
            code = codes[row.name] = _code_of(row.name, macros)
        found[code] = facts.Register(
            row.name,
            code,
            _shown_as(row),
            row.setter,
            tuple(_fields(row, blocks.get(row.name), tables, names)),
        )
    # No kernel shows these yet, but the tables have their fields.
    for name, block in blocks.items():
        if name == 'SMIDR_EL1' and codes[name] not in found:
            found[codes[name]] = facts.Register(
                name,
                codes[name],
                '',
                fields=tuple(
                    facts.Field(field, low, width)
                    for field, low, width, _ in block.fields
                ),
            )
    for register in _firmware(reader):
        found[register.code] = register
    setters = {register.setter for register in found.values()}
    return facts.Facts(
        _version(reader),
        tuple(found[code] for code in sorted(found)),
        tuple(_functions(reader, source, features, setters)),
    )


def _functions(
    reader: Reader, source: str, features: str, setters: set[str]
) -> Iterator[tuple[str, str]]:
    """Return a digest of each function that checks a write."""
    calls = csource.uncommented(reader(f'{_ARM64}/kvm/hypercalls.c'))
    for name in sorted((setters | _JUDGES) - {''}):
        text = next(
            (
                body
                for text in (source, features, calls)
                if (body := csource.function(text, name))
            ),
            '',
        )
        if text:
            yield name, hashlib.sha256(text.encode()).hexdigest()[:12]


def _version(reader: Reader) -> str:
    makefile = reader('Makefile')
    parts = []
    for name in _VERSION:
        match = re.search(rf'^{name}\s*=[ \t]*(\S*)', makefile, re.MULTILINE)
        parts.append(match[1] if match else '')
    return '.'.join(parts[:3]) + parts[3]


class _Names(Mapping[str, int]):
    """Constants of the sysreg file, or otherwise of ``asm/sysreg.h``."""

    def __init__(
        self, known: dict[str, int], macros: dict[str, csource.Macro]
    ) -> None:
        self._known = known
        self._macros = macros

    def __getitem__(self, name: str) -> int:
        if name not in self._known:
            macro = self._macros[name]
            if macro.params is not None:
                raise KeyError(name)
            self._known[name] = csource.value_of(macro.body, self)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        macro = self._macros.get(str(name))
        return name in self._known or (
            macro is not None and macro.params is None
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _ftr_tables(
    features: str, source: str, names: Mapping[str, int]
) -> dict[str, tuple[_Ftr, ...]]:
    """Return the fields of each register that the kernel compares."""
    tables = {}
    for match in _FTR_TABLE.finditer(features):
        end = csource.bracketed(features, match.end())
        tables[match[1]] = tuple(_ftr_bits(features[match.end() : end], names))
    function = re.search(
        r'\bkvm_arm64_ftr_safe_value\(.*?\n\}', source, re.DOTALL
    )
    exceptions = (
        {}
        if function is None
        else {match[1]: match[2] for match in _OVERRIDE.finditer(function[0])}
    )
    found = {}
    for match in (*_FTR_REG.finditer(features), *_FTR_CTR.finditer(features)):
        name, table = match[1], match[2]
        if table not in tables:
            raise SourceError(f'{name}: no table {table}')
        found[name] = tuple(
            dataclasses.replace(bits, rule=rule)
            if (rule := _exception(name, bits, exceptions, names))
            else bits
            for bits in tables[table]
        )
    return found


def _exception(
    name: str, bits: _Ftr, exceptions: dict[str, str], names: Mapping[str, int]
) -> str:
    for field, rule in exceptions.items():
        if (
            field.startswith(f'{name}_')
            and names[f'{field}_SHIFT'] == bits.low
        ):
            return rule
    return ''


def _ftr_bits(text: str, names: Mapping[str, int]) -> Iterator[_Ftr]:
    for match in _FTR_BITS.finditer(text):
        end = csource.bracketed(text, match.end())
        _, _, rule, low, width, safe = csource.split(
            text[match.end() + 1 : end]
        )
        yield _Ftr(
            csource.value_of(low, names),
            csource.value_of(width, names),
            bool(match[1]),
            rule.removeprefix('FTR_'),
            csource.value_of(safe, names),
        )


def _rows(source: str) -> Iterator[_Row]:
    """Yield the rows of KVM's tables, with expanded macros."""
    macros = {
        name: macro
        for name, macro in csource.macros_of(source).items()
        if name not in _KEPT_MACROS
    }
    for table in _KVM_TABLES:
        match = re.search(
            rf'struct sys_reg_desc {table}\[\]\s*=\s*(?=\{{)', source
        )
        if match is None:
            continue
        end = csource.bracketed(source, match.end())
        body = csource.expanded(source[match.end() + 1 : end], macros)
        for text in csource.initialisers(body):
            row = _row(text)
            if row is not None:
                yield (
                    dataclasses.replace(row, listed=True)
                    if table != _KVM_TABLES[0]
                    else row
                )


def _row(text: str) -> _Row | None:
    named: dict[str, str] = {}
    places = []
    register = ''
    for part in csource.split(text):
        match = re.match(r'\.(\w+)\s*=\s*(.*)', part, re.DOTALL)
        if part.startswith('SYS_DESC('):
            register = part[len('SYS_DESC(') : -1].strip()
        elif match:
            named[match[1]] = match[2].strip()
        elif part:
            places.append(part)
    if not register:
        return None  # ID_UNALLOCATED, and registers of AArch32
    for name, value in zip(
        (
            'access',
            'reset',
            'reg',
            'val',
            'get_user',
            'set_user',
            'visibility',
        ),
        places,
        strict=False,
    ):
        named.setdefault(name, value)
    given = {
        name for name, value in named.items() if value not in ('NULL', '0')
    }
    return _Row(
        register.removeprefix('SYS_'),
        bool(given & {'reg', 'get_user'}),
        named.get('set_user', '').replace('NULL', ''),
        named.get('visibility', ''),
        named.get('val', '0'),
    )


def _shown_as(row: _Row) -> str:
    if row.visibility in ('raz_visibility', 'hidden_visibility'):
        return 'hidden'
    if _is_id(row):
        return 'id'
    return 'listed' if row.listed else ''


def _is_id(row: _Row) -> bool:
    return row.setter.startswith('set_id_') or row.name == 'CTR_EL0'


def _code_of(name: str, macros: dict[str, csource.Macro]) -> int:
    """Return the code of a register that ``asm/sysreg.h`` defines."""
    # SYS_PMEVCNTRn_EL0(3): expand the arguments, but not sys_reg() itself.
    known = {key: macro for key, macro in macros.items() if key != 'sys_reg'}
    text = csource.expanded(f'SYS_{name}', known)
    match = _SYS_REG.search(text)
    if match is None:
        raise SourceError(f'{name}: no encoding')
    inside = text[match.end() + 1 : csource.bracketed(text, match.end())]
    return sysreg(
        *(csource.value_of(part, {}) for part in csource.split(inside))
    )


def _fields(
    row: _Row,
    block: layouts.Layout | None,
    tables: dict[str, tuple[_Ftr, ...]],
    names: Mapping[str, int],
) -> Iterator[facts.Field]:
    """Return a register's fields, from the highest bit down."""
    if not _is_id(row):
        return
    ftrs = {(bits.low, bits.width): bits for bits in tables.get(row.name, ())}
    # The sysreg file names reserved bits; rules for these have no meaning.
    if block is not None:
        reserved = block.res0 | block.res1
        ftrs = {
            place: bits
            for place, bits in ftrs.items()
            if not reserved >> bits.low & 1
        }
    mask = csource.value_of(row.mask, names)
    named = {
        (low, width): name
        for name, low, width, _ in (block.fields if block is not None else ())
    }
    for low, width in sorted(ftrs.keys() | named.keys(), reverse=True):
        bits = ftrs.get((low, width))
        whole = (1 << width) - 1 << low
        yield facts.Field(
            named.get((low, width)) or f'bits_{low}',
            low,
            width,
            bits is not None and bits.signed,
            bits.rule if bits else '',
            bits.safe if bits else 0,
            whole & mask == whole,
        )


def _firmware(reader: Reader) -> Iterator[facts.Register]:
    numbers = {}
    for match in _FIRMWARE.finditer(
        csource.uncommented(reader(f'{_ARM64}/include/uapi/asm/kvm.h'))
    ):
        code = (bitmap if match[2] else firmware)(int(match[3]))
        numbers[match[1]] = code
    source = csource.uncommented(reader(f'{_ARM64}/kvm/hypercalls.c'))
    ids = re.search(r'kvm_arm_fw_reg_ids\[\]\s*=\s*\{([^}]*)\}', source)
    for name in csource.split(ids[1] if ids else ''):
        name = name.removeprefix('KVM_REG_ARM_')
        if name:
            yield facts.Register(name, numbers[name], 'listed')
