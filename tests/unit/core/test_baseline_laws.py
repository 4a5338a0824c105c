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

"""The laws of the baseline, over every rule and over arbitrary masks.

A baseline is accepted by every member as soon as any guest is, and of all
such guests it has the most. What no two members have in common is named.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import unittest

import hypothesis
from hypothesis import strategies as st

from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import has_32bit_el0
from nova_arm_migrate.core.verdict import Verdict
from tests.present import present
from tests.unit.core import kvm_rule
from tests.unit.core import synthetic as s

FEATURE_REGISTERS = [
    register
    for register in REGISTERS.values()
    if register.judge in (Judge.FEATURES, Judge.FEATURES_32BIT)
]
#: By rule, so that a rule that few fields have is met as often.
FIELDS = {
    rule: [
        (register, field)
        for register in FEATURE_REGISTERS
        for field in register.fields
        if field.rule is rule
    ]
    for rule in Rule
}


def fits(guest: Guest, host: Host) -> bool:
    return compare(guest, host).verdict is Verdict.COMPATIBLE


def with_values(
    host_or_guest: s.Profile, values: Mapping[int, int]
) -> s.Profile:
    kept = dict(host_or_guest.values) | dict(values)
    return dataclasses.replace(
        host_or_guest,
        values=Values({code: value for code, value in kept.items() if value}),
    )


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Host], list[tuple[Register, Field]]]:
    """Hosts that differ in a few fields, each with masks of its own.

    :returns: the hosts, and which fields: pairs of register and field
    """
    chosen = draw(
        st.lists(
            st.sampled_from(list(Rule)).flatmap(
                lambda rule: st.sampled_from(FIELDS[rule])
            ),
            min_size=1,
            max_size=3,
            unique_by=lambda pair: (pair[0].code, pair[1].name),
        )
    )
    members = []
    for _ in range(draw(st.integers(1, 4))):
        host, masks = s.host(), dict(s.WRITABLE)
        for register, field in chosen:
            # KVM never shows the value that it takes for 0.
            value = draw(values_of(field))
            host = s.with_field(host, f'{register.name}.{field.name}', value)
            masks[register.code] = draw(
                st.sampled_from([0, field.mask, s.ALL, s.ALL])
                | st.integers(0, s.ALL)
            )
        members.append(dataclasses.replace(host, writable=Values(masks)))
    return members, chosen


def values_of(field: Field) -> st.SearchStrategy[int]:
    """A field's values: any, but more often one where a rule turns."""
    values = [
        value
        for value in kvm_rule.every_value(field)
        if value != field.as_zero
    ]
    turns = {-1, 0, 1, 2, field.least, field.safe} & set(values)
    return st.sampled_from(sorted(turns)) | st.sampled_from(values)


def common(
    register: Register, field: Field, members: Sequence[Host]
) -> set[int] | None:
    """The values of a field that KVM takes on every member.

    None where no member looks at the register.
    """
    if register.judge is Judge.FEATURES_32BIT:
        members = [host for host in members if has_32bit_el0(host)]
        if not members:
            return None
    return {
        value
        for value in kvm_rule.every_value(field)
        if value != field.as_zero
        and all(
            kvm_rule.takes(
                field,
                value,
                field.of(host.values.read(register.code)),
                present(host.writable).read(register.code),
            )
            for host in members
        )
    }


def doubts(values: Mapping[int, int]) -> set[str]:
    """Return the fields in which a guest with these values cannot be judged.

    Of a guest whose GIC is not recorded, nobody knows which of the two fields
    for it the guest has.
    """
    gic = values[0xC020] >> 24 & 0xF if 0xC020 in values else 0
    gcie = values[0xC022] >> 12 & 0xF if 0xC022 in values else 0
    return {'ID_AA64PFR2_EL1.GCIE'} if gic and gcie else set()


