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

"""Just enough of C to read tables: macros, initialisers, expressions.

No preprocessor is run: conditional parts are taken as if all of them held.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import re

_COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.DOTALL)
_DEFINE = re.compile(
    r'^[ \t]*#[ \t]*define[ \t]+(?P<name>\w+)(?:\((?P<params>[^)]*)\))?'
    r'(?P<body>.*)$',
    re.MULTILINE,
)
_WORD = re.compile(r'\b[A-Za-z_]\w*\b')
_SUFFIX = re.compile(r'\b(0x[0-9a-fA-F]+|\d+)[uUlL]+\b')
_ARITHMETIC = re.compile(r'[0-9a-fA-FxX\s|&~()<>+*-]+')
_OPEN, _CLOSE = '({[', ')}]'
#: More than the deepest nesting of macros in the kernel's tables.
_DEEPEST = 32


class SourceError(Exception):
    """This reader does not know this source; the text is one line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Macro:
    """One ``#define``; params is None for one without parentheses."""

    params: tuple[str, ...] | None
    body: str


def uncommented(text: str) -> str:
    """Return source without comments, continued lines joined."""
    return re.sub(r'[ \t]*\\\n[ \t]*', ' ', _COMMENT.sub(' ', text))


def macros_of(text: str) -> dict[str, Macro]:
    """Return the macros of uncommented source; the last one of a name."""
    found = {}
    for match in _DEFINE.finditer(text):
        params = match['params']
        found[match['name']] = Macro(
            None
            if params is None
            else tuple(p.strip() for p in params.split(',') if p.strip()),
            match['body'].strip(),
        )
    return found


def split(text: str) -> list[str]:
    """Split a text at its commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        if character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif character == ',' and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    parts.append(text[start:].strip())
    return parts if parts != [''] else []


def bracketed(text: str, start: int) -> int:
    """Return where the bracket that opens at ``start`` closes.

    :raises SourceError: if it does not
    """
    depth = 0
    for place in range(start, len(text)):
        if text[place] in _OPEN:
            depth += 1
        elif text[place] in _CLOSE:
            depth -= 1
            if not depth:
                return place
    raise SourceError(
        f'a bracket does not close: {text[start : start + 40]!r}'
    )


def expanded(text: str, macros: Mapping[str, Macro], depth: int = 0) -> str:
    """Return a text with every macro expanded, ``##`` included.

    :raises SourceError: if macros nest too deep
    """
    if depth > _DEEPEST:
        raise SourceError(f'macros nest too deep: {text[:40]!r}')
    out, place = [], 0
    while match := _WORD.search(text, place):
        macro = macros.get(match[0])
        out.append(text[place : match.start()])
        place = match.end()
        if macro is None:
            out.append(match[0])
            continue
        body = macro.body
        if macro.params is not None:
            opening = re.compile(r'\s*\(').match(text, place)
            if opening is None:
                out.append(match[0])
                continue
            place = bracketed(text, opening.end() - 1) + 1
            given = split(text[opening.end() : place - 1])
            body = _substituted(macro, given)
        out.append(expanded(body, macros, depth + 1))
    out.append(text[place:])
    return ''.join(out)


def _substituted(macro: Macro, given: list[str]) -> str:
    values = dict(zip(macro.params or (), given, strict=False))
    body = re.sub(
        r'(?<!#)#(?!#)\s*(\w+)',
        lambda m: f'"{values.get(m[1], m[1])}"',
        macro.body,
    )
    body = _WORD.sub(lambda m: values.get(m[0], m[0]), body)
    return re.sub(r'\s*##\s*', '', body)


def function(text: str, name: str) -> str:
    """Return the body of a function, with normalised white space.

    :returns: empty if uncommented source does not define it
    :raises SourceError: if its bracket does not close
    """
    match = re.search(rf'\b{name}\([^;{{}}]*\)\s*(?=\{{)', text)
    if match is None:
        return ''
    end = bracketed(text, match.end())
    return ' '.join(text[match.end() : end + 1].split())


def initialisers(text: str) -> Iterator[str]:
    """Return the inside of each ``{...}`` of an array's initialiser."""
    place = 0
    while (start := text.find('{', place)) >= 0:
        end = bracketed(text, start)
        yield text[start + 1 : end]
        place = end + 1


def value_of(expression: str, names: Mapping[str, int]) -> int:
    """Return the value of a constant expression, 64 bits unsigned.

    :raises SourceError: if it has a name that is not in ``names``
    """
    text = _SUFFIX.sub(r'\1', ' '.join(expression.split()))
    text = re.sub(
        r'\b(?:GENMASK|GENMASK_ULL)\(([^,()]+),([^,()]+)\)',
        r'((1 << (\1) + 1) - (1 << (\2)))',
        text,
    )
    text = re.sub(r'\b(?:BIT|BIT_ULL)\(([^,()]+)\)', r'(1 << (\1))', text)
    missing = []

    def number(match: re.Match[str]) -> str:
        if match[0] not in names:
            missing.append(match[0])
            return '0'
        return str(names[match[0]])

    text = re.sub(r'(?<![0-9])\b[A-Za-z_]\w*\b', number, text)
    if missing or not _ARITHMETIC.fullmatch(text):
        raise SourceError(
            f'cannot evaluate {" ".join(expression.split())!r}'
            + (f': what is {missing[0]}?' if missing else '')
        )
    # Only numbers, brackets and operators are left.
    return int(eval(text)) & (1 << 64) - 1
