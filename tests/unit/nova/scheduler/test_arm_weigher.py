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

"""The weigher, with Nova's own handler around it."""

import concurrent.futures
from typing import Any
from unittest import mock

from nova import context
from nova import objects
import nova.conf
from nova.scheduler import weights

from nova_arm_migrate import weighers
from nova_arm_migrate.core import moves
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.options import WEIGHT
from nova_arm_migrate.nova.scheduler import arm_weigher
from nova_arm_migrate.nova.scheduler import host_cache
from nova_arm_migrate.nova.scheduler import reach
from tests import logs
from tests.unit.core import synthetic as s
from tests.unit.nova.scheduler import test_arm_filter as filtered

objects.register_all()
CONF = nova.conf.CONF
HOST = filtered.HOST
LESSER = filtered.LESSER
OTHER_CORE = filtered.OTHER_CORE
SEVERAL_CORES = s.host(
    cores=(*HOST.cores, *OTHER_CORE.cores),
)


def boot(**changes: Any) -> objects.RequestSpec:
    """A request as nova-api makes it for a new server."""
    return objects.RequestSpec(
        context.RequestContext('user', 'project', is_admin=False),
        instance_uuid=filtered.UUID,
        scheduler_hints={},
        **{
            'flavor': objects.Flavor(memory_mb=1024, extra_specs={}),
            'ignore_hosts': None,
            **changes,
        },
    )


