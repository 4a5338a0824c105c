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

`attribute` makes a dataclass field that declares everything that other modules
need: its form in a record (``record``), how people read it (``cli.render``),
what a comparison of a whole fleet may leave out (``moves``), what a guest gets
when it starts on a host (``vcpu``), and its value in a baseline
(``baseline``). These modules use `attributes_of`; none lists attributes by
name.
"""

from collections.abc import Callable
import dataclasses
import enum
import functools
from typing import Any

from nova_arm_migrate.core.record_forms import Form

_KEY = 'attribute'


class Part(enum.Enum):
    """How a comparison of many hosts treats an attribute of a host."""

    #: It is compared by itself, together with the registers named with it.
    ALONE = enum.auto()
    #: It belongs to every part: slower, but right for every use.
    EVERY = enum.auto()
    #: No verdict depends on it.
    NONE = enum.auto()
    #: ``moves`` handles it.
    OWN = enum.auto()


class Meet(enum.Enum):
    """The value that a baseline has of an attribute in which hosts differ."""

    #: That of the first host.
    FIRST = enum.auto()
    #: The least; None if one is not known.
    LEAST = enum.auto()
    #: Whether all hosts have it; None if one is not known.
    ALL = enum.auto()
    #: ``baseline`` computes it, or a baseline does not have it.
    OWN = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Attribute:
    """The declaration of an attribute of `Host` or `Guest`.

    :ivar name: the name of the dataclass field
    :ivar key: the key in the record's JSON object
    :ivar form: its form in the record, and for people
    :ivar default: the value that a record without the key means
    :ivar always: whether the record has the key even for the default
    :ivar since: the first schema of the record that has it
    :ivar title: its name for people; empty if it is not shown
    :ivar part: for an attribute of a host, see `Part`
    :ivar registers: codes that are compared together with it
    :ivar start: returns a guest's value from the host that it starts on; None
        if the caller of ``guest_started_on`` gives it, or if a guest starts
        with the default
    :ivar meet: for an attribute of a guest, see `Meet`
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
    # mypy does not see that the type of a class with __hash__ is hashable.
    anything: Any = profile
    return _attributes_of(anything)


@functools.cache
def _attributes_of(profile: Any) -> tuple[Attribute, ...]:
    return tuple(
        field.metadata[_KEY](name=field.name)
        for field in dataclasses.fields(profile)
    )
