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

import collections.abc
import pathlib
import time
import typing as ty

from openstack import connection

from demo import terminal
from demo.watcher import plan


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
        scope: plan.Scope | None = None,
        parameters: collections.abc.Mapping[str, str] | None = None,
        show: bool = False,
    ) -> list[plan.Action]:
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
        actions: list[plan.Action] = []
        for one in self._get(f'/v1/action_plans?audit_uuid={audit["uuid"]}')[
            'action_plans'
        ]:
            self._ended(f'/v1/action_plans/{one["uuid"]}', 'the action plan')
            if show:
                self._command(
                    f'optimize action list --action-plan {one["uuid"]}'
                    ' -c State -c Action',
                    show,
                )
            actions += [
                plan.action_of(
                    action['action_type'],
                    action['input_parameters'],
                    action['state'],
                    action.get('status_message'),
                )
                for action in self._get(
                    f'/v1/actions/detail?action_plan_uuid={one["uuid"]}'
                )['actions']
            ]
        return actions

    def _template(
        self, strategy: str, scope: plan.Scope | None, show: bool
    ) -> str:
        """Return the name of the template, which is created once."""
        name = strategy.replace('_', '-')
        option = ''
        if scope is not None:
            name = f'{name}-{scope.key}'
            path = pathlib.Path(f'pool-{scope.key}.yaml')
            path.write_text(plan.scope_file(scope))
            option = f' --scope {path}'
            if show:
                self._shell.say(f'{path}, the scope {scope.name}:')
                self._shell.block(plan.scope_file(scope))
        if name in self._templates:
            return name
        self._command(
            f'optimize audittemplate create {name} {plan.GOALS[strategy]}'
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
            if found['state'] in plan.ENDED:
                return found
            if time.monotonic() > deadline:
                raise terminal.SceneFailed(
                    f'{what} is {found["state"]} after {timeout:g} s'
                )
            time.sleep(2)
