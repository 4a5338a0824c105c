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

"""The command that compares a guest with a host."""

import argparse
from typing import Any

from osc_lib.command import command

from nova_arm_migrate.cli.render import findings_text
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.columns import Shown
from nova_arm_migrate.osc.subjects import Subjects

#: Columns that the table around the findings takes.
_BORDER = 18


class Compare(Arm64Command, command.ShowOne):
    """Check whether a guest can move to a host, field by field.

    Both sides are names of hosts or servers, or files with records. A name
    with a slash or with the suffix .json is a file. A host as the source means
    a guest that is started there. Nova's API does not show the record of a
    server's guest, so a server means a guest that is started on the server's
    host: ``basis`` says so. A guest that was started elsewhere may have less.

    The exit code does not have the verdict; use ``-f value -c verdict``.
    ``nova-arm-migrate compare`` compares two files without a cloud.
    """

    compares = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'source',
            metavar='<source>',
            help='host, server, or file with the record of a guest or host',
        )
        parser.add_argument(
            'destination',
            metavar='<destination>',
            help='host, server, or file with the record of a host',
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the fields and their values."""
        options = self.options(parsed_args)
        subjects = Subjects(self.cloud)
        source = subjects.source(parsed_args.source)
        name, host = subjects.destination(parsed_args.destination)
        report = compare(source.guest, host, options)
        data = report.to_dict()
        fields: dict[str, Any] = {
            'source': source.name,
            'basis': source.basis,
            'destination': name,
            'verdict': report.verdict.value,
            'reason': report.reason(name),
            'findings': Shown(
                data['findings'],
                lambda: findings_text(report.findings, _BORDER),
            ),
        }
        return tuple(fields), tuple(fields.values())
