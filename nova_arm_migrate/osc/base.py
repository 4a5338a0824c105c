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

"""What all commands share."""

import argparse
from typing import Any

from keystoneauth1 import exceptions as auth_exceptions
from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions
from osc_lib.command import command

from nova_arm_migrate.cli.compare import add_options
from nova_arm_migrate.cli.compare import options_of
from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.errors import one_line
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.osc.cloud import Cloud
from nova_arm_migrate.osc.placement import Placement

#: Characters of a message that comes from the API.
_LONGEST = 400
#: What a request can raise.
API_ERRORS = (sdk_exceptions.SDKException, auth_exceptions.ClientException)


class Arm64Command(command.Command):
    """A command that reads Nova's API; errors are one line."""

    #: Whether the command compares, and has the options of a comparison.
    compares = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser with the options of a comparison."""
        parser = super().get_parser(prog_name)
        if self.compares:
            add_options(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command.

        :raises osc_lib.exceptions.CommandError: for bad input, and with the
            API's own message if the API refuses the request
        """
        try:
            return super().run(parsed_args)
        except CommandError as error:
            raise exceptions.CommandError(str(error)) from None
        except API_ERRORS as error:
            raise exceptions.CommandError(api_message(error)) from None

    @property
    def cloud(self) -> Cloud:
        """The cloud that the user has chosen."""
        manager: Any = self.app.client_manager
        return Cloud(manager.arm64)

    @property
    def placement(self) -> Placement:
        """The Placement service of the cloud that the user has chosen."""
        manager: Any = self.app.client_manager
        return Placement(manager.sdk_connection.placement)

    def options(self, parsed_args: argparse.Namespace) -> Options:
        """Return the options of the comparison.

        :raises CommandError: if an override does not name a field
        """
        return options_of(parsed_args)


def api_message(error: Exception) -> str:
    """Return an error of the API in its own words: one line, not too long."""
    details = getattr(error, 'details', None)
    line = one_line(' '.join(str(details or error).split()))
    return f'{line[:_LONGEST]}...' if len(line) > _LONGEST else line
