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


"""nova-arm-migrate-status, its database played by what a test puts there."""

import argparse
from collections.abc import Iterator
import contextlib
import dataclasses
import importlib.util
import io
import json
import sys
from typing import Any
import unittest
from unittest import mock

from nova import config
from nova import context as nova_context
from nova import objects
from nova import version
import nova.conf
from oslo_db import exception as db_exception
from oslo_upgradecheck import upgradecheck

from nova_arm_migrate import finder
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import signatures
from nova_arm_migrate.nova.baseline import versions
from nova_arm_migrate.nova.cmd import baseline_guests
from nova_arm_migrate.nova.cmd import moved_guests
from nova_arm_migrate.nova.cmd import status
from nova_arm_migrate.nova.options import register_opts
from nova_arm_migrate.nova.records import cpu_info
from nova_arm_migrate.probe import kvm
from tests.unit.core import synthetic as s

CONF = nova.conf.CONF
FILTER = 'nova_arm_migrate.filters.ArmMigrateFilter'
STOCK = json.dumps({'arch': 'aarch64'})


def put(given: Any) -> Any:
    """Return the cpu_info of a host that has a record."""
    if isinstance(given, Host):
        return cpu_info.put_host(STOCK, given)
    return given


class StatusTestCase(unittest.TestCase):
    def setUp(self) -> None:
        objects.register_all()
        register_opts(CONF)
        self.cpu_infos: Any = mock.patch.object(
            status, '_cpu_infos', autospec=True, return_value=[]
        ).start()
        self.changes: Any = mock.patch.object(
            baseline_guests, 'changes', autospec=True, return_value=iter(())
        ).start()
        self.moved: Any = mock.patch.object(
            moved_guests,
            'look',
            autospec=True,
            return_value=moved_guests.Found(0, (), ()),
        ).start()
        self.addCleanup(mock.patch.stopall)

    def set(self, group: str | None = None, **options: Any) -> None:
        for name, value in options.items():
            CONF.set_override(name, value, group)
            self.addCleanup(CONF.clear_override, name, group)

    def check(self, name: str) -> tuple[str, str]:
        """Return the code and the details of one check."""
        with (
            contextlib.redirect_stdout(io.StringIO()),
            mock.patch.object(
                upgradecheck,
                'CONF',
                spec_set=['command'],
                command=mock.Mock(json=True),
            ),
        ):
            with mock.patch('builtins.print', autospec=True) as printed:
                code = status.UpgradeCommands().check()
        checks = json.loads(printed.call_args.args[0])['checks']
        self.assertEqual(code, max(check['result'] for check in checks))
        (found,) = [check for check in checks if check['check'] == name]
        self.assertNotIn('\n', found['details'])
        return upgradecheck.Code(found['result']).name, found['details']


