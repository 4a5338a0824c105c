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

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import io
import threading
from typing import Any
from typing import cast
from unittest import mock

import testtools

from tests.lab import channel
from tests.lab import errors
from tests.lab import guest as guests
from tests.lab import scenarios


class Guest:
    """A guest whose move ends when its source has been looked at."""

    name = 'g'

    def __init__(self, *looks: str, failure: str = '') -> None:
        self.looks = list(looks)
        self.failure = failure
        self.seen_all = threading.Event()
        self.options: tuple[str, ...] = ()
        self.host = mock.Mock()
        self.host.channel.sh.side_effect = self.look

    def look(self, command: str) -> channel.Result:
        text = self.looks.pop(0) if self.looks else ''
        if not self.looks:
            self.seen_all.set()
        return channel.Result(0, text, '')

    def migrate(self, target: object, *options: str) -> str:
        self.options = options
        self.seen_all.wait(30)
        return self.failure


def watch(guest: Guest, *options: str, **changes: Any) -> scenarios.Move:
    """Have `scenarios.watch` move the guest of this test."""
    return scenarios.watch(
        cast(guests.Guest, guest), mock.Mock(), *options, **changes
    )


class WatchTest(testtools.TestCase):
    def test_what_was_seen_on_the_source(self) -> None:
        guest = Guest(
            'Memory processed:   0.000 B\n',
            'ESTAB 0 0 10.77.0.1:4 10.77.0.2:49152\n'
            'Auto converge throttle: 20\n',
            'Auto converge throttle: 30\n',
        )
        move = watch(guest, '--bandwidth', '8')
        self.assertEqual(scenarios.Move('', True, 30), move)
        self.assertEqual(('--bandwidth', '8'), guest.options)

    def test_nothing_was_seen(self) -> None:
        move = watch(Guest('', failure='why'))
        self.assertEqual(scenarios.Move('why', False, 0), move)

    def test_midway_is_once_and_not_before_memory_is_sent(self) -> None:
        midway = mock.Mock()
        guest = Guest('Memory processed:   0.000 B\n', '')
        watch(guest, midway=midway)
        midway.assert_not_called()
        sent = 'Memory processed:   7.000 MiB\n'
        watch(Guest(sent, sent), midway=midway)
        midway.assert_called_once_with()

    def test_the_bandwidth_is_raised_once_the_guest_is_throttled(self) -> None:
        busy = Guest(
            'Memory processed:   7.000 MiB\n',
            'Auto converge throttle: 20\n',
            'Auto converge throttle: 30\n',
        )
        one, other = mock.Mock(), mock.Mock()
        with (
            mock.patch.object(guests.Guest, 'start', autospec=True) as start,
            mock.patch.object(guests, 'client', autospec=True) as client,
        ):
            start.return_value.__enter__.return_value = busy
            seen = next(scenarios.busy(one, other))
        self.assertEqual(
            scenarios.Seen(True, 'throttled by 30 %'),
            seen,
        )
        self.assertEqual(
            [mock.call(one, 'migrate-setspeed', 'g', mock.ANY)],
            client.call_args_list,
        )


class ContextTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.host = mock.Mock()
        self.guest = guests.Guest('g', self.host)
        patch = mock.patch.object(guests, 'client', autospec=True)
        self.client = patch.start()
        self.addCleanup(patch.stop)

    def test_it_ends_whatever_happens(self) -> None:
        with testtools.ExpectedException(errors.LabError, 'too slow'):
            with self.guest:
                raise errors.LabError('too slow')
        self.client.assert_called_once_with(self.guest.host, 'destroy', 'g')

    def test_a_host_that_is_gone(self) -> None:
        self.host.channel.sh.side_effect = errors.LabError('gone')
        with testtools.ExpectedException(errors.LabError, 'too slow'):
            with self.guest:
                raise errors.LabError('too slow')
        with testtools.ExpectedException(errors.LabError, 'gone'):
            with self.guest:
                pass


class PerformTest(testtools.TestCase):
    def perform(
        self, *plays: Callable[..., scenarios.Play]
    ) -> tuple[list[str], str]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            lines = scenarios.perform(plays, mock.Mock(), mock.Mock())
        return lines, printed.getvalue()

    def test_each_has_a_line_with_its_failures(self) -> None:
        def good(one: object, other: object) -> Iterator[scenarios.Seen]:
            """Goes well."""
            yield scenarios.Seen(True, 'moved')

        def bad(one: object, other: object) -> Iterator[scenarios.Seen]:
            """Goes badly."""
            yield scenarios.Seen(False, 'moved')
            yield scenarios.Seen(True, 'well')
            raise errors.LabError('no guest')

        def slow(one: object, other: object) -> Iterator[scenarios.Seen]:
            """Does not come to its end."""
            yield scenarios.Seen(True, 'moved')
            raise errors.LabError('too slow')

        lines, printed = self.perform(bad, good, slow)
        self.assertEqual(['FAIL', 'bad'], lines[0].split()[:2])
        self.assertTrue(lines[0].endswith(' moved'), lines[0])
        self.assertEqual(['PASS', 'good'], lines[1].split()[:2])
        self.assertEqual(['SKIP', 'slow'], lines[2].split()[:2])
        self.assertTrue(lines[2].endswith(' too slow'), lines[2])
        self.assertIn('== good: Goes well.\n   moved\n', printed)
        self.assertIn('   NOT: moved\n   well\n', printed)
        self.assertIn('   not played to its end: no guest\n', printed)
