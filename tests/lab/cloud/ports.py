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

"""Ports that carry packets: a flat network on Open vSwitch, and a ping.

Each host has an Open vSwitch bridge with the host's second network card and
with the taps that libvirt creates for Nova's ports. The lab's own network
connects the bridges. The ping to a guest starts there.
"""

import dataclasses
import itertools
import re
import signal
import subprocess
import tempfile

from tests.lab import host as hosts
from tests.lab import network
from tests.lab.cloud import client as clients

NETWORK = 'lab'
BRIDGE = 'br-int'
FIRST, LAST = 100, 199
MAC = 'fa:16:3e:77:00:'
PING_PAUSE = 0.05

_SWITCH = f"""
modprobe openvswitch
mkdir -p /run/openvswitch /etc/openvswitch /var/log/openvswitch
cd /run/openvswitch
rm -f /etc/openvswitch/conf.db
ovsdb-tool create /etc/openvswitch/conf.db \
    /usr/share/openvswitch/vswitch.ovsschema || exit 1
ovsdb-server --remote=punix:/run/openvswitch/db.sock \
    --remote=ptcp:6640:127.0.0.1 --pidfile --detach --log-file \
    /etc/openvswitch/conf.db || exit 1
ovs-vsctl --no-wait init || exit 1
/usr/lib/openvswitch-switch/ovs-vswitchd --pidfile --detach --log-file \
    || exit 1
ovs-vsctl --timeout=120 add-br {BRIDGE} -- add-port {BRIDGE} eth1 || exit 1
ip link set eth1 up && ip link set {BRIDGE} up
"""


def start_switch(host: hosts.Host) -> None:
    """Create the bridge of *host*, with its second network card."""
    host.channel.script('Open vSwitch', _SWITCH)


def make_network(client: clients.Client) -> None:
    client.check(
        'network',
        'create',
        '--share',
        '--provider-network-type',
        'flat',
        '--provider-physical-network',
        NETWORK,
        NETWORK,
    )
    client.check(
        'subnet',
        'create',
        '--network',
        NETWORK,
        '--no-dhcp',
        '--gateway',
        'none',
        '--subnet-range',
        f'{network.NETWORK}.0/24',
        '--allocation-pool',
        f'start={network.NETWORK}.{FIRST},end={network.NETWORK}.{LAST}',
        NETWORK,
    )


@dataclasses.dataclass(frozen=True)
class Port:
    """A port of Neutron; the address ends in the MAC's last byte."""

    id: str
    number: int

    @property
    def mac(self) -> str:
        return f'{MAC}{self.number:02x}'

    @property
    def address(self) -> str:
        return f'{network.NETWORK}.{self.number}'


def make_port(client: clients.Client, number: int) -> Port:
    """Create port *number*; guests have no DHCP."""
    number = FIRST + number % (LAST - FIRST)
    port = Port('', number)
    made = client.check(
        'port',
        'create',
        '--network',
        NETWORK,
        '--mac-address',
        port.mac,
        '--fixed-ip',
        f'ip-address={port.address}',
        f'port-{number}',
        '-f',
        'value',
        '-c',
        'id',
    )
    return dataclasses.replace(port, id=made.strip())


@dataclasses.dataclass(frozen=True)
class Silence:
    """The result of a ping over some time.

    :ivar sent: requests
    :ivar answered: replies
    :ivar longest: how long the guest could not be reached: the longest time
        between two replies, less the pause between requests, in seconds
    :ivar mac: the MAC address that answers for the address at the end
    """

    sent: int
    answered: int
    longest: float
    mac: str

    def __str__(self) -> str:
        return (
            f'{self.answered} of {self.sent} pings answered, longest '
            f'silence {self.longest * 1000:.0f} ms, MAC {self.mac}'
        )


_REPLY = re.compile(r'^\[(\d+\.\d+)\] \d+ bytes from .*icmp_seq=(\d+)', re.M)
_SENT = re.compile(r'^(\d+) packets transmitted', re.M)
_NEIGHBOUR = re.compile(r'lladdr ([0-9a-f:]{17})')


def silence(text: str, neighbour: str = '') -> Silence:
    """Read the output of ``ping -D`` and ``ip neighbour``."""
    times = [float(when) for when, _number in _REPLY.findall(text)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    sent = _SENT.search(text)
    mac = _NEIGHBOUR.search(neighbour)
    return Silence(
        int(sent[1]) if sent else 0,
        len(times),
        max(0.0, max(gaps, default=0.0) - PING_PAUSE),
        mac[1] if mac else '',
    )


class Ping:
    """A ping from the lab's network that runs until it is read."""

    def __init__(self, net: network.Network, port: Port) -> None:
        self._net = net
        self._port = port
        # A pipe without a reader would stop the ping when it is full.
        self._said = tempfile.TemporaryFile('w+')
        self._child = subprocess.Popen(
            net.command(
                [
                    'ping',
                    '-n',
                    '-D',
                    '-i',
                    str(PING_PAUSE),
                    '-W',
                    '5',
                    port.address,
                ]
            ),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> Silence:
        self._child.send_signal(signal.SIGINT)
        self._child.wait(60)
        with self._said:
            self._said.seek(0)
            text = self._said.read()
        seen = subprocess.run(
            self._net.command(['ip', 'neighbour', 'show', self._port.address]),
            capture_output=True,
            text=True,
            check=False,
        )
        return silence(text, seen.stdout)


def answers(net: network.Network, port: Port) -> bool:
    """Return whether one of three pings gets an answer."""
    done = subprocess.run(
        net.command(['ping', '-n', '-c', '3', '-W', '5', port.address]),
        capture_output=True,
        check=False,
    )
    return done.returncode == 0
