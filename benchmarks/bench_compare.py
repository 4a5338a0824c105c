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


"""compare: one guest against one host, over all pairs of recorded hosts.

The pairs are printed in three groups, because the cost of a comparison depends
on its findings: a host with itself, hosts with the same core, and hosts with
different cores.
"""

from collections.abc import Callable
import statistics
import time

import measured_hosts
import pyperf
import reference

from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on

PAIRS = {
    'compare, a host with itself': lambda here, there: here is there,
    'compare, the same core': lambda here, there: (
        here is not there and here.cores == there.cores
    ),
    'compare, other cores': lambda here, there: here.cores != there.cores,
}


def pairs(wanted: Callable[[Host, Host], bool]) -> list[tuple[Guest, Host]]:
    """Return the pairs (guest, host) of a group."""
    hosts = measured_hosts.recorded()
    return [
        (guest_started_on(here, gic=3, memory=4 << 30), there)
        for here in hosts
        for there in hosts
        if wanted(here, there)
    ]


def measure(loops: int, found: list[tuple[Guest, Host]]) -> float:
    """Return the seconds for so many loops over all pairs."""
    start = time.thread_time()
    for _ in range(loops):
        for guest, host in found:
            compare(guest, host)
    return time.thread_time() - start


def slowest(found: list[tuple[Guest, Host]]) -> tuple[float, int]:
    """Return the slowest pair's seconds (median of 15), and its findings."""
    worst = (0.0, 0)
    for guest, host in found:
        times = []
        for _ in range(15):
            start = time.thread_time()
            report = compare(guest, host)
            times.append(time.thread_time() - start)
        worst = max(worst, (statistics.median(times), len(report.findings)))
    return worst


def main() -> None:
    """Run all, then print the table."""
    runner = pyperf.Runner()
    measured_hosts.few_runs(runner)
    runner.argparser.set_defaults(loops=20)
    reference.measure(runner)
    results = {}
    for name, wanted in PAIRS.items():
        found = pairs(wanted)
        results[name] = (
            found,
            runner.bench_time_func(
                name, measure, found, inner_loops=len(found)
            ),
        )
    if runner.args.worker:
        return
    print('\nmicroseconds a pair')
    for name, (found, result) in results.items():
        worst, findings = slowest(found)
        print(
            f'{name:30} {len(found):4} pairs'
            f' {result.mean() * 1e6:8.1f} +-'
            f' {result.stdev() * 1e6:.1f}, the dearest'
            f' {worst * 1e6:.1f} with {findings} findings'
        )


if __name__ == '__main__':
    main()
