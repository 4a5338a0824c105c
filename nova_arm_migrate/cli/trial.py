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


"""``nova-arm-migrate trial``: write a guest's registers on this host."""

import argparse
from typing import Any

from nova_arm_migrate.cli.compare import add_guest
from nova_arm_migrate.cli.compare import add_options
from nova_arm_migrate.cli.compare import EXIT_CODES
from nova_arm_migrate.cli.compare import options_of
from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.formats import add_format
from nova_arm_migrate.cli.formats import Shown
from nova_arm_migrate.cli.formats import write
from nova_arm_migrate.cli.records import read_guest
from nova_arm_migrate.cli.render import report_table
from nova_arm_migrate.cli.render import trial_table
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.trial import with_trial
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.host import LocalHost
from nova_arm_migrate.probe.types import HostProbe


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser: argparse.ArgumentParser = commands.add_parser(
        'trial',
        help="write a guest's registers to a scratch vCPU on this host",
        description="Write a guest's registers to a scratch vCPU of this"
        ' host, as QEMU would for an incoming guest, and report which'
        ' registers KVM refuses. Exit code as for compare; also 2 if this'
        " host can't be probed.",
    )
    add_guest(parser)
    add_format(parser, 'table')
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the trial, print, return the exit code.

    :raises CommandError: if there is no guest's profile, or no KVM
    """
    options = options_of(arguments)
    guest = read_guest(arguments.guest)
    probe: HostProbe = LocalHost()
    try:
        host = probe.host()
    except ProbeError as error:
        raise CommandError(str(error)) from None
    trial = probe.trial(guest)
    report = compare(guest, host, options)
    differ: tuple[Any, ...] = ()
    if trial.ran:
        report, differ = with_trial(
            report,
            guest,
            refused=dict(trial.refused),
            missing=trial.missing,
            unjudged=trial.unjudged,
            options=options,
            host=host,
        )
    shown = Shown(
        data=lambda: (
            report.to_dict()
            | {
                'trial': _trial_dict(trial),
                'disagreements': [
                    {
                        'register': d.register,
                        'rule': d.static,
                        'trial': d.trial,
                    }
                    for d in differ
                ],
            }
        ),
        table=lambda: (
            f'{report_table(report)}\n\n{trial_table(trial)}'
            + ''.join(
                f'\nrule and trial differ on {d.register}:'
                f' {d.static} / {d.trial}'
                for d in differ
            )
        ),
    )
    write(arguments, shown)
    return EXIT_CODES[report.verdict]


def _trial_dict(trial: Trial) -> dict[str, Any]:
    return {
        'ran': trial.ran,
        'why_not': trial.why_not or None,
        'written': trial.written,
        'refused': {
            register_of(code).name: name for code, name in trial.refused
        },
        'missing': [register_of(code).name for code in trial.missing],
        'unjudged': [register_of(code).name for code in trial.unjudged],
    }
