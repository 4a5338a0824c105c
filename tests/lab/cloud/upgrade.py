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

"""A cloud in the middle of an upgrade.

The services and one compute have Nova 34, the other compute has Nova 33, and
calls between computes are pinned to what 33 understands. A guest without a
NUMA layout and one with pinned cells move in both directions: with our driver
on both computes, on one, and on none. Then the compute with Nova 33 gets an
older state of this project, whose records have schema 1.
"""

import dataclasses
import pathlib
import tempfile

from tests.lab import host as hosts
from tests.lab.cloud import computes
from tests.lab.cloud import image
from tests.lab.cloud import numa
from tests.lab.cloud import numa_look
from tests.lab.cloud import project
from tests.lab.cloud import scene
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings

_HOST = 'neoverse-n1+numa=2+cpus=4+hugepages=300+ram=3072'
HOSTS = (_HOST, f'{_HOST}+nova=33')
# The name in Nova 34 of the calls that Nova 33 understands.
PIN: dict[str, settings.Options] = {'upgrade_levels': {'compute': 'gazpacho'}}
# Each node has one CPU for pinned guests. It is another one on each host, so
# that copied pins are wrong.
CPUS: dict[int, settings.Options] = {
    34: {'cpu_dedicated_set': '1-2', 'cpu_shared_set': '0,3'},
    33: {'cpu_dedicated_set': '0,3', 'cpu_shared_set': '1-2'},
}
# The last state of this project that writes records of schema 1. It supports
# Nova 34 only, but runs with 33.
OLDER = '0ecc9c7'
SCHEMAS = {34: 2, 33: 1}
OURS, STOCK = settings.OUR_DRIVER, settings.STOCK_DRIVER
NAMES = {OURS: 'ours', STOCK: 'stock'}
# What our driver says of a peer without a record.
UNKNOWN = 'arm64: unknown'


@dataclasses.dataclass(frozen=True)
class Stage:
    """The drivers on the two computes.

    :ivar drivers: by the compute's release of Nova
    """

    about: str
    drivers: dict[int, str]

    @property
    def alone(self) -> int | None:
        """The release of the only compute with our driver, if it is alone."""
        ours = [
            release
            for release, driver in self.drivers.items()
            if driver == OURS
        ]
        return ours[0] if len(ours) == 1 else None


