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

from unittest import mock

from lxml import etree

from nova_arm_migrate.nova.layout import guest_with_layout
from nova_arm_migrate.numa.errors import AbiError
from tests.present import present
from tests.unit.nova.layout.base import LAYOUT
from tests.unit.nova.layout.base import NumaTestCase
from tests.unit.numa import domains


class TestGuestWithLayout(NumaTestCase):
    def test_a_guest_that_would_see_a_difference(self) -> None:
        xml = domains.read('one-cell-pinned')
        guest = mock.Mock()
        guest.get_xml_desc.return_value = xml
        leaving = guest_with_layout.GuestWithLayout(guest, LAYOUT)
        self.assertIs(guest.is_active, leaving.is_active)
        with self.assertRaises(AbiError):
            leaving.migrate(
                'uri',
                destination_xml=xml.replace(
                    "<gic version='3'/>", "<gic version='2'/>"
                ),
            )
        guest.migrate.assert_not_called()
        leaving.migrate('uri', destination_xml=xml, flags=3)
        (call,) = guest.migrate.call_args_list
        self.assertIn(
            '<vcpupin vcpu="0" cpuset="8"/>', call.kwargs['destination_xml']
        )
        self.assertEqual(3, call.kwargs['flags'])
        leaving.migrate('uri')
        self.assertEqual({}, guest.migrate.call_args.kwargs)

    def test_nova_33_finds_the_pin_of_an_iothread_that_it_expects(
        self,
    ) -> None:
        """As its _update_numa_xml reads it, which other releases do not."""
        guest = mock.Mock()
        guest.get_xml_desc.return_value = domains.read('one-cell-pinned')
        self.assertNotIn('iothreadpin', guest.get_xml_desc())
        leaving = guest_with_layout.GuestWithLayout(guest, LAYOUT)
        domain = etree.fromstring(leaving.get_xml_desc())
        present(domain.find('./cputune/iothreadpin')).set('cpuset', '3')
        leaving.migrate(
            'uri', destination_xml=etree.tostring(domain, encoding='unicode')
        )
        self.assertNotIn(
            'iothreadpin', guest.migrate.call_args.kwargs['destination_xml']
        )
