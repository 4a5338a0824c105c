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
"""A fleet's matrix as one HTML page that loads nothing from elsewhere.

Colours are Okabe and Ito's, lightened, which colour-blind people can
distinguish; each mark also has a symbol. The page's security policy allows
only its own style and program, by their hashes, and no request.
"""

import base64
from collections.abc import Iterator
import hashlib
import html
import json
from typing import Any

from nova_arm_migrate.core.finding import MAY_USE
from nova_arm_migrate.core.matrix import Mark
from nova_arm_migrate.core.matrix import Matrix
from nova_arm_migrate.core.matrix import MatrixCell
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.page_frame import FRAME
from nova_arm_migrate.core.page_frame import SCRIPT
from nova_arm_migrate.core.page_frame import STYLE

COLOURS = {
    Mark.COMPATIBLE: '#9AD1F0',
    Mark.INCOMPATIBLE: '#EFA77B',
    Mark.HAZARD: '#F0E442',
    Mark.UNKNOWN: '#D0D0D0',
}
SYMBOLS = {
    Mark.COMPATIBLE: '\N{CHECK MARK}',
    Mark.INCOMPATIBLE: '\N{BALLOT X}',
    Mark.HAZARD: '!',
    Mark.UNKNOWN: '?',
}
_TITLE = 'Where Arm64 guests can move'
#: Characters of a host's name.
_LONGEST = 255
#: They stand for the guest's and the host's value in a sentence.
_SIGNS = '\x01\x02'
#: Characters that could end the element that has the data.
_ESCAPED = {ord(char): f'\\u{ord(char):04x}' for char in '<>&'}


def page(matrix: Matrix, command: str, suffix: str = '') -> str:
    """Return a page with a matrix.

    :param command: compares the two hosts whose names follow it
    :param suffix: of the names in the command
    """
    data = json.dumps(
        _data(matrix) | {'command': command, 'suffix': suffix},
        separators=(',', ':'),
    )
    return FRAME.format(
        title=html.escape(_TITLE),
        policy=html.escape(
            "default-src 'none'; img-src data:;"
            f' style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}'
        ),
        style=STYLE,
        data=data.translate(_ESCAPED),
        script=SCRIPT,
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


class _Texts:
    """Texts, each once, by their places."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self.places.setdefault(_printable(text), len(self.places))


def _data(matrix: Matrix) -> dict[str, Any]:
    """Return what the program shows; equal details are there once."""
    marks = list(Mark)
    texts = _Texts()
    places: dict[tuple[int, ...], int] = {}

    def place(cell: MatrixCell) -> int:
        detail = (marks.index(cell.mark), cell.more, *_detail(cell, texts))
        return places.setdefault(detail, len(places))

    # One cell stands for many pairs of classes.
    cells = {id(cell): cell for row in matrix.cells for cell in row}
    known = {key: place(cell) for key, cell in cells.items()}
    return {
        'marks': [
            {
                'name': mark.value,
                'symbol': SYMBOLS[mark],
                'colour': COLOURS[mark],
            }
            for mark in marks
        ],
        'profiles': [
            {'names': [_line(n) for n in profile.names], 'pool': pool + 1}
            for profile, pool in zip(
                matrix.profiles, matrix.pools, strict=True
            )
        ],
        'cells': [[known[id(cell)] for cell in row] for row in matrix.cells],
        'details': list(places),
        'texts': list(texts.places),
    }


def _detail(cell: MatrixCell, texts: _Texts) -> Iterator[int]:
    """Yield the places of a cell's texts, if there is a finding.

    They are the field, its sentence with the two values taken out, the values,
    and the names of other fields. Sentences that differ in the values only are
    one text: many classes make many pairs of values.
    """
    finding = cell.finding
    if finding is None:
        return
    said = _printable(sentence(finding))
    values = [
        _printable(finding.shown(value).removeprefix(MAY_USE))
        for value in (finding.guest, finding.host)
    ]
    for sign, value in zip(_SIGNS, values):
        said = said.replace(value, sign) if value else said
    yield texts.place(finding.name)
    yield texts.places.setdefault(said, len(texts.places))
    for text in (*values, *cell.others):
        yield texts.place(text)


def _line(name: str) -> str:
    return _printable(name[:_LONGEST])


def _printable(text: str) -> str:
    """Return a text without characters that change how others are shown."""
    if text.isprintable():
        return text
    return ''.join(char if char.isprintable() else '?' for char in text)
