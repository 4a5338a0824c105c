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

"""The pages that say they were printed by the simulated cloud, word for word.

Every command of a page runs in one shell, in the page's order, and must print
what the page shows. IDs, ports and the progress of a drain may differ.
"""

import pathlib
import re
import shlex
import subprocess
import tempfile

from tests.functional.demo import test_demo
from tests.functional.demo import test_openstack_client

PAGES = pathlib.Path(__file__).parents[3] / 'doc/source'
_BLOCK = re.compile(
    r'^\.\. code-block:: console\n\n((?:   .*\n|\n)+)', re.MULTILINE
)
_VARIES = (
    (re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'), 'UUID'),
    (re.compile(r'127\.0\.0\.1:\d+'), '127.0.0.1:PORT'),
    # How often a drain looks at a migration.
    (re.compile(r'^\[[#-]+\] .*\n', re.MULTILINE), ''),
)


def commands(page: str) -> list[tuple[str, str]]:
    """Return the commands of a page and what each prints."""
    text = (PAGES / page).read_text()
    found = []
    for block in _BLOCK.findall(text):
        lines = re.sub('^   ', '', block, flags=re.MULTILINE)
        for part in re.split(r'^\$ ', lines, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition('\n')
            found.append((command, same(printed)))
    return found


def same(printed: str) -> str:
    """Return an output without what varies, and without blank ends."""
    for pattern, word in _VARIES:
        printed = pattern.sub(word, printed)
    lines = (line.rstrip() for line in printed.strip().splitlines())
    return '\n'.join(lines)


class TestPages(test_openstack_client.CloudTestCase):
    def replay(self, page: str, ordered: bool = True) -> None:
        """Run the commands of a page, and compare what they print.

        :param ordered: whether the lines of each output have a fixed order
        """
        expected = commands(page)
        with tempfile.TemporaryDirectory() as folder:
            client = pathlib.Path(folder) / 'openstack'
            words = shlex.join(test_openstack_client.CLIENT)
            client.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            client.chmod(0o755)
            mark = '=== next ==='
            script = f'\necho "{mark}"\n'.join(
                command for command, _ in expected
            )
            done = subprocess.run(
                ['bash', '-c', f'exec 2>&1\n{script}'],
                env=self.environment
                | {
                    'COLUMNS': '100',
                    'PATH': f'{folder}:{self.environment["PATH"]}',
                },
                stdout=subprocess.PIPE,
                text=True,
                timeout=test_demo.LONGEST,
                check=False,
            )
        printed = done.stdout.split(f'{mark}\n')
        for (command, wanted), has in zip(expected, printed, strict=True):
            with self.subTest(command):
                lines = [wanted.splitlines(), same(has).splitlines()]
                if not ordered:
                    lines = [sorted(one) for one in lines]
                self.assertEqual('\n'.join(lines[0]), '\n'.join(lines[1]))

    def test_tutorial(self) -> None:
        self.replay('user/tutorial.rst')

    def test_empty_host(self) -> None:
        for name in ('web', 'cache'):
            self.create(name, host='n1-a')
        self.create('legacy', host='v1-nosve')
        # Servers of equal standing leave in the order of their UUIDs.
        self.replay('admin/empty-host.rst', ordered=False)
