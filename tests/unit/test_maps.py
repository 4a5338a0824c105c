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

"""Each package's docstring has a map: one row for each module in it."""

import ast
import pathlib
import re

import testtools

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ('nova_arm_migrate', 'simulated', 'demo', 'clouds', 'tests/lab')
ROW = re.compile(r'^``(\w+)`` +\S', re.MULTILINE)


def packages() -> list[pathlib.Path]:
    return sorted(
        path.parent
        for name in PACKAGES
        for path in (ROOT / name).rglob('__init__.py')
    )


def contents(package: pathlib.Path) -> list[str]:
    """The modules and packages in *package*, but not its special ones."""
    return sorted(
        path.stem
        for path in package.iterdir()
        if not path.name.startswith('_')
        and (path.suffix == '.py' or (path / '__init__.py').exists())
    )


class TestMaps(testtools.TestCase):
    def test_each_map_names_each_module_once(self) -> None:
        for package in packages():
            tree = ast.parse((package / '__init__.py').read_text())
            rows = ROW.findall(ast.get_docstring(tree) or '')
            self.assertEqual(
                contents(package),
                sorted(rows),
                str(package.relative_to(ROOT)),
            )

    def test_the_packages_are_found(self) -> None:
        found = {str(one.relative_to(ROOT)) for one in packages()}
        self.assertLessEqual(
            {'nova_arm_migrate', 'nova_arm_migrate/nova/rollback'}, found
        )
