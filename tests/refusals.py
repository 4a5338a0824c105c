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

"""Where each cause of a finding is found: recorded machines, or made up.

Used by the documentation, which shows them, and by a test, which fails if a
cause has no example.
"""

from collections.abc import Iterator
import dataclasses
import pathlib

from nova_arm_migrate.core import record
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.registers import bitmap
from nova_arm_migrate.core.trial import with_trial
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_features_off
from tests.unit.core import synthetic as s

_FIXTURES = pathlib.Path(__file__).parent / 'fixtures'
_HOST = s.host()
_GUEST = guest_started_on(_HOST)
_GIC = Vgic(3, ctlr=0x8C00, distributor=0x43B, redistributor=0x43B)
_WITH_GIC = s.host(vgics=(_GIC,))
_GIC_GUEST = guest_started_on(_WITH_GIC, gic=3)


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A finding, and where it was found.

    :ivar guest: the name of the guest's record; empty if it was made up
    :ivar host: the name of the destination's record, likewise
    """

    finding: Finding
    guest: str = ''
    host: str = ''


def examples() -> dict[Cause, list[Example]]:
    """Return the examples of each cause, the clearest first.

    The pair with the fewest findings is the clearest. An example is made up
    only if no recorded pair has the cause.
    """
    found: dict[Cause, list[tuple[int, Example]]] = {}
    for guest_name, guest, host_name, host in _recorded():
        report = compare(guest, host)
        for finding in report.findings:
            found.setdefault(finding.cause, []).append(
                (
                    len(report.findings),
                    Example(finding, guest_name, host_name),
                )
            )
    told = {
        cause: [
            example for _, example in sorted(some, key=lambda item: item[0])
        ]
        for cause, some in found.items()
    }
    for finding in _made_up():
        if finding.cause not in found:
            told.setdefault(finding.cause, []).append(Example(finding))
    return told


def _recorded() -> Iterator[tuple[str, Guest, str, Host]]:
    paths = sorted((_FIXTURES / 'profiles').glob('*.json'))
    hosts = {
        path.stem: record.load_host(path.read_text('ascii')) for path in paths
    }
    for guest_name, first in hosts.items():
        guest = guest_started_on(first)
        for host_name, host in hosts.items():
            yield guest_name, guest, host_name, host
    for path in sorted((_FIXTURES / 'cases').glob('*.guest.json')):
        given = record.load(path.read_text('ascii'))
        name = path.name.removesuffix('.guest.json')
        yield (
            f'{name}.guest',
            given if isinstance(given, Guest) else guest_started_on(given),
            f'{name}.host',
            record.load_host(path.with_name(f'{name}.host.json').read_text()),
        )


def _made_up() -> Iterator[Finding]:
    """Yield findings of the causes that no recorded pair has."""
    for guest, host in _pairs():
        yield from compare(guest, host).findings
    without = guest_started_on(_HOST, disabled=frozenset({'pauth'}))
    report, _ = with_trial(
        compare(without, _HOST),
        without,
        # As libvirt 9.0 says it.
        libvirt='unsupported configuration: unknown CPU feature: pauth',
        host=_HOST,
    )
    yield from report.findings
    lesser = s.with_field(_HOST, 'ID_AA64ISAR0_EL1.TS', 0)
    for host, refused, missing in (
        (_HOST, {s.ISAR0: 'EINVAL'}, ()),
        (_HOST, {}, (s.TCR2,)),
        (lesser, {}, ()),
    ):
        static = compare(_GUEST, host)
        report, _ = with_trial(
            static, _GUEST, refused=refused, missing=missing, host=host
        )
        yield from report.findings


def _pairs() -> Iterator[tuple[Guest, Host]]:
    lesser = guest_started_on(s.with_field(_HOST, 'ID_AA64ISAR0_EL1.TS', 0))
    yield lesser, s.host(writable=None)
    no_pmu = frozenset({'pmu'})
    for qemu in ('10.0.13', '9.0.0'):
        yield (
            guest_started_on(_HOST, disabled=no_pmu),
            with_features_off(s.host(qemu=qemu), no_pmu),
        )
    # A bit that no field of the tables has.
    yield guest_started_on(s.host({s.ISAR0: s.VALUES[s.ISAR0] | 1})), _HOST
    newer = guest_started_on(s.host(reg_list=s.LISTED | {s.TCR2}))
    yield newer, s.host(qemu=None)
    newest = guest_started_on(s.host(reg_list=s.LISTED | {bitmap(3)}))
    yield newest, s.host(qemu='11.0.0')
    yield guest_started_on(s.host({bitmap(2): 7})), _HOST
    yield (
        guest_started_on(s.host({s.CLIDR: 0x0920_0023})),
        s.host(reg_list=None),
    )
    longer = s.host(sve_lengths=(128, 256, 512))
    yield after_migration(_GUEST, longer), _HOST
    widest = s.host(sve_lengths=(128, 256, 512, 1024, 2048))
    yield after_migration(_GUEST, widest), widest
    yield (
        guest_started_on(s.with_field(_HOST, 'ID_AA64PFR1_EL1.SME', 1)),
        _HOST,
    )
    small = s.host(ipa_bits=36)
    yield guest_started_on(_HOST, memory=1 << 40), small
    yield guest_started_on(_HOST, memory=1 << 30), small
    yield (
        after_migration(guest_started_on(small, memory=1 << 30), _HOST),
        s.host(ipa_bits=39),
    )
    yield guest_started_on(s.host(page_size=65536)), _HOST
    yield _GUEST, s.host(page_size=65536)
    yield guest_started_on(_HOST, gic=2), s.host(gic=(3,))
    finer = s.host(vgics=(_GIC._replace(ctlr=0x8D00),))
    yield guest_started_on(finer, gic=3), _WITH_GIC
    yield _GIC_GUEST, _HOST
    yield _GIC_GUEST, s.host(vgics=(_GIC._replace(distributor=0x143B),))
    yield (
        guest_started_on(_HOST, gic=2),
        s.with_field(_HOST, 'ID_AA64PFR0_EL1.GIC', 0),
    )
    yield dataclasses.replace(_GUEST, baseline='pool-1/1'), _HOST
    # The host's record is older than the contents that records have now.
    yield (
        dataclasses.replace(_GUEST, baseline='pool-1/1'),
        dataclasses.replace(_HOST, baselines=frozenset({'pool-1/1'})),
    )
    yield guest_started_on(_HOST, inferred=True), s.host(cntfrq=None)
