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

"""Run the real ``openstack`` client."""

import collections.abc
import os
import subprocess
import typing

# Seconds; a command that waits for a server may take minutes.
PATIENCE = 900


class Answer(typing.NamedTuple):
    """The exit status of a command, and what it printed."""

    rc: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """The error in one line."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1].strip() if lines else ''


class Client:
    """Runs ``openstack`` against one cloud.

    :param program: the client's path, after the words of a command that runs
        it, if there is one
    :param environment: the ``OS_*`` variables of the cloud; those of the
        caller mean another cloud and are left out
    :param width: columns of the output
    """

    def __init__(
        self,
        program: collections.abc.Sequence[str],
        environment: collections.abc.Mapping[str, str],
        width: int,
    ) -> None:
        self._program = list(program)
        inherited = {
            name: value
            for name, value in os.environ.items()
            # The client has a Python environment of its own.
            if not name.startswith('OS_') and name != 'PYTHONPATH'
        }
        self.environment = {
            **inherited,
            'COLUMNS': str(width),
            'PYTHONWARNINGS': 'ignore',
            **environment,
        }

    def command(self, argv: collections.abc.Sequence[str]) -> list[str]:
        return [*self._program, *argv]

    def run(self, *argv: str) -> Answer:
        """Run a command.

        :raises subprocess.TimeoutExpired: after `PATIENCE` seconds
        """
        done = subprocess.run(
            self.command(argv),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)
