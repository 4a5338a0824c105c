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

"""How the source learns that the destination has judged the guest.

The destination asks the source last, by a call from compute to compute that
carries only what Nova's LibvirtLiveMigrateData declares, and that does not
say who asks. ``supported_perf_events`` is declared, not used before the
guest's XML is regenerated, and by then overwritten by the destination
(``LibvirtDriver.pre_live_migration``): until then it holds our mark, which a
compute without the extension neither sets nor looks at.
"""

from typing import Any

_MARK = 'arm_migrate'


def mark(migrate_data: Any) -> None:
    """Say that the sender has the extension."""
    migrate_data.supported_perf_events = [_MARK]


def is_marked(migrate_data: Any) -> bool:
    """Whether the sender has the extension."""
    return (
        'supported_perf_events' in migrate_data
        and _MARK in migrate_data.supported_perf_events
    )
