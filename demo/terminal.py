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

"""What the demonstration prints, and the commands it runs.

Every command runs the real ``openstack`` client in a separate process.  It
is shown as a user would type it, with its output.
"""

from __future__ import annotations

import collections.abc
import pathlib
import shlex
import shutil
import sys
import textwrap
import typing as ty

from clouds import client

WIDTH = 100

Trim: ty.TypeAlias = collections.abc.Callable[[str], str]


class SceneFailed(Exception):
    """A scene did not show what it promises; the text says what it saw."""


class ClientMissing(Exception):
    """The ``openstack`` client is not installed with this package."""


def program_path() -> str:
    """Find the ``openstack`` command of this Python environment.

    :raises ClientMissing: there is none.
    """
    beside = pathlib.Path(sys.executable).parent / 'openstack'
    path = str(beside) if beside.exists() else shutil.which('openstack')
    if path is None:
        raise ClientMissing(
            'the openstack client is not installed: '
            "pip install 'nova-arm-migrate[demo]'"
        )
    return path


class Result(ty.NamedTuple):
    """What a command printed."""

    status: int
    output: str


class Terminal:
    """Prints, and runs ``openstack`` commands against one cloud.

    :param environment: the ``OS_*`` variables of the cloud.
    :param out: where to print; standard output by default.
    :param program: path of the client; found by default.
    """

    def __init__(
        self,
        environment: collections.abc.Mapping[str, str],
        out: ty.TextIO | None = None,
        program: str | None = None,
    ) -> None:
        self._client = client.Client(
            [program or program_path()],
            {**environment, 'CLIFF_MAX_TERM_WIDTH': str(WIDTH)},
            WIDTH,
        )
        self._out = out or sys.stdout
        self.commands = 0

    def heading(self, text: str) -> None:
        self._print(f'\n{text}\n{"=" * len(text)}')

    def say(self, text: str) -> None:
        self._print('\n' + textwrap.fill(' '.join(text.split()), WIDTH - 2))

    def block(self, text: str) -> None:
        """Print lines of a file or a log, indented."""
        self._print(textwrap.indent(text.rstrip(), '    '))

    def openstack(
        self, command: str, *, trim: Trim | None = None, show: bool = True
    ) -> Result:
        """Run one command and show it with what it printed.

        :param command: the arguments, as typed in a shell.
        :param trim: returns the part of the output that is shown.
        """
        if show:
            self._print(f'\n$ openstack {command}')
        answer = self._client.run(*shlex.split(command))
        self.commands += 1
        output = (answer.out + answer.err).rstrip()
        if show and output:
            shown = output if trim is None or answer.rc else trim(output)
            self._print(
                '\n'.join(
                    wrapped
                    for line in shown.splitlines()
                    for wrapped in textwrap.wrap(
                        line, WIDTH, subsequent_indent='    '
                    )
                    or ['']
                )
            )
        return Result(answer.rc, output)

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)
