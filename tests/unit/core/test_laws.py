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

"""The laws the rule keeps, over profiles that hypothesis makes up."""

from collections.abc import Iterator
import dataclasses
import json
from typing import Any
import unittest

import hypothesis
from hypothesis import strategies as st

from nova_arm_migrate.core import record
from nova_arm_migrate.core import record_baselines
from nova_arm_migrate.core import record_forms
from nova_arm_migrate.core import record_tried
from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import DISABLED_NAMES
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.registers import Rule
from nova_arm_migrate.core.tables import REGISTERS
from nova_arm_migrate.core.tables.features import SVE_LENGTHS
from nova_arm_migrate.core.tried import Answer
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.tried import WIDEST
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.core.verdict import Verdict
from tests.present import present
from tests.unit.core import synthetic as s

_U32 = (1 << 32) - 1
_U64 = st.integers(0, s.ALL)
_CODES = st.sampled_from(sorted(REGISTERS)) | st.integers(0, 0x17FFFF)
_VALUES = st.dictionaries(_CODES, _U64, max_size=20).map(Values)
_HEX = st.none() | _U64


_vgics = st.builds(
    Vgic,
    version=st.integers(2, 5),
    shown=st.dictionaries(_CODES, _U64, max_size=3).map(
        lambda shown: tuple(sorted(shown.items()))
    ),
    ctlr=_HEX,
    distributor=st.none() | st.integers(0, _U32),
    redistributor=st.none() | st.integers(0, _U32),
    revisions=st.none() | st.integers(0, 0xFFFF),
)


@st.composite
def _answers(draw: st.DrawFn) -> list[Answer]:
    """Fields beside each other; what is ignored is accepted."""
    answers = []
    for place in sorted(
        draw(st.sets(st.integers(0, 7), min_size=1, max_size=3))
    ):
        width = draw(st.integers(1, WIDEST))
        accepted = draw(st.integers(0, (1 << (1 << width)) - 1))
        answers.append(
            Answer(
                8 * place + draw(st.integers(0, 8 - width)),
                width,
                accepted,
                accepted & draw(_U64),
            )
        )
    return answers


def _strategy(form: record_forms.Form[Any]) -> st.SearchStrategy[Any]:
    """Any value of a form of a record's."""
    match form:
        case record_forms.VectorLengths():
            return st.lists(
                st.sampled_from(SVE_LENGTHS), unique=True, max_size=5
            ).map(lambda bits: tuple(sorted(bits)))
        case record_forms.PageSize():
            return st.sampled_from([4096, 16384, 65536])
        case record_forms.HugePageSizes():
            return st.lists(st.integers(12, 40), unique=True, max_size=4).map(
                lambda bits: tuple(1 << bit for bit in sorted(bits))
            )
        case record_forms.Number():
            return st.integers(form.least, form.most)
        case record_forms.Numbers():
            return st.lists(
                st.integers(form.least, form.most), unique=True, max_size=4
            ).map(lambda numbers: tuple(sorted(numbers)))
        case record_forms.Names():
            return st.frozensets(st.sampled_from(sorted(form.known)))
    return _FORMS[type(form)]


_BASELINES = st.sampled_from(['pool-1/1', 'pool-1/2', 'v1.n2/1'])
_DIGESTS = st.from_regex(r'\A[0-9a-f]{16}\Z')

#: Those without parameters.
_FORMS = {
    record_baselines.BaselineId: _BASELINES,
    record_baselines.BaselineIds: st.frozensets(_BASELINES),
    record_baselines.BaselineName: st.sampled_from(['pool-1', 'v1.n2']),
    record_baselines.Digest: _DIGESTS,
    record_baselines.Digests: st.dictionaries(_BASELINES, _DIGESTS).map(
        lambda digests: tuple(sorted(digests.items()))
    ),
    record_forms.Capabilities: st.dictionaries(
        st.sampled_from(['SVE', 'MTE', 'STEAL_TIME']), st.integers(0, 64)
    ).map(lambda caps: tuple(sorted(caps.items()))),
    record_forms.Codes: st.frozensets(_CODES, max_size=40),
    record_forms.Cores: st.tuples(
        *(
            st.builds(
                Core, midr=_U64, revidr=_HEX, aidr=_HEX, cpus=st.just(cpus)
            )
            for cpus in ('0-3,8', '4-7', '9,11-12')
        )
    ).flatmap(lambda cores: st.integers(0, 3).map(lambda n: cores[:n])),
    record_forms.Flag: st.booleans(),
    record_forms.Hexadecimals: st.lists(_U64, max_size=3).map(tuple),
    record_forms.Reasons: st.dictionaries(
        st.sampled_from(['gic', 'reg_list', 'values']), st.just('no')
    ).map(lambda why: tuple(sorted(why.items()))),
    record_forms.Registers: _VALUES,
    record_forms.Text: st.from_regex(r'\A[ -~]{0,30}\Z'),
    record_tried.Answers: st.dictionaries(_CODES, _answers(), max_size=5).map(
        Tried
    ),
    record_tried.Gics: st.lists(
        _vgics, max_size=3, unique_by=lambda vgic: vgic.version
    ).map(lambda vgics: tuple(sorted(vgics))),
    record_tried.OneGic: _vgics,
}


