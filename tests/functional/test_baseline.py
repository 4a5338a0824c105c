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

"""Guests on a guest CPU baseline cross between different cores."""

import dataclasses
import json
import pathlib
import tempfile
from typing import Any
from unittest import mock

from nova.api.validation.extra_specs import validators

from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.nova.baseline import extra_specs
from tests.functional import base
from tests.unit.nova.baseline import pool

MIDR = 0xC000
ISAR0 = 0xC030
ON_POOL = {'hw:arm_baseline': 'pool-1'}


class BaselineTestBase(base.ArmServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.files = pathlib.Path(directory.name)
        self.library = pool.library(self.files / 'shim.so')
        self.write()
        self.flags(
            baseline_directory=directory.name,
            baseline_shim=self.library,
            group='arm_migrate',
        )
        # nova-api finds it by an entry point.
        checks = {one.name: one for one in extra_specs.register()}
        patch = mock.patch.dict(validators.VALIDATORS, checks)
        patch.start()
        self.addCleanup(patch.stop)

    def write(self, version: int = 1) -> None:
        (self.files / 'pool-1.json').write_text(
            baseline_file.dump(pool.baseline(version))
        )

    def pool(self) -> None:
        for name, profile in zip(('v1', 'n2'), pool.hosts(), strict=True):
            self.host(name, profile)
            self.arm.hosts[name].machine.libraries.add(self.library)

    def features(self, server: dict[str, Any]) -> frozenset[str]:
        """Return the vCPU features of the guest's host."""
        host = self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']
        return self.arm.hosts[host].machine.host.features

    def on_baseline(self, server: dict[str, Any]) -> None:
        seen, record = self.seen(server), self.record(server)
        self.assertEqual('pool-1/1', record.baseline)
        for attribute in ('values', 'reg_list', 'gic'):
            self.assertEqual(
                getattr(seen, attribute), getattr(record, attribute), attribute
            )
        # The record has what no member may show; a domain has no feature
        # that its QEMU does not know. QEMU knows these two on every host.
        self.assertIn('pauth', record.disabled)
        known = self.features(server) | {'pauth', 'sve'}
        self.assertEqual(
            record.disabled - (FEATURES.keys() - known), seen.disabled
        )
        self.assertEqual(0x410FD493, seen.values.read(MIDR))


class TestBaseline(BaselineTestBase):
    def test_there_and_back_and_over_reboots(self) -> None:
        self.pool()
        server = self.boot('v1', extra_specs=ON_POOL)
        self.on_baseline(server)
        self.assertEqual('n2', self.migrate(server, 'n2'))
        self.on_baseline(server)
        self._reboot_server(server)
        self.on_baseline(server)
        self.assertEqual('v1', self.migrate(server, 'v1'))
        self.on_baseline(server)
        self._reboot_server(server, hard=True)
        self.on_baseline(server)

    def test_image_property_and_pool_option(self) -> None:
        self.flags(baseline='pool-1', group='arm_migrate')
        self.pool()
        for properties, expected in (
            ({}, 'pool-1/1'),
            ({'hw_arm_baseline': 'none'}, None),
            ({'hw_arm_baseline': 'pool-1'}, 'pool-1/1'),
        ):
            server = self.boot('n2', properties=properties)
            self.assertEqual(expected, self.record(server).baseline)

    def test_a_host_without_it_refuses(self) -> None:
        self.pool()
        server = self.boot('v1', extra_specs=ON_POOL)
        (self.files / 'pool-1.json').unlink()
        self.host('late', pool.hosts()[1])
        self.refused(server, 'late', 'BASELINE: guest pool-1/1, late none')

    def test_a_host_with_another_file_of_that_version_refuses(self) -> None:
        """Someone has lowered a field there and kept the version."""
        self.pool()
        server = self.boot('v1', extra_specs=ON_POOL)
        ours = pool.baseline()
        field = register_of(ISAR0).field('TS')
        registers = dict(ours.registers)
        registers[ISAR0] = field.into(registers[ISAR0], 0)
        (self.files / 'pool-1.json').write_text(
            baseline_file.dump(
                dataclasses.replace(ours, registers=Values(registers))
            )
        )
        self.host('late', pool.hosts()[1])
        self.refused(server, 'late', 'BASELINE: guest pool-1/1, late another')
        ((_, outcome),) = self.prechecks()
        self.assertIn(
            'does not offer it: the file here is another one:'
            ' ID_AA64ISAR0_EL1.TS: guest 1, file 0.',
            outcome['findings'][0]['sentence'],
        )

    def test_a_guest_that_did_not_get_it_is_not_started(self) -> None:
        self.host('v1', pool.hosts()[0])
        # QEMU there ignores LD_PRELOAD, as in secure-execution mode.
        server = self.boot('v1', extra_specs=ON_POOL, expected_state='ERROR')
        self.assertIn(
            f'QEMU has not loaded {self.library}', self.stdlog.logger.output
        )
        self.assertEqual([], self.arm.hosts['v1'].connection.listAllDomains(0))
        self.assertFalse(self.has_record(server))


class TestBadInput(BaselineTestBase):
    """One line with the field or file: at the start, and for the server."""

    def line(self, words: str) -> None:
        """Check that the service has logged one line at its start."""
        lines = [
            line
            for line in self.stdlog.logger.output.splitlines()
            if words in line and 'baseline.catalogue' in line
        ]
        self.assertEqual(1, len(lines), words)
        self.assertIn('other guests are not affected', lines[0])

    def not_started(self, name: str, words: str) -> None:
        server = self.boot(
            extra_specs={'hw:arm_baseline': name}, expected_state='ERROR'
        )
        (event,) = self.events(server, 'arm_migrate_baseline')
        self.assertIn(f'Guest CPU baseline {name}: {words}', event['details'])
        self.assertEqual([], self.arm.hosts['v1'].connection.listAllDomains(0))

    def changed(self, name: str, **registers: str) -> str:
        record = json.loads(baseline_file.dump(pool.baseline()))
        return json.dumps(
            record
            | {'name': name, 'registers': record['registers'] | registers}
        )

    def test_files(self) -> None:
        text = baseline_file.dump(pool.baseline())
        field = register_of(ISAR0).field('TS')
        raised = field.into(pool.baseline().registers.read(ISAR0), 2)
        bad = {
            'cut': (text[:-100], 'file is not JSON'),
            'schema': (
                text.replace('"schema": 1', '"schema": 9'),
                'file has schema 9; this version reads 1',
            ),
            'unknown': (
                self.changed('unknown', NO_SUCH_EL1='0x1'),
                "registers: a baseline has no register 'NO_SUCH_EL1'",
            ),
            'raised': (
                self.changed('raised', ID_AA64ISAR0_EL1=f'{raised:#x}'),
                'ID_AA64ISAR0_EL1.TS: baseline 2',
            ),
        }
        for name, (content, _) in bad.items():
            (self.files / f'{name}.json').write_text(content)
        self.host('v1', pool.hosts()[0])
        self.arm.hosts['v1'].machine.libraries.add(self.library)
        for name, (_, words) in bad.items():
            self.line(words)
            with self.subTest(name):
                path = self.files / f'{name}.json'
                self.not_started(
                    name, words if name == 'raised' else f'{path}: {words}'
                )
        self.not_started('lost', 'this host has no file of this name')
        # The others are not affected.
        self.on_baseline(self.boot('v1', extra_specs=ON_POOL))
        self.boot('v1', extra_specs={})

    def test_libraries(self) -> None:
        path = self.files / 'wrong.so'
        for host, content, words in (
            ('missing', None, 'No such file or directory'),
            ('text', b'#!/bin/sh\n', 'not a 64-bit ELF file'),
        ):
            if content is not None:
                path.write_bytes(content)
            self.flags(baseline_shim=str(path), group='arm_migrate')
            self.host(host, pool.hosts()[0])
            self.line(f'the shim: {path}: {words}')
        self.assertEqual(
            frozenset(),
            self.computes['text'].driver._arm.host().baselines,
        )
