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

"""Run commands in a host and move files, over its agent."""

import base64
import collections.abc
import dataclasses
import io
import pathlib
import shlex
import socket
import tarfile
import typing

from tests.lab import errors
from tests.lab import network

AGENT_PORT = 1024
SHELL_PORT = 1025
PATIENCE = 600.0


class Result(typing.NamedTuple):
    rc: int
    out: str
    err: str


@dataclasses.dataclass(frozen=True)
class Channel:
    """The connection to the agent of one host."""

    net: network.Network
    address: str
    name: str

    def connect(self, port: int, timeout: float) -> socket.socket:
        """Connect to *port* of the host; OSError if that fails."""
        connection = self.net.socket()
        try:
            connection.settimeout(timeout)
            connection.connect((self.address, port))
        except BaseException:
            connection.close()
            raise
        return connection

    def raw(
        self, command: str, data: bytes = b'', timeout: float = PATIENCE
    ) -> tuple[int, bytes, bytes]:
        """Run shell text in the host.

        :param data: its standard input
        :param timeout: seconds without an answer before the call fails
        :return: exit status, output, error output
        :raises LabError: if the host doesn't answer
        """
        text = base64.b64encode(command.encode()).decode()
        try:
            with self.connect(AGENT_PORT, timeout) as connection:
                connection.sendall(f'{len(data)} {text}\n'.encode() + data)
                answer = bytearray()
                while block := connection.recv(1 << 16):
                    answer += block
        except OSError as exc:
            raise errors.LabError(
                f'host {self.name} does not answer: {exc}'
            ) from exc
        head, _, body = bytes(answer).partition(b'\n')
        try:
            rc, out, err = (int(word) for word in head.split())
        except ValueError:
            rc, out, err = 0, -1, 0
        if out < 0 or len(body) != out + err:
            raise errors.LabError(f'host {self.name} cut its answer short')
        return rc, body[:out], body[out:]

    def sh(
        self, command: str, data: bytes = b'', timeout: float = PATIENCE
    ) -> Result:
        """Do the same as raw(), with texts."""
        rc, out, err = self.raw(command, data, timeout)
        return Result(
            rc, out.decode(errors='replace'), err.decode(errors='replace')
        )

    def run(
        self,
        argv: collections.abc.Sequence[str],
        data: bytes = b'',
        timeout: float = PATIENCE,
    ) -> Result:
        """Run *argv* in the host."""
        return self.sh(shlex.join(argv), data, timeout)

    def check(
        self, argv: collections.abc.Sequence[str], data: bytes = b''
    ) -> str:
        """Run *argv*; return its output, raise LabError if it fails."""
        return self.script(argv[0], shlex.join(argv), data)

    def script(
        self,
        what: str,
        command: str,
        data: bytes = b'',
        timeout: float = PATIENCE,
    ) -> str:
        """Run shell text; return its output.

        :raises LabError: if it fails, naming *what*
        """
        done = self.sh(command, data, timeout)
        if done.rc:
            lines = (done.err or done.out).strip().splitlines() or ['']
            raise errors.LabError(
                f'{what} in host {self.name}: exit {done.rc}: {lines[-1]}'
            )
        return done.out

    def put(self, source: pathlib.Path, target: str) -> None:
        """Copy a file, or a folder with its content, to *target*."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w') as archive:
            archive.add(source, arcname='it', filter=_clean)
        quoted = shlex.quote(target)
        done = self.sh(
            f'set -e; t={quoted}.put; rm -rf "$t" {quoted}; mkdir -p "$t"; '
            f'tar -x -C "$t" -f -; mv "$t/it" {quoted}; rmdir "$t"',
            buffer.getvalue(),
        )
        if done.rc:
            raise errors.LabError(
                f'copying {source} to host {self.name}: {done.err.strip()}'
            )

    def get(self, source: str) -> bytes:
        """Return the bytes of a file in the host."""
        rc, out, err = self.raw(f'cat {shlex.quote(source)}')
        if rc:
            text = err.decode(errors='replace').strip()
            raise errors.LabError(f'host {self.name}: {text}')
        return out


def _clean(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if '__pycache__' in member.name.split('/'):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = 'root'
    return member
