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


"""The filter, with the database played by what a test puts there."""

from collections.abc import Iterable
import concurrent.futures
import contextlib
import json
from typing import Any
from unittest import mock

from nova import context
from nova import exception
from nova import objects
from nova.scheduler import host_manager
from oslo_db import exception as db_exception

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.precheck import judgement
from nova_arm_migrate.nova.records import guest_record
from nova_arm_migrate.nova.records.cpu_info import put_host
from nova_arm_migrate.nova.scheduler import arm_filter
from nova_arm_migrate.nova.scheduler import filter_events
from tests import logs
from tests.unit.core import synthetic as s

UUID = '512650d1-7196-4f8a-b7bc-065e49636f26'
CELL = '0e82048c-d6d5-4f4f-8415-16e6317b1c1d'
HOST = s.host()
LESSER = s.with_field(HOST, 'ID_AA64ISAR0_EL1.TS', 0)
OTHER_CORE = s.host({s.MIDR: s.NEOVERSE_N1})
OTHER_MIDR = (
    'MIDR_EL1: guest 0x410fd400 (Neoverse-V1 r0p0), host'
    ' 0x413fd0c1 (Neoverse-N1 r3p1)'
)
LESS_KNOWN = s.host(cntfrq=None)
#: A trial tells what of these they take.
NO_MASKS = s.host(writable=None)
STALE = s.with_field(HOST, 'ID_AA64PFR0_EL1.MPAM', 1)
STOCK = json.dumps({'arch': 'aarch64', 'features': ['fp']})
X86 = json.dumps({'arch': 'x86_64', 'features': ['aes']})
LOG = arm_filter.LOG.logger.name


def cpu_info(host: Host | str | None) -> str | None:
    """A cpu_info text: of a record, or as it is."""
    return (
        host
        if host is None or isinstance(host, str)
        else put_host(STOCK, host)
    )


def states(**hosts: Host | str | None) -> list[host_manager.HostState]:
    """HostStates by name."""
    found = []
    for name, host in hosts.items():
        state = host_manager.HostState(name, name, CELL)
        state.cpu_info = cpu_info(host)
        found.append(state)
    return found


def request(
    ignore: Iterable[str] = ('source',),
    cell: str | None = CELL,
    **changes: Any,
) -> objects.RequestSpec:
    """A request as LiveMigrationTask makes it."""
    spec = objects.RequestSpec(
        context.RequestContext('user', 'project', is_admin=False),
        instance_uuid=UUID,
        ignore_hosts=list(ignore),
        scheduler_hints={},
        requested_destination=objects.Destination(),
    )
    if cell:
        spec.requested_destination.cell = objects.CellMapping(uuid=cell)
    for name, value in changes.items():
        setattr(spec, name, value)
    return spec


class Database:
    """What the filter may ask a cell's database."""

    def __init__(
        self,
        source: Host | str | None = HOST,
        guest: Guest | str | None = None,
        task_state: str | None = 'migrating',
        image: dict[str, str] | None = None,
        hv_type: str = 'kvm',
    ) -> None:
        model = objects.VirtCPUModel(features=[])
        if isinstance(guest, str):
            model.features = [
                objects.VirtCPUFeature(
                    name=f'arm_migrate:{guest}', policy='optional'
                )
            ]
        elif guest:
            model = guest_record.put(model, guest)
        self.instance = mock.Mock(
            spec=objects.Instance,
            task_state=task_state,
            host='source',
            node='node',
            vcpu_model=model,
            system_metadata={},
            flavor=objects.Flavor(memory_mb=1024, extra_specs={}),
            image_meta=objects.ImageMeta.from_dict(
                {'properties': image or {}}
            ),
        )
        self.node = objects.ComputeNode(
            cpu_info=cpu_info(source),
            supported_hv_specs=[
                objects.HVSpec.from_list(['aarch64', hv_type, 'hvm'])
            ],
        )
        self.context = mock.Mock(
            spec=context.RequestContext, request_id='req-1'
        )
        self.queries: list[Any] = []

    def get_instance(
        self,
        ctxt: context.RequestContext,
        uuid: str,
        expected_attrs: list[str] | None = None,
    ) -> mock.Mock:
        self.queries.append('instance')
        assert (ctxt, uuid) == (self.context, UUID)
        return self.instance

    def get_node(
        self, ctxt: context.RequestContext, host: str, node: str
    ) -> objects.ComputeNode:
        self.queries.append('node')
        assert (ctxt, host, node) == (self.context, 'source', 'node')
        return self.node

    def create_event(
        self, event: objects.InstanceActionEvent, uuid: str, request_id: str
    ) -> None:
        assert (uuid, request_id) == (UUID, self.context.request_id)
        self.queries.append(event)

    @property
    def events(self) -> list[objects.InstanceActionEvent]:
        return [query for query in self.queries if not isinstance(query, str)]


