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

"""The pools that are possible if not all hosts have a common baseline."""

from collections.abc import Sequence
import dataclasses

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.cpu_baseline import settable
from nova_arm_migrate.core.cpu_baseline import start
from nova_arm_migrate.core.cpu_baseline import with_implementation
from nova_arm_migrate.core.cpu_baseline import without_zeros
from nova_arm_migrate.core.crossing import common
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.aarch32_id import AARCH32_ID_CODES
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Verdict

_DEFAULT = Options()


@dataclasses.dataclass(frozen=True, slots=True)
class Partition:
    """The pools that are possible.

    :ivar pools: places in the sequence of hosts, the largest pool first
    :ivar one_way: (i, j): guests can start on pool i and move to pool j, with
        registers lowered as far as possible, but not back
    """

    pools: tuple[tuple[int, ...], ...]
    one_way: frozenset[tuple[int, int]]


def partition(hosts: Sequence[Host], options: Options = _DEFAULT) -> Partition:
    """Divide hosts into pools that have a common baseline.

    A host joins the first pool that has a common baseline with it. Known
    differences of cores do not keep hosts apart here: they can be
    acknowledged.
    """
    pools: list[list[int]] = []
    for place, host in enumerate(hosts):
        for pool in pools:
            members = [hosts[one] for one in pool]
            if not common([*members, host], options=options).refusals:
                pool.append(place)
                break
        else:
            pools.append([place])
    pools.sort(key=lambda pool: (-len(pool), pool))
    reached = {
        (i, j)
        for i, here in enumerate(pools)
        for j, there in enumerate(pools)
        if i != j
        and _reaches(
            [hosts[one] for one in here],
            [hosts[one] for one in there],
            options,
        )
    }
    return Partition(
        tuple(tuple(pool) for pool in pools),
        frozenset((i, j) for i, j in reached if (j, i) not in reached),
    )


def _reaches(
    here: Sequence[Host], there: Sequence[Host], options: Options
) -> bool:
    """Whether guests can start on these hosts and move to those."""
    baseline = common([*here, *there], options=options).baseline
    return all(
        compare(
            guest, with_implementation(host, guest.values), options
        ).verdict
        is Verdict.COMPATIBLE
        for guest in (_nearest(baseline, host) for host in here)
        for host in there
    )


def _nearest(baseline: CpuBaseline, host: Host) -> Guest:
    """Return a guest started here, as close to a baseline as KVM allows."""
    guest = start(baseline, host)
    seen = with_features_off(
        with_implementation(host, baseline.registers), baseline.disabled
    )
    values = dict(guest.values)
    for code, value in settable(baseline, seen):
        register, own = register_of(code), seen.values.read(code)
        for finding in JUDGES[register.judge](register, value, seen):
            if finding.field:
                field = register.field(finding.field)
                value = field.into(value, field.raw(own))
            else:
                value = own
        values[code] = value
    reg_list = guest.reg_list
    if not baseline.has_32bit_el0:
        # The VMM does not pass them on (`cpu_baseline.settable`).
        values = {c: v for c, v in values.items() if c not in AARCH32_ID_CODES}
        reg_list = None if reg_list is None else reg_list - AARCH32_ID_CODES
    return dataclasses.replace(
        guest,
        values=without_zeros(values),
        reg_list=reg_list,
        disabled=baseline.switched_off(host),
    )
