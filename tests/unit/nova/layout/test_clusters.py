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

"""Floating vCPUs are kept in few clusters, and never outside the claim."""

from collections.abc import Iterable
import itertools
import pathlib
import tempfile

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.numa.clusters import narrowed
from nova_arm_migrate.numa.layout import Layout
from tests import logs

PAIRS = [frozenset({cpu, cpu + 1}) for cpu in range(0, 8, 2)]
FOURS = [frozenset(range(4)), frozenset(range(4, 8))]
ALL = frozenset(range(8))


def floating(count: int, cpus: Iterable[int] = ALL) -> Layout:
    return Layout(vcpus=dict.fromkeys(range(count), frozenset(cpus)))


class TestNarrowed(logs.TestCase):
    def test_table(self) -> None:
        for count, cpus, clusters, turn, wanted in (
            (2, ALL, PAIRS, 0, {0, 1}),
            (2, ALL, PAIRS, 1, {2, 3}),
            (3, ALL, PAIRS, 3, {6, 7, 0, 1}),
            (3, ALL, FOURS, 1, {4, 5, 6, 7}),
            (5, ALL, FOURS, 0, ALL),
            # More vCPUs than CPUs: all of them, as claimed.
            (9, ALL, FOURS, 0, ALL),
            # The larger part of a cluster that is claimed in part.
            (2, {3, 4, 5}, FOURS, 0, {4, 5}),
            # Not known of each CPU, or overlapping: as claimed.
            (2, ALL, PAIRS[:3], 0, ALL),
            (2, ALL, [], 0, ALL),
            (2, ALL, [*PAIRS, *FOURS], 0, ALL),
            # Linux's way to say that a CPU is in no cluster.
            (2, ALL, [frozenset({cpu}) for cpu in ALL], 0, ALL),
        ):
            with self.subTest(count=count, clusters=clusters, turn=turn):
                self.assertEqual(
                    floating(count, wanted),
                    narrowed(floating(count, cpus), clusters, turn),
                )

    def test_dedicated_cpus_and_all_else_stay(self) -> None:
        first = frozenset({0, 1})
        layout = Layout(
            vcpus={0: frozenset({7}), 1: ALL, 2: ALL}, emulator=ALL
        )
        self.assertEqual(
            Layout(
                vcpus={0: frozenset({7}), 1: first, 2: first}, emulator=ALL
            ),
            narrowed(layout, PAIRS),
        )

    @settings(deadline=None)
    @given(
        st.integers(1, 12),
        st.sets(st.integers(0, 15), min_size=1),
        st.lists(st.integers(0, 4), min_size=16, max_size=16),
        st.integers(0, 99),
    )
    def test_subset_of_the_claim_in_the_fewest_clusters(
        self, count: int, cpus: set[int], places: list[int], turn: int
    ) -> None:
        clusters = {
            frozenset(cpu for cpu in range(16) if places[cpu] == number)
            for number in places
        }
        found = narrowed(floating(count, cpus), clusters, turn)
        chosen = found.vcpus[0]
        self.assertEqual({chosen}, set(found.vcpus.values()))
        self.assertLessEqual(chosen, cpus)
        self.assertGreaterEqual(len(chosen), min(count, len(cpus)))
        touched = sum(1 for cluster in clusters if cluster & chosen)
        if chosen != cpus:
            fewer = itertools.combinations(clusters, touched - 1)
            self.assertTrue(
                all(
                    len(frozenset().union(*some) & cpus) < count
                    for some in fewer
                )
            )


class TestClustersOfAHost(logs.TestCase):
    def test_as_linux_has_them(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.assertEqual(frozenset(), numa_host.clusters(folder))
            for cpu, text in enumerate(('0-1\n', '0-1\n', '2-3\n', 'x\n')):
                topology = folder / f'cpu{cpu}/topology'
                topology.mkdir(parents=True)
                (topology / 'cluster_cpus_list').write_text(text)
            (folder / 'cpufreq').mkdir()
            self.assertEqual(
                {frozenset({0, 1}), frozenset({2, 3})},
                numa_host.clusters(folder),
            )
