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

"""The JSON form of what a probe has tried, a part of a record.

As in `record`, nothing is trusted, and each value has one form only. Every
error is a `ProfileError`.
"""

import re
from typing import Any

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.record_forms import Form
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tried import Answer
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.tried import WIDEST

_MOST_REGISTERS = 256
_MOST_GICS = 8
_NUMBER = r'(0|[1-9a-f][0-9a-f]{0,15})'
#: The ignored values are left out if there are none.
_ANSWER = re.compile(
    rf'(0|[1-9a-f][0-9a-f]?)\+([1-{WIDEST}]):{_NUMBER}'
    r'(?::([1-9a-f][0-9a-f]{0,15}))?'
)
#: Characters; enough for answers on every field of a register.
_LONGEST = 64 * 40
#: Keys of a GIC's numbers, in the order of `Vgic`, with their largest value.
_KEYS = {
    'ctlr': forms.U64,
    'dist': forms.U32,
    'redist': forms.U32,
    'rev': (1 << 16) - 1,
}


class Gics(Form[tuple[Vgic, ...]]):
    """The GICs that KVM emulates on a host."""

    def dump(self, value: tuple[Vgic, ...]) -> dict[str, dict[str, Any]]:
        return dump_vgics(value)

    def load(self, key: str, given: Any) -> tuple[Vgic, ...]:
        return load_vgics(given)

    def show(self, value: tuple[Vgic, ...]) -> str:
        return '; '.join(filter(None, map(_shown_vgic, value))) or 'none'


class OneGic(Form[Vgic]):
    """The GIC of a guest."""

    def dump(self, value: Vgic) -> dict[str, dict[str, Any]]:
        return dump_vgics((value,))

    def load(self, key: str, given: Any) -> Vgic:
        vgics = load_vgics(given)
        if len(vgics) != 1:
            raise ProfileError(f'{key}: not exactly one GIC')
        return vgics[0]


class Answers(Form[Tried]):
    """KVM's answers that differ from the tables."""

    def dump(self, value: Tried) -> dict[str, str]:
        return dump_tried(value)

    def load(self, key: str, given: Any) -> Tried:
        return load_tried(given)

    def show(self, value: Tried) -> str:
        """``ID_AA64MMFR2_EL1.NV takes 0, 2 and ignores 2``."""
        return (
            '; '.join(
                f'{register_of(code).name}.{field.name} takes'
                f' {_shown_bits(answer.accepted)}'
                + (
                    f' and ignores {_shown_bits(answer.ignored)}'
                    if answer.ignored
                    else ''
                )
                for code, answers in value.items()
                for answer in answers
                for field in register_of(code).fields
                if answer.is_of(field)
            )
            or 'nothing'
        )


def _shown_vgic(vgic: Vgic) -> str:
    registers = ', '.join(
        f'{name} {value:#x}'
        for name, value in (
            ('ICC_CTLR_EL1', vgic.ctlr),
            ('GICD_IIDR', vgic.distributor),
            ('GICR_IIDR', vgic.redistributor),
        )
        if value is not None
    )
    return f'GICv{vgic.version}: {registers}' if registers else ''


def _shown_bits(bits: int) -> str:
    return ', '.join(
        str(value) for value in range(bits.bit_length()) if bits >> value & 1
    )


def dump_vgics(vgics: tuple[Vgic, ...]) -> dict[str, dict[str, Any]]:
    """Return GICs by version: ``{"3": {"ctlr": "8c00", "dist": ...}}``."""
    dumped = {}
    for version, shown, *values in vgics:
        item: dict[str, Any] = {}
        if shown:
            item['shown'] = {
                f'{code:x}': f'{value:x}' for code, value in shown
            }
        item |= {
            key: f'{value:x}'
            for key, value in zip(_KEYS, values, strict=True)
            if value is not None
        }
        dumped[f'{version:x}'] = item
    return dumped


def load_vgics(value: object) -> tuple[Vgic, ...]:
    """Return what `dump_vgics` was given.

    :raises ProfileError: if it is not such an object
    """
    return tuple(
        sorted(
            _vgic(
                _version(version),
                forms.object_of('vgic', item, len(_KEYS) + 1),
            )
            for version, item in forms.object_of(
                'vgic', value, _MOST_GICS
            ).items()
        )
    )


def _version(text: str) -> int:
    version = forms.unhex('vgic', text, 15)
    if version < 2:
        raise ProfileError(f'vgic: {version} is not a GIC version')
    return version


def _vgic(version: int, item: dict[str, Any]) -> Vgic:
    unknown = sorted(item.keys() - _KEYS.keys() - {'shown'})
    if unknown:
        raise ProfileError(f'vgic: unknown name {forms.quote(unknown[0])}')
    shown = forms.object_of('vgic', item.get('shown', {}), _MOST_REGISTERS)
    if 'shown' in item and not shown:
        raise ProfileError('vgic: shown is empty')
    return Vgic(
        version,
        tuple(
            sorted(
                (
                    forms.unhex('vgic', code, forms.CODE),
                    forms.unhex('vgic', value),
                )
                for code, value in shown.items()
            )
        ),
        *(
            forms.unhex('vgic', item[key], most) if key in item else None
            for key, most in _KEYS.items()
        ),
    )


def dump_tried(tried: Tried) -> dict[str, str]:
    """Return answers by register: ``{"c020": "28+4:3:2"}``.

    An answer is the shift, the width, the accepted values and the ignored
    values. The last is left out if it is 0.
    """
    return {
        f'{code:x}': ' '.join(
            f'{answer.shift:x}+{answer.width:x}:{answer.accepted:x}'
            + (f':{answer.ignored:x}' if answer.ignored else '')
            for answer in answers
        )
        for code, answers in tried.items()
    }


def load_tried(value: object) -> Tried:
    """Return what `dump_tried` was given.

    :raises ProfileError: if it is not such an object
    """
    return Tried(
        {
            forms.unhex('tried', code, forms.CODE): _answers(item)
            for code, item in forms.object_of(
                'tried', value, _MOST_REGISTERS
            ).items()
        }
    )


def _answers(text: object) -> list[Answer]:
    if type(text) is not str or not text or len(text) > _LONGEST:
        raise ProfileError(
            f'tried: {forms.quote(text)} is not a list of answers'
        )
    answers = [_answer(item) for item in text.split(' ')]
    end = 0
    for answer in answers:
        if answer.shift < end:
            raise ProfileError('tried: not in ascending order')
        end = answer.shift + answer.width
    return answers


def _answer(text: str) -> Answer:
    match = _ANSWER.fullmatch(text)
    if match is None:
        raise ProfileError(f'tried: {forms.quote(text)} is not an answer')
    answer = Answer(*(int(part or '0', 16) for part in match.groups()))
    if (
        answer.shift + answer.width > 64
        or answer.accepted >> (1 << answer.width)
        or answer.ignored & ~answer.accepted
    ):
        raise ProfileError(f'tried: {forms.quote(text)} is out of range')
    return answer
