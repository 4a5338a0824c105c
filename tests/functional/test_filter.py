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


"""The scheduler filter, in the real scheduler and with the real conductor.

The profiles are synthetic: see tests/unit/core/synthetic.py.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import io
import json
import pathlib
from typing import Any

import fixtures
from nova import context as nova_context
from nova import objects

from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.nova.cmd import status
from nova_arm_migrate.nova.scheduler import arm_filter
from tests.functional import base
from tests.unit.core import synthetic as s

PROFILES = pathlib.Path(__file__).parents[1] / 'fixtures' / 'profiles'
HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)
OTHER_CORE = s.host({s.MIDR: s.NEOVERSE_N1})
EVENT = 'scheduler_arm_migrate_filter'
CHECK = base.CHECK


class FilterTestBase(base.ArmServersTestBase):
    """Nova's services with the filter, and a count of its queries."""

    def setUp(self) -> None:
        self.flags(
            available_filters=[
                'nova.scheduler.filters.all_filters',
                'nova_arm_migrate.nova.scheduler.arm_filter.ArmMigrateFilter',
            ],
            enabled_filters=['ComputeFilter', 'ArmMigrateFilter'],
            group='filter_scheduler',
        )
        super().setUp()
        #: Visits of the filter to a cell's database.
        self.visits = 0
        self.logger = self.useFixture(
            fixtures.FakeLogger(arm_filter.LOG.logger.name)
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_arm_migrate.nova.scheduler.arm_filter.nova_context', self
            )
        )

    # What the filter uses from nova.context.

    get_admin_context = staticmethod(nova_context.get_admin_context)

    @contextlib.contextmanager
    def target_cell(
        self, context: nova_context.RequestContext, cell: objects.CellMapping
    ) -> Iterator[nova_context.RequestContext]:
        self.visits += 1
        with nova_context.target_cell(context, cell) as cell_context:
            yield cell_context

    def on(self, server: dict[str, Any]) -> str:
        """Return the name of a server's host."""
        return self.api.get_server(server['id'])['OS-EXT-SRV-ATTR:host']

    def lines(self) -> list[str]:
        """What the filter has logged."""
        return self.logger.output.splitlines()


class TestTwoSchemas(FilterTestBase):
    """One compute has a version of the package that writes schema 1."""

    def test_guests_move_in_both_directions(self) -> None:
        newer = load_host(
            (PROFILES / 'neoverse-n1-linux-6.12.json').read_text()
        )
        older = dataclasses.replace(
            newer,
            **{
                one.name: one.default
                for one in attributes_of(Host)
                if one.since > 1
            },
        )
        self.assertEqual(
            [2, 1],
            [json.loads(dump_host(one))['schema'] for one in (newer, older)],
        )
        self.host('newer', newer)
        self.host('older', older)
        for start, other in (('newer', 'older'), ('older', 'newer')):
            server = self.boot(start)
            # No destination is named: the filter judges the other host.
            self.assertEqual(other, self.migrate(server))
            self.assertEqual(start, self.migrate(server))
        self.assertEqual([], self.lines())