class FilterTestCase(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        objects.register_all()
        self.settings = conf.Settings()
        self.db = Database()
        self.filter = arm_filter.ArmMigrateFilter()
        self.read_settings = self.patch(
            conf, 'settings', lambda CONF: self.settings
        )
        self.get_instance = self.patch(
            objects.Instance,
            'get_by_uuid',
            lambda *args, **kwargs: self.db.get_instance(*args, **kwargs),
        )
        self.patch(
            objects.ComputeNode,
            'get_by_host_and_nodename',
            lambda *args: self.db.get_node(*args),
        )
        self.create_event = self.patch(
            objects.InstanceActionEvent,
            'create',
            lambda *args: self.db.create_event(*args),
        )
        self.target_cell = self.patch(
            context,
            'target_cell',
            lambda *args: contextlib.nullcontext(self.db.context),
        )

    def patch(self, target: object, name: str, side_effect: Any) -> Any:
        patched = mock.patch.object(
            target, name, autospec=True, side_effect=side_effect
        )
        self.addCleanup(patched.stop)
        return patched.start()

    def names(
        self,
        hosts: list[host_manager.HostState],
        spec: objects.RequestSpec | None = None,
    ) -> list[str]:
        """The names of the hosts that pass."""
        return [
            state.host
            for state in self.filter.filter_all(hosts, spec or request())
        ]


class TestWhichRequests(FilterTestCase):
    def test_no_query_for_what_can_not_be_a_live_migration(self) -> None:
        hosts = states(a=OTHER_CORE)
        for spec in (
            request(ignore=()),
            request(ignore_hosts=None),
            request(cell=None),
            request(requested_destination=None),
            objects.RequestSpec(instance_uuid=UUID),
        ):
            self.assertEqual(['a'], self.names(hosts, spec))
        self.assertEqual([], self.names([]))
        self.assertEqual(['x'], self.names(states(x=X86)))
        self.assertEqual([], self.db.queries)

    def test_one_query_for_what_shares_its_marks(self) -> None:
        for task_state in ('resize_prep', 'rebuilding', None):
            self.db = Database(task_state=task_state)
            self.assertEqual(['a'], self.names(states(a=OTHER_CORE)))
            self.assertEqual(['instance'], self.db.queries)

    def test_two_queries_for_a_live_migration(self) -> None:
        self.assertEqual(['b'], self.names(states(a=OTHER_CORE, b=HOST)))
        self.assertEqual(['instance', 'node'], self.db.queries[:2])
        self.assertEqual(1, len(self.db.events))
        self.assertEqual(3, len(self.db.queries))

    def test_a_guest_that_is_elsewhere_by_now(self) -> None:
        self.db.instance.host = 'other'
        self.assertEqual(['a'], self.names(states(a=OTHER_CORE)))

    def test_guests_that_are_not_for_us(self) -> None:
        for database in (
            Database(source=X86),
            Database(image={'hw_emulation_architecture': 'ppc64le'}),
            Database(image={'hw_architecture': 'x86_64'}),
            Database(source=STOCK, hv_type='qemu'),
        ):
            self.db = database
            self.assertEqual(
                ['a', 'b', 'c'],
                self.names(states(a=OTHER_CORE, b=X86, c=STOCK)),
            )
            self.assertEqual([], self.db.events)

    def test_the_context_is_the_requests(self) -> None:
        spec = request()
        self.names(states(a=HOST), spec)
        ctxt, cell = self.target_cell.call_args.args
        self.assertEqual(CELL, cell.uuid)
        self.assertEqual(spec._context.request_id, ctxt.request_id)
        self.assertTrue(ctxt.is_admin)

    def test_one_host(self) -> None:
        a, b = states(a=OTHER_CORE, b=HOST)
        self.assertFalse(self.filter.host_passes(a, request()))
        self.assertTrue(self.filter.host_passes(b, request()))

    def test_it_runs_once_a_request_and_not_for_a_rebuild(self) -> None:
        self.assertTrue(self.filter.run_filter_for_index(0))
        self.assertFalse(self.filter.run_filter_for_index(1))
        self.assertFalse(self.filter.RUN_ON_REBUILD)

    def test_many_requests_at_once(self) -> None:
        spec = request()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(
                pool.map(
                    lambda n: self.names(
                        states(
                            a=OTHER_CORE, b=HOST, c=s.host(kernel=f'6.{n}.0')
                        ),
                        spec,
                    ),
                    range(32),
                )
            )
        self.assertEqual([['b', 'c']] * 32, found)


class TestWhichHosts(FilterTestCase):
    def test_the_guests_own_record_counts(self) -> None:
        self.db = Database(HOST, guest_started_on(LESSER))
        self.assertEqual(
            ['a', 'b'], self.names(states(a=HOST, b=LESSER, c=OTHER_CORE))
        )

    def test_without_a_record_its_host_counts(self) -> None:
        self.assertEqual(
            ['a'], self.names(states(a=HOST, b=LESSER, c=OTHER_CORE))
        )

    def test_a_guest_whose_cpu_nova_did_not_note(self) -> None:
        self.db.instance.vcpu_model = None
        self.assertEqual(['a'], self.names(states(a=HOST, b=LESSER)))

    def test_a_switched_off_pmu_is_not_in_the_way(self) -> None:
        older = s.with_field(HOST, 'ID_AA64DFR0_EL1.PMUVer', 1)
        none = with_features_off(HOST, frozenset({'pmu'}))
        self.assertEqual([], self.names(states(a=older, b=none)))
        self.db.instance.flavor.extra_specs = {'hw:pmu': 'false'}
        self.assertEqual(['a'], self.names(states(a=older, b=none)))

    def test_hosts_of_another_architecture(self) -> None:
        self.assertEqual(['a'], self.names(states(a=HOST, b=X86)))
        self.assertIn(
            'architecture: guest aarch64, host x86_64: b',
            self.db.events[0].details,
        )

    def test_unknown_follows_the_option(self) -> None:
        hosts = states(a=LESS_KNOWN, b=STOCK, c=None, d='{', e=HOST)
        self.db = Database(HOST, guest_started_on(LESSER))
        self.assertEqual(['e'], self.names(hosts))
        self.settings = conf.Settings(refuse_unknown=False)
        self.assertEqual(['a', 'b', 'c', 'd', 'e'], self.names(hosts))

    def test_what_the_trial_settles_drops_no_host(self) -> None:
        self.db = Database(HOST, guest_started_on(LESSER))
        self.assertEqual(['a', 'b'], self.names(states(a=NO_MASKS, b=HOST)))
        self.db = Database(STALE, guest_started_on(STALE))
        self.assertEqual(['a', 'b'], self.names(states(a=HOST, b=STALE)))
        self.assertEqual([], self.db.events)

    def test_without_the_trial_the_rule_is_alone(self) -> None:
        self.settings = conf.Settings(trial=False)
        self.db = Database(HOST, guest_started_on(LESSER))
        self.assertEqual(['b'], self.names(states(a=NO_MASKS, b=HOST)))
        self.settings = conf.Settings(trial=False, refuse_unknown=False)
        self.assertEqual(['a', 'b'], self.names(states(a=NO_MASKS, b=HOST)))

    def test_what_no_trial_settles_drops_beside_what_one_does(self) -> None:
        self.db = Database(HOST, guest_started_on(LESSER))
        timer = s.host(writable=None, cntfrq=25000000)
        self.assertEqual([], self.names(states(a=timer)))
        self.assertIn('CNTFRQ_EL0: guest', self.db.events[0].details)

    def test_a_source_without_a_record_follows_the_option(self) -> None:
        for guest in (None, guest_started_on(HOST), 'damaged'):
            self.db = Database(STOCK, guest)
            self.settings = conf.Settings()
            self.assertEqual([], self.names(states(a=HOST)))
            self.settings = conf.Settings(refuse_unknown=False)
            self.assertEqual(['a'], self.names(states(a=HOST)))

    def test_overrides_and_hazards_follow_the_options(self) -> None:
        hosts = states(a=LESSER, b=s.host(cntfrq=1))
        self.assertEqual([], self.names(hosts))
        self.settings = conf.Settings(
            options=Options(
                hazards_block=False,
                overrides=frozenset({'ID_AA64ISAR0_EL1.TS'}),
            )
        )
        self.assertEqual(['a', 'b'], self.names(hosts))

    def test_enforcement_off_asks_nothing(self) -> None:
        self.settings = conf.Settings(Enforcement.OFF)
        self.assertEqual(['a'], self.names(states(a=OTHER_CORE)))
        self.assertEqual([], self.db.queries)

    def test_enforcement_warn_drops_nothing_and_says_so(self) -> None:
        self.settings = conf.Settings(Enforcement.WARN)
        with self.assertLogs(LOG, 'INFO') as logs:
            self.assertEqual(['a'], self.names(states(a=OTHER_CORE)))
        (line,) = logs.output
        self.assertIn(OTHER_MIDR, line)
        self.assertIn('enforcement is warn', line)
        self.assertEqual([], self.db.events)

    def test_one_verdict_a_distinct_record(self) -> None:
        judge = self.patch(judgement, 'judge', judgement.judge)
        hosts = [
            state
            for n in range(20)
            for state in states(
                a=put_host(json.dumps({'model': str(n)}), OTHER_CORE), b=HOST
            )
        ]
        self.db = Database(HOST, guest_started_on(HOST, memory=1 << 35))
        for _ in range(2):
            self.assertEqual(['b'] * 20, self.names(hosts))
        self.assertEqual(2, judge.call_count)


class TestWhatIsSaid(FilterTestCase):
    def test_one_line_a_request_grouped_by_reason(self) -> None:
        with self.assertLogs(LOG, 'INFO') as logs:
            self.names(states(a=OTHER_CORE, b=LESSER, c=LESSER, d=HOST))
        (line,) = logs.output
        self.assertEqual(
            f'INFO:{LOG}:ArmMigrateFilter: live migration of server {UUID}:'
            ' 3 of 4 hosts dropped: ID_AA64ISAR0_EL1.TS: guest 1 (FlagM), host'
            f' 0 (not implemented): b, c; {OTHER_MIDR}: a',
            line,
        )

    def test_nothing_dropped_nothing_said(self) -> None:
        with self.assertNoLogs(LOG, 'INFO'):
            self.names(states(a=HOST))
        self.assertEqual([], self.db.events)

    def test_the_event(self) -> None:
        self.names(states(a=OTHER_CORE, b=HOST))
        (event,) = self.db.events
        self.assertEqual(
            ('scheduler_arm_migrate_filter', 'Success'),
            (event.event, event.result),
        )
        self.assertEqual(
            f'arm64: 1 of 2 hosts dropped: {OTHER_MIDR}: a', event.details
        )
        self.assertEqual(event.start_time, event.finish_time)

    def test_the_event_when_no_host_is_left(self) -> None:
        self.names(states(a=OTHER_CORE))
        self.assertEqual(['Error'], [e.result for e in self.db.events])

    def test_a_retry_adds_no_event(self) -> None:
        self.names(states(a=OTHER_CORE), request(ignore=['source', 'b']))
        self.assertEqual([], self.db.events)

    def test_no_action_to_add_the_event_to(self) -> None:
        self.create_event.side_effect = exception.InstanceActionNotFound(
            request_id='req-1', instance_uuid=UUID
        )
        with self.assertLogs(LOG, 'INFO') as logs:
            self.assertEqual([], self.names(states(a=OTHER_CORE)))
        self.assertEqual(1, len(logs.output))

    def test_what_breaks_lets_all_hosts_pass(self) -> None:
        for error in (
            db_exception.DBConnectionError('lost\nconnection'),
            exception.InstanceNotFound(instance_id=UUID),
            RuntimeError('x' * 5000),
        ):
            self.get_instance.side_effect = error
            with self.assertLogs(LOG, 'WARNING') as logs:
                self.assertEqual(['a'], self.names(states(a=OTHER_CORE)))
            (line,) = logs.output
            self.assertIn(type(error).__name__, line)
            self.assertNotIn('\n', line)
            self.assertLess(len(line), 500)

    def test_a_misspelt_option_stops_the_scheduler(self) -> None:
        self.read_settings.side_effect = ValueError('TS2')
        with self.assertRaisesRegex(ValueError, 'TS2'):
            arm_filter.ArmMigrateFilter()


class TestDropped(logs.TestCase):
    def test_lines_are_bounded(self) -> None:
        names = [f'{"rack." * 50}{n:05}' for n in range(10000)]
        found = filter_events.Dropped.of(
            UUID,
            names,
            [f'arm64: {n % 200}{"r" * 1000}' for n in range(10000)],
        )
        self.assertEqual(10000, found.count)
        self.assertLess(len(found.line()), 10000)
        self.assertIn('and 42 more', found.line())
        self.assertTrue(found.line().endswith('188 more reasons'))
        self.assertEqual(255, len(found.details().encode()))
        self.assertTrue(
            found.details().startswith('arm64: 10000 of 10000 hosts dropped: ')
        )

    def test_details_are_cut_between_characters(self) -> None:
        for more in range(4):
            found = filter_events.Dropped.of(
                UUID, ['a' * more + '\N{SNOWMAN}' * 100], ['r' * 150]
            )
            self.assertLessEqual(len(found.details().encode()), 255)
            self.assertRegex(found.details(), r'\N{SNOWMAN}\.\.\.$')
