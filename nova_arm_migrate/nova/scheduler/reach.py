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

"""From which hosts of a request a guest can later move to the most others.

A move counts if nothing in the records is against it that the destination's
trial does not settle, as in `arm_filter`. A move whose verdict stays unknown
does not count, even where the option ``unknown`` lets it pass the filter: the
guest may break.
"""

from collections import Counter
from collections.abc import Sequence
import dataclasses

from nova_arm_migrate.core.moves import Moves
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.nova.scheduler.host_cache import CpuInfo

#: Distinct records that are kept. More are forgotten together.
_MOST = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """The moves between hosts of several records.

    :ivar places: the place of each record
    :ivar to: for each place, the places to which its guests can move, as bits
    :ivar options: with which they were judged
    :ivar trial: whether destinations make a trial
    """

    places: dict[CpuInfo, int]
    to: tuple[int, ...]
    options: Options
    trial: bool

    def holds(self, options: Options, trial: bool) -> bool:
        """Whether they would be the same with these."""
        return (self.options, self.trial) == (options, trial)


class Reach:
    """The moves between the records that requests had so far.

    A fleet has few distinct records, and each request has most of them: they
    are compared when a new one appears. Thread-safe: two threads with a new
    record both compare, and one result is kept.
    """

    def __init__(self) -> None:
        self._known = _Known({}, (), Options(), trial=False)

    def of(
        self, infos: Sequence[CpuInfo], options: Options, *, trial: bool
    ) -> list[int]:
        """Return to how many of the other hosts a guest of each can move.

        :param infos: what each host of a request says; a host without a
            record gives and takes no guest
        :param options: of the comparison
        :param trial: whether destinations make a trial
        """
        count = Counter(infos)
        known = self._with(list(count), options, trial)
        reach: dict[CpuInfo, int] = {}
        for info in count:
            place = known.places.get(info)
            if place is None:
                reach[info] = 0
                continue
            there = known.to[place]
            total = sum(
                number
                for other, number in count.items()
                if other in known.places and there >> known.places[other] & 1
            )
            # Not to itself.
            reach[info] = total - (there >> place & 1)
        return [reach[info] for info in infos]

    def _with(
        self, infos: list[CpuInfo], options: Options, trial: bool
    ) -> _Known:
        known = self._known
        given = [info for info in infos if isinstance(info.host, Host)]
        if known.holds(options, trial) and all(
            info in known.places for info in given
        ):
            return known
        if known.holds(options, trial):
            together = list(dict.fromkeys([*known.places, *given]))
            if len(together) <= _MOST:
                given = together
        known = self._known = _compared(given, options, trial)
        return known


def _compared(infos: list[CpuInfo], options: Options, trial: bool) -> _Known:
    hosts = [info.host for info in infos if isinstance(info.host, Host)]
    moves = Moves(hosts, options, trial=trial)
    # `Moves` does not compare a host with another one of the same record.
    own = [moves.fits(guest_started_on(host), host) for host in hosts]
    return _Known(
        {info: place for place, info in enumerate(infos)},
        tuple(
            others | itself << place
            for place, (others, itself) in enumerate(
                zip(moves.to, own, strict=True)
            )
        ),
        options,
        trial,
    )
