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


"""``nova-arm-migrate probe``: this host's profile."""

import argparse
from typing import Any

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.formats import add_format
from nova_arm_migrate.cli.formats import add_output
from nova_arm_migrate.cli.formats import shown_host
from nova_arm_migrate.cli.formats import write
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.host import LocalHost


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser: argparse.ArgumentParser = commands.add_parser(
        'probe',
        help='print the profile of this host',
        description='Print what KVM on this host offers guests. Needs'
        ' access to /dev/kvm; creates a scratch vCPU and removes it.'
        " Exit code: 0, or 2 if the host can't be probed.",
    )
    add_format(parser, 'json')
    parser.add_argument(
        '--degraded',
        action='store_true',
        help='print what can be read, even without KVM or on another'
        ' architecture; the profile says what is absent and why',
    )
    add_output(parser, 'FILE')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Probe, print, return the exit code.

    :raises CommandError: if the host can't be probed
    """
    try:
        host = LocalHost(degraded=arguments.degraded).host()
    except ProbeError as error:
        raise CommandError(str(error)) from None
    write(arguments, shown_host(host), arguments.output)
    return 0
