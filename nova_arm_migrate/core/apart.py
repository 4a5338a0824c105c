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

"""The fewest fields that keep two pools apart.

A guest moves if the comparison finds nothing that blocks it. All findings of a
comparison must therefore go before it moves: for two profiles, the fewest
fields are all of them. A pool has several profiles. If guests can move between
one profile of each, the pools are connected, so the pair with the fewest
fields counts.
"""

import itertools

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.pools import Pool
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Severity

#: Profiles of a pool that are compared. The profiles of one pool accept each
#: other's guests, so other pools differ from all of them in about the same
#: fields, and the first ones are enough.
MOST_PROFILES = 4


def apart(
    start: Pool, end: Pool, options: Options = Options()
) -> tuple[Finding, ...]:
    """Return the fewest findings that keep a pool's guests from another pool.

    :param start: where guests are started
    :param end: where they are to move
    :param options: those that the fleet was partitioned with
    :return: one finding for each field; empty if guests can move
    """
    return min(
        (
            _preventing(guest_started_on(source.host), there.host, options)
            for source, there in itertools.product(
                start.profiles[:MOST_PROFILES], end.profiles[:MOST_PROFILES]
            )
        ),
        key=len,
    )


def _preventing(
    guest: Guest, host: Host, options: Options
) -> tuple[Finding, ...]:
    """Return a finding for each field that prevents the move."""
    preventing = {Severity.BLOCKS, Severity.UNKNOWN}
    if options.hazards_block:
        preventing.add(Severity.HAZARD)
    found: dict[str, Finding] = {}
    for finding in compare(guest, host, options).findings:
        if finding.severity in preventing:
            found.setdefault(finding.name, finding)
    return tuple(found.values())
