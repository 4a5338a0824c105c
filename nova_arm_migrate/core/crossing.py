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

"""Pools of hosts with different cores or kernels, and their baselines.

`common` computes the greatest baseline of hosts. `refusals` says why a host
cannot be a member. `crossing_pools` says which pools are possible if not all
hosts have a common baseline.

A guest on a baseline needs a VMM that writes the baseline's registers
(`cpu_baseline.settable`) and enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS. This
module assumes such a VMM. Whether KVM has the capability, and which fields it
lets a VMM write, is in the hosts' records.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

from nova_arm_migrate.core.baseline import meet
from nova_arm_migrate.core.baseline_forms import BASELINE_REGISTERS
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.causes import LACKING
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.cpu_baseline import as_host
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.cpu_baseline import start
from nova_arm_migrate.core.cpu_baseline import wanted
from nova_arm_migrate.core.cpu_baseline import with_implementation
from nova_arm_migrate.core.cpu_baseline import without_hidden
from nova_arm_migrate.core.cpu_baseline import without_zeros
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.implementation import Choice
from nova_arm_migrate.core.implementation import choose
from nova_arm_migrate.core.implementation import Difference
from nova_arm_migrate.core.implementation import Implementation
from nova_arm_migrate.core.implementation import implementation_of
from nova_arm_migrate.core.implementation import MidrPair
from nova_arm_migrate.core.implementation import targets
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.rules import JUDGES
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables import special
from nova_arm_migrate.core.tables.aarch32_id import AARCH32_ID_CODES
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.features import ID_AA64PFR0_EL1
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.core.verdict import Options

_DEFAULT = Options()
_CODES = frozenset(BASELINE_REGISTERS.values())
_32BIT = 2


class Refusal(NamedTuple):
    """Why a host cannot be a member of a baseline's pool.

    :ivar finding: what the comparison found
    :ivar starts: the finding is about what a guest has that starts on the
        host, and not about what the host accepts
    """

    finding: Finding
    starts: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Common:
    """The greatest baseline of hosts.

    :ivar baseline: the baseline
    :ivar refusals: (place in the sequence of hosts, refusal); empty if all
        hosts take the baseline
    :ivar choice: the implementation that guests see, and what they would not
        know of the others
    """

    baseline: CpuBaseline
    refusals: tuple[tuple[int, Refusal], ...]
    choice: Choice

    @property
    def unacknowledged(self) -> tuple[Difference, ...]:
        """The known differences that the operator has not accepted."""
        return tuple(
            found
            for found in self.choice.differences
            if self.choice.implementation is None
            or found.pair not in self.baseline.acknowledged
        )

    @property
    def taken(self) -> bool:
        """Whether all hosts take the baseline, and nothing is open."""
        return not self.refusals and not self.unacknowledged


def common(
    hosts: Sequence[Host],
    *,
    name: str = '',
    version: int = 1,
    acknowledged: Iterable[MidrPair] = (),
    options: Options = _DEFAULT,
) -> Common:
    """Return the greatest baseline of hosts, and who refuses it.

    A vCPU feature is switched off if hosts have fields of it that differ and
    are not writable: pointer authentication with another algorithm.

    :param acknowledged: `CpuBaseline.acknowledged`
    :raises ValueError: if ``hosts`` is empty
    """
    if not hosts:
        raise ValueError('a baseline needs at least one host')
    disabled: frozenset[str] = frozenset()
    while True:
        baseline, choice = _greatest(hosts, disabled)
        found = [
            (place, refusal)
            for place, host in enumerate(hosts)
            for refusal in refusals(baseline, host, options)
        ]
        found += _lacking(baseline, hosts, options)
        off = baseline.features & {
            feature
            for _, refusal in found
            if (feature := _feature(refusal.finding))
        }
        if not off:
            break
        disabled |= off
    return Common(
        dataclasses.replace(
            baseline,
            name=name,
            version=version,
            acknowledged=frozenset(acknowledged),
        ),
        tuple(found),
        choice,
    )


def refusals(
    baseline: CpuBaseline, host: Host, options: Options = _DEFAULT
) -> tuple[Refusal, ...]:
    """Return why a host cannot be a member; empty if it can.

    A member accepts a guest that has the baseline. And a guest that starts on
    the member has nothing that the baseline does not have, because another
    member may refuse it.
    """
    seen = with_implementation(host, baseline.registers)
    own = implementation_of(host.values)
    found = []
    if host.values and own not in baseline.implementations:
        found.append(
            Refusal(
                Finding(
                    Cause.NOT_ALLOWED,
                    Severity.BLOCKS,
                    'IMPLEMENTATION',
                    guest=', '.join(map(str, baseline.implementations)),
                    host=str(own),
                    rule='AMONG',
                ),
                False,
            )
        )
    accepts = compare(wanted(baseline, host), seen, options)
    found += [
        Refusal(_known(finding, host), False)
        for finding in accepts.findings
        if finding.severity is not Severity.NOTE
    ]
    names = {refusal.finding.name for refusal in found}
    # As a guest without a baseline, so that what its domain switches off is
    # judged too.
    starts = dataclasses.replace(
        start(baseline, host),
        disabled=baseline.switched_off(host),
        baseline=None,
    )
    gives = compare(starts, as_host(baseline, host.qemu), options)
    found += [
        Refusal(_known(finding, host), True)
        for finding in gives.findings
        if finding.severity is not Severity.NOTE and finding.name not in names
    ]
    return tuple(found)


def _lacking(
    baseline: CpuBaseline, hosts: Sequence[Host], options: Options
) -> list[tuple[int, Refusal]]:
    """Registers of guests from one host that another host does not drop."""
    found = []
    for place, host in enumerate(hosts):
        guests = {
            guest.reg_list: guest
            for other in hosts
            if other is not host
            and (guest := start(baseline, other)).reg_list != baseline.reg_list
        }
        seen = with_implementation(host, baseline.registers)
        named = set()
        for guest in guests.values():
            # Everything but the list is judged already.
            reg_list = guest.reg_list
            if reg_list is not None and not baseline.has_32bit_el0:
                reg_list -= AARCH32_ID_CODES
            report = compare(
                dataclasses.replace(wanted(baseline, host), reg_list=reg_list),
                seen,
                options,
            )
            for finding in report.findings:
                if (
                    finding.cause in LACKING
                    and finding.severity is not Severity.NOTE
                    and finding.name not in named
                ):
                    named.add(finding.name)
                    found.append((place, Refusal(finding, False)))
    return found


def _known(finding: Finding, host: Host) -> Finding:
    """The finding; unknown if the capability to write is not recorded."""
    if finding.cause is not Cause.IMPLEMENTATION or 'capabilities' not in dict(
        host.absent
    ):
        return finding
    return finding._replace(
        cause=Cause.NOT_RECORDED,
        severity=Severity.UNKNOWN,
        detail='it is not recorded whether KVM has'
        ' KVM_CAP_ARM_WRITABLE_IMP_ID_REGS'
        f' ({host.why_absent("capabilities")})',
    )


def _greatest(
    hosts: Sequence[Host], disabled: frozenset[str]
) -> tuple[CpuBaseline, Choice]:
    """The greatest lower bound of hosts, without some vCPU features."""
    members = sorted({implementation_of(host.values) for host in hosts})
    features = frozenset(FEATURES).intersection(
        *(host.features for host in hosts)
    )
    guest = meet(
        [with_implementation(host, hosts[0].values) for host in hosts],
        disabled | (FEATURES.keys() - features),
    )
    features -= guest.disabled
    fixed = {
        implementation_of(host.values)
        for host in hosts
        if host.capability('WRITABLE_IMP_ID_REGS') <= 0
    }
    choice = choose(
        members, guest.values, fixed if len(fixed) == 1 else members
    )
    shown = choice.implementation or members[0]
    values = {
        code: value for code, value in guest.values.items() if code in _CODES
    }
    values |= zip(
        (special.MIDR_EL1, special.REVIDR_EL1, special.AIDR_EL1),
        shown,
        strict=True,
    )
    if guest.values.read(ID_AA64PFR0_EL1) & 0xF != _32BIT:
        values = {c: v for c, v in values.items() if c not in AARCH32_ID_CODES}
    if _tells(hosts, members, guest.values):
        values[special.VENDOR_HYP_BMAP_2] = special.VENDOR_HYP_BMAP_2_BITS
    registers = without_zeros(values)
    given_up = frozenset().union(*(host.features for host in hosts)) - features
    pmcr = guest.values.read(special.PMCR_EL0)
    baseline = CpuBaseline(
        features=features,
        given_up=given_up or None,
        sve_lengths=guest.sve_lengths if 'sve' in features else None,
        counters=special.PMCR_N.of(pmcr) if 'pmu' in features else None,
        gic=guest.gic,
        icc_ctlr=None if guest.vgic is None else guest.vgic.ctlr,
        cntfrq=guest.cntfrq,
        dczid=guest.dczid,
        ipa_bits=guest.ipa_bits,
        page_size=guest.page_size,
        steal_time=guest.steal_time,
        implementations=tuple(members),
        registers=registers,
    )
    reg_list, dropped = _lists(hosts, baseline)
    return (
        dataclasses.replace(
            baseline, reg_list=reg_list, dropped=dropped or None
        ),
        choice,
    )


def _tells(
    hosts: Sequence[Host], members: Sequence[Implementation], values: Values
) -> bool:
    """Whether guests can be told the implementations on which they run."""
    register = register_of(special.VENDOR_HYP_BMAP_2)
    bits = special.VENDOR_HYP_BMAP_2_BITS
    return bool(targets(members, values)) and all(
        host.reg_list is not None
        and register.code in host.reg_list
        and not JUDGES[register.judge](register, bits, host)
        for host in hosts
    )


def _lists(
    hosts: Sequence[Host], baseline: CpuBaseline
) -> tuple[frozenset[int] | None, frozenset[int] | None]:
    """The registers that a guest has on every host, and on some."""
    lists = []
    for host in hosts:
        seen = with_features_off(host, baseline.disabled)
        reg_list = without_hidden(seen.reg_list, baseline.registers)
        if reg_list is None:
            return None, None
        lists.append(reg_list)
    common_to_all = lists[0].intersection(*lists)
    return common_to_all, lists[0].union(*lists) - common_to_all


def _feature(finding: Finding) -> str:
    """The vCPU feature that a refused field or register belongs to."""
    if finding.code is None or finding.severity is Severity.UNKNOWN:
        return ''
    register = register_of(finding.code)
    mask = register.field(finding.field).mask if finding.field else 0
    for feature in FEATURES.values():
        if finding.cause in LACKING:
            if finding.code in feature.registers:
                return feature.name
        elif mask & feature.bits.get(finding.code, 0):
            return feature.name
    return ''
