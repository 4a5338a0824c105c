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

"""``lab truth --baseline --hops``: one guest goes round a whole pool.

The pool's hosts get one baseline. The guest moves from each host to the next,
and its program checks all the time that nothing was lost, and prints the CPU
that it sees.
"""

import collections.abc
import dataclasses
import statistics
import time

from tests.lab import crossing
from tests.lab import host as hosts
from tests.lab import places
from tests.lab import spec


@dataclasses.dataclass(frozen=True)
class Result:
    """What one guest has come through.

    :ivar off: the vCPU features that the baseline switches off
    :ivar seconds: of each move, as libvirt's client measures it
    :ivar seen: how often the guest has printed the CPU that it sees
    :ivar wrong: what went wrong; empty if all went well
    """

    pool: tuple[str, ...]
    off: tuple[str, ...]
    seconds: tuple[float, ...]
    seen: int
    wrong: str

    def __str__(self) -> str:
        lines = [
            f'pool: {" ".join(self.pool)}',
            f'off: {", ".join(self.off) or "nothing"}',
            f'moves: {len(self.seconds)}',
        ]
        if self.seconds:
            lines.append(
                f'seconds: {min(self.seconds):.1f} to '
                f'{max(self.seconds):.1f}, '
                f'median {statistics.median(self.seconds):.1f}'
            )
        lines.append(f'the guest has read its CPU {self.seen} times')
        lines.append(self.wrong or 'healthy; it saw one CPU, the baseline')
        return '\n'.join(lines)


def run(specs: collections.abc.Sequence[spec.Spec], count: int) -> Result:
    """Move one guest *count* times, from each host of *specs* to the next.

    :raises LabError: if the hosts have no common baseline
    """
    with hosts.Lab.create() as lab:
        trial = crossing.Crossing(lab, specs, frozenset())
        trial.start()
        return _round(trial, count)


def _round(trial: crossing.Crossing, count: int) -> Result:
    ring = trial.hosts
    baseline = trial.baseline_of_all()
    seconds: list[float] = []
    wrong = ''
    # All hosts stay awake: each is the next one soon.
    with hosts.awake(*ring), trial.guest(ring[0], baseline) as guest:
        for number in range(1, count + 1):
            target = ring[number % len(ring)]
            began = time.monotonic()
            wrong = trial.migrate(guest, target, baseline)
            seconds.append(time.monotonic() - began)
            wrong = wrong or guest.health().reason
            places.say(
                f'{number} of {count}: {target.spec}: '
                f'{wrong or f"healthy, {seconds[-1]:.1f} s"}'
            )
            if wrong:
                break
        printed = crossing.identities(guest.before + guest.console())
    if not wrong and crossing.sees(printed, baseline) != 'yes':
        wrong = 'the guest saw another CPU than the one of the baseline'
    return Result(
        tuple(str(host.spec) for host in ring),
        crossing.features_off(baseline),
        tuple(seconds),
        len(printed),
        wrong,
    )
