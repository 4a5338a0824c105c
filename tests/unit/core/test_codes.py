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

from nova_arm_migrate.core import codes


class TestCodes(unittest.TestCase):
    def test_runs(self) -> None:
        self.assertEqual([(1, 3), (7, 7)], codes.runs([7, 3, 1, 2]))
        self.assertEqual([], codes.runs([]))

    def test_as_text(self) -> None:
        some = frozenset({1, 2, 3, 7, 0x140000})
        self.assertEqual('1+2 7 140000', codes.dump_codes(some))
        self.assertEqual(some, codes.load_codes('x', '1+2 7 140000'))