class WeigherTestCase(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.settings = conf.Settings()
        patcher = mock.patch.object(
            conf, 'current', autospec=True, side_effect=lambda _: self.settings
        )
        patcher.start()
        self.addCleanup(patcher.stop)
        self.weigher = weighers.ArmMigratabilityWeigher()

    def weigh(
        self, spec: Any = None, **hosts: Host | str | None
    ) -> list[float]:
        return self.weigher.weigh_objects(
            [
                weights.WeighedHost(state, 0.0)
                for state in filtered.states(**hosts)
            ],
            spec or boot(),
        )


class TestWeights(WeigherTestCase):
    def test_the_number_of_other_hosts(self) -> None:
        self.assertEqual(
            # A guest of the lesser hosts can move to all but the other core.
            [1, 3, 1, 3, 0],
            self.weigh(a=HOST, b=LESSER, c=HOST, d=LESSER, e=OTHER_CORE),
        )

    def test_a_guest_that_not_even_an_equal_host_takes(self) -> None:
        self.assertEqual(
            [0, 0, 1, 1],
            self.weigh(a=SEVERAL_CORES, b=SEVERAL_CORES, c=HOST, d=HOST),
        )

    def test_hosts_without_a_record(self) -> None:
        self.assertEqual(
            [1, 1, 0, 0],
            self.weigh(a=HOST, b=HOST, c=filtered.STOCK, d=None),
        )

    def test_options_count(self) -> None:
        hosts = {'a': HOST, 'b': s.host(cntfrq=62500000)}
        self.assertEqual([0, 0], self.weigh(**hosts))
        self.settings = conf.Settings(
            options=Options(overrides=frozenset({'CNTFRQ_EL0'}))
        )
        self.assertEqual([1, 1], self.weigh(**hosts))

    def test_where_it_makes_no_difference(self) -> None:
        hosts = {'a': LESSER, 'b': HOST}
        pool = objects.Flavor(extra_specs={'hw:arm_baseline': 'pool-1'})
        self.assertEqual([0, 0], self.weigh(filtered.request(), **hosts))
        self.assertEqual([0, 0], self.weigh(boot(flavor=pool), **hosts))
        self.assertEqual([0, 0, 0], self.weigh(c=filtered.X86, **hosts))
        self.settings = conf.Settings(enforcement=Enforcement.OFF)
        self.assertEqual([0, 0], self.weigh(**hosts))

    def test_a_failure_weighs_all_equally(self) -> None:
        with (
            mock.patch.object(
                reach.Reach, 'of', autospec=True, side_effect=KeyError('x\ny')
            ),
            self.assertLogs(arm_weigher.LOG.logger, 'WARNING') as caught,
        ):
            self.assertEqual([0, 0], self.weigh(a=LESSER, b=HOST))
        (line,) = caught.output
        self.assertIn(f'server {filtered.UUID}: KeyError', line)

    def test_novas_handler_orders_by_it(self) -> None:
        handler = weights.HostWeightHandler()
        (found,) = handler.get_matching_classes(
            ['nova_arm_migrate.weighers.ArmMigratabilityWeigher']
        )
        states = filtered.states(a=HOST, b=OTHER_CORE, c=LESSER)
        for multiplier, order in ((1.0, 'cab'), (-1.0, 'abc'), (0.0, 'abc')):
            self.addCleanup(CONF.clear_override, WEIGHT, group='arm_migrate')
            CONF.set_override(WEIGHT, multiplier, 'arm_migrate')
            weighed = handler.get_weighed_objects([found()], states, boot())
            self.assertEqual(order, ''.join(one.obj.host for one in weighed))

    def test_an_aggregate_has_its_own_multiplier(self) -> None:
        (state,) = filtered.states(a=HOST)
        self.assertEqual(1.0, self.weigher.weight_multiplier(state))
        state.aggregates = [objects.Aggregate(metadata={WEIGHT: '2.5'})]
        self.assertEqual(2.5, self.weigher.weight_multiplier(state))


class TestAsTheFilter(filtered.FilterTestCase):
    """The weigher counts a move to a host that the filter lets pass."""

    def test_one_pair_in_both(self) -> None:
        weigher = weighers.ArmMigratabilityWeigher()
        for source, destination, trial, accepted in (
            (LESSER, filtered.NO_MASKS, True, True),
            (LESSER, filtered.NO_MASKS, False, False),
            (filtered.STALE, HOST, True, True),
            (filtered.STALE, HOST, False, False),
            # No trial settles these.
            (LESSER, filtered.LESS_KNOWN, True, False),
            (HOST, LESSER, True, False),
        ):
            with self.subTest(trial=trial, accepted=accepted):
                self.settings = conf.Settings(trial=trial)
                self.db = filtered.Database(source, guest_started_on(source))
                pair = filtered.states(a=source, b=destination)
                self.assertEqual(
                    ['b'] if accepted else [], self.names(pair[1:])
                )
                weighed = [weights.WeighedHost(one, 0.0) for one in pair]
                self.assertEqual(
                    1.0 if accepted else 0.0,
                    weigher.weigh_objects(weighed, boot())[0],
                )


class TestReach(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reach = reach.Reach()
        self.infos = [
            host_cache.CpuInfo(host, 'aarch64')
            for host in (HOST, LESSER, OTHER_CORE)
        ]

    def of(self, *places: int) -> list[int]:
        return self.reach.of(
            [self.infos[n] for n in places], Options(), trial=True
        )

    def test_records_are_compared_once(self) -> None:
        with mock.patch(
            'nova_arm_migrate.nova.scheduler.reach.Moves',
            autospec=True,
            side_effect=moves.Moves,
        ) as compared:
            self.assertEqual([0, 1], self.of(0, 1))
            self.assertEqual([1, 0], self.of(1, 0))
            self.assertEqual([0, 0], self.of(2, 0))
            self.assertEqual([2, 1, 1, 0], self.of(1, 0, 0, 2))
            self.assertEqual(2, compared.call_count)

    def test_without_the_trial_they_are_compared_again(self) -> None:
        infos = [
            host_cache.CpuInfo(host, 'aarch64')
            for host in (LESSER, filtered.NO_MASKS)
        ]
        for trial, expected in ((True, 1), (False, 0), (True, 1)):
            found = self.reach.of(infos, Options(), trial=trial)
            self.assertEqual(expected, found[0])

    def test_many_records_are_forgotten_together(self) -> None:
        with mock.patch.object(reach, '_MOST', 2):
            self.of(0, 1)
            self.of(2)
            self.assertEqual([self.infos[2]], list(self.reach._known.places))
            # One request may have more.
            self.assertEqual([0, 1, 0], self.of(0, 1, 2))

    def test_several_threads(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: self.of(0, 1, 1), range(64)))
        self.assertEqual([[0, 2, 2]] * 64, found)