class TestChecks(StatusTestCase):
    def test_options(self) -> None:
        self.assertEqual(
            ('SUCCESS', 'enforcement is enforce.'), self.check('Options')
        )
        self.set('arm_migrate', enforcement='warn')
        self.assertEqual(
            ('WARNING', 'enforcement is warn: no live migration is refused.'),
            self.check('Options'),
        )

    def test_a_misspelt_override(self) -> None:
        failed = mock.patch.object(
            conf,
            'settings',
            autospec=True,
            side_effect=ValueError('no register has the name TS2\nmore'),
        )
        failed.start()
        self.assertEqual(
            (
                'FAILURE',
                'nova-compute and nova-scheduler do not start:'
                ' ValueError: no register has the name TS2',
            ),
            self.check('Options'),
        )

    def test_filter(self) -> None:
        code, details = self.check('Scheduler filter')
        self.assertEqual('WARNING', code)
        self.assertIn('enabled_filters has no ArmMigrateFilter', details)
        self.set(
            'filter_scheduler',
            enabled_filters=['ComputeFilter', 'ArmMigrateFilter'],
        )
        code, details = self.check('Scheduler filter')
        self.assertEqual('FAILURE', code)
        self.assertIn(f'available_filters = {FILTER}', details)
        self.set(
            'filter_scheduler',
            available_filters=['nova.scheduler.filters.all_filters', FILTER],
        )
        self.assertEqual(
            ('SUCCESS', 'ArmMigrateFilter is enabled.'),
            self.check('Scheduler filter'),
        )
        self.set('filter_scheduler', available_filters=['nova_arm.Filter'])
        code, details = self.check('Scheduler filter')
        self.assertEqual('FAILURE', code)
        self.assertIn('nova_arm', details)

    def test_driver(self) -> None:
        self.assertEqual('SUCCESS', self.check('Compute driver')[0])
        self.set(compute_driver='libvirt.LibvirtDriver')
        code, details = self.check('Compute driver')
        self.assertEqual('WARNING', code)
        self.assertIn('should be arm_migrate.ArmLibvirtDriver', details)
        self.set(compute_driver='arm_migrate.ArmLibvirtDriver')
        finder.install()
        self.assertEqual('SUCCESS', self.check('Compute driver')[0])
        missing = mock.patch.object(
            importlib.util,
            'find_spec',
            autospec=True,
            return_value=None,
        )
        missing.start()
        code, details = self.check('Compute driver')
        self.assertEqual('FAILURE', code)
        self.assertIn('start nova-compute-arm64 instead', details)

    def test_release(self) -> None:
        code, details = self.check('Nova release')
        self.assertEqual('SUCCESS', code)
        self.assertRegex(details, r'^Nova \d+ is supported\.$')
        newer = mock.patch.object(version, 'version_string', lambda: '99.0.0')
        newer.start()
        self.assertEqual(
            (
                'WARNING',
                'nova-arm-migrate was not tested with Nova 99, but with 31 to'
                ' 34.',
            ),
            self.check('Nova release'),
        )
        # What would stop nova-compute comes first.
        moved = mock.patch.dict(
            signatures.CALLED, {'nova.utils:gone': ('(one)',)}
        )
        moved.start()
        self.assertEqual(
            (
                'FAILURE',
                'nova-compute does not start: gone is gone from this Nova.',
            ),
            self.check('Nova release'),
        )

    def test_workaround(self) -> None:
        self.assertEqual('SUCCESS', self.check('Workaround')[0])
        self.set('workarounds', skip_cpu_compare_on_dest=True)
        self.assertEqual('WARNING', self.check('Workaround')[0])

    def test_records(self) -> None:
        ours = cpu_info.put_host(STOCK, s.host())
        newer = ours.replace('"schema":1,', '"schema":9,')
        x86 = json.dumps({'arch': 'x86_64'})
        for rows, expected in (
            ({}, ('SUCCESS', 'There are no Arm64 computes.')),
            ({'x': x86}, ('SUCCESS', 'There are no Arm64 computes.')),
            (
                {'a': ours, 'x': x86},
                ('SUCCESS', 'All 1 Arm64 computes have one.'),
            ),
            (
                {'a': ours, 'b': STOCK, 'c': newer, 'd': STOCK, 'x': x86},
                (
                    'WARNING',
                    '3 of 4 Arm64 computes cannot be judged, see'
                    ' [arm_migrate] unknown: it has no record:'
                    ' nova-arm-migrate does not run there, or could not probe'
                    ' it: b, d; its record cannot be read: record has schema'
                    ' 9; this version reads 1 and 2: c',
                ),
            ),
            (
                {'a': None},
                (
                    'WARNING',
                    '1 of 1 Arm64 computes cannot be judged, see'
                    ' [arm_migrate] unknown: nothing is known about its CPU:'
                    ' a',
                ),
            ),
        ):
            self.cpu_infos.return_value = list(rows.items())
            self.assertEqual(expected, self.check('Host records'))

    def fleet(self, **hosts: Any) -> tuple[str, str]:
        """Return the check of a fleet with these hosts."""
        self.cpu_infos.return_value = [
            (name, put(one)) for name, one in hosts.items()
        ]
        return self.check('Fleet')

    def test_a_fleet_without_complaints(self) -> None:
        self.assertEqual(
            ('SUCCESS', '0 records have been looked at.'), self.fleet()
        )
        # One host has nobody to exchange guests with, and none is known of b.
        self.assertEqual('SUCCESS', self.fleet(a=s.host(), b=STOCK)[0])
        self.assertEqual('SUCCESS', self.fleet(a=s.host(), b=s.host())[0])

    def test_hosts_outside_every_pool(self) -> None:
        code, details = self.fleet(a=s.host(), b=s.host(), c=s.host(cntfrq=7))
        self.assertEqual('WARNING', code)
        self.assertIn('1 host exchanges guests with no other: c;', details)
        self.set('arm_migrate', silent_hazards='warn')
        self.assertEqual(
            'SUCCESS',
            self.fleet(a=s.host(), b=s.host(), c=s.host(cntfrq=7))[0],
        )

    def test_several_kinds_of_cores(self) -> None:
        cores = (
            Core(0x410FD034, 0, None, '0-3'),
            Core(0x410FD082, 0, None, '4-5'),
        )
        code, details = self.fleet(
            **{f'h{number:02}': s.host(cores=cores) for number in range(12)}
        )
        self.assertEqual('WARNING', code)
        self.assertIn(
            '12 hosts have several kinds of cores (Cortex-A53 r0p4,'
            ' Cortex-A72 r0p2): h00, ',
            details,
        )
        self.assertIn('h09 and 2 more', details)

    def test_mixed_schemas(self) -> None:
        code, details = self.fleet(a=s.host(), b=s.host(own_caches=True))
        self.assertEqual('WARNING', code)
        self.assertEqual(
            '1 compute writes records of an older schema than 2: an older'
            ' nova-arm-migrate runs there, or its probe could try nothing: a.',
            details,
        )

    def test_moved_guests(self) -> None:
        name = 'Guests that have moved'
        self.assertEqual('SUCCESS', self.check(name)[0])
        self.moved.return_value = moved_guests.Found(
            2, (moved_guests.Stuck('1-2', 'b', 'a', 'arm64: why', True),), ()
        )
        code, details = self.check(name)
        self.assertEqual('WARNING', code)
        self.assertIn('why: 1-2 (b to a)', details)
        self.moved.side_effect = db_exception.DBConnectionError('no\nmore')
        self.assertEqual(
            (
                'FAILURE',
                "Nova's databases cannot be read: DBConnectionError: no",
            ),
            self.check(name),
        )

    def test_kvm(self) -> None:
        with mock.patch.object(kvm, 'DEVICE', '/nowhere'):
            self.assertEqual('SUCCESS', self.check('KVM')[0])
        with mock.patch.object(kvm, 'DEVICE', '/'):
            self.assertEqual('SUCCESS', self.check('KVM')[0])
            denied = mock.patch('os.access', autospec=True, return_value=False)
            with denied:
                code, details = self.check('KVM')
        self.assertEqual('WARNING', code)
        self.assertIn('/ can not be opened', details)

    def test_no_database(self) -> None:
        self.cpu_infos.side_effect = db_exception.DBConnectionError(
            'refused\n[SQL: ...]'
        )
        self.assertEqual(
            (
                'FAILURE',
                "Nova's databases cannot be read: DBConnectionError: refused",
            ),
            self.check('Host records'),
        )


