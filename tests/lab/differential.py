# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""``lab differential``: compare the static rule with the kernel's answer.

A scratch vCPU in a host gets random and boundary values for every register
whose value a profile stores. Here the rule judges the same values, from the
host's profile.
"""

import collections
import collections.abc
import dataclasses
import random

from nova_arm_migrate.core import profile
from nova_arm_migrate.core import registers
from nova_arm_migrate.core import rules
from nova_arm_migrate.core import tables
from nova_arm_migrate.core import verdict
from tests.lab import host as hosts
from tests.lab import oracle
from tests.lab import places

MASK = (1 << 64) - 1
BATCH = 100000
EXAMPLES = 5

Write = tuple[int, int]


def boundary_values(limit: int) -> list[int]:
    """Return values near the host's: each 4-bit field over its range.

    Also with single bits inverted, and with all bits inverted.
    """
    found = {0, limit, MASK, limit ^ MASK}
    for shift in range(0, 64, 4):
        cleared = limit & ~(0xF << shift)
        found.update(cleared | field << shift for field in range(16))
    found.update(limit ^ 1 << bit for bit in range(64))
    return sorted(found)


def random_value(limit: int, source: random.Random) -> int:
    """Return the limit with one to four fields changed, or any number."""
    if source.random() < 0.05:
        return source.getrandbits(64)
    value = limit
    for _ in range(source.randint(1, 4)):
        shift = 4 * source.randrange(16)
        # Mostly lower values, because those are accepted.
        top = limit >> shift & 0xF if source.random() < 0.7 else 15
        value = value & ~(0xF << shift) | source.randint(0, top) << shift
    return value


def writes(host: profile.Host, count: int, seed: int) -> list[Write]:
    """Return at least *count* writes, evenly over the registers."""
    source = random.Random(seed)
    codes = sorted(
        code for code in host.reg_list or () if tables.keeps_value(code)
    )
    found: list[Write] = []
    for number, code in enumerate(codes):
        limit = host.values.read(code)
        values = boundary_values(limit)
        share = count * (number + 1) // len(codes) - len(found)
        values += [
            random_value(limit, source) for _ in range(share - len(values))
        ]
        mask = (1 << width(code)) - 1
        found += [(code, value & mask) for value in values]
    return found


def width(code: int) -> int:
    """Return a register's size in bits, from its KVM id."""
    return 8 << (registers.kvm_id(code) >> 52 & 0xF)


def findings(
    host: profile.Host, code: int, value: int
) -> list[verdict.Finding]:
    """Return the static rule's findings for a value; none if it may pass."""
    if value == host.values.read(code):
        return []
    register = tables.register_of(code)
    return list(rules.JUDGES[register.judge](register, value, host))


@dataclasses.dataclass
class Tally:
    """The results of the writes to one register.

    :ivar differ: disagreements
    :ivar blamed: the number of disagreements by their subject
    """

    written: int = 0
    accepted: int = 0
    unjudged: int = 0
    differ: int = 0
    blamed: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    examples: list[str] = dataclasses.field(default_factory=list)

    def add(
        self, found: list[verdict.Finding], accepted: bool, text: str
    ) -> None:
        """Add a write: the rule's findings, and the kernel's answer."""
        self.written += 1
        self.accepted += accepted
        blocks = {
            (one.name, one.guest)
            for one in found
            if one.severity is verdict.Severity.BLOCKS
        }
        if not blocks and any(
            one.severity is verdict.Severity.UNKNOWN for one in found
        ):
            self.unjudged += 1
        elif accepted == bool(blocks):
            self.differ += 1
            what = ', '.join(
                f'{name} {value}' for name, value in sorted(blocks, key=str)
            )
            self.blamed[
                f'kernel accepts {what}'
                if accepted
                else 'kernel refuses what the rule accepts'
            ] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(text)


def compare(
    host: profile.Host,
    written: collections.abc.Iterable[Write],
    failures: collections.abc.Iterable[int],
) -> dict[str, Tally]:
    """Compare the kernel's answers with the rule's, by register."""
    tallies: dict[str, Tally] = collections.defaultdict(Tally)
    for (code, value), failure in zip(written, failures):
        name = tables.register_of(code).name
        limit = host.values.read(code)
        tallies[name].add(
            findings(host, code, value),
            not failure,
            f'{name} {value:#x} (host {limit:#x}): rule '
            f'{"accepts" if failure else "refuses"}, kernel '
            f'{"refuses" if failure else "accepts"}',
        )
    return dict(tallies)


def run(host: hosts.Host, count: int, seed: int) -> dict[str, Tally]:
    """Do the comparison on one running host."""
    oracle.prepare(host)
    known = oracle.host_profile(host)
    planned = writes(known, count, seed)
    failures: list[int] = []
    for first in range(0, len(planned), BATCH):
        batch = planned[first : first + BATCH]
        answer = oracle.ask(host, [{'ask': 'writes', 'values': batch}])
        failures += answer[0]['errors']
        places.say(f'{host.spec}: {len(failures)} of {len(planned)} written')
    return compare(known, planned, failures)


def report(tallies: collections.abc.Mapping[str, Tally]) -> list[str]:
    """Return lines for each register, kind of difference and example."""
    columns = ('written', 'accepted', 'unjudged', 'differ')
    lines = [f'{"register":24}' + ''.join(f' {one:>9}' for one in columns)]
    total: collections.Counter[str] = collections.Counter()
    for name, one in tallies.items():
        counts = {column: getattr(one, column) for column in columns}
        total.update(counts)
        lines.append(_line(name, list(counts.values())))
    lines.append(_line('total', [total[column] for column in columns]))
    for name, one in tallies.items():
        lines += [
            f'{name}: {count} times: {what}'
            for what, count in one.blamed.most_common()
        ]
    for one in tallies.values():
        lines += one.examples
    return lines


def _line(name: str, counts: collections.abc.Iterable[int]) -> str:
    return f'{name:24}' + ''.join(f' {count:9}' for count in counts)
