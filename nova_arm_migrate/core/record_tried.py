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


"""The JSON form of what a probe has tried, as a part of `record`'s.

As there, nothing is trusted: whatever is wrong ends in a `ProfileError`.
"""

import re
from typing import Any

from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.tried import Answer
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.tried import WIDEST

_MOST_REGISTERS = 256
_MOST_GICS = 8
_CODE = (1 << 28) - 1
_U64 = (1 << 64) - 1
#: As this code writes it: a number has one form only.
_HEX = re.compile(r"0|[1-9a-f][0-9a-f]{0,15}")
_ANSWER = re.compile(r"([0-9a-f]{1,2})\+([0-9a-f]):([0-9a-f]{1,16})"
                     r"(?::([0-9a-f]{1,16}))?")
#: Characters: every field of a register.
_LONGEST = 64 * 40
_KEYS = ("ctlr", "dist", "redist", "rev")
_MOST_KEYS = 16


def dump_vgics(vgics: tuple[Vgic, ...] | None
               ) -> dict[str, dict[str, Any]] | None:
    """Return GICs by version: ``{"3": {"ctlr": "8c00", "dist": ...}}``."""
    if vgics is None:
        return None
    dumped = {}
    for version, shown, *values in vgics:
        item: dict[str, Any] = {}
        if shown:
            item["shown"] = {f"{code:x}": f"{value:x}"
                             for code, value in shown}
        item |= {key: f"{value:x}" for key, value in zip(
            _KEYS, values, strict=True) if value is not None}
        dumped[f"{version:x}"] = item
    return dumped


def load_vgics(value: object) -> tuple[Vgic, ...] | None:
    """Return what `dump_vgics` was given.

    :raises ProfileError: if it is not such an object
    """
    if value is None:
        return None
    return tuple(sorted(
        _vgic(_unhex("vgic", version, 15), _object("vgic", item, _MOST_KEYS))
        for version, item in _object("vgic", value, _MOST_GICS).items()))


def _vgic(version: int, item: dict[str, Any]) -> Vgic:
    shown = _object("vgic", item.get("shown", {}), _MOST_REGISTERS)
    values = [None if item.get(key) is None else _unhex("vgic", item[key])
              for key in _KEYS]
    return Vgic(version, tuple(sorted(
        (_unhex("vgic", code, _CODE), _unhex("vgic", value))
        for code, value in shown.items())), *values)


def dump_tried(tried: Tried | None) -> dict[str, str] | None:
    """Return answers by register: ``{"c020": "28+4:3:2"}``.

    Shift, width, what is accepted, what is ignored; the last is left out if
    it is 0.
    """
    if tried is None:
        return None
    return {f"{code:x}": " ".join(
        f"{answer.shift:x}+{answer.width:x}:{answer.accepted:x}"
        + (f":{answer.ignored:x}" if answer.ignored else "")
        for answer in answers) for code, answers in tried.items()}


def load_tried(value: object) -> Tried | None:
    """Return what `dump_tried` was given.

    :raises ProfileError: if it is not such an object
    """
    if value is None:
        return None
    return Tried({
        _unhex("tried", code, _CODE): _answers(item)
        for code, item in _object("tried", value, _MOST_REGISTERS).items()})


def _answers(text: object) -> list[Answer]:
    if type(text) is not str or not text or len(text) > _LONGEST:
        raise ProfileError(f"tried: {_quote(text)} is not a list of answers")
    answers = [_answer(item) for item in text.split()]
    end = 0
    for answer in answers:
        if answer.shift < end:
            raise ProfileError("tried: answers that are not in their order")
        end = answer.shift + answer.width
    return answers


def _answer(text: str) -> Answer:
    match = _ANSWER.fullmatch(text)
    if match is None:
        raise ProfileError(f"tried: {_quote(text)} is not an answer")
    answer = Answer(*(int(part or "0", 16) for part in match.groups()))
    if (not 0 < answer.width <= WIDEST or answer.shift + answer.width > 64
            or answer.accepted >> (1 << answer.width)
            or answer.ignored & ~answer.accepted):
        raise ProfileError(f"tried: {_quote(text)} is out of range")
    return answer


def _object(key: str, value: object, most: int) -> dict[str, Any]:
    if type(value) is not dict:
        raise ProfileError(f"{key}: {_quote(value)} is not an object")
    if len(value) > most:
        raise ProfileError(f"{key}: more than {most} items")
    return value


def _unhex(key: str, value: object, most: int = _U64) -> int:
    if type(value) is not str or not _HEX.fullmatch(value) \
            or int(value, 16) > most:
        raise ProfileError(f"{key}: {_quote(value)} is not allowed there")
    return int(value, 16)


def _quote(value: object) -> str:
    return repr(value)[:40]
