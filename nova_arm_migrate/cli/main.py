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


"""``nova-arm-migrate``: probe a host, compare records, plan a fleet.

Needs only the standard library: ``make zipapp`` packs the same code into one
file for hosts without Nova.
"""

import argparse
from collections.abc import Sequence
import signal
import sys
from typing import NoReturn

from nova_arm_migrate.cli import baseline
from nova_arm_migrate.cli import compare
from nova_arm_migrate.cli import fleet
from nova_arm_migrate.cli import import_dump
from nova_arm_migrate.cli import labels
from nova_arm_migrate.cli import output
from nova_arm_migrate.cli import probe
from nova_arm_migrate.cli import trial
from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.errors import one_line

PROGRAM = 'nova-arm-migrate'
BAD_INPUT = 2


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(
            BAD_INPUT,
            f'{self.prog}: {one_line(message)} (see {self.prog} --help)\n',
        )


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    main_parser = _Parser(
        prog=PROGRAM,
        description='Check to which hosts Arm64 KVM guests can'
        ' live-migrate, and which register fields prevent it.',
    )
    commands = main_parser.add_subparsers(
        metavar='COMMAND', required=True, title='commands'
    )
    for module in (probe, import_dump, compare, baseline, trial):
        module.add_parser(commands)
    fleet.add_pool_parser(commands)
    fleet.add_what_if_parser(commands)
    fleet.add_matrix_parser(commands)
    labels.add_parser(commands)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: None means the arguments of the command line
    :returns: the exit code: 2 for bad input or a host that can't be
        probed, 130 if interrupted, otherwise the command's exit code
    """
    try:
        return output.written(lambda: _run(arguments))
    except CommandError as error:
        print(f'{PROGRAM}: {error}', file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # The reader has closed the pipe.
        output.finish()
        return 128 + signal.SIGPIPE
    except OSError as error:
        print(f'{PROGRAM}: cannot write: {error.strerror}', file=sys.stderr)
        output.finish()
        return BAD_INPUT
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(arguments: Sequence[str] | None) -> int:
    parsed = parser().parse_args(arguments)
    code: int = parsed.run(parsed)
    return code


if __name__ == '__main__':
    sys.exit(main())