# The older compute is there before the upgrade: Nova does not register one
# that is older than all others (ServiceTooOld).
BOTH = Stage('our driver on both', {33: OURS, 34: OURS})
MIXED = (
    Stage('our driver on Nova 34 only', {34: OURS, 33: STOCK}),
    Stage('our driver on Nova 33 only', {34: STOCK, 33: OURS}),
    Stage('our driver on none', {34: STOCK, 33: STOCK}),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One requested move, for the table at the end."""

    stage: str
    guest: str
    way: str
    result: str
    seconds: float

    def __str__(self) -> str:
        return (
            f'{self.guest:6} {self.way:9} {self.seconds:4.0f} s'
            f'  {self.result} ({self.stage})'
        )


def options(release: int, unknown: str) -> dict[str, settings.Options]:
    """Return the additional options of a compute.

    :param unknown: what our driver does about a peer that it can't judge; the
        stock driver does not read it
    """
    more: dict[str, settings.Options] = {
        'compute': CPUS[release],
        'arm_migrate': {'unknown': unknown},
    }
    return more | PIN if release == 34 else more


@dataclasses.dataclass
class Upgrade:
    """The scenario while it runs.

    :ivar at: the host with each release of Nova
    """

    one: scene.Scene
    at: dict[int, hosts.Host]
    rows: list[Row] = dataclasses.field(default_factory=list)
    stage: str = ''

    def begin(self, stage: str, text: str = '') -> None:
        self.stage = f'{stage}: {text}' if text else stage
        self.one.say(self.stage)

    def use(self, release: int, driver: str, unknown: str = 'refuse') -> None:
        self.one.use_driver(
            [self.at[release]],
            driver,
            driver == STOCK,
            options(release, unknown),
        )

    def other(self, host: hosts.Host) -> hosts.Host:
        (other,) = [one for one in self.at.values() if one is not host]
        return other

    def note(
        self, server: servers.Server, source: hosts.Host, move: servers.Move
    ) -> None:
        """Keep a move to the other host for the table."""
        result = 'moved'
        if move.status != 'completed':
            # One line: Nova appends the traceback of a remote error.
            (result, *_) = (move.reason or move.error).splitlines() or ['']
            result = f'{move.status}: {result}'
        self.rows.append(
            Row(
                self.stage,
                'cells' if isinstance(server, numa.Server) else 'plain',
                f'{source.spec.nova} -> {self.other(source).spec.nova}',
                result,
                move.seconds,
            )
        )

    def there_and_back(self, server: servers.Server) -> None:
        for _ in range(2):
            self.moves(server)

    def moves(self, server: servers.Server) -> None:
        """Move a guest to the other host, and look at it there."""
        source = server.host
        move = server.moves(self.other(source))
        self.note(server, source, move)
        if isinstance(server, numa.Server):
            server.compare()

    def refused(self, server: servers.Server, *words: str) -> None:
        """Send a guest to the other host; expect a refusal with *words*."""
        source = server.host
        self.note(server, source, server.refused(self.other(source), *words))

    def show_releases(self) -> None:
        """Print what runs where; expect the releases that were asked for."""
        for release, host in self.at.items():
            found = computes.nova(host)
            self.one.expect(
                found.startswith(f'{release}.'), f'{host.name}: Nova {found}'
            )
        looks = numa_look.Looks(self.one.cloud)
        listed = looks.database(
            'select host, version from services where deleted=0 '
            "and `binary`='nova-compute'"
        )
        for line in listed.splitlines():
            print('   {}: service version {}'.format(*line.split('\t')))

    def show_schemas(self) -> None:
        """Print the records; expect one of each schema."""
        client = self.one.cloud.client
        client.check('arm64', 'host', 'list', show=True)
        listed = client.data('arm64', 'host', 'list')
        found = {one['Host']: one['Schema'] for one in listed}
        wanted = {
            host.name: SCHEMAS[release] for release, host in self.at.items()
        }
        self.one.expect(found == wanted, f'schemas of the records: {found}')


def upgrade(one: scene.Scene, on: list[hosts.Host]) -> None:
    run = Upgrade(one, {host.spec.nova: host for host in on})
    services = one.cloud.services
    numa.flavors(one.cloud)
    one.say(f'services: {PIN}')
    services.restart_nova(PIN)
    try:
        guests = _same_everywhere(run)
        with scene.no_filter(one):
            for stage in MIXED:
                _mixed(run, stage, guests)
        one.clean()
        _older(run)
    finally:
        for row in run.rows:
            print(f'   {row}')
        services.restart_nova({})


def _same_everywhere(run: Upgrade) -> list[servers.Server]:
    run.begin(BOTH.about)
    for release, driver in BOTH.drivers.items():
        run.use(release, driver)
    run.show_releases()
    cells = numa.boot(run.one, run.at[33], 'cells')
    cells.compare()
    guests = [run.one.boot(run.at[34]), cells]
    for guest in guests:
        run.there_and_back(guest)
    return guests


def _mixed(run: Upgrade, stage: Stage, guests: list[servers.Server]) -> None:
    """Move the guests while a compute, or both, has the stock driver."""
    run.begin(stage.about)
    for release, driver in stage.drivers.items():
        run.use(release, driver)
    if stage.alone:
        for guest in guests:
            run.refused(guest, UNKNOWN)
        run.begin(stage.about, '[arm_migrate] unknown = allow')
        run.use(stage.alone, OURS, 'allow')
    for guest in guests:
        run.there_and_back(guest)


def _older(run: Upgrade) -> None:
    """Nova 33 has an older state of this project; the filter is on."""
    run.begin(f'our driver on both, of commit {OLDER} on Nova 33')
    host = run.at[33]
    with tempfile.TemporaryDirectory() as name:
        older = pathlib.Path(name) / 'older'
        project.from_commit(OLDER, image.PROJECT_INSIDE, older)
        computes.stop(host)
        computes.put_project(host, older)
    run.one.cloud.drivers.pop(host.name)
    for release, driver in BOTH.drivers.items():
        run.use(release, driver)
    run.show_schemas()
    guests = [
        run.one.boot(host),
        numa.boot(run.one, host, 'cells'),
    ]
    for guest in guests:
        run.moves(guest)
        run.refused(guest, UNKNOWN, 'schema 2')
    run.begin(run.stage, '[arm_migrate] unknown = allow on Nova 33')
    run.use(33, OURS, 'allow')
    for guest in guests:
        run.moves(guest)
