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

"""Profiles of real CPUs, and what the rule says of them.

Used by the tests and by the documentation, so that both say the same of the
same data. See ``tests/fixtures/silicon/README.rst``.
"""

import dataclasses
import pathlib

from nova_arm_migrate.core.checks import CHECK_NAMES
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.dump import host_of_dump
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import version_of
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report

FIXTURES = pathlib.Path(__file__).parent / 'fixtures'
#: What a dump does not tell is equal on hosts of one fleet, and does not
#: matter between cores: it is not to decide here.
_BY_REGISTERS = Options(overrides=CHECK_NAMES)


@dataclasses.dataclass(frozen=True, slots=True)
class Silicon:
    """Hosts of one core with one kernel.

    :ivar core: ``Neoverse-V1``
    :ivar kernel: ``6.18``
    """

    core: str
    kernel: str
    host: Host

    @property
    def number(self) -> tuple[int, int]:
        """The kernel's version, to compare by."""
        return version_of(self.kernel) or (0, 0)


def profiles() -> list[Silicon]:
    """Return every profile, by core and kernel."""
    made = []
    table = FIXTURES / 'silicon' / 'PROVENANCE.tsv'
    for line in table.read_text().splitlines()[1:]:
        dump, core, kernel, masks = line.split('\t')
        text = (FIXTURES / 'silicon' / f'{dump}.json').read_text()
        record = (FIXTURES / 'lab' / f'{masks}.json').read_text()
        made.append(
            Silicon(
                core,
                '.'.join(kernel.split('.')[:2]),
                host_of_dump(text, load_host(record.strip())),
            )
        )
    return sorted(made, key=lambda one: (one.core, one.number))


def judge(start: Silicon, end: Silicon) -> Report:
    """Return what the rule alone says of the registers: no trial."""
    return compare(guest_started_on(start.host), end.host, _BY_REGISTERS)
