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

"""nova-arm-migrate-status as an operator runs it: a process, a nova.conf.

nova-manage makes the databases and cells, as in an installation. The tests in
`test_filter` run the checks inside of Nova's fixtures, which register options
that the process has to register itself.
"""

import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
from typing import Any
import unittest
import uuid

import fixtures
from oslo_upgradecheck import upgradecheck

from demo import settings
import nova_arm_migrate
from nova_arm_migrate.nova.records import cpu_info
from tests.unit.core import synthetic as s

TOP = str(pathlib.Path(nova_arm_migrate.__file__).parents[1])
BIN = pathlib.Path(sys.executable).parent
DRIVER = 'arm_migrate.ArmLibvirtDriver'
FILTER = 'nova_arm_migrate.filters.ArmMigrateFilter'
CELLS = ('cell0', 'cell1', 'cell2')
#: Nothing listens there: the command reads databases alone.
BROKER = 'rabbit://nova:secret@127.0.0.1:1'
#: Nova fills these from transport_url and [database] connection.
BROKER_TEMPLATE = (
    '{scheme}://{username}:{password}@{hostname}:{port}/{path}?{query}'
)
DATABASE_TEMPLATE = '{scheme}:////{path}?{query}'
#: A row of compute_nodes: what the table does not let be empty.
NODE = {
    **dict.fromkeys(('vcpus', 'memory_mb', 'local_gb'), 8),
    **dict.fromkeys(('vcpus_used', 'memory_mb_used', 'local_gb_used'), 0),
    'hypervisor_type': 'QEMU',
    'hypervisor_version': 10000000,
    'deleted': 0,
}
HOST = s.host()
STOCK = json.dumps({'arch': 'aarch64'})


#: The commands of nova-manage, in one process: it takes long to start.
MANAGE = """
import sys
from nova import config, objects
from nova.cmd import manage
_, nova_conf, cell0, *cells = sys.argv
config.parse_args(['nova-manage', '--config-file', nova_conf])
objects.register_all()
commands = manage.CellV2Commands()
manage.ApiDbCommands().sync()
manage.DbCommands().sync(local_cell=True)
commands.map_cell0(cell0)
for name, transport, database in zip(*[iter(cells)] * 3):
    if commands.create_cell(name, database, transport):
        sys.exit(1)
"""


def _run(
    program: str, *arguments: str | os.PathLike[str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / program, *arguments],
        env={
            'PATH': os.environ['PATH'],
            'PYTHONPATH': TOP,
            'PYTHONDONTWRITEBYTECODE': '1',
            # Of libraries that load eventlet.
            'PYTHONWARNINGS': 'ignore',
        },
        capture_output=True,
        text=True,
        check=False,
    )


class TestStatusCommand(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        temporary = fixtures.TempDir()
        temporary.setUp()
        self.addCleanup(temporary.cleanUp)
        self.directory = pathlib.Path(temporary.path)
        self.nova_conf = self.directory / 'nova.conf'
        self._write()

    def _write(self, **sections: dict[str, Any]) -> None:
        options = settings.nova_options(
            self.directory, 'http://127.0.0.1:1', DRIVER, [FILTER]
        )
        options['DEFAULT']['transport_url'] = f'{BROKER}/cell1'
        options['profiler'] = {
            'enabled': True,
            'hmac_keys': 'secret',
            'connection_string': 'messaging://',
        }
        for name, values in sections.items():
            options[name] = {**options.get(name, {}), **values}
        settings.write(self.nova_conf, options)

    def _make_cells(self) -> None:
        """Make cell1 with templates, as kolla does, and cell2 with URLs."""
        cells = {
            name: self.directory / f'nova_{name}.sqlite' for name in CELLS
        }
        done = _run(
            sys.executable,
            *('-c', MANAGE, self.nova_conf, f'sqlite:///{cells["cell0"]}'),
            *('cell1', BROKER_TEMPLATE, DATABASE_TEMPLATE),
            *('cell2', f'{BROKER}/cell2', f'sqlite:///{cells["cell2"]}'),
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        for copy in ('cell0', 'cell2'):
            shutil.copy(cells['cell1'], cells[copy])
        for name, host, record in (
            ('cell1', 'host-a', cpu_info.put_host(STOCK, HOST)),
            ('cell2', 'host-b', STOCK),
        ):
            row = {**NODE, 'host': host, 'cpu_info': record}
            row |= {'hypervisor_hostname': host, 'uuid': str(uuid.uuid4())}
            with sqlite3.connect(cells[name]) as database:
                database.execute(
                    f'INSERT INTO compute_nodes ({", ".join(row)})'
                    f' VALUES ({", ".join("?" * len(row))})',
                    list(row.values()),
                )

    def _check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run('upgrade', 'check', *arguments)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(
            'nova-arm-migrate-status',
            '--config-file',
            self.nova_conf,
            *arguments,
        )

    def test_a_cloud_of_two_cells(self) -> None:
        self._make_cells()
        done = self._check('--json')
        self.assertEqual('', done.stderr)
        checks = {
            check['check']: (check['result'], check['details'])
            for check in json.loads(done.stdout)['checks']
        }
        self.assertEqual(
            (
                upgradecheck.Code.WARNING,
                '1 of 2 Arm64 computes cannot be judged, see [arm_migrate]'
                ' unknown: it has no record: nova-arm-migrate does not run'
                ' there, or could not probe it: host-b',
            ),
            checks.pop('Host records'),
        )
        self.assertEqual(
            {upgradecheck.Code.SUCCESS},
            {code for code, _ in checks.values()},
            checks,
        )
        self.assertEqual(upgradecheck.Code.WARNING, done.returncode)
        done = self._run('baseline', 'guests')
        self.assertEqual(
            (0, 'SERVER  COMPUTE  HAS  GETS\n', ''),
            (done.returncode, done.stdout, done.stderr),
        )

    def test_databases_that_are_not_there(self) -> None:
        done = self._check('--json')
        self.assertEqual((2, ''), (done.returncode, done.stderr))
        listed = self._run('baseline', 'guests')
        self.assertEqual((255, ''), (listed.returncode, listed.stdout))
        self.assertRegex(
            listed.stderr,
            '^nova-arm-migrate-status: .*no such table: cell_mappings\n$',
        )
        last = json.loads(done.stdout)['checks'][-1]
        self.assertEqual('Host records', last['check'])
        self.assertRegex(
            last['details'],
            "^Nova's databases cannot be read: [A-Za-z]+: .*"
            'no such table: cell_mappings',
        )

    def test_a_transport_url_that_no_driver_reads(self) -> None:
        self._write(DEFAULT={'transport_url': 'carrier-pigeon://'})
        done = self._check()
        self.assertEqual((255, ''), (done.returncode, done.stdout))
        # stevedore logs a line before.
        self.assertRegex(
            done.stderr.splitlines()[-1],
            '^nova-arm-migrate-status: .*carrier-pigeon',
        )
