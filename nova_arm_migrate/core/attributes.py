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

"""One declaration for each attribute of a profile.

`attribute` makes a field of a dataclass that says all that other modules need
to know: how a record has it (``record``), what people read (``cli.render``),
what a comparison of a whole fleet may leave out (``moves``), what a guest gets
that starts on a host (``vcpu``), and what a baseline makes of it
(``baseline``). They go through `attributes_of`; none of them lists attributes.
"""

from collections.abc import Callable
import dataclasses
import enum
import functools
from typing import Any

from nova_arm_migrate.core.record_forms import Form

_KEY = 'attribute'


class Part(enum.Enum):
    """What a comparison of many hosts does with an attribute of a host."""

    #: It is compared by itself, beside the registers that are named with it.
    ALONE = enum.auto()
    #: It belongs to every part: slower, and right whatever uses it.
    EVERY = enum.auto()
    #: No verdict rests on it.
    NONE = enum.auto()
    #: ``moves`` handles it.
    OWN = enum.auto()


class Meet(enum.Enum):
    """What a baseline has of an attribute that hosts differ in."""

    #: The first host's.
    FIRST = enum.auto()
    #: The least; None if one is not known.
    LEAST = enum.auto()
    #: Whether all have it; None if one is not known.
    ALL = enum.auto()
    #: ``baseline`` works it out, or a baseline has none.
    OWN = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Attribute:
    """What is declared of an attribute of `Host` or `Guest`.

    :ivar name: the dataclass field's
    :ivar key: in the record's JSON object
    :ivar form: how the record has it, and how people read it
    :ivar default: what a record without the key stands for
    :ivar always: the record has the key even for the default
    :ivar since: the record's schema that has it first
    :ivar title: what people call it; empty if it is not shown
    :ivar part: of a host's, see `Part`
    :ivar registers: codes that are compared together with it
    :ivar start: what a guest has of the host that it starts on; None if
        ``guest_started_on`` is told, or if it starts with the default
    :ivar meet: of a guest's, see `Meet`
    """

    name: str
    key: str
    form: Form[Any]
    default: Any
    always: bool
    since: int
    title: str
    part: Part
    registers: frozenset[int]
    start: Callable[[Any], Any] | None
    meet: Meet


def attribute(
    key: str,
    form: Form[Any],
    default: Any = None,
    *,
    always: bool = False,
    since: int = 1,
    title: str = '',
    part: Part = Part.EVERY,
    registers: frozenset[int] = frozenset(),
    start: Callable[[Any], Any] | None = None,
    meet: Meet = Meet.OWN,
) -> Any:
    """Return a dataclass field; the arguments are those of `Attribute`."""
    made = functools.partial(
        Attribute,
        key=key,
        form=form,
        default=default,
        always=always,
        since=since,
        title=title,
        part=part,
        registers=registers,
        start=start,
        meet=meet,
    )
    return dataclasses.field(default=default, metadata={_KEY: made})


def attributes_of(profile: type[Any]) -> tuple[Attribute, ...]:
    """Return the attributes of `Host` or `Guest`, in the record's order."""
    # mypy does not take the type of a class with __hash__ for hashable.
    anything: Any = profile
    return _attributes_of(anything)


@functools.cache
def _attributes_of(profile: Any) -> tuple[Attribute, ...]:
    return tuple(
        field.metadata[_KEY](name=field.name)
        for field in dataclasses.fields(profile)
    )
