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

"""The strategies and configurations that are tried."""

from __future__ import annotations

import collections.abc
import types
import typing as ty

from openstack import connection

from demo import settings
from demo import terminal
from demo.watcher import audits
from demo.watcher import fleet as demo_fleet
from demo.watcher import plan
from demo.watcher import process
from demo.watcher import table
from nova_arm_migrate.osc import aggregates


class Configuration(ty.NamedTuple):
    """How the cloud and the audits are set up.

    :ivar scoped: whether each audit has one pool's aggregate as its scope
    """

    name: str
    driver: str
    filters: tuple[str, ...]
    workarounds: ty.Mapping[str, bool]
    scoped: bool


CONFIGURATIONS: ty.Final = (
    Configuration(
        'stock',
        settings.STOCK_DRIVER,
        (),
        {'skip_cpu_compare_on_dest': True},
        scoped=False,
    ),
    Configuration(
        'no-scope', settings.DRIVER, (settings.FILTER,), {}, scoped=False
    ),
    Configuration(
        'ours', settings.DRIVER, (settings.FILTER,), {}, scoped=True
    ),
)


class Strategy(ty.NamedTuple):
    """A strategy, and the audits that it makes.

    Audits without a scope are as many as those with one, except that one
    consolidates the whole cloud.

    :ivar unscoped: the number of audits without a scope
    :ivar host: the parameter that names the host of an audit, if there is one
    :ivar parameters: the other parameters
    """

    name: str
    unscoped: int
    host: str = ''
    parameters: ty.Mapping[str, str] = types.MappingProxyType({})


STRATEGIES: ty.Final = (
    Strategy('host_maintenance', 3, 'maintenance_node'),
    # Percent of a host's cores that are busy.
    Strategy('workload_balance', 3, parameters={'threshold': '15'}),
    Strategy('vm_workload_consolidation', 1),
)

#: The busy host of each pool.
BUSY: ty.Final = ('n1-a', 'v1-a', 'nosve-a')


class Trials:
    """Runs every strategy under every configuration.

    :param reconfigure: `demo.cloud.Cloud.reconfigure`
    :param shell: runs the client that has the commands of arm64
    """

    def __init__(
        self,
        reconfigure: collections.abc.Callable[..., None],
        administrator: connection.Connection,
        fleet: demo_fleet.Fleet,
        watcher: process.Watcher,
        auditor: audits.Audits,
        shell: terminal.Terminal,
    ) -> None:
        self._reconfigure = reconfigure
        self._administrator = administrator
        self._fleet = fleet
        self._watcher = watcher
        self._audits = auditor
        self._shell = shell
        self._scopes: dict[str, plan.Scope] = {}

    def run(self, names: collections.abc.Collection[str]) -> list[table.Row]:
        """Return a row for each strategy and configuration.

        :param names: of the configurations that are tried
        :raises SceneFailed: something cannot be tried
        """
        wanted = [one for one in CONFIGURATIONS if one.name in names]
        found = {
            (strategy.name, configuration.name): row
            for configuration in wanted
            for strategy, row in self._configured(configuration)
        }
        return [
            found[strategy.name, configuration.name]
            for strategy in STRATEGIES
            for configuration in wanted
        ]

    def _configured(
        self, configuration: Configuration
    ) -> collections.abc.Iterator[tuple[Strategy, table.Row]]:
        self._fleet.clear()
        self._reconfigure(
            configuration.driver,
            configuration.filters,
            **configuration.workarounds,
        )
        if configuration.scoped:
            self._shell.heading('The pools as host aggregates')
            self._shell.openstack('arm64 pool sync')
            self._scopes = {
                host: plan.Scope(int(one.id), one.name)
                for one in self._administrator.compute.aggregates()
                if aggregates.MARK in (one.metadata or {})
                for host in one.hosts
            }
        for strategy in STRATEGIES:
            self._shell.heading(f'{strategy.name}: {configuration.name}')
            yield strategy, self._tried(strategy, configuration)

    def _tried(
        self, strategy: Strategy, configuration: Configuration
    ) -> table.Row:
        self._fleet.clear()
        self._fleet.boot()
        actions: list[plan.Action] = []
        number = len(BUSY) if configuration.scoped else strategy.unscoped
        for count, host in enumerate(BUSY[:number]):
            # Watcher follows Nova's notifications, which it does not get
            # here. Otherwise it reads the cluster anew each hour.
            self._watcher.synchronize()
            made = self._audits.run(
                strategy.name,
                self._scopes[host] if configuration.scoped else None,
                {
                    **strategy.parameters,
                    **({strategy.host: host} if strategy.host else {}),
                },
                show=configuration.scoped and count == 0,
            )
            state = self._fleet.state()
            self._shell.block(
                plan.lines(made, state.places) or 'nothing is planned'
            )
            actions += made
            if strategy.host:
                # The maintenance is over; that of the next host begins.
                self._fleet.enable()
        broken = self._fleet.state().broken
        if broken:
            self._shell.say('In ERROR: ' + ', '.join(broken))
        return table.row_of(strategy.name, configuration.name, actions, broken)
