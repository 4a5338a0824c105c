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


"""``nova-arm-migrate compare``: may this guest move to that host?"""

import argparse
from typing import Any

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.formats import add_format
from nova_arm_migrate.cli.formats import Shown
from nova_arm_migrate.cli.formats import write
from nova_arm_migrate.cli.records import read_guest
from nova_arm_migrate.cli.records import read_host
from nova_arm_migrate.cli.render import report_table
from nova_arm_migrate.core.checks import CHECK_NAMES
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.tables import check_field_name
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Verdict

EXIT_CODES = {
    Verdict.COMPATIBLE: 0,
    Verdict.INCOMPATIBLE: 1,
    Verdict.UNKNOWN: 3,
}


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser: argparse.ArgumentParser = commands.add_parser(
        'compare',
        help='check whether a guest can move to a host',
        description="Check whether a guest can move to a host, with KVM's"
        ' rule for each register field. Exit code: 0 compatible, 1'
        ' incompatible, 3 unknown, 2 bad input.',
    )
    add_guest(parser)
    parser.add_argument(
        'host', metavar='HOST', help="the destination's profile"
    )
    add_format(parser, 'table')
    add_options(parser)
    parser.set_defaults(run=run)


def add_guest(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a guest's record."""
    parser.add_argument(
        'guest',
        metavar='GUEST',
        help="the guest's profile; a host's profile means a guest that"
        ' starts on that host; - for standard input',
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the comparison."""
    parser.add_argument(
        '--hazards',
        choices=('block', 'warn'),
        default='block',
        help='whether hazards (differences that neither KVM nor QEMU'
        ' refuses and that break the guest) block (default: block)',
    )
    parser.add_argument(
        '--override',
        metavar='REGISTER[.FIELD]',
        action='append',
        default=[],
        help='ignore this field in the verdict; may be repeated',
    )


def options_of(arguments: argparse.Namespace) -> Options:
    """Return the options of the comparison.

    :raises CommandError: if an override does not name a field
    """
    for name in arguments.override:
        if name not in CHECK_NAMES:
            try:
                check_field_name(name)
            except ValueError as error:
                raise CommandError(f'--override: {error}') from None
    return Options(
        hazards_block=arguments.hazards == 'block',
        overrides=frozenset(arguments.override),
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, return the exit code.

    :raises CommandError: if a file does not contain a profile
    """
    options = options_of(arguments)
    report = compare(
        read_guest(arguments.guest), read_host(arguments.host), options
    )
    write(arguments, Shown(report.to_dict, lambda: report_table(report)))
    return EXIT_CODES[report.verdict]
