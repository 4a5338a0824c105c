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

"""Guests that run on a baseline which this host would not give them again."""

from collections.abc import Collection
import dataclasses

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: Guests that are named in one line of the log.
_MOST_GUESTS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """The guests that run on one baseline and would get the same other one.

    :ivar has: name and version of the baseline that they run on
    :ivar gets: as `versions.Change.gets`
    :ivar reason: why it does not; empty if it does
    :ivar guests: their UUIDs
    """

    has: str
    gets: str
    reason: str
    guests: tuple[str, ...]


def log(found: Drift) -> None:
    """Log which guests a hard reboot would change, or lose."""
    more = len(found.guests) - _MOST_GUESTS
    values = {
        'number': len(found.guests),
        'has': found.has,
        'gets': found.gets,
        'reason': found.reason,
        'guests': ', '.join(found.guests[:_MOST_GUESTS]),
        'more': f' and {more} more' if more > 0 else '',
    }
    if found.gets:
        LOG.warning(
            '%(number)d guests run on the guest CPU baseline %(has)s and get'
            ' %(gets)s at their next hard reboot: %(guests)s%(more)s',
            values,
        )
    else:
        LOG.error(
            '%(number)d guests run on the guest CPU baseline %(has)s, which'
            ' this host does not offer any more (%(reason)s). They run on,'
            ' and are not started again here: %(guests)s%(more)s',
            values,
        )


def count(drifts: Collection[Drift]) -> tuple[int, int]:
    """Return how many guests get another baseline, and how many none."""
    return (
        sum(len(one.guests) for one in drifts if one.gets),
        sum(len(one.guests) for one in drifts if not one.gets),
    )
