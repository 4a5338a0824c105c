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

"""Send a command to an emulator's monitor."""

import json
import pathlib
import socket

from tests.lab import errors


def execute(path: pathlib.Path, command: str) -> None:
    """Run *command* on the monitor at *path*; LabError if it fails."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(path))
            with connection.makefile('rw') as stream:
                stream.readline()  # the greeting
                for name in ('qmp_capabilities', command):
                    stream.write(json.dumps({'execute': name}) + '\n')
                    stream.flush()
                    _answer(stream.readline, command)
    except OSError as exc:
        raise errors.LabError(f'{path}: {command}: {exc}') from exc


def _answer(readline: object, command: str) -> None:
    assert callable(readline)
    while True:
        line = readline()
        if not line:
            raise errors.LabError(f'{command}: the monitor closed')
        answer = json.loads(line)
        if 'error' in answer:
            raise errors.LabError(f'{command}: {answer["error"]["desc"]}')
        if 'return' in answer:
            return  # events may arrive before the answer
