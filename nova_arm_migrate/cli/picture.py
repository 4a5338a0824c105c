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

"""A fleet's matrix as a picture, or as a page (``core.page``).

A picture needs matplotlib: ``pip install nova-arm-migrate[picture]``.

matplotlib is imported only when a picture is drawn, because the commands also
run on hosts without it. The colours are Okabe and Ito's, which colour-blind
people can distinguish. Each colour also has a mark.
"""

import io
import itertools
import pathlib
from typing import Any

from nova_arm_migrate.cli import files
from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.matrix import label
from nova_arm_migrate.core.matrix import Mark
from nova_arm_migrate.core.matrix import Matrix
from nova_arm_migrate.core.matrix import MatrixCell
from nova_arm_migrate.core.page import COLOURS
from nova_arm_migrate.core.page import page
from nova_arm_migrate.core.page import SYMBOLS

PAGE = '.html'
SUFFIXES = (PAGE, '.png', '.svg', '.pdf')
#: A picture with more rows can't be read.
MOST = 40

_LONGEST_LABEL = 44
# Up to so many rows a cell has room for the field. Sizes of a cell in inches.
_WITH_TEXT = 26
_WIDE, _NARROW = 0.82, 0.34
# Shades from black to a colour, at the edges of glyphs.
_SHADES = 10
# Inches for a character of a label, and for the bands above and below.
_CHARACTER = 0.06
_HEAD, _FOOT = 0.85, 0.95


def check(path: str, option: str = '--picture') -> None:
    """Check the suffix and matplotlib before the work begins.

    :param option: that has the path, for the error messages
    :raises CommandError: for an unknown suffix, or without matplotlib
    """
    if _suffix(path) not in SUFFIXES:
        raise CommandError(
            f'{option}: {path}: the suffix must be one of'
            f' {", ".join(SUFFIXES)}'
        )
    if _suffix(path) != PAGE:
        _need_matplotlib(option)


def _need_matplotlib(option: str) -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise CommandError(
            f'{option}: needs matplotlib (pip install'
            f' nova-arm-migrate[picture]): {error}'
        ) from None


def _suffix(path: str) -> str:
    return pathlib.PurePath(path).suffix.lower()


def write(
    matrix: Matrix,
    path: str,
    option: str = '--picture',
    command: tuple[str, str] = ('nova-arm-migrate compare', '.json'),
) -> str:
    """Draw a matrix to a file; on an error the file stays unchanged.

    :param option: that has the path, for the error messages
    :param command: compares two hosts, and the suffix of their names; a page
        shows it
    :return: what the picture leaves out; empty if nothing
    :raises CommandError: if the file can't be written
    """
    size = len(matrix.profiles)
    note = ''
    if _suffix(path) == PAGE:
        data = page(matrix, *command).encode()
    else:
        if size > MOST:
            note = f'the first {MOST} of {size} rows'
        data = draw(matrix.first(MOST), _suffix(path)[1:], note)
    try:
        files.replace(path, data)
    except CommandError as error:
        raise CommandError(f'{option}: {error}') from None
    return note


def draw(matrix: Matrix, form: str, note: str = '') -> bytes:
    """Return the picture's bytes.

    :param form: ``png``, ``svg`` or ``pdf``
    :param note: an additional text in the picture
    """
    import matplotlib

    # Ignore the user's matplotlibrc, and make the same bytes each time.
    settings = dict(matplotlib.rcParamsDefault)
    settings |= {'svg.hashsalt': 'nova-arm-migrate', 'savefig.dpi': 110}
    settings.pop('backend', None)
    with matplotlib.rc_context(settings):
        data = io.BytesIO()
        dated = {'svg': {'Date': None}, 'pdf': {'CreationDate': None}}
        _figure(matrix, note).savefig(
            data, format=form, metadata=dated.get(form)
        )
    return _with_palette(data) if form == 'png' else data.getvalue()


def _with_palette(png: io.BytesIO) -> bytes:
    """Reduce the colours to a palette: a quarter of the bytes."""
    from PIL import Image
    from PIL import ImageColor

    colours: list[int] = []
    for colour in ('#FFFFFF', *COLOURS.values()):
        for step in range(_SHADES):
            colours += [
                part * step // (_SHADES - 1)
                for part in ImageColor.getrgb(colour)[:3]
            ]
    palette = Image.new('P', (1, 1))
    palette.putpalette(colours)
    smaller = io.BytesIO()
    with Image.open(png) as image:
        image.convert('RGB').quantize(
            palette=palette, dither=Image.Dither.NONE
        ).save(smaller, format='PNG', optimize=True)
    return smaller.getvalue()


