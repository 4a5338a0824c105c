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
"""``openstack arm64 host drain``: the plan, and what --apply does."""

import contextlib
import io
import json
import os
import signal
from typing import Any
from unittest import mock

from keystoneauth1 import exceptions as auth_exceptions
from osc_lib import exceptions

from nova_arm_migrate.osc.drain import DrainHost
from tests.unit.osc import base
from tests.unit.osc import moving_api


class DrainTestCase(base.CommandTestCase):
    #: The standard error of the command; if it is None, ``errors`` has it.
    stderr: io.TextIOWrapper | None = None

    """n1-a is emptied; n1-b has the same record, v1 another core."""

    def setUp(self) -> None:
        super().setUp()
        self.reset()

    def reset(self) -> None:
        """Start with a new cloud."""
        self.cloud = self.api = moving_api.MovingApi()
        self.cloud.hypervisors = [
            base.hypervisor('n1-a', base.N1),
            base.hypervisor('n1-b', base.N1),
            base.hypervisor('v1', base.V1),
        ]
        self.cloud.placement.sizes = {'n1-a': 9, 'n1-b': 9, 'v1': 9}
        for name in ('web', 'db'):
            self.cloud.add(name, 'n1-a')

    def drain(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the command; set ``errors`` and return the code and rows."""
        app = mock.Mock(spec=['client_manager', 'stdout', 'stdin', 'options'])
        app.client_manager.arm64 = self.cloud
        app.client_manager.sdk_connection.placement = self.cloud.placement
        app.stdout = io.StringIO()
        errors = io.StringIO()
        stderr = self.stderr or errors
        one = DrainHost(app, None)
        one.sleep = self.cloud.sleep
        arguments = ('n1-a', *arguments, '-f', 'json')
        with contextlib.redirect_stderr(stderr):
            try:
                code = one.run(one.get_parser('drain').parse_args(arguments))
            except exceptions.CommandError as error:
                code = 1
                print(error, file=errors)
        self.errors = errors.getvalue()
        printed = app.stdout.getvalue()
        return code, json.loads(printed) if printed else []

    def empties(self) -> None:
        """Run until the host is empty: the first run must do it."""
        code, _ = self.drain('--apply')
        self.assertEqual(0, code, self.errors)
        self.assertEqual([], self.cloud.on('n1-a'))
        self.assertIn('n1-a is empty: ', self.errors)


class TestPlan(DrainTestCase):
    def test_each_server_with_its_destination(self) -> None:
        code, rows = self.drain()
        self.assertEqual(0, code)
        self.assertEqual(
            [
                {
                    '#': number,
                    'Server': name,
                    'ID': f'id-{name}',
                    'Status': 'ACTIVE',
                    'Destination': 'n1-b',
                    'Can Go To': ['n1-b'],
                    'Reason': '',
                }
                for number, name in ((1, 'db'), (2, 'web'))
            ],
            rows,
        )
        self.assertIn('n1-a can be emptied: 2 servers', self.log.output)
        self.assertIn('n1-a is enabled: new servers', self.log.output)
        self.assertEqual([], self.cloud.migrations)

    def test_an_empty_host(self) -> None:
        self.cloud.servers = []
        self.cloud.hypervisors[0]['status'] = 'disabled'
        self.assertEqual((0, []), self.drain())
        self.assertIn('n1-a is empty', self.log.output)
        self.assertNotIn('enabled', self.log.output)

    def test_servers_of_other_hosts_are_not_meant(self) -> None:
        """Nova ignores the filter if the user may not see hosts."""
        self.cloud.add('other', 'n1-b')
        self.cloud.page = 1
        _, rows = self.drain()
        self.assertEqual(['db', 'web'], [row['Server'] for row in rows])

    def reasons(self) -> dict[str, str]:
        _, rows = self.drain()
        self.assertIn('n1-a cannot be emptied', self.log.output)
        return {
            row['Server']: row['Reason']
            for row in rows
            if row['#'] is None and row['Destination'] is None
        }

    def test_no_host_accepts_it(self) -> None:
        del self.cloud.hypervisors[1]
        self.assertIn(
            'no host accepts it; nearest is v1: MIDR_EL1',
            self.reasons()['web'],
        )

    def test_what_a_trial_there_settles(self) -> None:
        # The rule alone can't judge ID_AA64MMFR2_EL1.NV; the trial accepts.
        self.cloud.hypervisors = [
            base.hypervisor('n1-a', base.V1_NO_SVE),
            base.hypervisor('new', 'neoverse-v1-no-sve-linux-7.2'),
        ]
        self.cloud.placement.sizes = {'n1-a': 9, 'new': 9}
        _, rows = self.drain()
        self.assertEqual(['new'] * 2, [row['Destination'] for row in rows])

    def test_a_host_without_record(self) -> None:
        del self.cloud.hypervisors[1:]
        self.cloud.hypervisors.append(base.hypervisor('z'))
        self.assertIn('nearest is z: ', self.reasons()['web'])

    def test_no_other_host(self) -> None:
        del self.cloud.hypervisors[1:]
        self.assertEqual('there is no other Arm64 host', self.reasons()['web'])

    def test_what_accepts_it_is_disabled(self) -> None:
        self.cloud.hypervisors[1]['status'] = 'disabled'
        self.assertEqual(
            'the hosts that accept it are down or disabled: n1-b',
            self.reasons()['web'],
        )

    def test_placement_has_no_room(self) -> None:
        self.cloud.placement.sizes['n1-b'] = 0
        self.assertEqual(
            'Placement has no room for it on the hosts that accept it: n1-b',
            self.reasons()['web'],
        )

    def test_placement_has_room_for_one(self) -> None:
        self.cloud.placement.sizes['n1-b'] = 1
        self.assertEqual(
            {'web': 'servers before it in the plan take the room on n1-b'},
            self.reasons(),
        )

    def test_no_allocations(self) -> None:
        self.cloud.placement.odd['/allocations/'] = {'allocations': {}}
        self.assertEqual(
            'Placement has no allocations for it', self.reasons()['web']
        )

    def test_servers_that_do_not_run_or_are_busy(self) -> None:
        self.cloud.servers[0]['status'] = 'SHUTOFF'
        self.cloud.servers[1]['OS-EXT-STS:task_state'] = 're\x1bbooting'
        reasons = self.reasons()
        self.assertIn('it is SHUTOFF: only running', reasons['web'])
        self.assertEqual('it has a task: re?booting', reasons['db'])

    def test_a_server_on_its_way(self) -> None:
        self.cloud.servers[0]['OS-EXT-STS:task_state'] = 'migrating'
        _, rows = self.drain()
        self.assertEqual('it is on its way already', rows[-1]['Reason'])

    def test_what_is_asked_of_placement(self) -> None:
        self.cloud.servers[0]['flavor']['extra_specs'] = {
            'trait:CUSTOM_A': 'required',
            'trait:CUSTOM_B': 'forbidden',
            'hw:pmu': 'true',
        }
        self.drain()
        asked = {
            params['required']
            for params in self.cloud.placement.asked
            if 'required' in params
        }
        self.assertEqual(
            {
                '!COMPUTE_STATUS_DISABLED',
                '!COMPUTE_STATUS_DISABLED,CUSTOM_A,!CUSTOM_B',
            },
            asked,
        )

    def test_bad_answers_of_placement(self) -> None:
        no_number: Any = {'x': {'resources': {'y': 1.5}}}
        no_summary: Any = {
            'allocation_requests': [{'allocations': {'x': 0}}],
            'provider_summaries': {},
        }
        for path, content in (
            ('/allocation_candidates', {}),
            ('/allocation_candidates', 'x'),
            ('/allocation_candidates', no_summary),
            ('/resource_providers', {'resource_providers': [1]}),
            ('/allocations/', {'allocations': no_number}),
        ):
            self.cloud.placement.odd = {path: content}
            self.assertEqual((1, []), self.drain())
            self.assertEqual(
                "Placement's answer cannot be understood\n", self.errors
            )

    def test_placement_refuses(self) -> None:
        self.cloud.placement.refusal = (
            403,
            {'errors': [{'detail': 'placement:allocations:list'}]},
        )
        self.assertEqual((1, []), self.drain())
        self.assertEqual(1, len(self.errors.splitlines()))

    def test_a_host_without_record_cannot_be_judged(self) -> None:
        self.cloud.hypervisors[0]['cpu_info'] = {'arch': 'aarch64'}
        self.assertEqual(1, self.drain()[0])
        self.assertIn('n1-a: ', self.errors)


class TestApply(DrainTestCase):
    def test_all_servers_arrive(self) -> None:
        code, rows = self.drain('--apply')
        self.assertEqual(0, code, self.errors)
        self.assertEqual(['arrived'] * 2, [row['Result'] for row in rows])
        self.assertEqual(['web', 'db'], self.cloud.on('n1-b'))
        self.assertIn('1/2 db (id-db): n1-a -> n1-b: requested', self.errors)
        self.assertIn('2/2 web (id-web): n1-a -> n1-b: running', self.errors)
        self.assertIn('n1-a is empty: 2 servers moved', self.errors)
        posts = [
            (microversion, what['os-migrateLive'])
            for path, microversion, what in self.cloud.asked
            if path.endswith('/action')
        ]
        self.assertEqual(
            [('2.87', {'host': 'n1-b', 'block_migration': 'auto'})] * 2, posts
        )

    def test_nothing_moves_if_one_cannot_leave(self) -> None:
        self.cloud.servers[0]['status'] = 'SHUTOFF'
        code, rows = self.drain('--apply')
        self.assertEqual((1, 2), (code, len(rows)))
        self.assertIn('nothing is moved: n1-a cannot be', self.errors)
        self.assertEqual(['web', 'db'], self.cloud.on('n1-a'))

    def test_partial(self) -> None:
        self.cloud.servers[0]['status'] = 'SHUTOFF'
        code, rows = self.drain('--apply', '--partial')
        self.assertEqual(1, code)
        self.assertEqual(
            ['arrived', 'not moved'], [row['Result'] for row in rows]
        )
        self.assertEqual(['web'], self.cloud.on('n1-a'))
        self.assertIn('1 server still on n1-a, 1 server moved', self.errors)
        self.assertIn('web (it is SHUTOFF', self.errors)

    def stops(self, fate: str) -> str:
        """The first move fails: nothing else is moved."""
        self.cloud.fates['db'] = fate
        code, rows = self.drain('--apply')
        self.assertEqual(1, code)
        self.assertIn('web', self.cloud.on('n1-a'))
        self.assertEqual('not moved', rows[-1]['Result'])
        self.assertEqual([], self.cloud.in_flight())
        return self.errors.splitlines()[-1]

    def test_one_that_comes_back(self) -> None:
        self.assertEqual(
            'db (id-db) did not arrive on n1-b: it is ACTIVE on n1-a: no ?SVE',
            self.stops('back'),
        )

    def test_a_reason_that_only_administrators_see(self) -> None:
        del self.cloud.action['events']
        self.assertIn('it is ACTIVE on n1-a: Error', self.stops('back'))

    def test_the_reason_of_an_older_move_is_not_told(self) -> None:
        self.stops('back')
        self.assertNotIn('SVE', self.stops('lost request'))

    def test_the_fault_of_a_server_is_the_last_resort(self) -> None:
        self.cloud.action = {}
        self.cloud.servers[1]['fault'] = {'message': 'out of luck'}
        self.assertIn('it is ERROR on n1-a: out of', self.stops('error'))

    def test_one_in_error(self) -> None:
        self.assertIn('it is ERROR on n1-a: no', self.stops('error'))

    def test_one_that_nova_refuses(self) -> None:
        self.assertEqual(
            'db (id-db) did not arrive on n1-b: locked', self.stops('refused')
        )

    def test_a_request_that_was_lost(self) -> None:
        self.assertIn('gateway timeout', self.stops('lost request'))

    def test_an_answer_that_was_lost(self) -> None:
        self.cloud.fates['db'] = 'lost answer'
        self.empties()

    def test_one_that_is_deleted_meanwhile(self) -> None:
        self.cloud.fates['db'] = 'deleted'
        code, rows = self.drain('--apply')
        self.assertEqual((0, 'deleted'), (code, rows[0]['Result']))

    def test_new_servers_are_moved_too(self) -> None:
        def add(number: int) -> None:
            if number == 0:
                self.cloud.add('late', 'n1-a')

        self.cloud.before_sleep = add
        self.empties()
        self.assertIn('late', self.cloud.on('n1-b'))

    def test_placement_is_asked_before_each_move(self) -> None:
        def take(number: int) -> None:
            if number == 0:
                self.cloud.placement.sizes['n1-b'] = 1

        self.cloud.before_sleep = take
        code, rows = self.drain('--apply')
        self.assertEqual(1, code)
        self.assertIn('Placement has no room', rows[-1]['Reason'])
        self.assertIn('1 server still on n1-a', self.errors)

    def test_the_api_does_not_answer_for_long(self) -> None:
        def fail(number: int) -> None:
            self.cloud.failing = number >= 1

        self.cloud.before_sleep = fail
        code, rows = self.drain('--apply')
        self.assertEqual((1, 'in flight'), (code, rows[0]['Result']))
        self.assertIn(
            'db (id-db) is in flight from n1-a to n1-b (busy); run the',
            self.errors,
        )
        self.reset_failures()
        self.empties()

    def reset_failures(self) -> None:
        self.cloud.failing = False
        self.cloud.before_sleep = lambda number: None
        self.cloud.before_step = lambda number: None

    def steps(self) -> int:
        """Return how many requests a run makes that empties the host."""
        self.empties()
        return self.cloud.steps

    def test_a_failure_at_each_step(self) -> None:
        """The run is told what is in flight; the next one resumes."""
        for step in range(self.steps()):
            self.reset()

            def fail(number: int) -> None:
                if number == step:
                    raise auth_exceptions.ConnectFailure('unplugged')

            self.cloud.before_step = fail
            code, _ = self.drain('--apply')
            with self.subTest(step=step, errors=self.errors):
                if code:
                    self.assertEqual(1, code)
                    self.assertIn('unplugged', self.errors)
                self.assertEqual([], self.cloud.in_flight())
                self.reset_failures()
                self.empties()


class TestInterrupt(DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        # A shell lets its jobs in the background ignore the signal.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)

    def test_at_each_step(self) -> None:
        self.empties()
        for step in range(self.cloud.steps):
            self.reset()

            def interrupt(number: int) -> None:
                if number == step:
                    signal.raise_signal(signal.SIGINT)

            self.cloud.before_step = interrupt
            # The first requests are made before anything moves.
            try:
                code, _ = self.drain('--apply')
            except KeyboardInterrupt:
                code = 130
            with self.subTest(step=step, errors=self.errors):
                self.assertEqual([], self.cloud.in_flight())
                if self.cloud.on('n1-a'):
                    self.assertEqual(130, code)
                self.cloud.before_step = lambda number: None
                self.empties()

    def test_the_one_in_flight_arrives(self) -> None:
        def interrupt(number: int) -> None:
            if number == 0:
                signal.raise_signal(signal.SIGINT)

        self.cloud.before_sleep = interrupt
        code, rows = self.drain('--apply')
        self.assertEqual(130, code)
        self.assertEqual(
            ['arrived', 'not moved'], [row['Result'] for row in rows]
        )
        self.assertIn('interrupted: stops after the server', self.errors)
        self.assertIn('1 server still on n1-a, 1 server moved', self.errors)
        self.assertIs(
            signal.default_int_handler, signal.getsignal(signal.SIGINT)
        )

    def test_amid_a_line_of_progress(self) -> None:
        class Terminal(io.RawIOBase):
            def __init__(self) -> None:
                self.written = b''

            def writable(self) -> bool:
                return True

            def write(self, data: Any) -> int:
                self.written += bytes(data)
                if self.written.endswith(b'requested\n'):
                    signal.raise_signal(signal.SIGINT)
                return len(data)

        terminal = Terminal()
        self.stderr = io.TextIOWrapper(io.BufferedWriter(terminal))
        with mock.patch.object(os, 'write', autospec=True) as write:
            code, rows = self.drain('--apply')
        self.assertEqual(130, code)
        self.assertEqual(
            ['arrived', 'not moved'], [row['Result'] for row in rows]
        )
        self.assertTrue(
            write.call_args.args[1].startswith(b'interrupted: stops after')
        )
        self.assertIn(b'1 server still on n1-a', terminal.written)

    def test_twice_says_what_is_in_flight(self) -> None:
        def interrupt(number: int) -> None:
            if number == 1:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

        self.cloud.before_sleep = interrupt
        code, rows = self.drain('--apply')
        self.assertEqual((130, 'in flight'), (code, rows[0]['Result']))
        self.assertEqual(['db'], self.cloud.in_flight())
        self.assertIn(
            'db (id-db) is in flight from n1-a to n1-b (running); run the'
            ' command again',
            self.errors,
        )
        self.cloud.before_sleep = lambda number: None
        self.empties()
        self.assertIn('db (id-db): n1-a -> ?: already on its', self.errors)
        self.assertEqual(2, len(self.cloud.migrations))

    def test_twice_during_the_request(self) -> None:
        post = self.cloud.post

        def interrupted(*arguments: Any, **options: Any) -> Any:
            post(*arguments, **options)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

        self.cloud.post = interrupted
        code, _ = self.drain('--apply')
        self.assertEqual(130, code)
        self.assertIn('Nova may have it', self.errors)
        self.cloud.post = post
        self.empties()

    def test_twice_between_two_moves(self) -> None:
        def interrupt(number: int) -> None:
            if self.cloud.on('n1-b') and not self.cloud.in_flight():
                signal.raise_signal(signal.SIGINT)

        self.cloud.before_step = interrupt
        code, _ = self.drain('--apply')
        self.assertEqual(130, code)
        self.assertEqual([], self.cloud.in_flight())
        self.cloud.before_step = lambda number: None
        self.empties()