class TestBaselineOfComputes(StatusTestCase):
    def offered(self, **digests: str) -> None:
        """Let computes offer p/1, each with the contents of that digest."""
        self.cpu_infos.return_value = [
            ('host-z', put(s.host())),
            ('host-x86', json.dumps({'arch': 'x86_64'})),
            *(
                (
                    node.replace('_', '-'),
                    put(
                        dataclasses.replace(
                            s.host(),
                            baselines=frozenset({'p/1'}),
                            baseline_digests=(('p/1', digest),),
                        )
                    ),
                )
                for node, digest in digests.items()
            ),
        ]

    def test_none(self) -> None:
        self.offered(host_a='0' * 16, host_b='0' * 16)
        self.assertEqual(
            ('SUCCESS', '[arm_migrate] baseline is not set.'),
            self.check('Guest CPU baseline'),
        )

    def test_a_compute_that_does_not_offer_it(self) -> None:
        self.offered(host_a='0' * 16, host_b='0' * 16)
        self.set('arm_migrate', baseline='p')
        self.assertEqual(
            (
                'WARNING',
                '1 Arm64 computes do not offer the guest CPU baseline p (the'
                ' log of nova-compute there says why): host-z',
            ),
            self.check('Guest CPU baseline'),
        )
        del self.cpu_infos.return_value[0]
        self.assertEqual(
            ('SUCCESS', 'All Arm64 computes offer p.'),
            self.check('Guest CPU baseline'),
        )

    def test_different_contents_of_one_version(self) -> None:
        self.offered(host_a='0' * 16, host_b='1' * 16)
        self.assertEqual(
            (
                'WARNING',
                'computes offer different contents of p/1: give a changed file'
                ' a new version',
            ),
            self.check('Guest CPU baseline'),
        )


