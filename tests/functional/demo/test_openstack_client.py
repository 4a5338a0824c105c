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


@unittest.skipUnless(
    test_demo.NATIVE, 'nova.thread_pool_factory is not in this Nova'
)
class CloudTestCase(unittest.TestCase):
    """A simulated cloud that stays up, and the environment of its users."""

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

    def create(self, *arguments: str, host: str) -> None:
        self.json(
            *('server', 'create', '--image', 'debian-13-arm64', '--wait'),
            *('--flavor', 'm1.small', '--nic', 'none', '--host', host),
            *arguments,
        )


class TestOpenstackClient(CloudTestCase):
    def test_the_fleet_and_a_server(self) -> None:
        hosts = self.json('arm64', 'host', 'list')
        self.assertEqual(
            ['n1-a', 'n1-b', 'new', 'old', 'v1-a', 'v1-b', 'v1-nosve'],
            [host['Host'] for host in hosts],
        )
        self.assertEqual({'usable'}, {host['Record'] for host in hosts})
        self.create('db', host='v1-a')
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

    def test_a_drain_that_is_interrupted_and_resumed(self) -> None:
        for name in ('web', 'db', 'app'):
            self.create(name, host='n1-a')
        plan = self.json('arm64', 'host', 'drain', 'n1-a')
        self.assertEqual(
            [('app', 'n1-b'), ('db', 'n1-b'), ('web', 'n1-b')],
            sorted((row['Server'], row['Destination']) for row in plan),
        )
        drain = subprocess.Popen(
            [*CLIENT, 'arm64', 'host', 'drain', 'n1-a', '--apply'],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=test_demo.interruptible,
        )
        assert drain.stderr
        lines = []
        for line in drain.stderr:
            lines.append(line)
            if line.endswith(': requested\n'):
                drain.send_signal(signal.SIGINT)
                break
        printed, rest = drain.communicate(timeout=test_demo.LONGEST)
        said = ''.join([*lines, rest])
        self.assertEqual(130, drain.returncode, said)
        self.assertIn('interrupted: stops after the server', said)
        self.assertEqual(1, printed.count(' arrived '), printed)
        self.assertIn('2 servers still on n1-a, 1 server moved', said)
        resumed = self.run_client('arm64', 'host', 'drain', 'n1-a', '--apply')
        self.assertEqual(0, resumed.returncode, resumed.stderr)
        self.assertIn('n1-a is empty: 2 servers moved', resumed.stderr)
        servers = self.json('server', 'list', '--long')
        self.assertEqual(
            {('ACTIVE', 'n1-b')},
            {(one['Status'], one['Host']) for one in servers},
        )

    def test_a_drain_that_does_not_begin_and_one_that_stops(self) -> None:
        self.create('other', host='v1-nosve')
        done = self.run_client('arm64', 'host', 'drain', 'v1-nosve', '--apply')
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertIn('nothing is moved: v1-nosve cannot be', done.stderr)
        self.assertIn('no host accepts it; nearest is v1-', done.stdout)
        group = self.json(
            'server', 'group', 'create', '--policy', 'anti-affinity', 'apart'
        )['id']
        for name, host in (('one', 'n1-a'), ('two', 'n1-b')):
            self.create(f'--hint=group={group}', name, host=host)
        done = self.run_client('arm64', 'host', 'drain', 'n1-a', '--apply')
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertRegex(
            done.stderr.splitlines()[-1],
            r'one \(.*\) did not arrive on n1-b: it is ACTIVE on n1-a: .+',
        )

    def test_an_aggregate_for_each_pool(self) -> None:
        self.json('aggregate', 'create', 'racks')
        planned = self.json('arm64', 'pool', 'sync', '--dry-run')
        self.assertEqual(1, len(self.json('aggregate', 'list')))
        self.assertEqual(planned, self.json('arm64', 'pool', 'sync'))
        pools = {
            frozenset(pool['Names'])
            for pool in self.json('arm64', 'pool', 'list')
        }
        aggregates = {
            one['Name']: frozenset(
                self.json('aggregate', 'show', one['Name'])['hosts']
            )
            for one in self.json('aggregate', 'list')
        }
        self.assertEqual(frozenset(), aggregates.pop('racks'))
        self.assertEqual(pools, set(aggregates.values()))
        self.assertEqual([], self.json('arm64', 'pool', 'sync'))
