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

"""The formats in which commands print: each is one entry of `FORMATS`."""

import argparse
from collections.abc import Callable
import dataclasses
import json
import sys
from typing import Any

from nova_arm_migrate.cli import files
from nova_arm_migrate.cli.render import host_table
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import dump_host


@dataclasses.dataclass(frozen=True)
class Shown:
    """The output of a command, before its format is chosen.

    :ivar data: returns the output as JSON types
    :ivar table: returns the output as text for people
    :ivar record: the canonical JSON text, if it is a record
    """

    data: Callable[[], Any]
    table: Callable[[], str]
    record: str | None = None


def _json(shown: Shown) -> str:
    if shown.record is not None:
        return shown.record
    return json.dumps(shown.data(), indent=2)


FORMATS: dict[str, Callable[[Shown], str]] = {
    'json': _json,
    'table': lambda shown: shown.table(),
}


def add_format(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the option of every command that prints."""
    parser.add_argument(
        '-f',
        '--format',
        choices=tuple(FORMATS),
        default=default,
        help=f'output format (default: {default})',
    )


def add_output(parser: argparse.ArgumentParser, metavar: str) -> None:
    """Add the option of every command that can write to a file."""
    parser.add_argument(
        '-o',
        '--output',
        metavar=metavar,
        help=f'write to {metavar} instead of standard output',
    )


def write(
    arguments: argparse.Namespace, shown: Shown, path: str | None = None
) -> None:
    """Write the output in the format that the user has chosen.

    :param path: of the file to write; None for standard output
    :raises CommandError: if the file cannot be written
    """
    text = FORMATS[arguments.format](shown) + '\n'
    if path is None:
        sys.stdout.write(text)
    else:
        files.replace(path, text.encode('ascii'))


def shown_host(host: Host) -> Shown:
    """Return the output for a host's record."""
    record = dump_host(host)
    return Shown(
        data=lambda: json.loads(record),
        table=lambda: host_table(host),
        record=record,
    )
