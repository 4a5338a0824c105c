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

import pathlib
import subprocess
import sys
import unittest

import nova_arm_migrate
from nova_arm_migrate import api

PACKAGE = pathlib.Path(nova_arm_migrate.__file__).parent
HOST = (PACKAGE.parent / 'tests' / 'fixtures' / 'profiles').glob('*.json')


class TestApi(unittest.TestCase):
    def test_what_it_exports(self) -> None:
        self.assertEqual(sorted(api.__all__), api.__all__)
        for name in api.__all__:
            documented = getattr(api, name).__doc__
            self.assertTrue(documented and documented.strip(), name)

    def test_as_its_documentation_says(self) -> None:
        text = sorted(HOST)[0].read_text()
        host = api.load_host(text)
        guest = api.guest_started_on(host)
        self.assertIs(api.Verdict.COMPATIBLE, api.compare(guest, host).verdict)
        with self.assertRaises(api.ProfileError):
            api.load_host('{}')

    def test_it_needs_the_standard_library_alone(self) -> None:
        done = subprocess.run(
            [sys.executable, '-S', '-c', 'from nova_arm_migrate import api'],
            cwd=PACKAGE.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual('', done.stderr)

    def test_its_types_are_for_others_too(self) -> None:
        self.assertTrue((PACKAGE / 'py.typed').is_file())
