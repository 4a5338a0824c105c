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

"""The mark by which a source knows that its destination judges."""

import unittest

from nova import objects

from nova_arm_migrate.nova.precheck import handshake

objects.register_all()


class TestMark(unittest.TestCase):
    def test_it_travels_as_nova_sends_it(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        self.assertFalse(handshake.is_marked(data))
        handshake.mark(data)
        arrived = objects.LibvirtLiveMigrateData.obj_from_primitive(
            data.obj_to_primitive()
        )
        self.assertTrue(handshake.is_marked(arrived))

    def test_events_of_a_stock_destination_are_no_mark(self) -> None:
        data = objects.LibvirtLiveMigrateData(
            supported_perf_events=['cmt', 'mbml']
        )
        self.assertFalse(handshake.is_marked(data))
