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


"""Compare the scheduler filter with Nova's own, in one run.

There are 10,000 HostStates of 40 different hosts, each with its own
``cpu_info`` string. The database is left out; it costs two queries for each
request. CPU time is measured, so other processes do not count.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
import json
import logging
import time
from typing import Any
from unittest import mock

import measured_hosts
from nova import context
from nova import objects
from nova.scheduler import filters
from nova.scheduler import host_manager
from nova.scheduler.filters import compute_capabilities_filter
import pyperf
import reference

from nova_arm_migrate.nova.precheck import judgement
from nova_arm_migrate.nova.scheduler import arm_filter
from nova_arm_migrate.nova.scheduler import host_cache

HOSTS = reference.HOSTS
DISTINCT = 40
SPEC = {'capabilities:cpu_info:arch': 'aarch64'}


@functools.cache
def texts(length: int) -> list[str]:
    """Return the distinct texts. :param length: of each, at least"""
    return [
        measured_hosts.cpu_info(host, length)
        for host in measured_hosts.distinct(DISTINCT)
    ]


def renewed(length: int) -> list[host_manager.HostState]:
    """Return the hosts, with new strings as the database gives them."""
    for state, text in zip(
        reference.states(), measured_hosts.fresh(texts(length), HOSTS)
    ):
        state.cpu_info = text
    return reference.states()


def warm(length: int) -> arm_filter.ArmMigrateFilter:
    """Return our filter after a request for an equal guest."""
    arm = arm_filter.ArmMigrateFilter()
    arm.filter_all(renewed(length), reference.request())
    return arm


def warm_hosts() -> arm_filter.ArmMigrateFilter:
    """Return our filter after a request for another guest."""
    arm = warm(0)
    judgement.expected_refusal.cache_clear()
    return arm


def cold() -> arm_filter.ArmMigrateFilter:
    """Return our filter before its first request."""
    judgement.expected_refusal.cache_clear()
    return arm_filter.ArmMigrateFilter()


#: Name: filter, what is in the request, characters of a cpu_info at least.
BENCHMARKS = {
    'ComputeCapabilitiesFilter, a cpu_info spec': (
        lambda: compute_capabilities_filter.ComputeCapabilitiesFilter(),
        {'extra_specs': SPEC},
        0,
    ),
    'ComputeCapabilitiesFilter, a cpu_info spec, 9 KB': (
        lambda: compute_capabilities_filter.ComputeCapabilitiesFilter(),
        {'extra_specs': SPEC},
        9000,
    ),
    'ArmMigrateFilter, warm': (lambda: warm(0), {}, 0),
    'ArmMigrateFilter, warm, 9 KB': (lambda: warm(9000), {}, 9000),
    'ArmMigrateFilter, warm, but for the guest': (warm_hosts, {}, 0),
    'ArmMigrateFilter, cold': (cold, {}, 0),
    'ArmMigrateFilter, a boot': (lambda: warm(0), {'ignore_hosts': []}, 0),
}


@contextlib.contextmanager
def database() -> Iterator[None]:
    """Simulate the two database rows that the filter reads."""
    instance = mock.Mock(
        task_state='migrating',
        host='source',
        node='source',
        vcpu_model=objects.VirtCPUModel(features=[]),
        flavor=objects.Flavor(memory_mb=1024, extra_specs={}),
        image_meta=objects.ImageMeta.from_dict({'properties': {}}),
    )
    node = objects.ComputeNode(
        cpu_info=measured_hosts.cpu_info(measured_hosts.distinct(1)[0])
    )
    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (objects.Instance, 'get_by_uuid', instance),
            (objects.ComputeNode, 'get_by_host_and_nodename', node),
            (objects.InstanceActionEvent, 'create', None),
            (
                context,
                'target_cell',
                contextlib.nullcontext(mock.Mock(request_id='req-1')),
            ),
        ):
            stack.enter_context(
                mock.patch.object(
                    target, name, autospec=True, return_value=value
                )
            )
        yield


def measure(
    loops: int,
    make: Callable[[], filters.BaseHostFilter],
    asked: dict[str, Any],
    length: int,
) -> float:
    """Return the seconds that a filter takes for all hosts, per loop."""
    seconds = 0.0
    spec = reference.request(**asked)
    with database():
        for _ in range(loops):
            tested, hosts = make(), renewed(length)
            start = time.thread_time()
            list(tested.filter_all(hosts, spec))
            seconds += time.thread_time() - start
    return seconds


def count_parses() -> int:
    """Return how many texts a cold filter parses for all hosts."""
    with (
        database(),
        mock.patch.object(
            host_cache, 'read', autospec=True, side_effect=host_cache.read
        ) as read,
    ):
        cold().filter_all(renewed(0), reference.request())
        return read.call_count


def parse_seconds(text: str) -> float:
    """Return the seconds that json.loads takes for a text."""
    start = time.thread_time()
    for _ in range(1000):
        json.loads(text)
    return (time.thread_time() - start) / 1000


def main() -> None:
    """Run all, then print the table."""
    logging.getLogger('nova_arm_migrate').addHandler(logging.NullHandler())
    logging.getLogger('nova_arm_migrate').setLevel(logging.INFO)
    logging.getLogger('nova_arm_migrate').propagate = False
    runner = pyperf.Runner()
    measured_hosts.few_runs(runner)
    results = reference.measure(runner) | {
        name: runner.bench_time_func(
            name, measure, *arguments, inner_loops=HOSTS
        )
        for name, arguments in BENCHMARKS.items()
    }
    if runner.args.worker:
        return
    sizes = [len(text) for text in texts(0)]
    print(
        f'\n{HOSTS} hosts, {DISTINCT} distinct cpu_info of {min(sizes)} to'
        f' {max(sizes)} characters; microseconds a host (CPU time)'
    )
    for name, result in results.items():
        print(
            f'{name:50} {result.mean() * 1e6:8.2f}'
            f' +- {result.stdev() * 1e6:.2f}'
        )
    for length in 0, 9000:
        text = max(texts(length), key=len)
        print(
            f'json.loads of {len(text)} characters'
            f' {parse_seconds(text) * 1e6:8.2f}'
        )
    print(
        f'a cold filter parses {count_parses()} texts: the distinct ones,'
        " the source's among them"
    )


if __name__ == '__main__':
    main()
