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

"""``openstack arm64`` against the simulated cloud, over real HTTP."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from typing import Any
import unittest

from tests.functional.demo import test_demo

#: The real client, of the environment that runs the tests.
CLIENT = [
    sys.executable,
    '-c',
    'import sys; from openstackclient import shell;'
    ' sys.exit(shell.main(sys.argv[1:]))',
]


class TestOpenstackClient(unittest.TestCase):
    def setUp(self) -> None:
        self.environment = test_demo.environment()
        del self.environment['OS_CLOUD']
        self.cloud = subprocess.Popen(
            [*test_demo.COMMAND, '--no-scenes'],
            env=test_demo.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=test_demo.interruptible,
        )
        self.addCleanup(self.stop)
        assert self.cloud.stdout
        for line in self.cloud.stdout:
            if found := re.match(r'export (OS_\w+)=(.*)', line):
                self.environment[found[1]] = shlex.split(found[2])[0]
            if line.startswith('Ctrl-C'):
                return
        self.fail('the cloud did not start')

    def stop(self) -> None:
        if self.cloud.poll() is None:
            os.killpg(self.cloud.pid, signal.SIGINT)
        self.cloud.communicate(timeout=test_demo.LONGEST)

    def run_client(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CLIENT, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=test_demo.LONGEST,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.run_client(*arguments, '-f', 'json')
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout)

    def test_the_fleet_and_a_server(self) -> None:
        hosts = self.json('arm64', 'host', 'list')
        self.assertEqual(
            ['n1-a', 'n1-b', 'new', 'old', 'v1-a', 'v1-b', 'v1-nosve'],
            [host['Host'] for host in hosts],
        )
        self.assertEqual({'usable'}, {host['Record'] for host in hosts})
        self.json(
            *('server', 'create', '--image', 'debian-13-arm64', '--wait'),
            *('--flavor', 'm1.small', '--nic', 'none', '--host', 'v1-a', 'db'),
        )
        verdicts = {
            row['Host']: row['Verdict']
            for row in self.json('arm64', 'server', 'destinations', 'db')
        }
        self.assertEqual('current', verdicts['v1-a'])
        self.assertEqual('compatible', verdicts['v1-b'])
        self.assertEqual('incompatible', verdicts['v1-nosve'])
        refused = self.run_client('arm64', 'host', 'show', 'nowhere')
        self.assertEqual(1, refused.returncode)
        self.assertEqual(
            'no Arm64 host with the name nowhere\n', refused.stderr
        )
