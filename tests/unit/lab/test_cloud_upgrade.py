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

import testtools

from nova_arm_migrate.numa import cpuset
from tests.lab import errors
from tests.lab import spec
from tests.lab.cloud import cloud
from tests.lab.cloud import install
from tests.lab.cloud import settings
from tests.lab.cloud import upgrade


def _cpus(release: int, name: str) -> frozenset[int]:
    return cpuset.parse(str(upgrade.CPUS[release][name]))


class HostsTest(testtools.TestCase):
    def test_each_release_has_one_host_of_the_same_hardware(self) -> None:
        specs = [cloud.host_spec(text) for text in upgrade.HOSTS]
        self.assertEqual([34, 33], [one.nova for one in specs])
        self.assertEqual(1, len({str(one).split('+nova')[0] for one in specs}))

    def test_copied_pins_are_wrong_on_the_other_host(self) -> None:
        both = {
            release: _cpus(release, 'cpu_dedicated_set')
            for release in upgrade.CPUS
        }
        self.assertEqual(frozenset(), both[33] & both[34])

    def test_each_node_has_a_cpu_of_either_kind(self) -> None:
        for release in upgrade.CPUS:
            for name in ('cpu_dedicated_set', 'cpu_shared_set'):
                nodes = {cpu // 2 for cpu in _cpus(release, name)}
                self.assertEqual({0, 1}, nodes)

    def test_a_release_without_constraints_is_refused(self) -> None:
        wrong = self.assertRaises(
            errors.LabError, cloud.host_spec, 'neoverse-n1+nova=32'
        )
        self.assertIn('34 or 33', str(wrong))

    def test_the_release_is_part_of_a_hosts_text(self) -> None:
        text = 'neoverse-n1+nova=33'
        self.assertEqual(text, str(spec.parse(text)))
        self.assertEqual('neoverse-n1', str(spec.parse('neoverse-n1+nova=34')))


class InstallTest(testtools.TestCase):
    def test_every_release_has_its_version_of_nova(self) -> None:
        for release, paths in install.CONSTRAINTS.items():
            lines = [
                line for path in paths for line in path.read_text().split()
            ]
            (version,) = [one for one in lines if one.startswith('nova==')]
            self.assertTrue(version.startswith(f'nova=={release}.'), version)

    def test_the_services_have_the_release_of_most_hosts(self) -> None:
        (nova,) = [one for one in install.SERVICES if one.startswith('nova')]
        self.assertTrue(nova.startswith(f'nova=={install.RELEASE}.'), nova)

    def test_releases_do_not_replace_each_others_folders(self) -> None:
        names = {
            install.name_of(kind, release)
            for kind in ('native', 'host')
            for release in install.CONSTRAINTS
        }
        self.assertEqual(2 * len(install.CONSTRAINTS), len(names))
        # What is older is found by the name before the hyphen.
        self.assertEqual([], [name for name in names if '-' in name])


class StagesTest(testtools.TestCase):
    def test_our_driver_is_on_both_on_each_alone_and_on_none(self) -> None:
        stages = (upgrade.BOTH, *upgrade.MIXED)
        self.assertEqual(
            {(True, True), (True, False), (False, True), (False, False)},
            {
                tuple(one.drivers[n] == settings.OUR_DRIVER for n in (34, 33))
                for one in stages
            },
        )
        self.assertEqual([None, 34, 33, None], [one.alone for one in stages])

    def test_only_the_newer_compute_is_pinned(self) -> None:
        for release, pinned in ((34, True), (33, False)):
            more = upgrade.options(release, 'allow')
            self.assertEqual(pinned, 'upgrade_levels' in more)
            self.assertEqual('allow', more['arm_migrate']['unknown'])
            self.assertEqual(upgrade.CPUS[release], more['compute'])

    def test_a_row_is_one_line(self) -> None:
        row = upgrade.Row('on both', 'cells', '34 -> 33', 'moved', 61.4)
        self.assertIn('34 -> 33', str(row))
        self.assertIn('61 s  moved', str(row))
        self.assertNotIn('\n', str(row))
