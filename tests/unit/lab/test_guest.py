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


"""The kernel that guests of the lab boot."""

import contextlib
from typing import Any
from unittest import mock

import testtools

from tests.lab import guest as guests
from tests.lab import host as hosts
from tests.lab import spec


class SameKernelTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.awake: set[str] = set()
        patch = mock.patch.object(hosts, 'awake', self.wake)
        patch.start()
        self.addCleanup(patch.stop)

    @contextlib.contextmanager
    def wake(self, host: mock.Mock) -> Any:
        self.awake.add(str(host.spec))
        yield
        self.awake.remove(str(host.spec))

    def hosts(self, *texts: str) -> list[Any]:
        """Hosts that answer only while they are awake."""
        made: list[Any] = [mock.Mock() for _ in texts]
        for one, text in zip(made, texts, strict=True):
            one.spec = spec.parse(text)

            def get(path: str, name: str = str(one.spec)) -> bytes:
                self.assertIn(name, self.awake)
                return f'{path} of {name}'.encode()

            one.channel.get.side_effect = get
        return made

    def test_hosts_of_another_generation_get_the_first_one_s(self) -> None:
        first, other, same = self.hosts('a64fx', 'a64fx@next', 'neoverse-n1')
        guests.same_kernel([first, other, same])
        self.assertEqual(
            [
                ('cat > /lab/kernel', b'/lab/kernel of a64fx'),
                ('cat > /lab/guest.initrd', b'/lab/guest.initrd of a64fx'),
            ],
            [call.args[1:] for call in other.channel.script.mock_calls],
        )
        first.channel.script.assert_not_called()
        same.channel.script.assert_not_called()

    def test_hosts_of_one_generation_are_left_alone(self) -> None:
        on = self.hosts('a64fx', 'neoverse-n1')
        guests.same_kernel(on)
        for one in on:
            self.assertEqual([], one.channel.mock_calls)
