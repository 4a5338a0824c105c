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
from typing import Any

from nova_arm_migrate.cli.render import host_table
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import dump_host


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a command prints, in whatever format.

    :ivar data: returns it as what JSON knows
    :ivar table: returns it as text for people
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
        help=f'how to print (default: {default})',
    )


def text_of(arguments: argparse.Namespace, shown: Shown) -> str:
    """Return what is to be printed, without the last line's end."""
    return FORMATS[arguments.format](shown)


def shown_host(host: Host) -> Shown:
    """Return what there is to print of a host's record."""
    record = dump_host(host)
    return Shown(
        data=lambda: json.loads(record),
        table=lambda: host_table(host),
        record=record,
    )