def _figure(matrix: Matrix, note: str) -> Any:
    from matplotlib.figure import Figure

    size = len(matrix.profiles)
    side = (_WIDE if size <= _WITH_TEXT else _NARROW) * size
    labels = [_short(label(profile)) for profile in matrix.profiles]
    margin = 0.45 + _CHARACTER * max(map(len, labels))
    width = max(margin + side + 0.3, 6.6)
    height = _HEAD + margin + side + _FOOT
    figure = Figure(figsize=(width, height), facecolor='white')
    axes = figure.add_axes(
        (margin / width, _FOOT / height, side / width, side / height)
    )
    axes.set(xlim=(0, size), ylim=(size, 0))
    axes.xaxis.tick_top()
    places = [place + 0.5 for place in range(size)]
    axes.set_xticks(
        places,
        [f'{place + 1}  {text}' for place, text in enumerate(labels)],
        rotation=90,
        fontsize=8,
        parse_math=False,
    )
    axes.set_yticks(
        places,
        [f'{text}  {place + 1}' for place, text in enumerate(labels)],
        fontsize=8,
        parse_math=False,
    )
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _draw_cells(axes, matrix)
    _draw_pools(axes, matrix)
    hosts = sum(len(profile.names) for profile in matrix.profiles)
    figure.text(
        0.15 / width,
        1 - 0.32 / height,
        f'Where the guests of {hosts} hosts can move',
        fontsize=13,
        weight='bold',
    )
    figure.text(
        0.15 / width,
        1 - 0.58 / height,
        'row: where a guest was started; column: where it goes'
        + (f'\n{note}' if note else ''),
        fontsize=9,
        va='center',
    )
    _draw_legend(figure, width, height)
    return figure


def _short(text: str) -> str:
    """Shorten a long label in the middle, so that the count stays."""
    if len(text) <= _LONGEST_LABEL:
        return text
    end = _LONGEST_LABEL // 2
    return f'{text[: _LONGEST_LABEL - end - 3]}...{text[-end:]}'


def _draw_cells(axes: Any, matrix: Matrix) -> None:
    from matplotlib.patches import Rectangle

    with_text = len(matrix.profiles) <= _WITH_TEXT
    for y, row in enumerate(matrix.cells):
        for x, cell in enumerate(row):
            axes.add_patch(
                Rectangle(
                    (x, y),
                    1,
                    1,
                    facecolor=COLOURS[cell.mark],
                    edgecolor='white',
                    linewidth=1,
                )
            )
            text = _in_cell(cell) if with_text else ''
            axes.text(
                x + 0.5,
                y + (0.3 if text else 0.5),
                SYMBOLS[cell.mark],
                ha='center',
                va='center',
                fontsize=11,
            )
            if text:
                axes.text(
                    x + 0.5,
                    y + 0.7,
                    text,
                    ha='center',
                    va='center',
                    fontsize=5,
                    linespacing=1.1,
                    parse_math=False,
                )


def _in_cell(cell: MatrixCell) -> str:
    """Return the first field that prevents the move, in short lines."""
    if cell.finding is None:
        return ''
    register, _, field = cell.finding.name.partition('.')
    more = f'+{cell.more} more' if cell.more else ''
    return '\n'.join(filter(None, (register, field, more)))


def _draw_pools(axes: Any, matrix: Matrix) -> None:
    from matplotlib.patches import Rectangle

    start = 0
    for _, group in itertools.groupby(matrix.pools):
        size = len(list(group))
        axes.add_patch(
            Rectangle(
                (start, start),
                size,
                size,
                fill=False,
                edgecolor='black',
                linewidth=2,
                clip_on=False,
                zorder=3,
            )
        )
        start += size


def _draw_legend(figure: Any, width: float, height: float) -> None:
    from matplotlib.patches import Patch

    keys = [
        Patch(
            facecolor=COLOURS[mark],
            edgecolor='none',
            label=f'{SYMBOLS[mark]} {mark.value}',
        )
        for mark in Mark
    ]
    keys.append(
        Patch(
            facecolor='none',
            edgecolor='black',
            linewidth=2,
            label='pool: guests move both ways',
        )
    )
    figure.legend(
        handles=keys,
        loc='lower left',
        fontsize=9,
        ncols=3,
        bbox_to_anchor=(0.1 / width, 0.1 / height),
        frameon=False,
        borderpad=0,
    )
