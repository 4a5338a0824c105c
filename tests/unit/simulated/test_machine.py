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

import pathlib
import unittest

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import dump_host
from simulated import machine
from tests.present import present
from tests.unit.core import synthetic

PFR0 = synthetic.PFR0
ZCR = synthetic.ZCR
PROFILES = pathlib.Path(machine.__file__).parent / 'profiles'
DOMAIN = """
<domain type='kvm'>
  <memory>2097152</memory>
  <features><gic version='3'/>{pmu}</features>
  <cpu mode='host-passthrough'>{features}</cpu>
</domain>
"""


def domain(pmu: str = '', features: str = '') -> str:
    return DOMAIN.format(pmu=pmu, features=features)


def recorded(name: str) -> machine.RecordedMachine:
    return machine.RecordedMachine(
        machine.read_host(PROFILES / f'{name}.json')
    )


class TestDomains(unittest.TestCase):
    def test_what_a_domain_switches_off(self) -> None:
        self.assertEqual(
            frozenset({'pmu', 'sve'}),
            machine.disabled_features(
                domain(
                    pmu="<pmu state='off'/>",
                    features="<feature name='sve' policy='disable'/>"
                    "<feature name='pauth' policy='require'/>"
                    "<feature name='unheard-of' policy='disable'/>",
                )
            ),
        )

    def test_a_plain_domain_switches_nothing_off(self) -> None:
        self.assertEqual(
            frozenset(),
            machine.disabled_features(domain(pmu="<pmu state='on'/>")),
        )
        self.assertEqual(frozenset(), machine.disabled_features('<domain/>'))

    def test_a_new_guest_shows_its_host_and_its_own_domain(self) -> None:
        guest = recorded('neoverse-v1-linux-6.12').reset(
            domain(features="<feature name='sve' policy='disable'/>")
        )
        self.assertEqual(frozenset({'sve'}), guest.disabled)
        self.assertEqual(0, guest.values.read(PFR0) >> 32 & 15)
        self.assertNotIn(ZCR, guest.reg_list)
        self.assertEqual(3, guest.gic)


class TestLoad(unittest.TestCase):
    def test_the_profiles_that_come_with_it_are_canonical(self) -> None:
        paths = sorted(PROFILES.glob('*.json'))
        self.assertTrue(paths)
        for path in paths:
            with self.subTest(path=path.name):
                host = machine.read_host(path)
                self.assertIsInstance(host, Host)
                self.assertEqual(path.read_text(), dump_host(host) + '\n')

    def test_the_same_host_takes_it_unchanged(self) -> None:
        n1 = recorded('neoverse-n1-linux-6.12')
        guest = n1.reset(domain())
        self.assertEqual(machine.Loaded((), guest), n1.load(guest))

    def test_a_refusal_names_the_register(self) -> None:
        guest = recorded('neoverse-v1-linux-6.12').reset(domain())
        loaded = recorded('neoverse-v1-no-sve-linux-6.12').load(guest)
        self.assertIn('ID_AA64PFR0_EL1: EINVAL', loaded.refused)
        self.assertIsNone(loaded.state)

    def test_there_and_back(self) -> None:
        old = recorded('neoverse-n2-no-bti-linux-6.12')
        new = recorded('neoverse-n2-linux-6.12')
        guest = old.reset(domain())
        there = new.load(guest)
        self.assertEqual((), there.refused)
        self.assertEqual(guest.values, present(there.state).values)
        self.assertEqual((), old.load(present(there.state)).refused)
        self.assertIn(
            'ID_AA64PFR1_EL1: EINVAL', old.load(new.reset(domain())).refused
        )

    def test_a_register_that_only_the_destination_has_stays_with_the_guest(
        self,
    ) -> None:
        full = synthetic.host()
        extra = 0x8123  # no register that a table knows
        newer = machine.RecordedMachine(
            synthetic.host(reg_list=present(full.reg_list) | {extra})
        )
        older = machine.RecordedMachine(full)
        there = newer.load(older.reset(domain()))
        self.assertEqual((), there.refused)
        self.assertIn(extra, present(there.state).reg_list)
        back = older.load(present(there.state))
        self.assertEqual(1, len(back.refused))
        self.assertIn('missing here', back.refused[0])
