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

"""The filter on the hosts of real migrations: the truth table's column."""

from nova_arm_migrate.core import vcpu
from tests.lab import oracle
from tests.lab import table
from tests.unit.lab import test_replay
from tests.unit.nova.scheduler import test_arm_filter as base


class TestTruth(base.FilterTestCase):
    """Guests as Nova starts them by default: with SVE lengths pinned."""

    def test_the_filter_does_what_the_table_says(self) -> None:
        rows = table.read(test_replay.TABLE)
        self.assertGreater(len(rows), 200)
        for row in rows:
            source, _, via = row.source.partition(' via ')
            one, first = test_replay.host_of(source)
            off = {name for name, on in one.feature_states.items() if not on}
            guest = vcpu.guest_started_on(
                first,
                gic=one.guest_gic,
                memory=oracle.memory(one),
                disabled=frozenset(off) | {*vcpu.longer_vectors(first)},
            )
            leaves = test_replay.host_of(via)[1] if via else first
            _, host = test_replay.host_of(row.destination)
            self.db = base.Database(leaves, guest)
            passed = self.names(base.states(there=host))
            with self.subTest(f'{row.source} -> {row.destination}'):
                self.assertEqual(
                    row.scheduler, table.PASSES if passed else table.DROPS
                )
                if row.outcome == table.HEALTHY:
                    self.assertTrue(passed)
