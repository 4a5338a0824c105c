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

import unittest

from demo.watcher import table


class TestTable(unittest.TestCase):
    def test_columns_are_aligned(self) -> None:
        lines = table.render(
            [
                table.Row('workload_balance', 'stock', 12, 3, 9, 0, 9),
                table.Row('short', 'ours', 2, 2, 0, 0, 0),
            ]
        ).splitlines()
        rule = lines[0]
        self.assertEqual([rule, rule], [lines[2], lines[-1]])
        self.assertEqual(
            ['Strategy', 'Planned'],
            [lines[1][:16].strip(), lines[1][33:40].strip()],
        )
        self.assertEqual(
            ['workload_balance', 'stock', '12', '3', '9', '0', '9'],
            lines[3].split(),
        )
        self.assertEqual('short             ours ', lines[4][:23])
        self.assertEqual({len(rule)}, {len(line) for line in lines})