class TestGuests(StatusTestCase):
    def found(self) -> None:
        self.changes.return_value = iter(
            versions.Change(has, gets, host, uuid)
            for has, gets, host, uuid in (
                ('p/1', 'p/2', 'host-a', '1-2'),
                ('none', 'p/2', 'host-b', '3-4'),
                ('p/1', 'p/2', 'host-b', '5-6'),
                ('q/1', '', 'host-a', '7-8'),
            )
        )

    def run_list(self) -> tuple[int, str, str]:
        with (
            contextlib.redirect_stdout(io.StringIO()) as output,
            contextlib.redirect_stderr(io.StringIO()) as errors,
        ):
            code = status._list_guests()
        return code, output.getvalue(), errors.getvalue()

    def test_check(self) -> None:
        self.assertEqual('SUCCESS', self.check('Guests on baselines')[0])
        self.found()
        self.set('arm_migrate', baseline='p')
        self.assertEqual(
            (
                'WARNING',
                '1 guests have none and get p/2; 2 guests have p/1 and get'
                ' p/2; 1 guests have q/1, which their compute does not offer'
                ' ("nova-arm-migrate-status baseline guests" names them, and'
                ' reads more with --limit).',
            ),
            self.check('Guests on baselines'),
        )
        self.assertEqual('p', self.changes.call_args.args[0])

    def test_list(self) -> None:
        self.assertEqual(
            (0, 'SERVER  COMPUTE  HAS  GETS\n', ''), self.run_list()
        )
        self.found()
        self.assertEqual(
            (
                1,
                'SERVER  COMPUTE  HAS   GETS\n'
                '3-4     host-b   none  p/2\n'
                '1-2     host-a   p/1   p/2\n'
                '5-6     host-b   p/1   p/2\n'
                '7-8     host-a   q/1   not offered\n',
                '',
            ),
            self.run_list(),
        )

    def test_not_all_servers_are_read(self) -> None:
        def changes(
            pool: str, reading: baseline_guests.Reading
        ) -> Iterator[versions.Change]:
            reading.read, reading.there = reading.most, reading.most + 1
            yield from ()

        self.changes.side_effect = changes
        words = 'only 20000 of 20001 servers were read'
        code, details = self.check('Guests on baselines')
        self.assertEqual('WARNING', code)
        self.assertTrue(details.startswith(words + ' ("nova-arm'))
        self.assertEqual(
            (
                1,
                'SERVER  COMPUTE  HAS  GETS\n',
                f'nova-arm-migrate-status: {words} (--limit reads more)\n',
            ),
            self.run_list(),
        )

    def test_the_limit(self) -> None:
        parser = argparse.ArgumentParser()
        status._add_parsers(
            parser.add_subparsers(), mock.Mock(spec=status.UpgradeCommands)
        )
        for given, expected in ((['--limit', '0'], 0), ([], 20000)):
            command = parser.parse_args(['baseline', 'guests', *given])
            with (
                mock.patch.object(CONF, 'command', command, create=True),
                contextlib.redirect_stdout(io.StringIO()),
            ):
                command.action_fn()
            self.assertEqual(expected, self.changes.call_args.args[1].most)
        with (
            contextlib.redirect_stderr(io.StringIO()) as errors,
            self.assertRaises(SystemExit),
        ):
            parser.parse_args(['baseline', 'guests', '--limit', '-1'])
        self.assertIn("'-1' is not a number from 0", errors.getvalue())

    def test_no_database(self) -> None:
        self.changes.side_effect = db_exception.DBConnectionError('no\nmore')
        self.assertEqual(
            (255, '', 'nova-arm-migrate-status: DBConnectionError: no\n'),
            self.run_list(),
        )
        self.assertEqual('FAILURE', self.check('Guests on baselines')[0])


