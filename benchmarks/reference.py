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


"""Nova's own filters: what the other figures of a run are compared with.

Each script measures them, because only figures of the same run can be
compared: `ratios.py` divides by the cheapest of them.
"""

from collections.abc import Callable
import functools
import time
from typing import Any

from nova import context
from nova import objects
from nova.scheduler import filters
from nova.scheduler import host_manager
from nova.scheduler.filters import compute_capabilities_filter
from nova.scheduler.filters import io_ops_filter
from nova.scheduler.filters import num_instances_filter
from oslo_config import cfg
import pyperf
from ratios import REFERENCES

HOSTS = 10000
UUID = '512650d1-7196-4f8a-b7bc-065e49636f26'
CELL = '0e82048c-d6d5-4f4f-8415-16e6317b1c1d'
FILTERS = dict(
    zip(
        REFERENCES,
        (
            io_ops_filter.IoOpsFilter,
            num_instances_filter.NumInstancesFilter,
            compute_capabilities_filter.ComputeCapabilitiesFilter,
        ),
        strict=True,
    )
)


def prepare() -> None:
    """Set up Nova's options and objects."""
    cfg.CONF([], project='nova', default_config_files=[])
    objects.register_all()


@functools.cache
def states() -> list[host_manager.HostState]:
    """Return the hosts."""
    found = []
    for number in range(HOSTS):
        name = f'compute-{number:05}'
        state = host_manager.HostState(name, name, CELL)
        state.stats = {}
        found.append(state)
    return found


def request(
    extra_specs: dict[str, str] | None = None, **changes: Any
) -> 'objects.RequestSpec':
    """Return a live migration's request."""
    destination = objects.Destination()
    destination.cell = objects.CellMapping(uuid=CELL)
    return objects.RequestSpec(
        context.RequestContext('user', 'project', is_admin=False),
        instance_uuid=UUID,
        scheduler_hints={},
        flavor=objects.Flavor(memory_mb=1024, extra_specs=extra_specs or {}),
        **{
            'ignore_hosts': ['source'],
            'requested_destination': destination,
            **changes,
        },
    )


def _measure(loops: int, make: Callable[[], filters.BaseHostFilter]) -> float:
    seconds = 0.0
    spec = request()
    for _ in range(loops):
        tested, hosts = make(), states()
        start = time.thread_time()
        list(tested.filter_all(hosts, spec))
        seconds += time.thread_time() - start
    return seconds


def measure(runner: pyperf.Runner) -> dict[str, pyperf.Benchmark]:
    """Measure Nova's filters. :return: the results by name"""
    prepare()
    return {
        name: runner.bench_time_func(name, _measure, make, inner_loops=HOSTS)
        for name, make in FILTERS.items()
    }
