# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


import unittest

from demo.watcher import plan

MIGRATION = plan.action_of(
    'migrate',
    {
        'resource_name': 'web',
        'destination_node': 'n1-b',
        'source_node': 'n1-a',
    },
    'FAILED',
    'refused',
)
DISABLED = plan.action_of(
    'change_nova_service_state', {'resource_name': 'n1-a'}, 'SUCCEEDED', None
)


class TestPlan(unittest.TestCase):
    def test_the_scope_is_one_aggregate(self) -> None:
        self.assertEqual(
            """\
- compute:
  - host_aggregates:
    - id: 3
""",
            plan.scope_file(plan.Scope(3, 'arm64-n1')),
        )

    def test_an_action_with_and_without_a_destination(self) -> None:
        self.assertEqual(
            ('migrate', 'web', 'n1-b', 'FAILED', 'refused'), MIGRATION
        )
        self.assertEqual(('', ''), (DISABLED.destination, DISABLED.why))

    def test_states_are_counted(self) -> None:
        self.assertEqual(
            {'FAILED': 2, 'SUCCEEDED': 1},
            plan.states([MIGRATION, DISABLED, MIGRATION]),
        )

    def test_a_line_names_the_place_of_a_guest(self) -> None:
        self.assertEqual(
            'migrate                   web        FAILED     n1-a\n'
            'change_nova_service_state n1-a       SUCCEEDED',
            plan.lines([MIGRATION, DISABLED], {'web': 'n1-a'}),
        )
