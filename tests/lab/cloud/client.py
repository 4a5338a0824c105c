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

"""Run the real ``openstack`` client and print its output."""

import collections.abc
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time
import typing

from tests.lab import errors
from tests.lab import network
from tests.lab.cloud import services

SHOWN_LINES = 30
PATIENCE = 900


class Answer(typing.NamedTuple):
    rc: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """The error in one line."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1].strip() if lines else ''


def trimmed(text: str, limit: int = SHOWN_LINES, width: int = 150) -> str:
    """Return *limit* lines of *text* at most, each *width* wide at most."""
    lines = [
        line if len(line) <= width else line[: width - 3] + '...'
        for line in text.rstrip().splitlines()
    ]
    if len(lines) > limit:
        left = len(lines) - limit
        lines = [*lines[:limit], f'... ({left} lines more)']
    return '\n'.join(lines)


class Client:
    """Runs ``openstack`` in the lab's network as the administrator."""

    def __init__(
        self, net: network.Network, environment: pathlib.Path
    ) -> None:
        self._net = net
        self._program = str(environment / 'bin/openstack')

    def command(self, argv: collections.abc.Sequence[str]) -> list[str]:
        return self._net.command([self._program, *argv])

    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            **services.client_environment(),
            'COLUMNS': '150',
            'PYTHONWARNINGS': 'ignore',
        }

    def run(self, *argv: str, show: bool = False) -> Answer:
        """Run a command; print it and its output if *show*."""
        if show:
            print('$ openstack ' + shlex.join(argv), flush=True)
        done = subprocess.run(
            self.command(argv),
            env=self.env(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        answer = Answer(done.returncode, done.stdout, done.stderr)
        if show:
            text = answer.out if answer.rc == 0 else answer.words
            if text.strip():
                print(trimmed(text), flush=True)
        return answer

    def check(self, *argv: str, show: bool = False) -> str:
        """Run a command; raise LabError with its error if it fails."""
        answer = self.run(*argv, show=show)
        if answer.rc:
            raise errors.LabError(
                f'openstack {shlex.join(argv)}: {answer.words}'
            )
        return answer.out

    def data(self, *argv: str) -> typing.Any:
        """Return the command's output, decoded from JSON."""
        return json.loads(self.check(*argv, '-f', 'json'))

    def interactive(self, argv: collections.abc.Sequence[str]) -> int:
        """Run a command on this terminal."""
        sys.stdout.flush()
        return subprocess.run(self.command(argv), env=self.env()).returncode


def wait(
    what: str,
    look: collections.abc.Callable[[], object],
    patience: float,
    pause: float = 2,
) -> None:
    """Return when *look* returns true; LabError naming *what* if late."""
    deadline = time.monotonic() + patience
    while not look():
        if time.monotonic() > deadline:
            raise errors.LabError(f'{what}: not after {patience:.0f} s')
        time.sleep(pause)
