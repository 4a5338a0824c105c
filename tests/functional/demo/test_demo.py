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

"""The demonstration as a user runs it: a separate process, real sockets."""

import importlib.util
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import unittest

import nova_arm_migrate

TOP = str(pathlib.Path(nova_arm_migrate.__file__).parents[1])
COMMAND = [sys.executable, '-m', 'demo']
#: Seconds; it takes about one minute on two idle cores.
LONGEST = 1200
NATIVE = importlib.util.find_spec('nova.thread_pool_factory') is not None


def environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith('OS_')
    }
    path = os.pathsep.join(filter(None, [TOP, kept.get('PYTHONPATH')]))
    return kept | {'PYTHONPATH': path, 'OS_CLOUD': 'somebody-elses'}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


def interruptible() -> None:
    """Restore SIGINT, which shells ignore in background jobs, as does CI."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@unittest.skipIf(NATIVE, 'this Nova has native threads')
class TestOlderNova(unittest.TestCase):
    def test_one_line(self) -> None:
        done = run()
        self.assertEqual(2, done.returncode, done.stdout + done.stderr)
        self.assertIn('needs Nova 34 or newer', done.stderr)
        self.assertEqual(1, len(done.stderr.splitlines()))


@unittest.skipUnless(NATIVE, 'nova.thread_pool_factory is not in this Nova')
class TestDemo(unittest.TestCase):
    def remove_log(self, output: str) -> None:
        found = re.search(r'Log of the services: (\S+)', output)
        assert found
        log = pathlib.Path(found[1])
        self.assertTrue(log.is_file())
        self.assertEqual([log], list(log.parent.iterdir()))
        log.unlink()
        log.parent.rmdir()

    def test_every_scene_shows_what_it_promises(self) -> None:
        done = run()
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertEqual('', done.stderr)
        self.assertIn('Simulated:', done.stdout.splitlines()[0])
        self.assertNotIn('FAILED', done.stdout)
        self.assertRegex(
            done.stdout, r'details: .*ID_AA64PFR0_EL1.SVE: guest 1'
        )
        table = done.stdout.partition('In short\n')[2]
        for row in (
            r'web to .* to n1-b +refused +to n1-a',
            r'db to .* refused: ID_AA64PFR0_EL1.SVE +refused +ERROR',
            r'db wherever .* to v1-b +refused +ERROR',
            r'legacy to .* to new, to old +refused +to new, to old',
            r'fresh .* refused: ID_AA64PFR1_EL1.BT +refused +ERROR',
        ):
            self.assertRegex(table, row)
        self.remove_log(done.stdout)

    def test_a_port_in_use_is_said_in_one_line(self) -> None:
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = run('--port', str(port))
        self.assertEqual(2, done.returncode)
        self.assertEqual(
            f'demo: cannot listen on 127.0.0.1:{port}: '
            'in use by another program\n',
            done.stderr,
        )

    def test_an_interrupt_ends_it_cleanly(self) -> None:
        process = subprocess.Popen(
            COMMAND,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=interruptible,
        )
        with process:
            assert process.stdout
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith('$ openstack'):
                    os.killpg(process.pid, signal.SIGINT)
                    break
            rest, errors = process.communicate(timeout=LONGEST)
        self.assertEqual(130, process.returncode, rest + errors)
        self.assertIn('Interrupted.', rest)
        self.assertEqual('', errors)
        self.remove_log(rest)
