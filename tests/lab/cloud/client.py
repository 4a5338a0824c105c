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
import pathlib
import shlex
import subprocess
import sys
import time
import typing

from clouds import client
from tests.lab import errors
from tests.lab import network
from tests.lab.cloud import services

SHOWN_LINES = 30
WIDTH = 150


def trimmed(text: str, limit: int = SHOWN_LINES, width: int = WIDTH) -> str:
    """Return *limit* lines of *text* at most, each *width* wide at most."""
    lines = [
        line if len(line) <= width else line[: width - 3] + '...'
        for line in text.rstrip().splitlines()
    ]
    if len(lines) > limit:
        left = len(lines) - limit
        lines = [*lines[:limit], f'... ({left} lines more)']
    return '\n'.join(lines)


class Client(client.Client):
    """Runs ``openstack`` in the lab's network as the administrator."""

    def __init__(
        self, net: network.Network, environment: pathlib.Path
    ) -> None:
        super().__init__(
            net.command([str(environment / 'bin/openstack')]),
            services.client_environment(),
            WIDTH,
        )

    def run(self, *argv: str, show: bool = False) -> client.Answer:
        """Run a command; print it and its output if *show*."""
        if show:
            print('$ openstack ' + shlex.join(argv), flush=True)
        answer = super().run(*argv)
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
        return subprocess.run(
            self.command(argv), env=self.environment
        ).returncode


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
