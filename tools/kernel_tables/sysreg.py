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

"""Read ``arch/arm64/tools/sysreg``: registers, fields and their constants.

The head of that file describes its format. ``gen-sysreg.awk`` beside it makes
a C header from it. `names_of` returns the names in that header.
"""

from collections.abc import Iterable
import dataclasses
import re

from tools.kernel_tables.csource import SourceError

_BITS = re.compile(r'(\d+)(?::(\d+))?')
_KINDS = ('Field', 'Enum', 'UnsignedEnum', 'SignedEnum')


@dataclasses.dataclass(slots=True)
class Layout:
    """One ``Sysreg`` or ``SysregFields`` block.

    :ivar encoding: op0, op1, CRn, CRm, op2; None for shared fields
    :ivar fields: (name, lowest bit, width, is a SignedEnum)
    :ivar values: names of a field's values: ``FP_NI`` to 15
    :ivar res0: bits that are reserved as 0
    :ivar res1: bits that are reserved as 1
    :ivar shares: the block whose fields this register uses
    """

    name: str
    encoding: tuple[int, ...] | None
    fields: list[tuple[str, int, int, bool]] = dataclasses.field(
        default_factory=list
    )
    values: dict[str, int] = dataclasses.field(default_factory=dict)
    res0: int = 0
    res1: int = 0
    shares: str = ''


def parse(text: str) -> dict[str, Layout]:
    """Return the blocks of the file by name, including shared fields.

    :raises SourceError: if a line has an unknown form
    """
    blocks: dict[str, Layout] = {}
    block: Layout | None = None
    enum = ''
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition('#')[0].split()
        if not words:
            continue
        kind, rest = words[0], words[1:]
        try:
            if kind in ('Sysreg', 'SysregFields'):
                encoding = (
                    tuple(map(int, rest[1:6])) if kind == 'Sysreg' else None
                )
                block = blocks[rest[0]] = Layout(rest[0], encoding)
            elif kind in ('EndSysreg', 'EndSysregFields'):
                block = None
            elif block is None:
                raise SourceError('outside of a register')
            elif kind in _KINDS:
                low, width = _bits(rest[0])
                block.fields.append(
                    (rest[1], low, width, kind == 'SignedEnum')
                )
                enum = rest[1] if kind != 'Field' else ''
            elif kind == 'EndEnum':
                enum = ''
            elif kind in ('Res0', 'Res1', 'Raz', 'Unkn'):
                low, width = _bits(rest[0])
                mask = (1 << width) - 1 << low
                block.res0 |= mask if kind == 'Res0' else 0
                block.res1 |= mask if kind == 'Res1' else 0
            elif kind in ('Fields', 'Mapping'):
                block.shares = rest[0]
            elif kind == 'Prefix' or kind == 'EndPrefix':
                continue
            elif enum and kind.startswith('0b'):
                block.values[f'{enum}_{rest[0]}'] = int(kind, 2)
            else:
                raise SourceError(f'what is {kind!r}?')
        except (IndexError, ValueError) as error:
            raise SourceError(f'sysreg line {number}: {error}') from None
        except SourceError as error:
            raise SourceError(f'sysreg line {number}: {error}') from None
    return _with_shared(blocks)


def _bits(text: str) -> tuple[int, int]:
    """Return the lowest bit and the width of ``63:60`` or ``5``."""
    match = _BITS.fullmatch(text)
    if match is None:
        raise SourceError(f'not bits: {text!r}')
    top, low = int(match[1]), int(match[2] or match[1])
    return low, top - low + 1


def _with_shared(blocks: dict[str, Layout]) -> dict[str, Layout]:
    """Copy shared fields to the registers that use them."""
    for block in blocks.values():
        shared = blocks.get(block.shares)
        if shared is not None:
            block.fields = shared.fields
            block.values = shared.values
            block.res0, block.res1 = shared.res0, shared.res1
    return blocks


def names_of(layouts: Iterable[Layout]) -> dict[str, int]:
    """Return the constants for registers in ``asm/sysreg-defs.h``."""
    names = {}
    for layout in layouts:
        stem = layout.name
        names[f'{stem}_RES0'] = layout.res0
        names[f'{stem}_RES1'] = layout.res1
        for field, low, width, _ in layout.fields:
            mask = (1 << width) - 1 << low
            names |= {
                f'{stem}_{field}': mask,
                f'{stem}_{field}_MASK': mask,
                f'{stem}_{field}_SHIFT': low,
                f'{stem}_{field}_WIDTH': width,
            }
        for value, number in layout.values.items():
            names[f'{stem}_{value}'] = number
    return names
