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

"""Computes with and without our driver, of other versions, with bad records.

What can't be judged is unknown; an option decides what happens then.
"""

import json
from typing import Any

from nova import context as nova_context
from nova import objects

from nova_arm_migrate.nova.records import guest_record
from tests.functional import base
from tests.unit.core import synthetic as s

HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)


class MixedFleetBase(base.ArmServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        # Without it, stock Nova refuses every guest on Arm.
        self.flags(skip_cpu_compare_on_dest=True, group='workarounds')

    def allow(self) -> None:
        self.flags(unknown='allow', group='arm_migrate')

    def unknown(self, server: dict[str, Any], host: str, words: str) -> None:
        """Check that it is refused by default, and accepted if allowed."""
        was_on = self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']
        self.assertEqual(was_on, self.migrate(server, host, state='error'))
        (event,) = self.events(server)
        self.assertIn('arm64: unknown: ', event['details'])
        self.assertIn(words, event['details'])
        self.allow()
        self.assertEqual(host, self.migrate(server, host))
        self.assertEqual(
            ('warn', 'unknown'),
            (
                self.prechecks()[-1][1]['action'],
                self.prechecks()[-1][1]['verdict'],
            ),
        )


class TestStockPeers(MixedFleetBase):
    def upgrade(self, name: str, compute_driver: str = base.OURS) -> None:
        """Restart a compute with another driver while its guests run."""
        self.flags(compute_driver=compute_driver)
        self.restart_compute_service(name)

    def test_to_a_stock_compute(self) -> None:
        self.host('ours', HOST)
        self.host('stock', HOST, base.STOCK)
        self.unknown(self.boot('ours'), 'stock', 'DESTINATION')

    def test_from_a_stock_compute(self) -> None:
        self.host('stock', HOST, base.STOCK)
        self.host('ours', HOST)
        self.unknown(self.boot('stock'), 'ours', 'SOURCE: it has no record')

    def test_between_stock_computes_nothing_is_ours(self) -> None:
        self.host('stock-a', HOST, base.STOCK)
        self.host('stock-b', LESSER, base.STOCK)
        server = self.boot('stock-a')
        self.api.post_server_action(
            server['id'],
            {'os-migrateLive': {'host': 'stock-b', 'block_migration': 'auto'}},
        )
        # The failure that this project prevents; the server has no fault.
        self.threads.wait()
        self.assertEqual(
            base.STOCK_FAILED[0], self.api.get_server(server['id'])['status']
        )
        self.assertEqual([], self.prechecks())

    def test_a_guest_from_before_the_upgrade(self) -> None:
        self.host('host-a', HOST, base.STOCK)
        self.host('host-b', HOST)
        self.host('host-c', LESSER)
        server = self.boot('host-a', extra_specs={'hw:pmu': 'false'})
        self.assertFalse(self.has_record(server))
        self.upgrade('host-a')
        self.refused(server, 'host-c', 'ID_AA64ISAR0_EL1.TS')
        self.assertEqual('host-b', self.migrate(server, 'host-b'))
        findings = self.prechecks()[-1][1]['findings']
        self.assertIn(
            'taken from the current host',
            [finding['cause'] for finding in findings],
        )
        self.assertTrue(self.record(server).inferred)
        self.assertEqual({'pmu'}, self.record(server).disabled)

    def test_what_was_inferred_follows_the_guest(self) -> None:
        self.host('old', LESSER, base.STOCK)
        self.host('new', HOST)
        server = self.boot('old')
        self.upgrade('old')
        self.migrate(server, 'new')
        # It is not judged by its present host, on which it did not start.
        self.assertEqual('old', self.migrate(server, 'old'))
        self._reboot_server(server, hard=True)
        self.assertFalse(self.record(server).inferred)

    def test_a_restart_on_a_stock_compute_leaves_no_record(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', LESSER, base.STOCK)
        self.allow()
        server = self.boot('host-b')
        self.migrate(server, 'host-a')
        self._reboot_server(server, hard=True)
        self.assertTrue(self.has_record(server))
        self.upgrade('host-a', base.STOCK)
        self._reboot_server(server, hard=True)
        self.assertFalse(self.has_record(server))

    def test_a_rolling_upgrade_both_ways(self) -> None:
        self.host('host-a', HOST, base.STOCK)
        self.host('host-b', HOST, base.STOCK)
        server = self.boot('host-a')
        self.migrate(server, 'host-b')
        self.upgrade('host-b')
        self.allow()
        self.migrate(server, 'host-a')
        self.migrate(server, 'host-b')
        self.flags(unknown='refuse', group='arm_migrate')
        self.upgrade('host-a')
        self.assertEqual('host-a', self.migrate(server, 'host-a'))
        self.upgrade('host-b', base.STOCK)
        self.upgrade('host-a', base.STOCK)
        self.migrate(server, 'host-b')
        self.assertTrue(self.has_record(server))
        self._reboot_server(server, hard=True)
        self.assertFalse(self.has_record(server))


class TestBadRecords(MixedFleetBase):
    def setUp(self) -> None:
        super().setUp()
        self.host('host-a', HOST)
        self.host('host-b', HOST)

    def damage_host(self, **changes: Any) -> None:
        """Change the record that host-a has reported."""
        node = objects.ComputeNode.get_first_node_by_host_for_old_compat(
            nova_context.get_admin_context(), 'host-a'
        )
        info = json.loads(node.cpu_info)
        if changes:
            info['arm_migrate'].update(changes)
        else:
            del info['arm_migrate']
        node.cpu_info = json.dumps(info)
        node.save()

    def damage_guest(self, server: dict[str, Any], text: str) -> None:
        instance = self.instance(server)
        *_others, record = instance.vcpu_model.features
        record.name = 'arm_migrate:' + text
        guest_record.save(instance)

    def test_no_record_of_the_host(self) -> None:
        server = self.boot('host-a')
        self.damage_host()
        self.unknown(server, 'host-b', 'SOURCE: it has no record')

    def test_newer_record_of_the_host(self) -> None:
        server = self.boot('host-a')
        self.damage_host(schema=3)
        self.unknown(server, 'host-b', 'schema 3; this version reads 1')

    def test_damaged_record_of_the_host(self) -> None:
        server = self.boot('host-a')
        self.damage_host(values={'c000': 'x' * 100})
        self.unknown(server, 'host-b', 'SOURCE: its record cannot be read')

    def test_cpu_info_that_is_no_json(self) -> None:
        server = self.boot('host-a')
        node = objects.ComputeNode.get_first_node_by_host_for_old_compat(
            nova_context.get_admin_context(), 'host-a'
        )
        node.cpu_info = '{' * 300000
        node.save()
        self.unknown(server, 'host-b', 'SOURCE: its cpu_info has 300000')

    def test_newer_record_of_the_guest(self) -> None:
        server = self.boot('host-a')
        self.damage_guest(server, '{"schema":3,"kind":"guest"}')
        self.unknown(server, 'host-b', 'GUEST: its record cannot be read')

    def test_damaged_record_of_the_guest(self) -> None:
        server = self.boot('host-a')
        self.damage_guest(server, '{"schema":1,"kind":"guest","values":7}')
        self.unknown(server, 'host-b', 'GUEST: its record cannot be read')
        self._reboot_server(server, hard=True)
        self.shows_its_record(server)

    def test_a_destination_that_can_not_be_probed(self) -> None:
        self.host('host-c', HOST)
        self.stub_out(
            'nova_arm_migrate.nova.precheck.host_state.HostProbeCache.host_or_reason',
            lambda this: 'it cannot be probed: /dev/kvm: no',
        )
        self.unknown(
            self.boot('host-a'),
            'host-c',
            'DESTINATION: it cannot be probed: /dev/kvm: no',
        )
