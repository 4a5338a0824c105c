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

"""Help Nova's tests to find api-paste.ini.

The tests search below the directory of the package ``nova``, as in a source
tree. The wheel installs the file as a data file, elsewhere.
"""

import pathlib
import sys

import fixtures
import nova
from nova.conf import paths

_NAME = 'etc/nova/api-paste.ini'


def find() -> str:
    """Return the path of api-paste.ini.

    :raises FileNotFoundError: if the installed Nova does not have it
    """
    beside_nova = pathlib.Path(nova.__file__).parents[1]
    for directory in (beside_nova, pathlib.Path(sys.prefix)):
        path = directory / _NAME
        if path.is_file():
            return str(path)
    raise FileNotFoundError(_NAME)


class PasteFixture(fixtures.Fixture):
    """Make Nova's ConfFixture name the installed file."""

    def _setUp(self) -> None:
        path, original = find(), paths.state_path_def

        def state_path_def(*args: str) -> str:
            return path if args == (_NAME,) else original(*args)

        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.conf.paths.state_path_def', state_path_def
            )
        )
