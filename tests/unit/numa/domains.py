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


"""Recorded domains, and a strategy for layouts that fit them."""

import pathlib

from hypothesis import strategies as st

from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.layout import Scheduler

FIXTURES = pathlib.Path(__file__).parents[2] / 'fixtures'
NAMES = ('eight-cells', 'floating', 'one-cell-pinned', 'two-cells-hugepages')

#: What a small host has.
CPUS = range(128)
NODES = range(16)
PAGES_KIB = (64, 2048, 32768, 524288, 1048576)


def read(name: str) -> str:
    """The XML of a recorded domain, as text."""
    return (FIXTURES / 'domains' / f'{name}.xml').read_text()


def read_proc(name: str) -> tuple[str, ...]:
    """(tasks, numa_maps, maps) of a recorded domain, as text."""
    folder = FIXTURES / 'procfs' / name
    return tuple(
        (folder / part).read_text() for part in ('tasks', 'numa_maps', 'maps')
    )


@st.composite
def layouts(draw: st.DrawFn, name: str) -> Layout:
    """Layouts that fit the recorded domain."""
    domain = parse.parse_domain(read(name))
    cpus = st.frozensets(st.sampled_from(CPUS), min_size=1, max_size=6)
    nodes = st.frozensets(st.sampled_from(NODES), min_size=1, max_size=3)
    vcpus: dict[int, frozenset[int]] = {}
    if draw(st.booleans()):
        vcpus = {vcpu: draw(cpus) for vcpu in parse.guest_vcpus(domain)}
    scheduler = None
    if bool(vcpus) and draw(st.booleans()):
        policy = draw(st.sampled_from(('fifo', 'rr', 'batch', 'idle')))
        realtime = policy in ('fifo', 'rr')
        scheduler = Scheduler(
            draw(st.frozensets(st.sampled_from(sorted(vcpus)), min_size=1)),
            policy,
            draw(st.integers(1, 99)) if realtime else 0,
        )
    cells: tuple[Cell, ...] = ()
    if draw(st.booleans()):
        cells = tuple(
            Cell(
                cell,
                draw(nodes),
                draw(st.sampled_from(('strict', 'preferred'))),
                draw(st.sampled_from((None, *PAGES_KIB))),
            )
            for cell in parse.guest_cells(domain)
        )
    iothreads = {
        number: draw(cpus)
        for number in parse.guest_iothreads(domain)
        if draw(st.booleans())
    }
    return Layout(
        vcpus=vcpus,
        emulator=draw(st.none() | cpus),
        iothreads=iothreads,
        cells=cells,
        shared=draw(st.none() | cpus),
        scheduler=scheduler,
    )
