# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""``cloud run watcher``: Watcher's audits of a fleet with two kinds of cores.

Three strategies, with the stock driver and then with ours. Watcher plans live
migrations without regard to CPUs. With our driver, each audit is limited to
the host aggregate of one migration pool. The guests stay where a strategy has
left them, and the next strategy begins there: guests that the stock driver has
started are those that ours moves.
"""

import dataclasses
import pathlib
import tempfile
import textwrap
import typing

from demo.watcher import metrics
from demo.watcher import plan
from demo.watcher import table
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab.cloud import client as clients
from tests.lab.cloud import scene
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings
from tests.lab.cloud import watcher as watchers

HOSTS = ('neoverse-n1', 'neoverse-n1', 'cortex-a76', 'cortex-a76')
KINDS = len(set(HOSTS))
#: Name, place of its host in HOSTS, percent of its vCPU that it uses.
GUESTS = (
    ('n1-1', 0, 40),
    ('n1-2', 0, 15),
    ('a76-1', 2, 40),
    ('a76-2', 2, 15),
)
MEMORY_MIB = 256
#: Percent of one CPU. Both guests of a host use more, each of them less.
THRESHOLD = 50
STOCK, OURS = 'stock', 'ours'
#: A live migration takes minutes in the lab, and a plan has several.
PATIENCE = 3600
# Each question is a client of three seconds, and the hosts need the CPU time.
PAUSE = 30


class Strategy(typing.NamedTuple):
    """A strategy.

    :ivar host: its parameter that names a host, empty if there is none
    :ivar threshold: its parameter for the load of a busy host, if it has one
    :ivar unscoped: the number of audits without a scope
    """

    name: str
    host: str = ''
    threshold: str = ''
    unscoped: int = KINDS


STRATEGIES = (
    Strategy('host_maintenance', 'maintenance_node'),
    Strategy('workload_balance', threshold='threshold'),
    # It has the whole cloud in view.
    Strategy('vm_workload_consolidation', unscoped=1),
)


def play(one: scene.Scene, on: list[hosts.Host]) -> None:
    """Run all strategies under both drivers; print the table."""
    one.cloud.services.restart_nova(watchers.NOTIFICATIONS)
    cores = int(on[0].channel.sh('nproc').out)
    with tempfile.TemporaryDirectory() as name:
        watch = watchers.Watcher.start(one.cloud, cores)
        try:
            run = Run(one, on, cores, watch, pathlib.Path(name))
            with scene.no_filter(one):
                run.configured(STOCK)
            run.configured(OURS)
        finally:
            watch.stop()
            one.cloud.services.restart_nova({})
    print(table.render(run.rows))
    stock = [row for row in run.rows if row.configuration == STOCK]
    one.expect(
        any(row.failed for row in stock) and any(row.broken for row in stock),
        'with the stock driver, actions fail and guests end in ERROR',
    )
    failures = table.failures(run.rows, OURS)
    one.expect(
        not failures,
        '; '.join(failures) or 'with ours and the pools, every action works',
    )


@dataclasses.dataclass
class Run:
    """The scenario while it runs.

    :ivar cores: of each host
    :ivar folder: for the files with the scopes
    """

    one: scene.Scene
    on: list[hosts.Host]
    cores: int
    watcher: watchers.Watcher
    folder: pathlib.Path
    rows: list[table.Row] = dataclasses.field(default_factory=list)
    _audits: int = 0

    def configured(self, name: str) -> None:
        """Run all strategies under one driver."""
        one = self.one
        one.say(f'{name}: the driver')
        if name == OURS:
            driver, skip = settings.OUR_DRIVER, False
        else:
            driver, skip = settings.STOCK_DRIVER, True
        one.use_driver(self.on, driver, skip, watchers.NOTIFICATIONS)
        for guest, place, busy in [] if one.servers else GUESTS:
            server = one.boot(self.on[place], guest, image='calm')
            self.watcher.load.loads[server.id] = metrics.Load(
                busy, 1, MEMORY_MIB // 2
            )
        scopes = self._pools() if name == OURS else None
        for strategy in STRATEGIES:
            one.say(f'{name}: {strategy.name}')
            self.rows.append(self._tried(strategy, name, scopes))
        for server in one.servers:
            server.expect_healthy()

    def _pools(self) -> dict[str, plan.Scope]:
        """Make the pools' aggregates; return that of each host."""
        client = self.one.cloud.client
        client.check('arm64', 'pool', 'sync', show=True)
        return {
            host: plan.Scope(int(pool['ID']), pool['Name'])
            for pool in client.data('aggregate', 'list', '--long')
            for host in pool['Hosts']
        }

    def _tried(
        self,
        strategy: Strategy,
        name: str,
        scopes: dict[str, plan.Scope] | None,
    ) -> table.Row:
        actions: list[plan.Action] = []
        number = strategy.unscoped if scopes is None else KINDS
        broken: set[str] = set()
        for kind in list(dict.fromkeys(HOSTS))[:number]:
            host = self._busiest(kind)
            made, guests = self._audited(
                strategy,
                host,
                None if scopes is None else scopes[host.name],
            )
            places = {name: one['Host'] for name, one in guests.items()}
            text = plan.lines(made, places) or 'nothing is planned'
            print(textwrap.indent(text, '   '))
            for action in made:
                if action.why:
                    print(f'   {self._attempt(action)}; {action.why}')
            actions += made
            wrong = [
                name
                for name, one in guests.items()
                if one['Status'] == 'ERROR'
            ]
            broken.update(wrong)
            self._enable()
            for guest in wrong:
                # It goes on running where it was.
                self.one.cloud.client.check(*servers.SET_ACTIVE, guest)
        return table.row_of(strategy.name, name, actions, broken)

    def _attempt(self, action: plan.Action) -> str:
        """Return the hosts of the guest's newest migration.

        Watcher does not name them.
        """
        tried = [
            one
            for server in self.one.servers
            if server.name == action.what
            for one in server.migrations()
        ]
        if not tried:
            return action.what
        newest = max(tried, key=lambda one: one['Created At'])
        return (
            f'{action.what} from {newest["Source Compute"]}'
            f' to {newest["Dest Compute"]}: {newest["Status"]}'
        )

    def _busiest(self, kind: str) -> hosts.Host:
        """Return the host with the most guests among those of one kind."""
        return max(
            (
                host
                for host, text in zip(self.on, HOSTS, strict=True)
                if text == kind
            ),
            key=lambda host: sum(
                server.host is host for server in self.one.servers
            ),
        )

    def _audited(
        self,
        strategy: Strategy,
        host: hosts.Host,
        scope: plan.Scope | None,
    ) -> tuple[list[plan.Action], dict[str, dict[str, str]]]:
        """Make an audit whose plan starts by itself; follow the guests.

        :returns: the actions of the plan, when it has ended, and what Nova
            then shows of the guests
        :raises LabError: if the audit fails, or the plan does not end
        """
        self._audits += 1
        name = f'audit-{self._audits}'
        before = [
            (server, server.host, server.watch())
            for server in self.one.servers
        ]
        for one in self.on:
            self.watcher.guests[one.name] = [
                server.id for server in self.one.servers if server.host is one
            ]
        self._create(name, strategy, host, scope)
        audit = self._ended('audit', name)
        if audit['State'] != 'SUCCEEDED':
            raise errors.LabError(f'{name} is {audit["State"]}: {audit}')
        actions = self._done(audit['UUID'])
        guests = self._settled()
        for server, source, kept in before:
            now = guests[server.name]['Host']
            server.follow(source, kept, self.one.cloud.lab.hosts[now])
        return actions, guests

    def _settled(self) -> dict[str, dict[str, str]]:
        """Return what Nova shows of the guests when it works on none."""
        shown: dict[str, dict[str, str]] = {}

        def look() -> bool:
            listed = self.one.cloud.client.data('server', 'list', '--long')
            shown.update({one['Name']: one for one in listed})
            return all(one['Task State'] in (None, 'None') for one in listed)

        clients.wait(
            'the guests without a task', look, servers.MOVE_PATIENCE, PAUSE
        )
        return shown

    def _create(
        self,
        name: str,
        strategy: Strategy,
        host: hosts.Host,
        scope: plan.Scope | None,
    ) -> None:
        """Make a template and an audit of this name."""
        scoped: list[str] = []
        if scope is not None:
            path = self.folder / f'pool-{scope.key}.yaml'
            path.write_text(plan.scope_file(scope))
            scoped = ['--scope', str(path)]
        self.watcher.client.check(
            *('optimize', 'audittemplate', 'create', name),
            *(plan.GOALS[strategy.name], '--strategy', strategy.name),
            *scoped,
            show=scope is not None,
        )
        parameters: list[str] = []
        if strategy.host:
            parameters = ['--parameter', f'{strategy.host}={host.name}']
        if strategy.threshold:
            percent = THRESHOLD // self.cores
            parameters = ['--parameter', f'{strategy.threshold}={percent}']
        self.watcher.client.check(
            *('optimize', 'audit', 'create', '--audit-template', name),
            *('--name', name, '--auto-trigger', *parameters),
            show=True,
        )

    def _done(self, audit: str) -> list[plan.Action]:
        """Return the actions of an audit when its plans have ended."""
        client = self.watcher.client
        actions: list[plan.Action] = []
        for found in client.data(
            'optimize', 'actionplan', 'list', '--audit', audit
        ):
            self._ended('actionplan', found['UUID'])
            argv = (
                *('optimize', 'action', 'list'),
                *('--action-plan', found['UUID']),
            )
            client.check(*argv, '-c', 'State', '-c', 'Action', show=True)
            actions += [
                plan.action_of(
                    action['Action'],
                    action['Parameters'],
                    action['State'],
                    action['Status Message'],
                )
                for action in client.data(*argv, '--detail')
            ]
        return actions

    def _ended(self, kind: str, name: str) -> dict[str, str]:
        found: dict[str, str] = {}

        def look() -> bool:
            found.update(
                self.watcher.client.data('optimize', kind, 'show', name)
            )
            return found['State'] in plan.ENDED

        clients.wait(f'{kind} {name} at an end', look, PATIENCE, PAUSE)
        return found

    def _enable(self) -> None:
        """Enable the hosts that an action plan has disabled."""
        client = self.one.cloud.client
        for one in client.data(
            *('compute', 'service', 'list', '--service', 'nova-compute')
        ):
            if one['Status'] == 'disabled':
                client.check(
                    *('compute', 'service', 'set', '--enable'),
                    *(one['Host'], 'nova-compute'),
                )
