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

import configparser
import pathlib
import tempfile

import testtools

from tests.lab.cloud import install
from tests.lab.cloud import ports

PING = """\
PING 10.77.0.100 (10.77.0.100) 56(84) bytes of data.
[100.00] 64 bytes from 10.77.0.100: icmp_seq=1 ttl=64 time=4.1 ms
[100.05] 64 bytes from 10.77.0.100: icmp_seq=2 ttl=64 time=4.1 ms
[100.60] 64 bytes from 10.77.0.100: icmp_seq=13 ttl=64 time=4.1 ms
[100.65] 64 bytes from 10.77.0.100: icmp_seq=14 ttl=64 time=4.1 ms

--- 10.77.0.100 ping statistics ---
14 packets transmitted, 4 received, 71% packet loss, time 650ms
"""
NEIGHBOUR = '10.77.0.100 dev br0 lladdr fa:16:3e:77:00:64 REACHABLE\n'


class SilenceTest(testtools.TestCase):
    def test_the_longest_pause_between_replies(self) -> None:
        seen = ports.silence(PING, NEIGHBOUR)
        self.assertEqual((14, 4), (seen.sent, seen.answered))
        self.assertAlmostEqual(0.5, seen.longest, places=3)
        self.assertEqual('fa:16:3e:77:00:64', seen.mac)
        self.assertIn('longest silence 500 ms', str(seen))

    def test_nobody_answers(self) -> None:
        seen = ports.silence(
            '3 packets transmitted, 0 received\n',
            '10.77.0.100 dev br0 FAILED\n',
        )
        self.assertEqual(ports.Silence(3, 0, 0.0, ''), seen)


class PortTest(testtools.TestCase):
    def test_the_address_ends_in_the_macs_last_byte(self) -> None:
        port = ports.Port('id', 171)
        self.assertEqual(
            ('fa:16:3e:77:00:ab', '10.77.0.171'), (port.mac, port.address)
        )


class MechanismTest(testtools.TestCase):
    def test_neutron_finds_it_by_its_entry_point(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            install.mechanism(folder)
            parser = configparser.ConfigParser()
            parser.read(
                folder / 'lab_mechanism-0.dist-info' / 'entry_points.txt'
            )
            module, _, kind = parser['neutron.ml2.mechanism_drivers'][
                'lab'
            ].partition(':')
            text = (folder / f'{module}.py').read_text()
            self.assertIn(f'class {kind}(', text)
