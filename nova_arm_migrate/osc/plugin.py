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

"""What python-openstackclient needs to load the commands."""

import argparse
from typing import Any

#: The client manager gets an attribute with this name.
API_NAME = 'arm64'
#: The client looks for this option. The commands choose the microversion of
#: each request, so the option does not exist and the default is used.
API_VERSION_OPTION = 'os_arm64_api_version'
DEFAULT_API_VERSION = '1'
#: The command group is ``openstack.arm64.v1``.
API_VERSIONS = ('1',)


def make_client(instance: Any) -> Any:
    """Return the adapter for Nova's API.

    :param instance: the client manager
    """
    return instance.sdk_connection.compute


def build_option_parser(
    parser: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """Return the parser unchanged: there are no global options."""
    return parser
