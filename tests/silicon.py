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

"""Profiles of real CPUs, and what the rule says of them.

Used by the tests and by the documentation, so that both say the same of the
same data. See ``tests/fixtures/silicon/README.rst``.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import itertools
import pathlib

from nova_arm_migrate.core import crossing_words
from nova_arm_migrate.core.checks import CHECK_NAMES
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.crossing import Common
from nova_arm_migrate.core.crossing import common
from nova_arm_migrate.core.dump import host_of_dump
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report

FIXTURES = pathlib.Path(__file__).parent / 'fixtures'
#: What a dump does not tell is equal on hosts of one fleet, and does not
#: matter between cores: it is not to decide here.
_BY_REGISTERS = Options(overrides=CHECK_NAMES)


@dataclasses.dataclass(frozen=True, slots=True)
class Silicon:
    """Hosts of one core with one kernel.

    :ivar core: ``Neoverse-V1``
    :ivar kernel: ``6.18``
    """

    core: str
    kernel: str
    host: Host

    @property
    def number(self) -> tuple[int, int]:
        """The kernel's version, to compare by."""
        return version_of(self.kernel) or (0, 0)


def profiles() -> list[Silicon]:
    """Return every profile, by core and kernel."""
    made = []
    table = FIXTURES / 'silicon' / 'PROVENANCE.tsv'
    for line in table.read_text().splitlines()[1:]:
        dump, core, kernel, masks = line.split('\t')
        text = (FIXTURES / 'silicon' / f'{dump}.json').read_text()
        record = (FIXTURES / 'lab' / f'{masks}.json').read_text()
        made.append(
            Silicon(
                core,
                '.'.join(kernel.split('.')[:2]),
                host_of_dump(text, load_host(record.strip())),
            )
        )
    return sorted(made, key=lambda one: (one.core, one.number))


def member(one: Silicon) -> Silicon:
    """Return the profile as of a host that may be in a pool.

    A dump does not tell KVM's capabilities. They are those of the lab's host
    with Linux 7.2, as its masks are.
    """
    other = lab_host('neoverse-v1_forky')
    absent = dict(one.host.absent)
    absent['capabilities'] = (
        f"WRITABLE_IMP_ID_REGS of another host's record, Linux {other.kernel}"
    )
    number = other.capability('WRITABLE_IMP_ID_REGS')
    return dataclasses.replace(
        one,
        host=dataclasses.replace(
            one.host,
            capabilities=(('WRITABLE_IMP_ID_REGS', number),),
            absent=tuple(sorted(absent.items())),
        ),
    )


def members() -> list[Silicon]:
    """Return the profiles with the newest kernel, as of a pool's hosts."""
    newest = max(one.number for one in profiles())
    return [member(one) for one in profiles() if one.number == newest]


def lab_hosts() -> list[Silicon]:
    """Return the lab's hosts of each core with the newest kernel."""
    made = []
    for path in sorted((FIXTURES / 'lab').glob('*_forky.json')):
        name = path.stem.removesuffix('_forky')
        if '_' not in name:
            host = lab_host(path.stem)
            made.append(Silicon(name, kernel_of(host), host))
    return made


def paper_pools() -> list[tuple[str, tuple[Silicon, Silicon]]]:
    """Return the pairs of cores of the documentation, with their origin."""
    metal = {one.core: one for one in members()}
    lab = {one.core: one for one in lab_hosts()}
    a76 = lab_host('cortex-a76_trixie')
    lab['cortex-a76'] = Silicon('cortex-a76', kernel_of(a76), a76)
    pairs: list[tuple[str, tuple[Silicon, Silicon]]] = [
        ('real registers', (metal[one], metal[other]))
        for one, other in (
            ('Neoverse-V1', 'Neoverse-V2'),
            ('Neoverse-N1', 'Neoverse-V1'),
            ('Neoverse-N1', 'Neoverse-V2'),
        )
    ]
    pairs += [
        ('emulated', (lab[one], lab[other]))
        for one, other in (
            ('neoverse-v1', 'neoverse-n2'),
            ('cortex-a710', 'neoverse-n2'),
            ('cortex-a710', 'neoverse-v1'),
            ('cortex-a76', 'neoverse-n1'),
            ('neoverse-n1', 'neoverse-v1'),
            ('neoverse-n1', 'neoverse-n2'),
            ('neoverse-n1', 'cortex-a710'),
            ('a64fx', 'neoverse-n1'),
        )
    ]
    return pairs


def lab_host(name: str) -> Host:
    """Return a host of the lab: ``neoverse-n1_trixie``."""
    text = (FIXTURES / 'lab' / f'{name}.json').read_text()
    return load_host(text.strip())


def kernel_of(host: Host) -> str:
    """Return the version of a host's kernel: ``7.2``."""
    return '.'.join((host.kernel or '').split('.')[:2])


def crossing(*pool: Silicon, name: str = 'paper') -> Common:
    """Return the baseline of hosts, by their registers alone."""
    return common([one.host for one in pool], name=name, options=_BY_REGISTERS)


@dataclasses.dataclass(frozen=True, slots=True)
class Joining:
    """What KVM would have to let a VMM write, so that hosts form a pool.

    :ivar fields: ``REGISTER.FIELD``, in the order of the registers' codes
    :ivar rest: what would prevent the pool then, in a few words each
    """

    fields: tuple[str, ...]
    rest: tuple[str, ...]


def joining(*pool: Silicon) -> Joining:
    """Return what would join hosts that have no baseline, or no fields.

    A field that hosts do not agree on is added to their writable masks, and
    the baseline is computed again, until nothing more can be added. Fields of
    vCPU features are not among them: `common` switches such a feature off.
    """
    hosts = [one.host for one in pool]
    fields: set[tuple[int, str]] = set()
    while True:
        found = common(hosts, options=_BY_REGISTERS)
        new = {
            (refusal.finding.code, refusal.finding.field)
            for _, refusal in found.refusals
            if refusal.finding.code is not None and refusal.finding.field
        } - fields
        if not new:
            break
        fields |= new
        hosts = [_opened(host, new) for host in hosts]
    return Joining(
        tuple(
            f'{register_of(code).name}.{name}' for code, name in sorted(fields)
        ),
        tuple(
            crossing_words.brief(refusal, pool[place].core)
            for place, refusal in found.refusals
        ),
    )


def _opened(host: Host, fields: Iterable[tuple[int, str]]) -> Host:
    masks = dict(host.writable or {})
    for code, name in fields:
        mask = register_of(code).field(name).mask
        masks[code] = masks.get(code, 0) | mask
    return dataclasses.replace(host, writable=Values(masks))


def joinable() -> Iterator[tuple[str, tuple[Silicon, Silicon], Joining]]:
    """Yield the pairs of cores that fields would join, with their origin."""
    for origin, group in (
        ('real registers', members()),
        ('emulated', lab_hosts()),
    ):
        for one, other in itertools.combinations(group, 2):
            found = joining(one, other)
            if found.fields:
                yield origin, (one, other), found


def judge(start: Silicon, end: Silicon) -> Report:
    """Return what the rule alone says of the registers: no trial."""
    return compare(guest_started_on(start.host), end.host, _BY_REGISTERS)
