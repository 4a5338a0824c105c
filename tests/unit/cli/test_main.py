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


from collections.abc import Iterable
from collections.abc import Sequence
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any
from unittest import mock

import fixtures

from nova_arm_migrate.cli import main
from tests import declared
from tests.unit.cli import base

ROOT = pathlib.Path(__file__).parents[3]


class TestMain(base.CommandTestCase):
    def test_bad_usage_is_one_line(self) -> None:
        for arguments in (
            (),
            ('frobnicate',),
            ('compare',),
            ('compare', 'a'),
            ('probe', '-f', 'xml'),
            ('probe', '\udcff\n'),
            ('compare', 'a', 'b', 'c'),
        ):
            self.assert_refused(*arguments)

    def test_help_of_every_command(self) -> None:
        for command in (
            (),
            ('probe',),
            ('compare',),
            ('baseline',),
            ('trial',),
        ):
            code, out, err = self.run_command(*command, '--help')
            self.assertEqual((0, ''), (code, err))
            self.assertIn('usage: nova-arm-migrate', out)

    def test_interrupt(self) -> None:
        def interrupted(arguments: Sequence[str]) -> None:
            raise KeyboardInterrupt

        self.useFixture(
            fixtures.MonkeyPatch('nova_arm_migrate.cli.probe.run', interrupted)
        )
        self.assertEqual((130, '', ''), self.run_command('probe'))

    def test_interrupt_while_reading(self) -> None:
        class Terminal:
            @property
            def buffer(self) -> None:
                raise KeyboardInterrupt

        with mock.patch.object(sys, 'stdin', Terminal()):
            self.assertEqual(
                (130, '', ''), self.run_command('compare', '-', base.V1_612)
            )


class TestProcess(base.CommandTestCase):
    """What only a process of its own shows."""

    def start(
        self, *arguments: str, options: Iterable[str] = (), **settings: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *options, *arguments],
            cwd=ROOT,
            timeout=60,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            **settings,
        )

    COMPARE = (
        '-m',
        'nova_arm_migrate.cli.main',
        'compare',
        base.MAX_72,
        base.V1_612,
    )

    def test_reader_that_has_gone(self) -> None:
        read, write = os.pipe()
        os.close(read)
        try:
            run = self.start(*self.COMPARE, stdout=write)
        finally:
            os.close(write)
        self.assertEqual(
            (128 + signal.SIGPIPE, ''), (run.returncode, run.stderr)
        )

    def test_full_disk(self) -> None:
        if not os.path.exists('/dev/full'):
            self.skipTest('no /dev/full')
        # A short text stays in Python's buffer, if it has one.
        buffered = os.environ | {'PYTHONUNBUFFERED': ''}
        short = (*self.COMPARE[:-2], base.V1_612, base.V1_612)
        for command in (self.COMPARE, short, (*self.COMPARE[:2], '--help')):
            with self.subTest(command), open('/dev/full', 'w') as full:
                run = self.start(*command, stdout=full, env=buffered)
                self.assertEqual(
                    (
                        2,
                        'nova-arm-migrate: cannot write: No space left on'
                        ' device\n',
                    ),
                    (run.returncode, run.stderr),
                )

    def test_nothing_but_the_standard_library(self) -> None:
        """Isolated, without site-packages, from a zip file."""
        archive = self.directory / 'nova-arm-migrate.pyz'
        built = self.start(
            'tools/build_zipapp.py', str(archive), stdout=subprocess.DEVNULL
        )
        self.assertEqual((0, ''), (built.returncode, built.stderr))
        isolated = ('-I', '-S')
        run = self.start(
            str(archive),
            'compare',
            base.V1_612,
            base.V1_612,
            options=isolated,
            stdout=subprocess.PIPE,
        )
        self.assertEqual(
            (0, 'verdict: compatible\n', ''),
            (run.returncode, run.stdout, run.stderr),
        )
        run = self.start(
            '-c',
            'import sys; sys.path.insert(0, sys.argv[1]);'
            'import nova_arm_migrate.cli.main;'
            "print(*sorted({name.partition('.')[0] for name in sys.modules}"
            ' - sys.stdlib_module_names))',
            str(archive),
            options=isolated,
            stdout=subprocess.PIPE,
        )
        self.assertEqual(
            '__main__ nova_arm_migrate',
            run.stdout.strip().replace('__mp_main__ ', ''),
        )

    def test_main_is_the_entry_point(self) -> None:
        self.assertEqual(
            'nova_arm_migrate.cli.main:main',
            declared.project()['scripts']['nova-arm-migrate'],
        )
        self.assertTrue(callable(main.main))