class TestFields(unittest.TestCase):
    @hypothesis.given(fleets())
    def test_the_most_that_every_member_takes(
        self, fleet: tuple[list[Host], list[tuple[Register, Field]]]
    ) -> None:
        members, differing = fleet
        found = baseline(members)
        apart = set()
        for register, field in differing:
            values = common(register, field, members)
            if values is None:
                continue
            name = f'{register.name}.{field.name}'
            if not values:
                apart.add(name)
                continue
            most = field.of(found.guest.values.read(register.code))
            self.assertIn(most, values, name)
            for value in values:
                self.assertTrue(
                    kvm_rule.takes(field, value, most), (name, value, most)
                )
        # Of guests with SME nobody can judge the vectors.
        unjudged = doubts(found.guest.values) | {'SME_LENGTHS'}
        conflicts = {conflict.finding.name for conflict in found.conflicts}
        self.assertEqual(apart - unjudged, conflicts - unjudged)
        for place, host in enumerate(members):
            self.assertEqual(
                fits(found.guest, host),
                place not in {c.host for c in found.conflicts},
            )


#: Of registers with a rule of their own, what a kernel or a core may show.
VALUES = {
    'SMCCC_ARCH_WORKAROUND_1': [0, 1, 2],
    'SMCCC_ARCH_WORKAROUND_2': [0, 1, 2, 3],
    'SMCCC_ARCH_WORKAROUND_3': [0, 1, 2],
    'PSCI_VERSION': [0x2, 0x10000, 0x10001, 0x10002, 0x10003],
    'STD_BMAP': [0, 1],
    'STD_HYP_BMAP': [0, 1],
    'VENDOR_HYP_BMAP': list(range(16)),
    'VENDOR_HYP_BMAP_2': list(range(4)),
    'PMCR_EL0': [n << 11 for n in range(8)],
    'PMMIR_EL1': [0, 4, 6],
    # Two levels; one level, coherent, so that only a CTR_EL0.IDC fits it.
    'CLIDR_EL1': [0x0A20_0023, 0x0920_0023, 0x0100_0004],
    'CCSIDR_EL1[0]': [0x1, 0x2, 0x3],
    'CCSIDR_EL1[1]': [0x1, 0x2, 0x3],
    'MIDR_EL1': [s.NEOVERSE_V1, s.NEOVERSE_N1],
}


class TestRegisters(unittest.TestCase):
    def test_every_rule_is_met(self) -> None:
        self.assertEqual(
            set(Judge) - {Judge.FEATURES, Judge.FEATURES_32BIT, Judge.STATE},
            {REGISTERS[s.CODES[name]].judge for name in VALUES},
        )

    @hypothesis.given(
        st.lists(
            st.fixed_dictionaries(
                {
                    name: st.sampled_from(values)
                    for name, values in VALUES.items()
                }
                | {
                    'IDC': st.integers(0, 1),
                    'DminLine': st.integers(3, 4),
                    'IminLine': st.integers(3, 4),
                }
            ),
            min_size=1,
            max_size=4,
        )
    )
    def test_accepted_by_all_if_any_value_is(
        self, fleet: list[dict[str, int]]
    ) -> None:
        members = []
        for drawn in fleet:
            host = s.host(writable=Values(s.WRITABLE | {s.CTR: s.ALL}))
            for field in ('IDC', 'DminLine', 'IminLine'):
                host = s.with_field(host, f'CTR_EL0.{field}', drawn[field])
            members.append(
                with_values(
                    host, {s.CODES[name]: drawn[name] for name in VALUES}
                )
            )
        found = baseline(members)
        conflicts = {c.finding.register for c in found.conflicts}
        for name, values in VALUES.items():
            some = any(self.all_take(name, value, members) for value in values)
            most = found.guest.values.read(s.CODES[name])
            self.assertEqual(some, self.all_take(name, most, members), name)
            self.assertEqual(some, name not in conflicts, name)

    def all_take(self, name: str, value: int, members: Sequence[Host]) -> bool:
        """Whether each of the hosts takes this value of one register."""
        for host in members:
            guest = with_values(guest_started_on(host), {s.CODES[name]: value})
            if any(
                finding.register == name
                for finding in compare(guest, host).findings
            ):
                return False
        return True
