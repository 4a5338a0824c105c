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

"""The scenarios on the cloud, and how they are run."""

import collections.abc
import dataclasses
import time

from clouds import ini
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab.cloud import audits
from tests.lab.cloud import cloud as clouds
from tests.lab.cloud import computes
from tests.lab.cloud import crossing
from tests.lab.cloud import failures
from tests.lab.cloud import install
from tests.lab.cloud import scene
from tests.lab.cloud import settings
from tests.lab.cloud import steps
from tests.lab.cloud import tls
from tests.lab.cloud import upgrade

# Two equal hosts, and one with the same CPU but without a PMU.
HOSTS = ('neoverse-n1', 'neoverse-n1', 'neoverse-n1,pmu=off')


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A scenario and its hosts.

    :ivar hosts: hosts that are not in HOSTS end with the scenario
    :ivar computes: whether nova-compute is to run there when it begins
    """

    name: str
    about: str
    play: collections.abc.Callable[[scene.Scene, list[hosts.Host]], None]
    hosts: tuple[str, ...] = HOSTS
    computes: bool = True


SCENARIOS = (
    Scenario(
        'move',
        'boot; live-migrate between equal hosts and back',
        steps.boot_and_move,
    ),
    Scenario(
        'refused',
        'refused by the destination, the field is named',
        steps.refused_for_a_field,
    ),
    Scenario(
        'scheduler',
        'the scheduler finds the only host that fits',
        steps.scheduler_chooses,
    ),
    Scenario(
        'busy',
        'a guest that writes a lot, and auto-converge',
        steps.busy_guest,
    ),
    Scenario(
        'shared',
        'shared storage; native and tunnelled transport',
        steps.shared_storage,
    ),
    Scenario('stock', 'the stock driver in the same cases', steps.stock),
    Scenario(
        'newer',
        'to a newer host and back; reboots there',
        steps.to_newer_and_back,
        ('neoverse-n1+aarch32=0', 'neoverse-n1'),
    ),
    Scenario(
        'kernel',
        'a host update, host by host; the scheduler chooses',
        steps.kernel_update,
        steps.UPDATE,
    ),
    Scenario(
        'vectors',
        'longer vectors on the newer host, and a reset',
        steps.longer_vectors,
        ('neoverse-v1,sve256=off', 'neoverse-v1'),
    ),
    Scenario(
        'crossing',
        'between two CPU models, on a baseline',
        crossing.play,
        crossing.HOSTS,
    ),
    Scenario(
        'failures',
        'migrations that fail halfway, and what is left',
        failures.failures,
    ),
    Scenario(
        'tls',
        'TLS, ssh and post-copy; a certificate that has expired',
        tls.tls,
        HOSTS[:2],
    ),
    Scenario(
        'upgrade',
        'Nova 34 and 33, with and without our driver; two schemas of records',
        upgrade.upgrade,
        upgrade.HOSTS,
        computes=False,
    ),
    Scenario(
        'watcher',
        "Watcher's audits of two kinds of cores: stock, and with our pools",
        audits.play,
        audits.HOSTS,
        computes=False,
    ),
)


def chosen(
    names: collections.abc.Sequence[str], release: int = install.RELEASE
) -> list[Scenario]:
    """Return the scenarios with these names, in order.

    Without names, it returns all whose hosts a cloud of this release can have.

    :raises LabError: for an unknown name, or hosts that this cloud can't have
    """
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise errors.LabError(
                f'no scenario {name!r}; there are {", ".join(known)}'
            )
    for name in names:
        _check_hosts(known[name], release)
    return [known[name] for name in names] or [
        scenario for scenario in SCENARIOS if _fits(scenario, release)
    ]


def _check_hosts(scenario: Scenario, release: int) -> None:
    for text in scenario.hosts:
        clouds.host_spec(text, release)


def _fits(scenario: Scenario, release: int) -> bool:
    try:
        _check_hosts(scenario, release)
    except errors.LabError:
        return False
    return True


def _hosts(cloud: clouds.Cloud, scenario: Scenario) -> list[hosts.Host]:
    """Return the hosts of a scenario; start those that are missing."""
    free = list(cloud.lab.hosts.values())
    found: list[hosts.Host | None] = []
    missing: list[str] = []
    there: list[hosts.Host] = []
    for text in scenario.hosts:
        asked = clouds.host_spec(text, cloud.release)
        match = next((host for host in free if host.spec == asked), None)
        found.append(match)
        if match is None:
            missing.append(text)
        else:
            free.remove(match)
            if match.name not in cloud.drivers:
                _remember_driver(cloud, match)
                there += [match] * (match.name in cloud.drivers)
    if there:
        cloud.wait_up(there)
    start = cloud.add_hosts if scenario.computes else cloud.boot_hosts
    started = iter(start(*missing) if missing else ())
    return [one or next(started) for one in found]


def _remember_driver(cloud: clouds.Cloud, host: hosts.Host) -> None:
    """Find out which driver a host of a running cloud uses."""
    conf = host.channel.sh('cat /etc/nova/nova.conf').out
    for driver in (settings.OUR_DRIVER, settings.STOCK_DRIVER):
        for skip in (False, True):
            sections = settings.nova_compute(
                host.name, host.address, driver, skip
            )
            if conf == ini.dump(sections) and computes.running(host):
                cloud.drivers[host.name] = settings.nova_compute(
                    '', '', driver, skip
                )


def run(
    cloud: clouds.Cloud, scenarios: collections.abc.Sequence[Scenario]
) -> bool:
    """Run them; print PASS or FAIL for each; return whether one failed."""
    results = []
    stay = [clouds.host_spec(text, cloud.release) for text in HOSTS]
    for scenario in scenarios:
        print(f'\n=== {scenario.name}: {scenario.about}', flush=True)
        started = time.monotonic()
        one = scene.Scene(cloud, scenario.name)
        on: list[hosts.Host] = []
        try:
            on = _hosts(cloud, scenario)
            for host in on:
                print(f'{host.name}: {host.spec}, Nova {computes.nova(host)}')
            scenario.play(one, on)
        except errors.LabError as exc:
            one.failures.append(str(exc))
            print(f'   NOT: {exc}', flush=True)
        finally:
            one.clean()
            for host in on:
                if host.spec not in stay:
                    cloud.remove_host(host)
        word = 'FAIL' if one.failures else 'PASS'
        text = f'{word} {scenario.name} ({time.monotonic() - started:.0f} s)'
        if one.failures:
            text += ': ' + '; '.join(one.failures)
        print(text, flush=True)
        results.append(text)
    print('\n' + '\n'.join(results))
    return any(text.startswith('FAIL') for text in results)