def _profiles(
    profile: type[s.Profile], **given: st.SearchStrategy[Any]
) -> st.SearchStrategy[s.Profile]:
    """Any profile: each attribute has its default, or a value of its form."""
    return st.builds(
        profile,
        **{
            one.name: st.just(one.default) | _strategy(one.form)
            for one in attributes_of(profile)
        }
        | given,
    )


hosts = _profiles(Host)
_unprobed_guests = _profiles(Guest, vgic=st.none())
#: With the GIC of a host's record too, which is of the guest's version.
guests = _unprobed_guests | st.builds(
    lambda guest, vgic: dataclasses.replace(
        guest, gic=vgic.version, vgic=vgic
    ),
    _unprobed_guests,
    _vgics,
)

#: ID register fields for the lattice laws: any that the rule orders.
_ORDERED = sorted(
    (code, field)
    for code, register in REGISTERS.items()
    if register.judge is Judge.FEATURES
    for field in (
        f.name
        for f in register.fields
        if f.rule is not Rule.EQUAL
        and not f.stale
        # Whether a guest with SME fits is never known.
        and f.name != 'SME'
    )
)


@st.composite
def like_hosts(draw: st.DrawFn) -> Host:
    """Hosts that differ from the synthetic one in a few fields only."""
    host = s.host()
    for code, name in draw(st.lists(st.sampled_from(_ORDERED), max_size=4)):
        field = REGISTERS[code].field(name)
        value = draw(st.integers(0, (1 << field.width) - 1))
        host = s.with_field(host, f'{REGISTERS[code].name}.{name}', value)
    lengths = draw(st.sampled_from([(128,), (128, 256), (128, 256, 512)]))
    return dataclasses.replace(host, sve_lengths=lengths)


def fits(guest: Guest, host: Host) -> bool:
    return compare(guest, host).verdict is Verdict.COMPATIBLE


def _can_be_weaker(guest: Guest, host: Host) -> Iterator[tuple[str, int, int]]:
    """Fields of a guest that KVM lets be lower: name, least, value."""
    for code, name in _ORDERED:
        field = REGISTERS[code].field(name)
        value = field.of(guest.values.read(code))
        least = -8 if field.signed else field.least
        writable = present(host.writable).read(code) & field.mask == field.mask
        if field.rule is Rule.LOWER_SAFE and writable and value > least:
            yield f'{REGISTERS[code].name}.{name}', least, value


class TestLaws(unittest.TestCase):
    @hypothesis.given(
        like_hosts(),
        st.frozensets(st.sampled_from(sorted(DISABLED_NAMES)), max_size=2),
    )
    def test_reflexive(self, host: Host, disabled: frozenset[str]) -> None:
        guest = guest_started_on(host, disabled=disabled)
        self.assertTrue(fits(guest, host), compare(guest, host).findings)

    @hypothesis.given(like_hosts(), st.data())
    def test_transitive_down_a_chain(
        self, three: Host, data: st.DataObject
    ) -> None:
        """Hosts that are each weaker than the next, by any one field."""
        chain = [three]
        for _ in range(2):
            name, least, value = data.draw(
                st.sampled_from(
                    list(
                        _can_be_weaker(guest_started_on(chain[-1]), chain[-1])
                    )
                )
            )
            chain.append(
                s.with_field(
                    chain[-1], name, data.draw(st.integers(least, value - 1))
                )
            )
        three, two, one = chain
        for lesser, greater in ((one, two), (two, three), (one, three)):
            self.assertTrue(fits(guest_started_on(lesser), greater))
            self.assertFalse(fits(guest_started_on(greater), lesser))

    @hypothesis.given(like_hosts(), like_hosts(), like_hosts())
    def test_transitive(self, one: Host, two: Host, three: Host) -> None:
        if fits(guest_started_on(one), two) and fits(
            guest_started_on(two), three
        ):
            self.assertTrue(fits(guest_started_on(one), three))

    @hypothesis.given(like_hosts(), st.data())
    def test_weaker_field_never_turns_compatible(
        self, host: Host, data: st.DataObject
    ) -> None:
        """A guest that fits still fits with a writable field made weaker."""
        guest = guest_started_on(host)
        name, least, value = data.draw(
            st.sampled_from(list(_can_be_weaker(guest, host)))
        )
        weaker = s.with_field(
            guest, name, data.draw(st.integers(least, value - 1))
        )
        self.assertTrue(fits(weaker, host), compare(weaker, host).findings)

    @hypothesis.given(st.lists(like_hosts(), min_size=1, max_size=4))
    def test_baseline_is_below_every_member(self, members: list[Host]) -> None:
        found = baseline(members)
        conflicts = {conflict.host for conflict in found.conflicts}
        for place, member in enumerate(members):
            self.assertEqual(place not in conflicts, fits(found.guest, member))

    @hypothesis.given(like_hosts(), like_hosts())
    def test_baseline_of_ordered_hosts_is_the_lesser(
        self, lesser: Host, greater: Host
    ) -> None:
        if fits(guest_started_on(lesser), greater):
            found = baseline([greater, lesser])
            if not found.conflicts:
                self.assertTrue(
                    fits(
                        guest_started_on(
                            lesser, disabled=found.guest.disabled
                        ),
                        greater,
                    )
                )

    @hypothesis.given(
        hosts, st.frozensets(st.sampled_from(sorted(DISABLED_NAMES)))
    )
    def test_switching_off_twice_is_once(
        self, host: Host, disabled: frozenset[str]
    ) -> None:
        once = with_features_off(host, disabled)
        self.assertEqual(once, with_features_off(once, disabled))


