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

"""Commands about servers."""

import argparse
from typing import Any

from osc_lib.command import command

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.trial import trial_decides
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.osc.base import Arm64Command
from nova_arm_migrate.osc.records import CloudHost
from nova_arm_migrate.osc.subjects import Subjects

_CURRENT = 'current'
#: The records cannot decide, and the destination's trial will.
_TRIAL_DECIDES = 'trial decides'


class ListServerDestinations(Arm64Command, command.Lister):
    """List every Arm64 host, and whether a server can move there.

    Only CPU and KVM are judged. Whether a host has room is not: Placement
    decides it. Nova's API does not show the record of the server's guest, so
    the verdict is that of a guest that is started on the server's host, with
    the memory and the PMU of its flavor. A guest that was started elsewhere
    may have less. "Trial decides" means that the records alone cannot tell:
    the destination tries the guest's registers on its own KVM before it
    accepts the guest. The scheduler and ``arm64 host drain`` use such a host.
    """

    compares = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'server', metavar='<server>', help='name or ID of the server'
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the rows."""
        options = self.options(parsed_args)
        subjects = Subjects(self.cloud)
        server = subjects.cloud.server(parsed_args.server)
        here = subjects.host_of(server)
        source = subjects.server(server)
        self.log.warning('the verdicts are for %s', source.basis)
        judged: dict[int, tuple[str, str]] = {}

        def judge(host: CloudHost, profile: Host | None) -> tuple[str, str]:
            if host is here:
                return _CURRENT, 'the server runs there'
            if profile is None:
                return Verdict.UNKNOWN.value, host.record.why
            known = judged.get(id(profile))
            if known is None:
                report = compare(source.guest, profile, options)
                known = (
                    (
                        _TRIAL_DECIDES
                        if trial_decides(report, options)
                        else report.verdict.value
                    ),
                    report.reason('host').removeprefix('unknown: '),
                )
                judged[id(profile)] = known
            return known

        return ('Host', 'State', 'Status', 'Core', 'Verdict', 'Reason'), [
            (
                host.name,
                host.state,
                host.status,
                host.record.core,
                *judge(host, host.record.host),
            )
            for host in subjects.hosts
        ]
