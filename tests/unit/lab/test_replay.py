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

"""The verdicts again, on the profiles that the truth table was made with."""

import pathlib
import re

import testtools

from nova_arm_migrate.core import compare
from nova_arm_migrate.core import record
from nova_arm_migrate.core import tables
from nova_arm_migrate.core import vcpu
from nova_arm_migrate.core.profile import Host
from tests.lab import oracle
from tests.lab import spec
from tests.lab import table
from tests.lab import truth
from tests.present import present

ROOT = pathlib.Path(__file__).parents[3]
PROFILES = ROOT / 'tests/fixtures/lab'
TABLE = ROOT / 'doc/source/lab-truth.tsv'


def host_of(label: str) -> tuple[spec.Spec, Host]:
    one = spec.parse(label.partition(' #')[0])
    path = PROFILES / f'{truth.profile_name(one)}.json'
    return one, record.load_host(path.read_text().strip())


class NamesTest(testtools.TestCase):
    def test_every_register_that_has_a_name(self) -> None:
        hosts = [
            record.load_host(path.read_text().strip())
            for path in PROFILES.glob('*.json')
        ]
        codes = frozenset(
            code for host in hosts for code in present(host.reg_list)
        )
        names = {tables.register_of(code).name for code in codes}
        self.assertIn('CNTV_CVAL_EL0', names)
        # The rest is in Arm's space for ID registers to come.
        self.assertEqual(
            [],
            sorted(
                name
                for name in names
                if re.match(r'S\d_|KVM_', name) and 'S3_0_C0_' not in name
            ),
        )


class ReplayTest(testtools.TestCase):
    def test_every_verdict_means_what_happened(self) -> None:
        rows = [
            row for row in table.read(TABLE) if row.outcome != table.NOT_TRIED
        ]
        self.assertGreater(len(rows), 100)
        for row in rows:
            source, _, via = row.source.partition(' via ')
            one, first = host_of(source)
            off = [name for name, on in one.feature_states.items() if not on]
            guest = vcpu.guest_started_on(
                first,
                disabled=frozenset(off),
                gic=one.guest_gic,
                memory=oracle.memory(one),
            )
            if via:
                guest = truth.moved(guest, host_of(via)[1])
            _, host = host_of(row.destination)
            verdict = compare.compare(guest, host).verdict.value
            expected = (
                table.COMPATIBLE
                if row.outcome == table.HEALTHY
                else table.INCOMPATIBLE
            )
            if row.static == table.UNKNOWN:
                # Only a trial on the destination can tell.
                expected = table.UNKNOWN
            self.assertEqual(
                expected, verdict, f'{row.source} -> {row.destination}'
            )

    def test_every_row_agrees(self) -> None:
        for row in table.read(TABLE):
            self.assertEqual(
                'yes', row.agreement, f'{row.source} -> {row.destination}'
            )
