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


"""``cloud run crossing``: guests that move between two CPU models.

The hosts' records make a baseline, as an operator makes it. A server of a
flavor that names the baseline starts through the shim, moves to the other
core and back, resets there, and is rebooted there by Nova.
"""

import contextlib
import io
import pathlib
import tempfile

from nova_arm_migrate.cli import main as cli
from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core import record
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from tests.lab import crossing
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab import oracle
from tests.lab.cloud import computes
from tests.lab.cloud import scene
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings

# Two cores whose common baseline has all vCPU features. Their kernel lets
# QEMU write the implementation, which Debian 13's Linux 6.12 does not.
HOSTS = ('cortex-a710@next', 'neoverse-n2@next')
NAME = 'a710-n2'
FLAVOR = 'crossing'
FOLDER = '/etc/nova/arm-baselines'
#: How often the server goes to the other core and comes back.
ROUND_TRIPS = 3
OPTIONS: dict[str, settings.Options] = {
    'arm_migrate': {
        'baseline_directory': FOLDER,
        'baseline_shim': crossing.LIBRARY,
    }
}


def play(one: scene.Scene, on: list[hosts.Host]) -> None:
    """Without the baseline a guest must stay; with it, it moves."""
    first, second = on
    one.say('a server without a baseline must stay on its core')
    one.use_driver(on, settings.OUR_DRIVER)
    with scene.no_filter(one):
        plain = one.boot(first)
        plain.refused(second, 'MIDR_EL1')
    one.clean()

    one.say('the baseline of both hosts, and the library, on both hosts')
    baseline = _deploy(on)
    _make_flavor(one)
    one.use_driver(on, settings.OUR_DRIVER, more=OPTIONS)
    server = one.boot(first, flavor=FLAVOR)
    _show_start(one, first)
    _expect_cpu(one, server, baseline)

    for number in range(1, ROUND_TRIPS + 1):
        one.say(f'round trip {number} of {ROUND_TRIPS}; no host is named')
        for target in (second, first):
            _crosses(one, server, target)

    one.say('a reset on the other core, and a hard reboot there')
    server.moves(second)
    server.reset()
    _expect_cpu(one, server, baseline)
    server.moves(first)
    server.moves(second)
    server.reboot('hard')
    _show_start(one, second)
    _expect_cpu(one, server, baseline)
    server.moves(first)

    one.say(f'{second.name} no longer offers the baseline')
    one.use_driver([second], settings.OUR_DRIVER)
    with scene.no_filter(one):
        server.refused(second, 'BASELINE')
    one.clean()

    one.say('the other way: a server that starts on the other core')
    one.use_driver(on, settings.OUR_DRIVER, more=OPTIONS)
    server = one.boot(second, flavor=FLAVOR)
    _expect_cpu(one, server, baseline)
    server.moves(first)
    server.moves(second)


def _crosses(
    one: scene.Scene, server: servers.Server, target: hosts.Host
) -> None:
    """Let the scheduler choose; the only other host is expected."""
    move = server.migrate()
    one.expect(move.status == 'completed', 'the migration completed')
    server.expect_at(target)
    server.expect_healthy()


def _deploy(on: list[hosts.Host]) -> CpuBaseline:
    """Make the baseline with the product's command; give it to the hosts.

    :raises LabError: if the hosts have none
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        made = folder / f'{NAME}.json'
        command = ['baseline', '--name', NAME, '-o', str(made)]
        for host in on:
            oracle.prepare(host)
            path = folder / f'{host.spec.cpu}.json'
            path.write_text(record.dump_host(oracle.host_profile(host)))
            command.append(str(path))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = cli.main(command)
        print('   ' + printed.getvalue().rstrip().replace('\n', '\n   '))
        if status or not made.exists():
            raise errors.LabError(
                f'{" ".join(str(host.spec) for host in on)}: no baseline'
            )
        library = crossing.compile_shim(folder)
        for host in on:
            host.channel.sh(f'mkdir -p {FOLDER}')
            host.channel.put(made, f'{FOLDER}/{NAME}.json')
            host.channel.put(library, crossing.LIBRARY)
        return baseline_file.load(made.read_text())


def _make_flavor(one: scene.Scene) -> None:
    """Make the flavor once; the cloud may have it from an earlier run."""
    client = one.cloud.client
    if client.run('flavor', 'show', FLAVOR).rc:
        client.check(
            'flavor',
            'create',
            '--vcpus',
            '1',
            '--ram',
            '256',
            '--disk',
            '1',
            '--property',
            f'hw:arm_baseline={NAME}',
            FLAVOR,
            show=True,
        )


def _show_start(one: scene.Scene, host: hosts.Host) -> None:
    """Expect that nova-compute says how the guest got its baseline."""
    lines = [
        line
        for line in computes.log(host).splitlines()
        if 'starts on the CPU baseline' in line
    ]
    one.expect(bool(lines), f'its log says: {lines[-1:]}')


def _expect_cpu(
    one: scene.Scene, server: servers.Server, baseline: CpuBaseline
) -> None:
    """The guest's own program reads the CPU that it sees."""
    seen = crossing.identity(server.console())
    one.expect(
        crossing.sees([seen], baseline) == 'yes',
        'the guest sees '
        + ', '.join(f'{name}={value:#x}' for name, value in seen.items()),
    )
    server.expect_healthy()
