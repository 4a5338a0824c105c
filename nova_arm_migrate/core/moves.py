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

"""Which profiles' guests can move to which hosts, for many profiles.

The answer is the same as if each profile were compared with each other one
(`core.compare`), but the work does not grow with the square of their number. A
comparison finds nothing if it finds nothing in any *part* of the two profiles.
A part is one register with everything else that its rule reads, or the lists
of registers, or one attribute. A fleet has few distinct contents of each part,
even if it has many distinct profiles. Each pair of contents is compared once,
in profiles that are otherwise equal.
"""

from collections.abc import Collection
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import functools

from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.attributes import Part
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.features import CTR_EL0
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.trial import trial_decides
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Verdict

#: Attributes on which no verdict depends, with the value used instead.
_NEVER = {
    one.name: one.default
    for one in attributes_of(Host)
    if one.part is Part.NONE
}

#: Attributes that are parts of their own, with the registers that their rule
#: also reads.
_ATTRIBUTES = {
    one.name: one.registers
    for one in attributes_of(Host)
    if one.part is Part.ALONE
}

#: What a register's rule reads in addition to the register: other registers
#: and attributes. A rule that is not here reads nothing else.
_BESIDES: dict[Judge, tuple[frozenset[int], frozenset[str]]] = {
    Judge.FEATURES_32BIT: (frozenset({ID_AA64PFR0_EL1}), frozenset()),
    Judge.IMPLEMENTATION: (frozenset(), frozenset({'qemu'})),
    Judge.CLIDR: (frozenset({CTR_EL0}), frozenset({'kernel'})),
    Judge.CCSIDR: (frozenset({CTR_EL0}), frozenset({'kernel'})),
}

#: Rules that read the lists of registers.
_WITH_LISTS = (Judge.CLIDR, Judge.CCSIDR)

#: All other attributes belong to every part: slower, but right.
_EVERYWHERE = frozenset(
    one.name for one in attributes_of(Host) if one.part is Part.EVERY
)

#: A code that no register has. A profile without any value is judged by
#: another rule, so every profile keeps at least this one.
_FILLER = 1 << 28


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """What one comparison covers.

    :ivar codes: of registers, with their values and masks
    :ivar attributes: of the host
    :ivar lists: whether the part includes the lists of registers
    """

    codes: frozenset[int]
    attributes: frozenset[str]
    lists: bool = False

    def content(self, host: Host) -> Hashable:
        """Return what the host has of this part: all that a rule reads."""
        codes, reg_list = sorted(self.codes), host.reg_list
        return (
            bool(host.values),
            tuple(map(host.values.read, codes)),
            None
            if host.writable is None
            else tuple(map(host.writable.read, codes)),
            reg_list if self.lists else reg_list is None,
            tuple(
                getattr(host, name)
                for name in sorted(self.attributes | _EVERYWHERE)
            ),
        )

    def put(self, host: Host, into: Host, common: frozenset[int]) -> Host:
        """Return a host with this part of ``host`` and the rest of ``into``.

        :param common: the registers that all hosts list
        """
        values, writable, reg_list = Values(), None, host.reg_list
        if host.values:
            values = Values(
                {_FILLER: 1}
                | {
                    code: value
                    for code in self.codes
                    if (value := host.values.read(code))
                }
            )
        if host.writable is not None:
            writable = Values(
                {code: host.writable.read(code) for code in self.codes}
            )
        if reg_list is not None and not self.lists:
            reg_list = common
        return dataclasses.replace(
            into,
            values=values,
            writable=writable,
            reg_list=reg_list,
            **{
                name: getattr(host, name)
                for name in self.attributes | _EVERYWHERE
            },
        )


