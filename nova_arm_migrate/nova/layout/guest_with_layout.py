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

"""The guest that leaves this host with the destination's layout."""

from typing import Any

from lxml import etree

from nova_arm_migrate.numa import abi
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.regenerate import regenerate
from nova_arm_migrate.numa.regenerate import regenerated


class GuestWithLayout:
    """A guest whose XML for a migration has the destination's layout.

    Nova's rewriting expects that the XML has all the elements that it
    changes, so it gets XML that has them. Its result is then rewritten once
    more, because Nova sets ``vcpusched`` with one policy only, and a shared
    set on a pinned guest.

    :param guest: ``nova.virt.libvirt.guest.Guest``
    """

    def __init__(self, guest: Any, layout: Layout) -> None:
        self._guest = guest
        self._layout = layout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guest, name)

    def get_xml_desc(self, *args: Any, **kwargs: Any) -> str:
        """Return the domain XML for the destination.

        :raises NumaError: if the layout does not fit the guest
        """
        domain = regenerated(
            parse.parse_domain(self._guest.get_xml_desc(*args, **kwargs)),
            self._layout,
        )
        # Nova 33.0 also expects this element (bug 2152697). A guest that
        # started before 33 does not have it. `migrate` removes it again.
        tune = domain.find('cputune')
        if tune is not None and tune.find('iothreadpin') is None:
            etree.SubElement(tune, 'iothreadpin')
        return parse.text_of(domain)

    def migrate(self, destination: str, **kwargs: Any) -> Any:
        """Migrate with the layout's XML; nothing else in the XML changes.

        :raises NumaError: if the layout does not fit the guest, or the guest
            would see a difference
        """
        xml = kwargs.get('destination_xml')
        if xml:
            before = self._guest.get_xml_desc(dump_migratable=True)
            kwargs['destination_xml'] = regenerate(xml, self._layout)
            abi.check(
                parse.parse_domain(before),
                parse.parse_domain(kwargs['destination_xml']),
            )
        return self._guest.migrate(destination, **kwargs)
