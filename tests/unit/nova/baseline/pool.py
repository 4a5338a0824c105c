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

"""The pool of the lab's Neoverse-V1 and Neoverse-N2, and its library."""

import dataclasses
import functools
import pathlib
import struct

from nova_arm_migrate.core import crossing
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.profile import Host
from tests import silicon


@functools.cache
def hosts() -> tuple[Host, Host]:
    """Neoverse-V1 and Neoverse-N2 with Linux 7.2.

    V1 was recorded before records had vGICs; both hosts have the same.
    """
    v1 = silicon.lab_host('neoverse-v1_forky')
    n2 = silicon.lab_host('neoverse-n2_forky')
    return dataclasses.replace(v1, vgics=n2.vgics), n2


@functools.cache
def baseline(version: int = 1) -> CpuBaseline:
    """Return the baseline of both hosts, with a name."""
    return crossing.common(
        list(hosts()), name='pool-1', version=version
    ).baseline


def library(path: pathlib.Path, machine: int = 183) -> str:
    """Write a file that looks like the shim. :returns: its path."""
    header = b'\x7fELF\x02\x01'.ljust(16, b'\0') + struct.pack(
        '<HH', 3, machine
    )
    path.write_bytes(header.ljust(64, b'\0') + b'NOVA_ARM_BASELINE\0')
    return str(path)
