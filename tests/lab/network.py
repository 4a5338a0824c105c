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

"""The lab's own network: a namespace without a name and without an uplink.

It exists as long as its holder process and the hosts in it. When they end, the
namespace, bridge and taps are gone. There is no mount.
"""

import ctypes
import dataclasses
import os
import signal
import socket
import subprocess
import threading

from tests.lab import errors
from tests.lab import processes

NETWORK = '10.77.0'
OWN_ADDRESS = f'{NETWORK}.254'
CLONE_NEWNET = 0x40000000

_HOLDER = f"""
set -e
ip link set lo up
ip link add br0 type bridge forward_delay 0 stp_state 0
ip link set br0 up
ip addr add {OWN_ADDRESS}/24 dev br0
echo ready
exec sleep infinity
"""


@dataclasses.dataclass(frozen=True)
class Network:
    holder: processes.Process

    @classmethod
    def create(cls) -> 'Network':
        child = subprocess.Popen(
            ['unshare', '--net', 'sh', '-c', _HOLDER],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert child.stdout is not None and child.stderr is not None
        if child.stdout.readline() != b'ready\n':
            text = child.stderr.read().decode(errors='replace').strip()
            child.wait()
            raise errors.LabError(f'no network namespace: {text}')
        child.stdout.close()
        child.stderr.close()
        return cls(processes.Process.of(child.pid))

    @property
    def path(self) -> str:
        return f'/proc/{self.holder.pid}/ns/net'

    def command(self, argv: list[str]) -> list[str]:
        """Return *argv* as a command line that runs inside the network."""
        return ['nsenter', f'--net={self.path}', '--', *argv]

    def _ip(self, *argv: str) -> None:
        done = subprocess.run(
            self.command(['ip', *argv]), capture_output=True, text=True
        )
        if done.returncode:
            raise errors.LabError(
                f'ip {" ".join(argv)}: {done.stderr.strip()}'
            )

    def end_processes(self) -> None:
        """End all processes in the network, except its holder.

        The namespace has no name: only what the lab started can be in it.
        """
        if not self.holder.alive():
            return  # another process may have its pid now
        own = os.stat(self.path).st_ino
        if own == os.stat('/proc/self/ns/net').st_ino:
            return
        found = []
        for entry in os.scandir('/proc'):
            try:
                pid = int(entry.name)
                if (
                    pid != self.holder.pid
                    and os.stat(f'{entry.path}/ns/net').st_ino == own
                ):
                    found.append(processes.Process.of(pid))
            except (ValueError, OSError):
                continue  # not a process, or it has just ended
        for process in found:
            process.signal(signal.SIGTERM)
        for process in found:
            process.end()

    def add_tap(self, name: str) -> None:
        self._ip('tuntap', 'add', 'dev', name, 'mode', 'tap')
        self._ip('link', 'set', name, 'master', 'br0', 'up')

    def delete_tap(self, name: str) -> None:
        self._ip('link', 'del', name)

    def socket(self) -> socket.socket:
        """Return a TCP socket inside the network.

        A socket stays in the namespace where it was created. So only a short
        thread enters the namespace; the caller's thread does not.
        """
        made: list[socket.socket] = []
        wrong: list[OSError] = []
        libc = ctypes.CDLL(None, use_errno=True)

        def make() -> None:
            try:
                descriptor = os.open(self.path, os.O_RDONLY)
                try:
                    if libc.setns(descriptor, CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), 'setns')
                    made.append(socket.socket())
                finally:
                    os.close(descriptor)
            except OSError as exc:
                wrong.append(exc)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if wrong:
            raise errors.LabError(f'the lab network is gone: {wrong[0]}')
        return made[0]
