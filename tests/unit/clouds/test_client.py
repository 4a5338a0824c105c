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

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from clouds import client

TOP = pathlib.Path(client.__file__).parents[1]
PROGRAM = """
import os
import sys

print(sys.argv[1:])
print({name: os.environ[name] for name in sorted(os.environ)
       if name.startswith('OS_') or name in ('COLUMNS', 'PYTHONPATH')})
print('Traceback\\n\\nNo such server\\n', file=sys.stderr)
sys.exit(3)
"""


class TestClient(unittest.TestCase):
    def test_a_command_sees_its_own_cloud_only(self) -> None:
        with mock.patch.dict(
            os.environ, {'OS_CLOUD': 'another', 'PYTHONPATH': '/here'}
        ):
            one = client.Client(
                [sys.executable, '-c', PROGRAM], {'OS_TOKEN': 'x'}, 90
            )
        self.assertEqual(
            (
                3,
                "['show', 'a b']\n{'COLUMNS': '90', 'OS_TOKEN': 'x'}\n",
                'No such server',
            ),
            (lambda answer: (answer.rc, answer.out, answer.words))(
                one.run('show', 'a b')
            ),
        )

    def test_without_an_error_there_are_no_words(self) -> None:
        self.assertEqual('', client.Answer(0, '', '').words)


class TestImports(unittest.TestCase):
    def test_the_standard_library_is_enough(self) -> None:
        with tempfile.TemporaryDirectory() as elsewhere:
            subprocess.run(
                [
                    sys.executable,
                    '-I',
                    '-S',
                    '-c',
                    f'import sys; sys.path.insert(0, {str(TOP)!r}); '
                    'import clouds.client, clouds.ini',
                ],
                cwd=elsewhere,
                check=True,
            )
