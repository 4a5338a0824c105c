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
"""``openstack arm64 pool sync``: aggregates that follow the pools."""

import io
import json
from typing import Any
from unittest import mock

import hypothesis
from hypothesis import strategies as st
from osc_lib import exceptions
import requests
import testtools

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.osc import aggregates
from nova_arm_migrate.osc.aggregates import Aggregate
from nova_arm_migrate.osc.pool_sync import SyncPool
from tests.unit.osc import base


class Aggregates(base.Api):
    """Nova's aggregates; names are unique, a deleted one has no hosts.

    :ivar failing: the number of the change that the API refuses
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, dict[str, Any]] = {}
        self.failing: int | None = None
        self.changes = 0
        self.odd: Any = None

    def add(self, name: str, *hosts: str, **metadata: str) -> int:
        key = len(self.found) + 1
        self.found[key] = {
            'id': key,
            'name': name,
            'hosts': list(hosts),
            'metadata': metadata,
        }
        return key

    def get(
        self, path: str, params: dict[str, str], microversion: str
    ) -> requests.Response:
        if path == '/os-aggregates':
            found = [one for one in self.found.values() if one]
            return base.answer(
                {'aggregates': found} if self.odd is None else self.odd
            )
        return super().get(path, params, microversion)

    def _change(self) -> requests.Response | None:
        self.changes += 1
        if self.changes - 1 == self.failing:
            return base.answer({'error': {'message': 'busy'}}, 503)
        return None

    def post(
        self, path: str, json: dict[str, Any], microversion: str
    ) -> requests.Response:
        if (refused := self._change()) is not None:
            return refused
        if path == '/os-aggregates':
            key = self.add(json['aggregate']['name'])
            return base.answer({'aggregate': {'id': key}})
        one = self.found[int(path.split('/')[2])]
        match json:
            case {'add_host': {'host': host}}:
                assert host not in one['hosts']
                one['hosts'].append(host)
            case {'remove_host': {'host': host}}:
                one['hosts'].remove(host)
            case {'set_metadata': {'metadata': metadata}}:
                one['metadata'] |= metadata
        return base.answer({})

    def put(
        self, path: str, json: dict[str, Any], microversion: str
    ) -> requests.Response:
        if (refused := self._change()) is not None:
            return refused
        name = json['aggregate']['name']
        assert name not in self.names()
        self.found[int(path.split('/')[2])]['name'] = name
        return base.answer({})

    def delete(self, path: str, microversion: str) -> requests.Response:
        if (refused := self._change()) is not None:
            return refused
        key = int(path.split('/')[2])
        assert not self.found[key]['hosts']
        self.found[key] = {}
        return base.answer({})

    def names(self) -> dict[str, set[str]]:
        """Return the hosts of each aggregate by its name."""
        return {
            one['name']: set(one['hosts'])
            for one in self.found.values()
            if one
        }


_HOSTS = st.frozensets(st.sampled_from('abcdef'))


@st.composite
def clouds(
    draw: st.DrawFn,
) -> tuple[dict[str, frozenset[str]], list[Aggregate]]:
    """Wanted aggregates, each host in one at most; and any that exist."""
    place = draw(st.lists(st.integers(0, 3), min_size=6, max_size=6))
    wanted = {
        f'p{number}': frozenset(
            host for host, where in zip('abcdef', place) if where == number
        )
        for number in (1, 2, 3)
        if number in place
    }
    existing = []
    some = st.sampled_from(['p1', 'p2', 'q', 'r'])
    names = draw(st.lists(some, unique=True))
    for key, name in enumerate(names):
        ours = draw(st.booleans())
        hosts = draw(_HOSTS)
        if not ours and name in wanted:
            hosts = frozenset()
        existing.append(
            Aggregate(key, name, hosts, ours, not ours and not hosts)
        )
    return wanted, existing


class TestChanges(testtools.TestCase):
    @hypothesis.given(clouds())
    def test_the_changes_make_what_is_wanted(
        self, given: tuple[dict[str, frozenset[str]], list[Aggregate]]
    ) -> None:
        wanted, existing = given
        cloud = Aggregates()
        for one in existing:
            cloud.add(
                one.name,
                *one.hosts,
                **({'arm64_pool': 'nova-arm-migrate'} if one.ours else {}),
            )
        others = {
            one.name: set(one.hosts)
            for one in existing
            if not one.ours and one.name not in wanted
        }
        api = aggregates.Aggregates(cloud)
        for step in aggregates.changes(wanted, api.all()):
            api.apply(step)
        self.assertEqual(
            {name: set(hosts) for name, hosts in wanted.items()} | others,
            cloud.names(),
        )
        self.assertEqual([], aggregates.changes(wanted, api.all()))

    def test_others_are_not_touched(self) -> None:
        other = Aggregate(1, 'p', frozenset('a'), ours=False)
        error = self.assertRaises(
            CommandError,
            aggregates.changes,
            {'p': frozenset('a')},
            [other],
        )
        self.assertIn('the aggregate p exists and has no', str(error))


class TestSync(base.CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cloud = self.api = Aggregates()
        self.cloud.hypervisors = [
            base.hypervisor('n1-a', base.N1),
            base.hypervisor('n1-b', base.N1),
            base.hypervisor('v1', base.V1),
            base.hypervisor('unknown'),
        ]
        self.cloud.add('racks', 'n1-a', 'unknown')

    def ours(self) -> dict[str, set[str]]:
        found = self.cloud.names()
        self.assertEqual({'n1-a', 'unknown'}, found.pop('racks'))
        return found

    def test_an_aggregate_for_each_pool(self) -> None:
        rows = self.json(SyncPool)
        self.assertEqual(
            ['add host', 'create', 'mark'],
            sorted({row['Change'] for row in rows}),
        )
        n1, v1 = sorted(self.ours())
        self.assertRegex(n1, '^arm64-neoverse-n1-r[0-9]p[0-9]-[0-9a-f]{8}$')
        self.assertEqual(
            [{'n1-a', 'n1-b'}, {'v1'}],
            [self.ours()[n1], self.ours()[v1]],
        )
        self.assertEqual([], self.json(SyncPool))
        self.assertIn('nothing to change', self.log.output)

    def test_a_dry_run_changes_nothing(self) -> None:
        planned = self.json(SyncPool, '--dry-run')
        self.assertEqual({}, self.ours())
        self.assertEqual(planned, self.json(SyncPool))

    def test_a_pool_that_changes_keeps_its_aggregate(self) -> None:
        self.json(SyncPool)
        before = {name: key for key, name in self.keys()}
        for row in self.cloud.hypervisors[:2]:
            row['cpu_info'] = {
                'arm_migrate': json.loads(self.changed(base.N1, cntfrq=7))
            }
        self.json(SyncPool)
        self.assertEqual(
            sorted(before.values()), sorted(key for key, _ in self.keys())
        )

    def keys(self) -> list[tuple[int, str]]:
        return [
            (one['id'], one['name'])
            for one in self.cloud.found.values()
            if one
        ]

    def test_a_host_without_record_leaves(self) -> None:
        self.json(SyncPool)
        self.cloud.hypervisors[1]['cpu_info'] = {'arch': 'aarch64'}
        (row,) = self.json(SyncPool)
        self.assertEqual(('remove host', 'n1-b'), (row['Change'], row['What']))

    def test_a_failure_at_each_change(self) -> None:
        self.json(SyncPool)
        wanted = self.ours()
        for step in range(self.cloud.changes):
            self.cloud.found.clear()
            self.cloud.add('racks', 'n1-a', 'unknown')
            self.cloud.changes, self.cloud.failing = 0, step
            line = self.refused(SyncPool)
            self.assertIn(f'busy; {step} of', line)
            self.cloud.failing = None
            self.json(SyncPool)
            self.assertEqual(wanted, self.ours())

    def test_what_was_changed_is_printed_before_an_error(self) -> None:
        self.cloud.failing = 2
        app = mock.Mock(spec=['client_manager', 'stdout', 'stdin', 'options'])
        app.client_manager.arm64 = self.cloud
        app.stdout = io.StringIO()
        one = SyncPool(app, None)
        self.assertRaises(
            exceptions.CommandError,
            one.run,
            one.get_parser('sync').parse_args(['-f', 'json']),
        )
        self.assertEqual(2, len(json.loads(app.stdout.getvalue())))

    def test_a_bad_answer(self) -> None:
        several: list[Any] = [{}, [], {'aggregates': [{}]}]
        for odd in (*several, {'aggregates': 'x'}):
            self.cloud.odd = odd
            self.assertIn('cannot be understood', self.refused(SyncPool))
