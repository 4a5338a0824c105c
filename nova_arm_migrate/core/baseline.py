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

"""The most that a guest may have if it is to run on all of several hosts.

It is the greatest lower bound of the hosts in KVM's own order, field by field.
It exists only if the hosts let a guest have it: if two hosts differ in a field
that is not writable on one of them, there is none. The baseline then names
that field.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any
from typing import TypeVar

from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.attributes import Meet
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.gic import ICC_CTLR_EL1
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.vcpu import has_32bit_el0
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict

_T = TypeVar('_T')


@dataclasses.dataclass(frozen=True, slots=True)
class Conflict:
    """Why a host does not accept the baseline.

    :ivar host: its place in the sequence of hosts
    """

    host: int
    finding: Finding


@dataclasses.dataclass(frozen=True, slots=True)
class Baseline:
    """The most that a guest may have if it is to run on every host.

    :ivar guest: the baseline; its ``disabled`` are the vCPU features and
        vector lengths to switch off in the domain
    :ivar conflicts: why hosts do not accept the baseline; empty if all hosts
        accept it
    """

    guest: Guest
    conflicts: tuple[Conflict, ...]


def baseline(hosts: Sequence[Host]) -> Baseline:
    """Return the baseline of hosts.

    :raises ValueError: if ``hosts`` is empty
    """
    if not hosts:
        raise ValueError('a baseline needs at least one host')
    guest = meet(hosts)
    conflicts = []
    for place, host in enumerate(hosts):
        report = compare(guest, host)
        if report.verdict is not Verdict.COMPATIBLE:
            conflicts += [
                Conflict(place, finding)
                for finding in report.findings
                if finding.severity is not Severity.NOTE
            ]
    return Baseline(guest, tuple(conflicts))


def meet(
    hosts: Sequence[Host], disabled: frozenset[str] = frozenset()
) -> Guest:
    """Return the greatest lower bound of hosts, whether they accept it or not.

    :param hosts: at least one
    :param disabled: vCPU features that the guest does not have in any case
    """
    disabled |= _features_to_switch_off(hosts)
    seen = [with_features_off(host, disabled) for host in hosts]
    lengths = _common_lengths(seen)
    disabled |= {
        f'sve{host.sve_lengths[len(lengths)]}'
        for host in seen
        if host.sve_lengths
        and lengths
        and len(host.sve_lengths) > len(lengths)
    }
    if not lengths and any(host.sve_lengths for host in seen):
        disabled |= {'sve'}
        seen = [with_features_off(host, disabled) for host in hosts]
    codes = {code for host in seen for code in host.values}
    reg_list = _in_all(_all_known(host.reg_list for host in seen))
    if reg_list is not None:
        codes &= reg_list
    values = {
        code: _meet_values(register_of(code), seen) for code in sorted(codes)
    }
    gic = _common_gic(hosts)
    return Guest(
        **_meet_attributes(hosts),
        values=Values({code: v for code, v in values.items() if v}),
        reg_list=reg_list,
        disabled=disabled,
        sve_lengths=lengths,
        gic=gic,
        vgic=_meet_vgics(hosts, gic),
    )


def _meet_attributes(hosts: Sequence[Host]) -> dict[str, Any]:
    """The attributes whose declaration says how a baseline gets them."""
    met = {}
    for one in attributes_of(Guest):
        if one.start is None or one.meet is Meet.OWN:
            continue
        values = [one.start(host) for host in hosts]
        known = _all_known(values)
        if one.meet is Meet.FIRST:
            met[one.name] = values[0]
        elif known is None:
            met[one.name] = None
        else:
            met[one.name] = (
                min(known) if one.meet is Meet.LEAST else all(known)
            )
    return met


def _all_known(values: Iterable[_T | None]) -> list[_T] | None:
    """The values, or None if one of them is not known."""
    known = []
    for value in values:
        if value is None:
            return None
        known.append(value)
    return known


def _in_all(sets: list[frozenset[int]] | None) -> frozenset[int] | None:
    return None if sets is None else sets[0].intersection(*sets[1:])


def _common_gic(hosts: Sequence[Host]) -> int | None:
    """The newest GIC that all hosts emulate, or else the first host's."""
    gics = _all_known(host.gic for host in hosts)
    if gics is None:
        return None
    common = _in_all([frozenset(gic) for gic in gics])
    return max(common or gics[0], default=None)


def _meet_vgics(hosts: Sequence[Host], version: int | None) -> Vgic | None:
    """The GIC interface that all hosts accept.

    None if a host's record does not have it. The revisions are those of the
    first host, because no host refuses another revision.
    """
    vgics = _all_known(host.vgic(version) for host in hosts)
    if vgics is None:
        return None
    interfaces = _all_known(vgic.ctlr for vgic in vgics)
    met = (
        None if interfaces is None else _meet_fields(ICC_CTLR_EL1, interfaces)
    )
    return vgics[0]._replace(ctlr=met).of_guest()


def _features_to_switch_off(hosts: Sequence[Host]) -> frozenset[str]:
    some = frozenset().union(*(host.features for host in hosts))
    return frozenset(
        name
        for name in some & FEATURES.keys()
        if not all(name in host.features for host in hosts)
    )


def _common_lengths(hosts: Sequence[Host]) -> tuple[int, ...]:
    """The vector lengths below the first one in which the hosts differ."""
    common = []
    for column in zip(
        *(host.sve_lengths or () for host in hosts), strict=False
    ):
        if len(set(column)) > 1:
            break
        common.append(column[0])
    return tuple(common)


def _meet_values(register: Register, hosts: Sequence[Host]) -> int:
    if register.judge is Judge.FEATURES_32BIT:
        # The other hosts ignore what is written.
        hosts = [host for host in hosts if has_32bit_el0(host)] or hosts
    values = [host.values.read(register.code) for host in hosts]
    first = values[0]
    if all(value == first for value in values):
        return first
    match register.judge:
        case Judge.FEATURES | Judge.FEATURES_32BIT:
            return _meet_fields(register, values)
        case Judge.LEVEL | Judge.LEVEL_WORKAROUND_2 | Judge.PSCI_VERSION:
            return min(values)
        case Judge.SLOTS:
            return 0
        case Judge.BITMAP:
            return functools.reduce(int.__and__, values)
        case Judge.COUNTERS:
            (counters,) = register.fields
            return counters.into(first, min(counters.of(v) for v in values))
        case _:
            # Two such values have no lower bound. If no host's value is
            # accepted by all, the comparison names the hosts that refuse
            # the first host's value.
            return next(
                (
                    value
                    for value in dict.fromkeys(values)
                    if _taken_by_all(register, value, hosts)
                ),
                first,
            )


def _taken_by_all(
    register: Register, value: int, hosts: Sequence[Host]
) -> bool:
    return all(
        value == host.values.read(register.code)
        or not JUDGES[register.judge](register, value, host)
        for host in hosts
    )


def _meet_fields(register: Register, values: Sequence[int]) -> int:
    met = values[0]
    for field in register.fields:
        met = field.into(
            met, _meet_field(field, [field.of(value) for value in values])
        )
    return met


def _meet_field(field: Field, values: Sequence[int]) -> int:
    if all(value == values[0] for value in values):
        return values[0]
    match field.rule:
        case Rule.HIGHER_SAFE:
            return max(values)
        case Rule.HIGHER_OR_ZERO_SAFE:
            return max(values) if all(values) else 0
        case Rule.EXACT:
            return field.safe
        case _:
            least = min(values)
            # Only a host that has this value itself accepts it: too low.
            return 0 if field.or_zero and least < field.least else least
