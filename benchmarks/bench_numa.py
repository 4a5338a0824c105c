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


"""Measure the rewriting of a guest's XML: 64 vCPUs in 8 cells.

It is measured from text to text, including the comparison of everything that
the guest can see. CPU time is measured, so other processes do not count.
"""

from collections.abc import Callable
import pathlib
import time

import pyperf
import reference

from nova_arm_migrate.numa import domain
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa import regenerate
from nova_arm_migrate.numa import wire
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.layout import Scheduler

XML = (
    pathlib.Path(__file__).parents[1]
    / 'tests'
    / 'fixtures'
    / 'domains'
    / 'eight-cells.xml'
).read_text()

#: A layout with other CPUs, other nodes and another page size.
LAYOUT = Layout(
    vcpus={vcpu: frozenset({127 - vcpu}) for vcpu in range(64)},
    emulator=frozenset(range(128, 136)),
    cells=tuple(
        Cell(cell, frozenset({15 - cell}), page_kib=524288)
        for cell in range(8)
    ),
    scheduler=Scheduler(frozenset(range(1, 64)), 'fifo', 2),
)


def measured(function: Callable[[], object]) -> Callable[[int], float]:
    """Return a function that measures the CPU seconds of calls, for pyperf."""

    def run(loops: int) -> float:
        before = time.process_time()
        for _ in range(loops):
            function()
        return time.process_time() - before

    return run


def main() -> None:
    runner = pyperf.Runner(processes=3)
    reference.measure(runner)
    runner.bench_time_func(
        'regenerate 64 vCPUs in 8 cells',
        measured(lambda: regenerate.regenerate(XML, LAYOUT)),
    )
    runner.bench_time_func(
        'read its layout',
        measured(lambda: domain.layout_of(parse.parse_domain(XML))),
    )
    text = wire.dump(LAYOUT)
    runner.bench_time_func(
        'read the layout that was sent', measured(lambda: wire.load(text))
    )


if __name__ == '__main__':
    main()