class TestMain(StatusTestCase):
    def main(self, **parse_args: Any) -> tuple[int, str]:
        """Run the command. :returns: its exit code and stderr"""
        with (
            mock.patch.object(
                config, 'parse_args', autospec=True, **parse_args
            ),
            # These change modules of other packages.
            mock.patch.object(CONF, 'register_cli_opt', autospec=True),
            mock.patch.object(upgradecheck, 'CONF', CONF),
            mock.patch.object(
                upgradecheck,
                'run',
                autospec=True,
                return_value=upgradecheck.Code.WARNING,
            ),
            contextlib.redirect_stderr(io.StringIO()) as errors,
        ):
            return status.main(), errors.getvalue()

    def test_the_exit_code_is_that_of_the_checks(self) -> None:
        self.assertEqual((1, ''), self.main())

    def test_a_damaged_file_is_one_line(self) -> None:
        self.assertEqual(
            (255, 'nova-arm-migrate-status: ValueError: bad file\n'),
            self.main(side_effect=ValueError('bad file\nat line 1')),
        )

    def test_a_full_disk_is_one_line(self) -> None:
        with (
            open('/dev/full', 'w') as full,
            mock.patch.object(sys, 'stdout', full),
        ):
            self.assertEqual(
                (
                    255,
                    'nova-arm-migrate-status: OSError: [Errno 28] No space'
                    ' left on device\n',
                ),
                self.main(side_effect=lambda argv: full.write('a table')),
            )


class TestCpuInfos(unittest.TestCase):
    def test_every_cell_but_the_one_for_failed_boots(self) -> None:
        objects.register_all()
        cells = [
            objects.CellMapping(uuid=uuid)
            for uuid in (
                objects.CellMapping.CELL0_UUID,
                '0e82048c-d6d5-4f4f-8415-16e6317b1c1d',
                '94e03ac6-2c4d-4b0f-9d0c-cf4a8f5a5d3f',
            )
        ]
        nodes = {
            cell.uuid: [
                objects.ComputeNode(
                    hypervisor_hostname=f'host-{place}', cpu_info=str(place)
                )
            ]
            for place, cell in enumerate(cells)
        }
        for target, name, result in (
            (objects.CellMappingList, 'get_all', lambda context: cells),
            (
                objects.ComputeNodeList,
                'get_all',
                lambda cell: nodes[cell.uuid],
            ),
            (
                nova_context,
                'target_cell',
                lambda context, cell: contextlib.nullcontext(cell),
            ),
        ):
            patched = mock.patch.object(
                target, name, autospec=True, side_effect=result
            )
            self.addCleanup(patched.stop)
            patched.start()
        self.assertEqual(
            [('host-1', '1'), ('host-2', '2')], list(status._cpu_infos())
        )