class TestFilter(FilterTestBase):
    def test_the_only_host_that_fits_is_picked_at_once(self) -> None:
        self.host('host-a', HOST)
        for name in ('host-b', 'host-c'):
            self.host(name, OTHER_CORE)
        self.host('host-d', LESSER)
        self.host('host-e', HOST)
        server = self.boot('host-a')
        self.assertEqual(0, self.visits)

        self.assertEqual('host-e', self.migrate(server))

        self.assertEqual(1, self.visits)
        self.assertEqual(
            [
                f'ArmMigrateFilter: live migration of server {server["id"]}:'
                ' 3 of 4 hosts dropped: MIDR_EL1: guest 0x410fd400'
                ' (Neoverse-V1 r0p0), host 0x413fd0c1 (Neoverse-N1 r3p1):'
                ' host-b, host-c;'
                ' ID_AA64ISAR0_EL1.TS: guest 1 (FlagM), host 0 (not'
                ' implemented): host-d'
            ],
            self.lines(),
        )
        # No host gets a request that it can only refuse.
        (check,) = self.events(server, CHECK)
        self.assertEqual('Success', check['result'])
        (event,) = self.events(server, EVENT)
        self.assertEqual('Success', event['result'])
        self.assertEqual(
            'arm64: 3 of 4 hosts dropped: MIDR_EL1: guest 0x410fd400'
            ' (Neoverse-V1 r0p0), host 0x413fd0c1 (Neoverse-N1 r3p1): host-b,'
            ' host-c; ID_AA64ISAR0_EL1.TS: guest 1 (FlagM), host 0 (not'
            ' implemented): host-d',
            event['details'],
        )
        action = self.api.get_instance_actions(server['id'])[0]
        self.assertIsNone(action['message'])

    def test_no_host_is_left(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', OTHER_CORE)
        self.host('host-c', LESSER)
        server = self.boot('host-a')
        self.assertEqual('host-a', self.migrate(server, state='error'))
        self.assertEqual([], self.events(server, CHECK))
        (event,) = self.events(server, EVENT)
        self.assertEqual('Error', event['result'])
        self.assertIn('2 of 2 hosts dropped', event['details'])
        (event,) = self.events(server, 'conductor_live_migrate_instance')
        self.assertIn('No valid host', event['details'])

    def test_a_host_that_is_asked_for_is_judged(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', OTHER_CORE)
        self.host('host-c', HOST)
        server = self.boot('host-a')
        self.assertEqual(
            'host-a', self.migrate(server, 'host-b', state='error')
        )
        self.assertEqual([], self.events(server, CHECK))
        self.assertIn(
            '1 of 1 hosts dropped', self.events(server, EVENT)[0]['details']
        )
        self.assertEqual('host-c', self.migrate(server, 'host-c'))
        self.assertEqual([], self.events(server, EVENT))

    def test_a_forced_host_is_left_to_the_driver(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', OTHER_CORE)
        server = self.boot('host-a')
        self.api.microversion = '2.67'
        self.migrate(server, 'host-b', state='error', force=True)
        self.api.microversion = 'latest'
        self.assertEqual(0, self.visits)
        self.assertIn(
            'arm64: MIDR_EL1', self.events(server, CHECK)[0]['details']
        )

    def test_guests_are_told_apart(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', OTHER_CORE)
        self.host('host-c', HOST)
        self.host('host-d', OTHER_CORE)
        servers = [
            self.boot(name)
            for name in ('host-a', 'host-b', 'host-a', 'host-b')
        ]
        for server in servers:
            self.api.post_server_action(
                server['id'],
                {'os-migrateLive': {'host': None, 'block_migration': 'auto'}},
            )
        for server in servers:
            self._wait_for_server_parameter(
                server, {'OS-EXT-STS:task_state': None}
            )
        self.assertEqual(
            ['host-c', 'host-d', 'host-c', 'host-d'],
            [self.on(server) for server in servers],
        )
        self.assertEqual(4, len(self.lines()))

    def test_a_guest_that_came_from_a_lesser_host_may_go_back(self) -> None:
        self.host('host-a', LESSER)
        self.host('host-b', HOST)
        server = self.boot('host-a')
        self.assertEqual('host-b', self.migrate(server))
        self.assertEqual('host-a', self.migrate(server))
        self.assertEqual([], self.lines())

    def test_hosts_without_the_extension_follow_the_option(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', HOST, compute_driver=base.STOCK)
        server = self.boot('host-a')
        self.migrate(server, state='error')
        self.assertEqual([], self.events(server, CHECK))
        self.assertIn(
            'unknown: DESTINATION: it has no record',
            self.events(server, EVENT)[0]['details'],
        )
        self.flags(unknown='allow', group='arm_migrate')
        self.migrate(server, state='error')
        # Stock Nova refuses every live migration on Arm.
        self.assertEqual([], self.events(server, EVENT))
        self.assertNotEqual([], self.events(server, CHECK))


class TestOtherRequests(FilterTestBase):
    """A request that is not a live migration keeps all its hosts."""

    def setUp(self) -> None:
        super().setUp()
        self.host('host-a', HOST)
        self.host('host-b', OTHER_CORE)
        self.stub_out(
            'nova.virt.libvirt.driver.LibvirtDriver'
            '.migrate_disk_and_power_off',
            lambda *args, **kwargs: '{}',
        )

    def test_boots_ask_nothing(self) -> None:
        self._create_server(
            networks='none',
            image_uuid=self.image(hw_machine_type='virt'),
            api=None,
        )
        body = self._build_server(networks='none')
        body.update(min_count=3, max_count=3)
        self.api.post_server({'server': body})
        for server in self.api.get_servers():
            self._wait_for_state_change(server, 'ACTIVE')
        self.assertEqual(4, len(self.api.get_servers()))
        self.assertEqual(0, self.visits)

    def test_an_unshelved_server_asks_nothing(self) -> None:
        server = self.boot('host-a')
        server = self._shelve_server(server)
        self._unshelve_server(server)
        self.assertEqual(0, self.visits)

    def test_a_rebuild_asks_nothing(self) -> None:
        server = self.boot('host-a')
        self._rebuild_server(server, self.image(hw_machine_type='virt'))
        self.assertEqual(0, self.visits)

    def test_a_resize_that_may_stay_asks_nothing(self) -> None:
        self.flags(allow_resize_to_same_host=True)
        server = self.boot('host-a')
        self._resize_server(server, self._create_flavor())
        self.assertEqual(0, self.visits)

    def test_a_cold_migration_goes_where_a_live_one_can_not(self) -> None:
        server = self.boot('host-a')
        self._migrate_server(server)
        self.assertEqual('host-b', self.on(server))
        # The request looks like a live migration; the server's state does not.
        self.assertEqual(1, self.visits)
        self.assertEqual([], self.lines())

    def test_an_evacuation_goes_where_a_live_migration_can_not(self) -> None:
        server = self.boot('host-a')
        self.computes['host-a'].stop()
        (service,) = self.api.get_services(
            host='host-a', binary='nova-compute'
        )
        self.api.put_service(service['id'], {'forced_down': True})
        self._evacuate_server(server, expected_host='host-b')
        self.assertEqual(1, self.visits)
        self.assertEqual([], self.lines())


class TestCells(FilterTestBase):
    NUMBER_OF_CELLS = 2

    def test_a_guest_in_the_second_cell(self) -> None:
        for name, profile in (
            ('host-a', HOST),
            ('host-b', OTHER_CORE),
            ('host-c', HOST),
        ):
            connection = self.arm.add(name, profile).connection
            self.start_compute(name, connection=connection, cell_name='cell2')
        self.host('host-d', HOST)
        server = self.boot('host-a')
        self.assertEqual('host-c', self.migrate(server))
        self.assertIn('1 of 2 hosts dropped', self.lines()[0])
        # Nova's own rule: no live migration to another cell.
        self.assertEqual('Success', self.events(server, EVENT)[0]['result'])


class TestStatus(FilterTestBase):
    """nova-arm-migrate-status, over the database of a real cloud."""

    def check(self) -> str:
        """Return the text of a check that ends with warnings."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = status.UpgradeCommands().check()
        self.assertEqual(1, code)
        return ' '.join(out.getvalue().replace('|', ' ').split())

    def test_computes_without_a_record_are_named(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', HOST, compute_driver=base.STOCK)
        text = self.check()
        self.assertIn('1 of 2 Arm64 computes cannot be judged', text)
        self.assertIn('host-b', text)
        self.assertIn('ArmMigrateFilter is enabled.', text)

    def test_a_guest_that_cannot_go_back_is_named(self) -> None:
        self.host('host-a', HOST)
        self.host('host-b', s.host(reg_list=s.LISTED | {s.TCR2}))
        server = self.boot('host-a')
        text = self.check()
        self.assertIn('No guest with a record has live-migrated.', text)
        self.migrate(server, 'host-b')
        text = self.check()
        self.assertRegex(
            text,
            '1 of 1 guests with a record that have live-migrated cannot go'
            ' back to a host that they came from, and 1 can move to'
            ' no other host: .*TCR2_EL1.*:'
            rf' {server["id"]} \(host-b to host-a\)',
        )
        self.assertEqual('host-b', self.migrate(server, state='error'))
        self.assertIn('TCR2_EL1', self.events(server, EVENT)[0]['details'])