WRITTEN = [
    record.dump_host(
        s.host(
            cores=(
                Core(s.NEOVERSE_V1, 0, None, '0-3,8'),
                Core(s.NEOVERSE_N1, 0, 1, '4-7'),
            ),
            absent=(('cntfrq', 'no device'),),
        )
    ),
    record.dump_guest(
        guest_started_on(
            s.host(),
            disabled=frozenset({'pmu', 'sve256'}),
            gic=3,
            memory=1 << 32,
            inferred=True,
        )
    ),
    record.dump_host(
        s.host(
            vgics=(
                Vgic(2, ((s.PFR0, 0x11),), None, 0x4B00343B),
                Vgic(3, (), 0x8C00, 0x4B00343B, 0x4B00043B, 0b1100),
            ),
            tried=Tried({s.PFR0: [Answer(40, 4, 3, 2), Answer(4, 4, 3, 0)]}),
            hypercalls=Values({0x160003: 3}),
            own_caches=True,
        )
    ),
    record.dump_guest(
        guest_started_on(
            s.host(vgics=(Vgic(3, (), 0x8C00, 0x4B00343B, 0x4B00043B),)), gic=3
        )
    ),
]


class TestRobust(unittest.TestCase):
    @hypothesis.given(hosts)
    def test_host_round_trip(self, host: Host) -> None:
        text = record.dump_host(host)
        self.assertEqual(host, record.load_host(text))
        self.assertEqual(text, record.dump_host(record.load_host(text)))

    @hypothesis.given(guests)
    def test_guest_round_trip(self, guest: Guest) -> None:
        text = record.dump_guest(guest)
        self.assertEqual(guest, record.load_guest(text))

    @hypothesis.given(guests, hosts)
    def test_compare_never_raises(self, guest: Guest, host: Host) -> None:
        report = compare(guest, host)
        json.dumps(report.to_dict())
        self.assertTrue(report.summary('host'))
        self.assertEqual(
            report.verdict is Verdict.COMPATIBLE, not report.decisive
        )

    @hypothesis.given(st.lists(hosts, min_size=1, max_size=3))
    def test_baseline_never_raises(self, members: list[Host]) -> None:
        baseline(members)

    @hypothesis.given(hosts, st.data())
    def test_damage_gives_the_one_error(
        self, host: Host, data: st.DataObject
    ) -> None:
        raw = json.loads(record.dump_host(host))
        key = data.draw(st.sampled_from(sorted(raw)))
        junk = st.recursive(
            st.none()
            | st.booleans()
            | st.floats()
            | st.integers()
            | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
        )
        raw[key] = data.draw(junk)
        try:
            loaded = record.load_host(json.dumps(raw))
        except ProfileError as exc:
            self.assertNotIn('\n', str(exc))
        else:
            record.dump_host(loaded)

    @hypothesis.given(st.data())
    def test_what_is_taken_would_be_written_the_same(
        self, data: st.DataObject
    ) -> None:
        """No part of a record can be read in two ways."""
        text = data.draw(st.sampled_from(WRITTEN))
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(text)))
            put = data.draw(
                st.sampled_from(
                    [
                        '',
                        text[place : place + 1] * 2,
                        text[place - 6 : place],
                        *'0159af-,+."[]{}:e ',
                    ]
                )
            )
            rest = place + data.draw(st.sampled_from([0, 1, 1, 5]))
            text = text[:place] + put + text[rest:]
        try:
            loaded = record.load(text)
        except ProfileError as exc:
            self.assertNotIn('\n', str(exc))
            return
        dumped = (
            record.dump_guest(loaded)
            if isinstance(loaded, Guest)
            else record.dump_host(loaded)
        )
        given, written = json.loads(text), json.loads(dumped)
        for key in written.keys() & given.keys():
            if given[key] is not None:
                self.assertEqual(
                    json.dumps(given[key], sort_keys=True),
                    json.dumps(written[key], sort_keys=True),
                )
