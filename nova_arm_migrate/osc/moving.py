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
"""Live-migrate one server through Nova's API, and wait until it has arrived.

A move has succeeded if the server is on its destination, runs, and has no
task. That is looked up; no answer to a request counts as success.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import enum
import os
import signal
import threading
from typing import Any

from openstack import exceptions

from nova_arm_migrate.osc.base import API_ERRORS
from nova_arm_migrate.osc.base import api_message
from nova_arm_migrate.osc.cloud import Cloud
from nova_arm_migrate.osc.records import printable

#: Seconds between two looks at a server.
INTERVAL = 2.0
#: Looks in a row that may fail.
_MOST_FAILURES = 5
#: Looks in a row without a task, after which no more is expected although the
#: migration's record is not final: a compute that was restarted leaves that.
_CALM = 2
_STANDARD_ERROR = 2
_FINAL = frozenset(('completed', 'failed', 'error', 'cancelled'))
RUNNING = frozenset(('ACTIVE', 'PAUSED'))


class Result(enum.Enum):
    """How a move ended."""

    ARRIVED = 'arrived'
    #: Nova has refused it, or has rolled it back.
    STAYED = 'stayed'
    ERROR = 'error'
    #: It was deleted meanwhile.
    GONE = 'deleted'
    #: It goes on, and nobody waits for it any more.
    IN_FLIGHT = 'in flight'


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a move, and the reason in one line."""

    result: Result
    why: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Before:
    """What was the newest before a move: what comes later belongs to it.

    :ivar migration: the ID of the server's migration, None without one
    :ivar request: the ID of the request to live-migrate it, empty without one
    """

    migration: object = None
    request: str = ''


class Interrupts:
    """Turns the first Ctrl-C into a wish, so that no request is torn.

    The second one raises KeyboardInterrupt.

    :ivar count: how often Ctrl-C was pressed
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.count = 0
        self._say = say
        self._before: Any = None

    def __enter__(self) -> 'Interrupts':
        """Take SIGINT, if this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        """Give SIGINT back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _interrupted(self, *_: object) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        text = (
            'interrupted: stops after the server that is in flight; Ctrl-C'
            ' again does not wait for it'
        )
        try:
            self._say(text)
        except RuntimeError:
            # "reentrant call": the signal came amid a write to this stream.
            os.write(_STANDARD_ERROR, f'{text}\n'.encode())


class Mover:
    """Moves servers, one after the other.

    :param say: shows a line of progress
    :param sleep: waits for some seconds
    """

    def __init__(
        self,
        cloud: Cloud,
        say: Callable[[str], None],
        sleep: Callable[[float], None],
    ) -> None:
        self._cloud = cloud
        self._say = say
        self._sleep = sleep

    def move(self, server: Mapping[str, Any], destination: str) -> Outcome:
        """Ask Nova to move a server, and wait until it has settled.

        :param destination: the name of the compute service's host
        """
        key = str(server['id'])
        source = str(server.get('OS-EXT-SRV-ATTR:host'))
        try:
            migration = self._cloud.last_migration(key)
            before = Before(
                migration.get('id') if migration else None,
                self._cloud.last_request(key),
            )
        except API_ERRORS as error:
            return Outcome(
                Result.STAYED, f'not requested: {api_message(error)}'
            )
        unsure = ''
        try:
            self._cloud.live_migrate(key, destination)
        except API_ERRORS as error:
            status = getattr(error, 'status_code', None) or 500
            if isinstance(error, exceptions.HttpException) and status < 500:
                return Outcome(Result.STAYED, api_message(error))
            # Nova may have the request although there was no good answer.
            unsure = api_message(error)
        except KeyboardInterrupt:
            return Outcome(
                Result.IN_FLIGHT,
                'interrupted during the request: Nova may have it',
            )
        return self.watch(key, source, destination, before, unsure)

    def watch(
        self,
        key: str,
        source: str,
        destination: str | None = None,
        before: Before = Before(),
        unsure: str = '',
    ) -> Outcome:
        """Wait until a server has settled.

        :param destination: where it goes; None if it may go anywhere
        :param before: what was the newest before this move
        :param unsure: why it is not known whether the move was requested
        """
        calm = failures = 0
        seen = ''
        try:
            while True:
                try:
                    server = self._cloud.server_by_id(key)
                    migration = self._cloud.last_migration(key)
                    failures = 0
                except API_ERRORS as error:
                    failures += 1
                    if failures >= _MOST_FAILURES:
                        return Outcome(Result.IN_FLIGHT, api_message(error))
                    self._sleep(INTERVAL)
                    continue
                if server is None:
                    return Outcome(Result.GONE)
                status = _status(migration, before)
                calm = 0 if server.get('OS-EXT-STS:task_state') else calm + 1
                if calm >= _CALM or (calm and status in _FINAL):
                    return self._judge(
                        server, source, destination, before, unsure
                    )
                if status and status != seen:
                    self._say(status)
                    seen = status
                self._sleep(INTERVAL)
        except KeyboardInterrupt:
            return Outcome(Result.IN_FLIGHT, seen or 'requested')

    def _judge(
        self,
        server: Mapping[str, Any],
        source: str,
        destination: str | None,
        before: Before,
        unsure: str,
    ) -> Outcome:
        """Return how the move of a settled server has ended."""
        host = str(server.get('OS-EXT-SRV-ATTR:host'))
        status = printable(server.get('status'))
        there = host != source if destination is None else host == destination
        if there and status in RUNNING:
            return Outcome(Result.ARRIVED)
        why = unsure
        try:
            key = str(server['id'])
            request = self._cloud.last_request(key)
            if request != before.request:
                why = self._cloud.problem(key, request) or why
        except API_ERRORS as error:
            why = why or f'the reason is not known: {api_message(error)}'
        fault = server.get('fault')
        if not why and isinstance(fault, Mapping):
            why = printable(fault.get('message'))
        where = f'it is {status} on {printable(host)}'
        return Outcome(
            Result.ERROR if status == 'ERROR' else Result.STAYED,
            f'{where}: {why}' if why else where,
        )


def _status(migration: Mapping[str, Any] | None, before: Before) -> str:
    """Return the status of a migration if it is a new one."""
    if migration is None or migration.get('id') == before.migration:
        return ''
    return printable(migration.get('status'))
