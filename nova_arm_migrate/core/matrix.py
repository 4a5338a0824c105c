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

"""The verdicts between all kinds of hosts of a fleet, as a matrix.

A row is the profile on which a guest is started. A column is the profile to
which it is to move. Hosts with the same record share a row and a column. The
profiles of a pool stay together. Pools of one core are neighbours, because
guests do not move between cores.
"""

import dataclasses
import enum

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.moves import alike
from nova_arm_migrate.core.pools import EqualHosts
from nova_arm_migrate.core.pools import Fleet
from nova_arm_migrate.core.pools import Pool
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict

#: Findings of a cell that are named.
MOST_NAMED = 12


class Mark(enum.Enum):
    """What a cell shows: the verdict, with silent hazards as a mark."""

    COMPATIBLE = 'compatible'
    #: KVM or QEMU refuses the guest.
    INCOMPATIBLE = 'incompatible'
    #: KVM and QEMU accept the guest, and it would break.
    HAZARD = 'silent hazard'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True, slots=True)
class MatrixCell:
    """Whether guests of one profile can move to hosts of another.

    :ivar finding: the first finding that prevents it, None if there is none
    :ivar more: how many more such findings there are
    :ivar others: the labels of the first ones of these
    """

    verdict: Verdict
    mark: Mark
    finding: Finding | None
    more: int
    others: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Matrix:
    """The verdicts between all profiles of a fleet.

    :ivar profiles: all profiles; those of a pool are neighbours
    :ivar pools: the place of each profile's pool in `Fleet.pools`
    :ivar cells: a row for each profile as the source, a column for each as
        the destination
    """

    profiles: tuple[EqualHosts, ...]
    pools: tuple[int, ...]
    cells: tuple[tuple[MatrixCell, ...], ...]

    def first(self, most: int) -> 'Matrix':
        """Return the matrix of the first profiles, at most ``most``."""
        return Matrix(
            self.profiles[:most],
            self.pools[:most],
            tuple(row[:most] for row in self.cells[:most]),
        )


def matrix(fleet: Fleet, options: Options = Options()) -> Matrix:
    """Judge every profile of a fleet as a source with every other one.

    :param options: those that the fleet was partitioned with
    """
    hosts: dict[tuple[int, ...], int] = {}
    for pool in fleet.pools:
        hosts[_cores(pool)] = hosts.get(_cores(pool), 0) + len(pool.names)
    # The core with most hosts comes first; pools are sorted by size already.
    order = sorted(
        range(len(fleet.pools)),
        key=lambda place: (
            -hosts[_cores(fleet.pools[place])],
            _cores(fleet.pools[place]),
        ),
    )
    placed = [
        (place, profile)
        for place in order
        for profile in fleet.pools[place].profiles
    ]
    # A fleet during an upgrade has many profiles that differ only in what no
    # verdict depends on: each pair of kinds is compared once.
    places: dict[Host, int] = {}
    kinds = [
        places.setdefault(alike(profile.host), len(places))
        for _, profile in placed
    ]
    judged: dict[tuple[int, int], MatrixCell] = {}
    rows = []
    for (_, start), kind in zip(placed, kinds, strict=True):
        guest = guest_started_on(start.host)
        row = []
        for (_, end), there in zip(placed, kinds, strict=True):
            cell = judged.get((kind, there))
            if cell is None:
                cell = _cell(compare(guest, end.host, options))
                judged[kind, there] = cell
            row.append(cell)
        rows.append(tuple(row))
    return Matrix(
        tuple(profile for _, profile in placed),
        tuple(place for place, _ in placed),
        tuple(rows),
    )


def _cores(pool: Pool) -> tuple[int, ...]:
    """The MIDR_EL1 values of a pool's first profile."""
    return tuple(sorted({core.midr for core in pool.profiles[0].host.cores}))


def _cell(report: Report) -> MatrixCell:
    hazards = tuple(
        finding
        for finding in report.findings
        if finding.severity is Severity.HAZARD
    )
    match report.verdict:
        case Verdict.UNKNOWN:
            mark, reasons = Mark.UNKNOWN, report.decisive
        case Verdict.INCOMPATIBLE:
            reasons = report.decisive
            mark = (
                Mark.HAZARD
                if reasons[0].severity is Severity.HAZARD
                else Mark.INCOMPATIBLE
            )
        case _:
            # Hazards about which the operator only wants a warning.
            mark = Mark.HAZARD if hazards else Mark.COMPATIBLE
            reasons = hazards
    return MatrixCell(
        report.verdict,
        mark,
        reasons[0] if reasons else None,
        max(0, len(reasons) - 1),
        tuple(other.label for other in reasons[1:MOST_NAMED]),
    )
