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

"""What does not match the guest's place after a live migration."""

from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
from typing import Any

from nova_arm_migrate.nova import events
from nova_arm_migrate.nova.monitoring.metrics import Metrics


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not match the guest's place.

    :ivar part: the part of the migration, as in the name of an event
    :ivar text: a sentence for the server's events
    :ivar fatal: the server must not become ACTIVE
    """

    part: str
    text: str
    fatal: bool = True


def fatal(problems: Iterable[Problem]) -> str:
    """Return the problems that keep the server from becoming ACTIVE.

    :returns: empty if there are none
    """
    return '; '.join(problem.text for problem in problems if problem.fatal)


def tell(context: Any, instance: Any, problems: Iterable[Problem]) -> None:
    """Add one event for each part: Nova allows a name only once."""
    texts: dict[str, list[str]] = {}
    for problem in problems:
        texts.setdefault(problem.part, []).append(problem.text)
    for part, lines in texts.items():
        events.failed(context, instance, part, '; '.join(lines))


def note(metrics: Metrics, guest: str, problems: Collection[Problem]) -> None:
    """Count a migration and what could not be corrected after it.

    :param guest: where it is: ``left``, ``stayed`` or ``unknown``
    """
    metrics.migrated(guest, not fatal(problems))
    for problem in problems:
        metrics.problem(problem.part)
