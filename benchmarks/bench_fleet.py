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


"""baseline and pools over 100,000 hosts: seconds, memory, and growth.

Times are measured without tracemalloc, which slows everything down. Memory is
measured in one more run, and excludes the distinct texts of the records.
"""

from collections.abc import Iterator
import resource
import time
import tracemalloc

import measured_hosts
import pyperf
import reference

from nova_arm_migrate.core.baseline import Baseline
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.pools import Fleet
from nova_arm_migrate.core.pools import fleet as pools
from nova_arm_migrate.core.record import dump_host

#: Hosts, distinct profiles, and in what these differ.
SIZES = [
    (100000, 10, 'versions'),
    (100000, 40, 'versions'),
    (100000, 160, 'versions'),
    (100000, 1000, 'versions'),
    (100000, 160, 'fields'),
    (100000, 1000, 'fields'),
    (1000, 40, 'versions'),
    (10000, 40, 'versions'),
]
KINDS = {'versions': measured_hosts.distinct, 'fields': measured_hosts.varied}


def records(hosts: int, distinct: int, kind: str) -> Iterator[tuple[str, str]]:
    """Yield (name, record) of so many hosts; each text is a new object."""
    texts = [dump_host(host) for host in KINDS[kind](distinct)]
    for number in range(hosts):
        text = texts[number % distinct]
        yield f'compute-{number:06}', text[:-1] + '}'


def work(hosts: int, distinct: int, kind: str) -> tuple[Fleet, Baseline]:
    """Do the work of ``nova-arm-migrate baseline`` after reading the files."""
    found = pools(records(hosts, distinct, kind))
    common = baseline(
        [profile.host for pool in found.pools for profile in pool.profiles]
    )
    return found, common


def measure(loops: int, hosts: int, distinct: int, kind: str) -> float:
    """Return the seconds for so many runs."""
    start = time.thread_time()
    for _ in range(loops):
        work(hosts, distinct, kind)
    return time.thread_time() - start


def peak(hosts: int, distinct: int, kind: str) -> tuple[int, Fleet, Baseline]:
    """Return the peak memory of Python objects in bytes, and the result."""
    tracemalloc.start()
    found, common = work(hosts, distinct, kind)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most, found, common


def main() -> None:
    """Run all, then print the table."""
    runner = pyperf.Runner()
    measured_hosts.few_runs(runner)
    runner.argparser.set_defaults(processes=2, values=2)
    reference.measure(runner)
    results = {}
    for size in SIZES:
        name = '{} hosts, {} profiles, {}'.format(*size)
        results[name] = runner.bench_time_func(name, measure, *size)
    if runner.args.worker:
        return
    print()
    for size, (name, result) in zip(SIZES, results.items()):
        most, found, common = peak(*size)
        print(
            f'{name:40} {result.mean():6.3f} s +-'
            f' {result.stdev():.3f}, {most / 2**20:6.1f} MiB,'
            f' {len(found.pools)} pools,'
            f' {len(common.conflicts)} conflicts'
        )
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f'peak resident size of this process: {own / 1024:.0f} MiB')


if __name__ == '__main__':
    main()
