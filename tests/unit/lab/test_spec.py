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

import xml.etree.ElementTree

import testtools

from tests.lab import errors
from tests.lab import guest
from tests.lab import oracle
from tests.lab import spec


class SpecTest(testtools.TestCase):
    def test_a_cpu_alone_gets_the_default_generation(self) -> None:
        one = spec.parse('neoverse-n1')
        self.assertEqual(('neoverse-n1', 'trixie'), (one.cpu, one.generation))

    def test_every_part(self) -> None:
        one = spec.parse(
            'neoverse-v1,sve256=off@forky+gic=2+hugepages=64/guest:sve=off'
        )
        self.assertEqual('neoverse-v1,sve256=off', one.cpu)
        self.assertEqual('forky', one.generation)
        self.assertEqual((2, 64), (one.gic, one.hugepages))
        self.assertEqual({'sve': False}, one.feature_states)
        self.assertEqual((), one.host.guest)

    def test_guests_have_at_most_a_gicv3(self) -> None:
        for gic, expected in ((2, 2), (3, 3), (4, 3)):
            one = spec.parse(f'neoverse-v1+gic={gic}')
            self.assertEqual(expected, one.guest_gic)
            self.assertEqual(expected, oracle.view(one)['gic'])

    def test_a_guest_can_have_addresses_for_more_memory(self) -> None:
        one = spec.parse('cortex-a710/guest:sve=off,maxmem=600')
        self.assertEqual(
            (600, {'sve': False}), (one.max_memory, one.feature_states)
        )
        self.assertEqual(602 << 30, oracle.view(one)['memory'])
        self.assertEqual(128 << 20, oracle.view(one.host)['memory'])
        text = guest.domain_xml('g', {}, max_memory=600)
        tree = xml.etree.ElementTree.fromstring(text)
        self.assertEqual('600', tree.findtext('maxMemory'))
        (cell,) = tree.iterfind('cpu/numa/cell')
        self.assertEqual('128', cell.get('memory'))

    def test_text_and_back(self) -> None:
        for text in (
            'neoverse-n1',
            'max,pauth-impdef=on@forky+mte=1',
            'a64fx@bookworm+gic=2/guest:sve=off,pmu=off',
            'neoverse-n1+aarch32=0',
            'cortex-a710/guest:sve=off,maxmem=600',
        ):
            self.assertEqual(text, str(spec.parse(text)))

    def test_numa_nodes_get_two_cpus_each(self) -> None:
        self.assertEqual(8, spec.parse('neoverse-n1+numa=4').cpus)

    def test_what_is_wrong_is_said_in_one_line(self) -> None:
        for text, words in (
            ('', "'' is not a CPU string"),
            ('-cpu', "'-cpu' is not a CPU string"),
            ('neoverse-n1,pmu', 'is not a CPU string'),
            ('neoverse-n1; rm', 'is not a CPU string'),
            ('neoverse-n1@sid', "no generation 'sid'"),
            ('neoverse-n1@', "no generation ''"),
            ('neoverse-n1+colour=1', "no option 'colour'"),
            ('neoverse-n1+gic=9', 'gic is a number from 2 to 4'),
            ('neoverse-n1+gic', 'gic is a number from 2 to 4'),
            ('neoverse-n1/host:sve=off', 'guest:FEATURE=on|off'),
            ('neoverse-n1/guest:sve', 'guest:FEATURE=on|off'),
            ('neoverse-n1/guest:maxmem=0', 'or maxmem=GIB'),
            ('neoverse-n1/guest:maxmem=on', 'or maxmem=GIB'),
        ):
            error = self.assertRaises(errors.LabError, spec.parse, text)
            self.assertIn(words, str(error))
            self.assertNotIn('\n', str(error))
