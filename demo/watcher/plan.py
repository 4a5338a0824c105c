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

"""Audits and action plans: what the demo and the lab's cloud share."""

from __future__ import annotations

import collections
import collections.abc
import typing as ty

GOALS: ty.Final = {
    'host_maintenance': 'cluster_maintaining',
    'workload_balance': 'workload_balancing',
    'vm_workload_consolidation': 'server_consolidation',
}
"""The goal of each strategy."""

#: The states in which an audit or an action plan has ended.
ENDED: ty.Final = frozenset(('SUCCEEDED', 'FAILED', 'CANCELLED', 'SUPERSEDED'))


class Scope(ty.NamedTuple):
    """The host aggregate to which an audit is limited.

    :ivar key: its ID, which it keeps when the pool changes
    """

    key: int
    name: str


class Action(ty.NamedTuple):
    """One action of a plan.

    :ivar kind: ``migrate`` or ``change_nova_service_state``
    :ivar what: the guest or the host
    :ivar destination: empty if the scheduler chooses it
    :ivar state: ``SUCCEEDED``, ``FAILED``, ``SKIPPED``
    :ivar why: Watcher's message, empty if there is none
    """

    kind: str
    what: str
    destination: str
    state: str
    why: str = ''


def scope_file(scope: Scope) -> str:
    """Return the file with the scope that Watcher's client reads."""
    return f'- compute:\n  - host_aggregates:\n    - id: {scope.key}\n'


def action_of(
    kind: str,
    parameters: collections.abc.Mapping[str, ty.Any],
    state: str,
    why: str | None,
) -> Action:
    """Return an action from what Watcher's API shows of it.

    :param parameters: those that it was planned with
    """
    return Action(
        kind,
        parameters.get('resource_name') or '',
        parameters.get('destination_node') or '',
        state,
        why or '',
    )


def states(actions: collections.abc.Iterable[Action]) -> dict[str, int]:
    """Return how many actions ended in each state."""
    return dict(collections.Counter(action.state for action in actions))


def lines(
    actions: collections.abc.Iterable[Action],
    places: collections.abc.Mapping[str, str],
) -> str:
    """Return a line for each action, as people read it.

    :param places: the host of each guest, by its name
    """
    return '\n'.join(
        f'{one.kind:25} {one.what:10} {one.state:10}'
        f' {places.get(one.what, "")}'.rstrip()
        for one in actions
    )
