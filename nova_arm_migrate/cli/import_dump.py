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


"""``nova-arm-migrate import``: a host's profile from a dump of registers."""

import argparse
from typing import Any

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.formats import add_format
from nova_arm_migrate.cli.formats import add_output
from nova_arm_migrate.cli.formats import shown_host
from nova_arm_migrate.cli.formats import write
from nova_arm_migrate.cli.records import read_bounded
from nova_arm_migrate.cli.records import read_host
from nova_arm_migrate.core.dump import host_of_dump
from nova_arm_migrate.core.dump import LONGEST
from nova_arm_migrate.core.errors import ProfileError


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser: argparse.ArgumentParser = commands.add_parser(
        'import',
        help="make a profile from another tool's register dump",
        description="Make a host's profile from a dump of one vCPU's"
        " registers. The dump is a JSON object. Its key 'registers' has KVM's"
        ' register ids and values, {"0x603000000013c000": "0x411fd401"};'
        " its optional key 'kernel' has the host's kernel release. The"
        ' profile has only what the dump contains. The probe command'
        ' on the host itself gives a complete profile. Exit code: 0, or 2'
        ' for bad input.',
    )
    parser.add_argument(
        'dump', metavar='FILE', help='the dump; - for standard input'
    )
    parser.add_argument(
        '--masks',
        metavar='RECORD',
        help='the profile of a host with the same kernel; its writable'
        ' register bits are used',
    )
    add_format(parser, 'json')
    add_output(parser, 'RECORD')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, print, return the exit code.

    :raises CommandError: if a file does not contain what it should
    """
    text = read_bounded(arguments.dump, LONGEST, 'a dump of registers')
    masks = None if arguments.masks is None else read_host(arguments.masks)
    try:
        host = host_of_dump(text, masks)
    except ProfileError as error:
        raise CommandError(f'{arguments.dump}: {error}') from None
    write(arguments, shown_host(host), arguments.output)
    return 0
