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

"""Audits, from their creation to the end of their action plans.

The commands are those that an operator types. What they have done is read
from Watcher's API.
"""

from __future__ import annotations

import collections
import collections.abc
import pathlib
import time
import typing as ty

from openstack import connection

from demo import terminal

GOALS: ty.Final = {
    'host_maintenance': 'cluster_maintaining',
    'workload_balance': 'workload_balancing',
    'vm_workload_consolidation': 'server_consolidation',
}
"""The goal of each strategy."""

_ENDED = frozenset(('SUCCEEDED', 'FAILED', 'CANCELLED', 'SUPERSEDED'))


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
    """

    kind: str
    what: str
    destination: str
    state: str


class Audits:
    """Creates audits and waits for them.

    :param cloud: a connection of the cloud's administrator
    :param shell: runs Watcher's client; it finds the scopes, which it reads
        from files, in the current directory
    """

    def __init__(
        self,
        cloud: connection.Connection,
        shell: terminal.Terminal,
    ) -> None:
        self._cloud = cloud
        self._shell = shell
        self._number = 0
        self._templates: set[str] = set()

    def run(
        self,
        strategy: str,
        scope: Scope | None = None,
        parameters: collections.abc.Mapping[str, str] | None = None,
        show: bool = False,
    ) -> list[Action]:
        """Make an audit whose action plan starts by itself.

        :param show: print the commands
        :returns: the actions of the plan, when it has ended
        :raises SceneFailed: the audit fails, or the plan does not end
        """
        self._number += 1
        name = f'audit-{self._number}'
        template = self._template(strategy, scope, show)
        settings = ''.join(
            f' --parameter {key}={value}'
            for key, value in (parameters or {}).items()
        )
        self._command(
            f'optimize audit create --audit-template {template}'
            f' --name {name} --auto-trigger{settings}',
            show,
        )
        audit = self._ended(f'/v1/audits/{name}', 'the audit')
        if audit['state'] != 'SUCCEEDED':
            raise terminal.SceneFailed(f'{name} is {audit["state"]}')
        actions: list[Action] = []
        for plan in self._get(f'/v1/action_plans?audit_uuid={audit["uuid"]}')[
            'action_plans'
        ]:
            self._ended(f'/v1/action_plans/{plan["uuid"]}', 'the action plan')
            if show:
                self._command(
                    f'optimize action list --action-plan {plan["uuid"]}'
                    ' -c State -c Action',
                    show,
                )
            actions += [
                action_of(one)
                for one in self._get(
                    f'/v1/actions/detail?action_plan_uuid={plan["uuid"]}'
                )['actions']
            ]
        return actions

    def _template(self, strategy: str, scope: Scope | None, show: bool) -> str:
        """Return the name of the template, which is created once."""
        name = strategy.replace('_', '-')
        option = ''
        if scope is not None:
            name = f'{name}-{scope.key}'
            path = pathlib.Path(f'pool-{scope.key}.yaml')
            path.write_text(scope_file(scope))
            option = f' --scope {path}'
            if show:
                self._shell.say(f'{path}, the scope {scope.name}:')
                self._shell.block(scope_file(scope))
        if name in self._templates:
            return name
        self._command(
            f'optimize audittemplate create {name} {GOALS[strategy]}'
            f' --strategy {strategy}{option}',
            show,
        )
        self._templates.add(name)
        return name

    def _command(self, command: str, show: bool) -> None:
        done = self._shell.openstack(command, show=show)
        if done.status:
            raise terminal.SceneFailed(f'{command}: {done.output}')

    def _get(self, path: str) -> ty.Any:
        return self._cloud.session.get(
            path,
            endpoint_filter={'service_type': 'infra-optim'},
            connect_retries=3,
        ).json()

    def _ended(self, path: str, what: str, timeout: float = 600) -> ty.Any:
        deadline = time.monotonic() + timeout
        while True:
            found = self._get(path)
            if found['state'] in _ENDED:
                return found
            if time.monotonic() > deadline:
                raise terminal.SceneFailed(
                    f'{what} is {found["state"]} after {timeout:g} s'
                )
            time.sleep(2)


def scope_file(scope: Scope) -> str:
    """Return the file with the scope that Watcher's client reads."""
    return f'- compute:\n  - host_aggregates:\n    - id: {scope.key}\n'


def action_of(found: collections.abc.Mapping[str, ty.Any]) -> Action:
    """Return an action from what Watcher's API shows of it."""
    parameters = found['input_parameters']
    return Action(
        found['action_type'],
        parameters.get('resource_name') or '',
        parameters.get('destination_node') or '',
        found['state'],
    )


def states(actions: collections.abc.Iterable[Action]) -> dict[str, int]:
    """Return how many actions ended in each state."""
    return dict(collections.Counter(action.state for action in actions))
