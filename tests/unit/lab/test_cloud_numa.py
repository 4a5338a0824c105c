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

"""What the NUMA run reads off a host and off Nova's database."""

import json
import unittest

from tests.lab.cloud import numa

PROC = """\
T qemu-system-aar 0-3
T CPU_0/KVM 2
T CPU_1/KVM 3
ffff0000 bind=static:2 file=/dev/hugepages/x huge dirty=128 N2=128 \
kernelpagesize_kB=2048
ffff1000 bind=static:3 file=/dev/hugepages/y huge dirty=128 N3=128 \
kernelpagesize_kB=2048
"""


class TestNuma(unittest.TestCase):

    def test_what_the_kernel_has(self):
        self.assertEqual(({0: '2', 1: '3'}, {2, 3}, {2048}), numa.live(PROC))
        self.assertEqual(({}, set(), set()), numa.live(''))

    def test_what_nova_has(self):
        cells = [
            {'nova_object.data': {'id': 2, 'cpu_pinning_raw': {'0': 2}}},
            {'nova_object.data': {'id': 3, 'cpu_pinning_raw': None}},
        ]
        self.assertEqual(
            ({0: '2'}, {2, 3}),
            numa.claimed(json.dumps({'nova_object.data': {'cells': cells}})),
        )
