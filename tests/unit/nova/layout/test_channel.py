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

import base64
import zlib

from nova import objects

from nova_arm_migrate.nova.layout import channel
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.errors import DomainXmlError
from tests.unit.nova.layout.base import NumaTestCase
from tests.unit.numa import domains


class TestChannel(NumaTestCase):
    def test_entries_beside_those_of_nova(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        self.assertIsNone(channel.take(data, channel.ASK))
        self.assertNotIn('old_vol_attachment_ids', data)
        data.old_vol_attachment_ids = {'volume': 'attachment'}
        channel.put(data, channel.LAYOUT, 'text')
        self.assertIsNone(channel.take(data, channel.ASK))
        self.assertEqual('text', channel.take(data, channel.LAYOUT))
        self.assertEqual({'volume': 'attachment'}, data.old_vol_attachment_ids)

    def test_over_rpc_by_a_compute_that_does_not_know_of_it(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        channel.put(data, channel.LAYOUT, 'text')
        for version in (data.VERSION, '1.10', '1.4'):
            there = objects.LibvirtLiveMigrateData.obj_from_primitive(
                data.obj_to_primitive(target_version=version)
            )
            self.assertEqual('text', channel.take(there, channel.LAYOUT))

    def test_domains(self) -> None:
        xml = domains.read('eight-cells')
        packed = channel.pack(xml)
        self.assertEqual(xml, channel.unpack(packed))
        self.assertLess(len(packed), len(xml) / 4)

    def test_damaged_domains(self) -> None:
        bomb = base64.b64encode(zlib.compress(bytes(parse.LIMIT + 1))).decode()
        good = channel.pack(domains.read('floating'))
        for text in (
            '',
            'x',
            '\xff',
            bomb,
            good[:-8],
            base64.b64encode(b'plain').decode(),
            base64.b64encode(zlib.compress(b'\xff')).decode(),
        ):
            with self.subTest(text[:8]), self.assertRaises(DomainXmlError):
                channel.unpack(text)
