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

"""What the openstack client finds."""

import argparse
import pkgutil
from unittest import mock

from osc_lib.command import command
import testtools

from nova_arm_migrate.osc import plugin
from tests import declared


class TestPlugin(testtools.TestCase):
    def entry_points(self, group: str) -> dict[str, str]:
        found: dict[str, str] = declared.project()['entry-points'][group]
        return found

    def test_the_client_finds_the_plugin(self) -> None:
        (path,) = self.entry_points('openstack.cli.extension').values()
        self.assertIs(plugin, pkgutil.resolve_name(path))
        self.assertIn(plugin.DEFAULT_API_VERSION, plugin.API_VERSIONS)

    def test_every_command_is_an_entry_point(self) -> None:
        group = f'openstack.{plugin.API_NAME}.v{plugin.DEFAULT_API_VERSION}'
        found = self.entry_points(group)
        self.assertEqual(10, len(found))
        for name, path in found.items():
            one = pkgutil.resolve_name(path)
            self.assertTrue(issubclass(one, command.Command), name)
            summary = one.__doc__.splitlines()[0]
            self.assertTrue(summary.endswith('.'), name)
            self.assertTrue(name.startswith('arm64_'), name)

    def test_the_adapter_is_that_of_the_sdk(self) -> None:
        manager = mock.Mock()
        self.assertIs(
            manager.sdk_connection.compute, plugin.make_client(manager)
        )
        parser = argparse.ArgumentParser()
        self.assertIs(parser, plugin.build_option_parser(parser))
