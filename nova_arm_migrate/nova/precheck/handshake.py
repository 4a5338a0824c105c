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

"""A mark that tells the source that the destination has judged the guest.

After its own checks the destination calls the source. The call carries only
the fields that Nova's LibvirtLiveMigrateData declares, and does not name the
caller. The field ``supported_perf_events`` holds our mark. Nova declares it,
first reads it when it regenerates the guest's XML, and by then the
destination has overwritten it (``LibvirtDriver.pre_live_migration``). A
compute without the extension neither sets nor reads the mark.
"""

from typing import Any

_MARK = 'arm_migrate'


def mark(migrate_data: Any) -> None:
    """Mark the data: its sender has the extension."""
    migrate_data.supported_perf_events = [_MARK]


def is_marked(migrate_data: Any) -> bool:
    """Whether the sender has the extension."""
    return (
        'supported_perf_events' in migrate_data
        and _MARK in migrate_data.supported_perf_events
    )
