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

import dataclasses
import pathlib
import re
import unittest

from nova_arm_migrate.core import labels
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import load_host
from tests.unit.core import synthetic as s

ROOT = pathlib.Path(__file__).parents[3]
PROFILES = sorted((ROOT / 'tests/fixtures/profiles').glob('*.json'))
#: Kubernetes' rule: a DNS subdomain, and a name.
KEY = re.compile(
    r'[a-z0-9.-]+/[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?'
)
VALUE = re.compile(r'(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?')


def names(host: Host, prefix: str) -> set[str]:
    return {
        key.removeprefix(prefix)
        for key in labels.node_labels(host)
        if key.startswith(prefix)
    }


class TestLabels(unittest.TestCase):
    def test_a_host(self) -> None:
        host = s.host(sve_lengths=(128, 256), cntfrq=25000000)
        found = labels.node_labels(host)
        self.assertEqual(sorted(found), list(found))
        self.assertEqual(
            '25000000', found['cpu-timer.node.kubevirt.io/cntfrq-frequency']
        )
        self.assertEqual({'Neoverse-V1'}, names(host, labels.MODEL))
        self.assertEqual({'ARM'}, names(host, labels.VENDOR))
        features = names(host, labels.FEATURE)
        self.assertLessEqual(
            {'asimd', 'sve', 'sve128', 'sve256', 'flagm'}, features
        )
        # These traits are no features of a CPU.
        for trait in ('core', 'midr', 'gicv', 'page', 'baseline', 'writable'):
            self.assertEqual(
                set(), {name for name in features if name.startswith(trait)}
            )

    def test_what_is_not_recorded_has_no_label(self) -> None:
        host = s.host(cntfrq=None, cores=(), sve_lengths=None, features=())
        host = dataclasses.replace(
            host,
            values=Values(),
            features=frozenset(),
            hwcap=None,
            capabilities=(),
        )
        self.assertEqual({}, labels.node_labels(host))

    def test_a_core_that_is_not_known(self) -> None:
        host = s.host(cores=(Core(0xEE0FABC1, None, None, '0-3'),))
        self.assertEqual(
            {'implementer-0xee-part-0xabc'}, names(host, labels.MODEL)
        )
        self.assertEqual({'0xee'}, names(host, labels.VENDOR))

    def test_every_core_of_several_kinds(self) -> None:
        midrs = (0x410FD034, 0x410FD082, 0x480FD010)
        host = s.host(
            cores=tuple(Core(midr, None, None, '0') for midr in midrs)
        )
        self.assertEqual(
            {'Cortex-A53', 'Cortex-A72', 'TSV110-Kunpeng-920'},
            names(host, labels.MODEL),
        )

    def test_kubernetes_takes_the_labels_of_each_recorded_host(self) -> None:
        for path in PROFILES:
            with self.subTest(path.stem):
                found = labels.node_labels(load_host(path.read_text().strip()))
                self.assertGreater(len(found), 10)
                for key, value in found.items():
                    self.assertRegex(key, f'^{KEY.pattern}$')
                    self.assertRegex(value, f'^{VALUE.pattern}$')
