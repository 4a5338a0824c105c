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


"""Report the hosts that the filter dropped: one log line and one event."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import heapq
from typing import Any

from nova import objects
import nova.conf
from oslo_log import log as logging
from oslo_utils import timeutils

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: The event's name in the server's list of events.
EVENT = 'scheduler_arm_migrate_filter'

_PREFIX = 'arm64: '
_MOST_HOSTS = 8
_MOST_REASONS = 12
_LONGEST_NAME = 64
_LONGEST_REASON = 160
#: Nova keeps so many bytes of an event's details.
_EVENT_DETAILS = 255


@dataclasses.dataclass(frozen=True, slots=True)
class Dropped:
    """The hosts that can't take a guest.

    :ivar server: its UUID
    :ivar asked: how many hosts were judged
    :ivar count: how many of them were dropped
    :ivar told: the reasons with their hosts, the most frequent reason first;
        bounded
    """

    server: str
    asked: int
    count: int
    told: str

    @classmethod
    def of(
        cls, server: str, hosts: Sequence[str], reasons: Sequence[str | None]
    ) -> 'Dropped':
        """Group hosts by reason; a host without a reason is not dropped.

        :param reasons: in the order of ``hosts``
        """
        told, count = group(hosts, reasons)
        return cls(server, len(hosts), count, told)

    def line(self) -> str:
        """Return one line for the log, about 8000 characters at most."""
        return (
            f'ArmMigrateFilter: live migration of server {self.server}:'
            f' {self.count} of {self.asked} hosts dropped: {self.told}'
        )

    def details(self) -> str:
        """Return the text of an event: at most 255 bytes, reasons first."""
        text = (
            f'{_PREFIX}{self.count} of {self.asked} hosts dropped: {self.told}'
        ).encode()
        if len(text) > _EVENT_DETAILS:
            text = text[: _EVENT_DETAILS - 3] + b'...'
        return text.decode(errors='ignore')


def group(
    hosts: Iterable[str], reasons: Iterable[str | None]
) -> tuple[str, int]:
    """Return the hosts by reason, bounded, and how many have a reason.

    :param reasons: in the order of ``hosts``
    """
    groups: dict[str, list[str]] = {}
    for host, reason in zip(hosts, reasons):
        if reason is not None:
            groups.setdefault(reason, []).append(host)
    ranked = sorted(groups.items(), key=lambda g: (-len(g[1]), g[0]))
    told = [
        f'{_cut(reason.removeprefix(_PREFIX), _LONGEST_REASON)}:'
        f' {_names(names)}'
        for reason, names in ranked[:_MOST_REASONS]
    ]
    if len(ranked) > _MOST_REASONS:
        told.append(f'{len(ranked) - _MOST_REASONS} more reasons')
    return '; '.join(told), sum(len(names) for names in groups.values())


def _names(names: list[str]) -> str:
    told = ', '.join(
        _cut(name, _LONGEST_NAME)
        for name in heapq.nsmallest(_MOST_HOSTS, names)
    )
    rest = len(names) - _MOST_HOSTS
    return f'{told} and {rest} more' if rest > 0 else told


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f'{text[: longest - 3]}...'


def record_event(context: Any, dropped: Dropped) -> None:
    """Add the dropped hosts to the server's events.

    The event is one row, under the action of the scheduler's request. It is
    created complete, instead of started and then finished: for a finished
    event Nova keeps details only of a failure, and a failure marks the whole
    action as failed. This filter must not do that while hosts are left.

    Never raises: a migration does not fail because an event is missing.

    :param context: of the server's cell, with the request's id
    """
    now = timeutils.utcnow(with_timezone=True)
    event = objects.InstanceActionEvent(
        context,
        event=EVENT,
        host=CONF.host,
        start_time=now,
        finish_time=now,
        details=dropped.details(),
        result='Error' if dropped.count == dropped.asked else 'Success',
    )
    try:
        event.create(dropped.server, context.request_id)
    except Exception as error:
        LOG.debug(
            'No event for server %(server)s: %(error)s',
            {'server': dropped.server, 'error': error},
        )
