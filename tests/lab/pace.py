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

"""``lab truth --baseline --pace``: baseline guests beside plain ones.

The first two hosts are equal, so that plain guests move between them. All
hosts together give the baseline: the others are not used otherwise. A plain
guest and one on the baseline take turns, so that both meet the same machine.
"""

import collections.abc
import dataclasses
import re
import statistics
import time

from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from tests.lab import crossing
from tests.lab import errors
from tests.lab import guest as guests
from tests.lab import host as hosts
from tests.lab import places
from tests.lab import spec

PLAIN, BASELINE = 'plain', 'baseline'
# The total downtime compares the clocks of two hosts, which differ by seconds.
_DOWNTIME = re.compile(r'^Downtime w/o network: +(\d+) +ms', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One guest.

    :ivar start: seconds until its program has reported three times
    :ivar move: seconds that the client's call took
    :ivar downtime: milliseconds, as the destination's libvirt says, without
        the time to hand over control
    """

    start: float
    move: float
    downtime: float


def run(
    specs: collections.abc.Sequence[spec.Spec], count: int
) -> dict[str, list[Sample]]:
    """Start and move *count* guests of each kind.

    :raises LabError: if the hosts have no common baseline, or a guest does
        not come through
    """
    with hosts.Lab.create() as lab:
        trial = crossing.Crossing(lab, specs, frozenset())
        trial.start()
        baseline = trial.baseline_of_all()
        samples: dict[str, list[Sample]] = {PLAIN: [], BASELINE: []}
        first, second = trial.hosts[:2]
        with hosts.awake(first, second):
            for number in range(count):
                for kind, taken in samples.items():
                    sample = _sample(trial, kind, baseline)
                    taken.append(sample)
                    places.say(f'{number + 1} of {count}: {kind}: {sample}')
        return samples


def _sample(
    trial: crossing.Crossing, kind: str, baseline: CpuBaseline
) -> Sample:
    source, target = trial.hosts[:2]
    began = time.monotonic()
    if kind == BASELINE:
        guest = trial.guest(source, baseline)
    else:
        guest = guests.Guest.start(source, crossing.NAME, source.spec)
    started = time.monotonic() - began
    with guest:
        began = time.monotonic()
        if kind == BASELINE:
            wrong = trial.migrate(guest, target, baseline)
        else:
            wrong = guest.migrate(target)
        moved = time.monotonic() - began
        wrong = wrong or guest.health().reason
        if wrong:
            raise errors.LabError(f'{kind} guest: {wrong}')
        told = guests.client(
            target, 'domjobinfo', crossing.NAME, '--completed'
        ).stdout
    downtime = _DOWNTIME.search(told)
    if downtime is None:
        raise errors.LabError(f'no downtime in: {told!r}')
    return Sample(started, moved, float(downtime[1]))


def to_text(samples: collections.abc.Mapping[str, list[Sample]]) -> str:
    """Return medians, and how those of the two kinds compare."""
    lines = []
    for field in dataclasses.fields(Sample):
        plain, baseline = (
            [getattr(one, field.name) for one in samples[kind]]
            for kind in (PLAIN, BASELINE)
        )
        unit = 'ms' if field.name == 'downtime' else 's'
        middle = [statistics.median(one) for one in (plain, baseline)]
        lines.append(
            f'{field.name}: plain {middle[0]:.1f} {unit}'
            f' ({min(plain):.1f} to {max(plain):.1f}),'
            f' baseline {middle[1]:.1f} {unit}'
            f' ({min(baseline):.1f} to {max(baseline):.1f}),'
            f' ratio {middle[1] / middle[0]:.2f}'
        )
    return '\n'.join(lines)