class Moves:
    """The hosts to which guests started on each of several hosts can move.

    Sets of hosts are integers here: bit i means the i-th host.

    :ivar to: for each host, the hosts to which its guests can move
    :ivar back: for each host, the hosts whose guests can move to it
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        options: Options = Options(),
        *,
        trial: bool = False,
    ) -> None:
        """Compare each host's guests with every other host.

        :param trial: whether each destination makes a trial. A move also
            counts if nothing but what a trial settles is against it
        """
        everywhere = (1 << len(hosts)) - 1
        self.to = [everywhere ^ 1 << place for place in range(len(hosts))]
        self.back = self.to.copy()
        self._options = options
        self._trial = trial
        kinds = [alike(host) for host in hosts]
        nothing = _Part(frozenset(), frozenset())
        common = _in_all(kinds)
        for base in dict.fromkeys(
            nothing.put(host, host, common) for host in kinds
        ):
            if self.fits(guest_started_on(base), base):
                break
        else:
            # No host accepts its own guests, so no part can be judged by
            # itself.
            self._keep(
                [(kinds[places[0]], places) for places in _places_by(kinds)]
            )
            return
        parts = [
            (part, _places_by(map(part.content, kinds)))
            for part in _parts(kinds)
        ]
        # The cheapest part first: a move that it rules out is not tried
        # again.
        parts.sort(key=lambda item: len(item[1]))
        for part, contents in parts:
            self._keep(
                [
                    (part.put(kinds[places[0]], base, common), places)
                    for places in contents
                ]
            )

    def fits(self, guest: Guest, host: Host) -> bool:
        """Return whether one host accepts one guest."""
        found = compare(guest, host, self._options)
        return found.verdict is Verdict.COMPATIBLE or (
            self._trial and trial_decides(found, self._options)
        )

    def _keep(self, kinds: list[tuple[Host, list[int]]]) -> None:
        """Keep only the moves that are possible between these kinds.

        :param kinds: a host that stands for several, and their places
        """
        members = [sum(1 << place for place in places) for _, places in kinds]
        back = [0] * len(kinds)
        for (start, places), these in zip(kinds, members, strict=True):
            guest = guest_started_on(start)
            open_yet = functools.reduce(
                int.__or__, (self.to[place] for place in places)
            )
            possible = 0
            for kind, (end, _) in enumerate(kinds):
                if members[kind] & open_yet and self.fits(guest, end):
                    possible |= members[kind]
                    back[kind] |= these
            for place in places:
                self.to[place] &= possible
        for (_, places), those in zip(kinds, back, strict=True):
            for place in places:
                self.back[place] &= those


def _places_by(contents: Iterable[Hashable]) -> list[list[int]]:
    """Return the places of equal contents, for each distinct content."""
    places: dict[Hashable, list[int]] = {}
    for place, content in enumerate(contents):
        places.setdefault(content, []).append(place)
    return list(places.values())


def alike(host: Host) -> Host:
    """Return the host without differences on which no verdict depends."""
    return dataclasses.replace(
        host,
        **_NEVER,
        kernel=_version(host.kernel),
        qemu=_version(host.qemu),
        cores=tuple(
            dict.fromkeys(
                dataclasses.replace(core, cpus='') for core in host.cores
            )
        ),
    )


def _version(text: str | None) -> str | None:
    version = version_of(text)
    return None if version is None else f'{version[0]}.{version[1]}'


def _in_all(hosts: Iterable[Host]) -> frozenset[int]:
    """The registers that are in all lists that are known."""
    lists = [host.reg_list for host in hosts if host.reg_list is not None]
    return lists[0].intersection(*lists[1:]) if lists else frozenset()


def _parts(hosts: Sequence[Host]) -> list[_Part]:
    """Return the parts in which hosts may differ."""
    codes = frozenset().union(
        *(host.values for host in hosts),
        *(host.writable for host in hosts if host.writable is not None),
    )
    some = frozenset().union(*(host.reg_list or () for host in hosts))
    together = some - _in_all(hosts) | {
        code for code in codes if register_of(code).judge in _WITH_LISTS
    }
    return [
        *(_part_of([code]) for code in codes - together),
        _part_of(together, ['qemu'], lists=True),
        *(_part_of(codes, [name]) for name, codes in _ATTRIBUTES.items()),
    ]


def _part_of(
    codes: Collection[int], attributes: Iterable[str] = (), lists: bool = False
) -> _Part:
    """Return the part with these and everything judged with them."""
    besides = [
        _BESIDES[judge]
        for code in codes
        if (judge := register_of(code).judge) in _BESIDES
    ]
    registers = frozenset(codes).union(*(more for more, _ in besides))
    return _Part(
        registers,
        frozenset(attributes).union(
            *(names for _, names in besides),
            [
                name
                for name, needed in _ATTRIBUTES.items()
                if needed & registers
            ],
        ),
        lists,
    )
