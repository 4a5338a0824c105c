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

"""What QEMU does with the list of registers of an incoming vCPU.

This is written from ``cpu_post_load`` and ``vmstate_arm_cpu`` in
``target/arm/machine.c`` and ``kvm_arm_set_cpreg_mig_tolerances`` of QEMU. It
is independent of `core.incoming`, which has the same knowledge but must not
decide what happens here.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping

from nova_arm_migrate.core.registers import kvm_id

Version = tuple[int, int]

#: The last version that walks both lists in parallel, and the first version
#: with tolerances.
_WALKS = (10, 2)
_TOLERATES = (11, 1)
#: TCR2_EL1, PIRE0_EL1, PIR_EL1: ToleranceNotOnBothEnds.
_TOLERATED = frozenset({0xC103, 0xC512, 0xC513})
#: KVM_REG_ARM_VENDOR_HYP_BMAP_2: ToleranceOnlySrcTestValue, 0.
_TOLERATED_AS_ZERO = 0x160003


def fails(
    incoming: Iterable[int],
    own: Iterable[int],
    values: Mapping[int, int],
    version: Version,
) -> tuple[int, ...]:
    """Return the incoming registers that fail the load.

    QEMU stops at the first of them; this function returns all. A register that
    only the destination has never fails the load, and keeps its reset value.
    For a version between those that were read (see above) the stricter rule
    applies. Each register is judged separately, although ``cpu_post_load``
    forgets a failure if a tolerated register follows it.

    :param incoming: codes of the registers in the stream
    :param own: codes of the registers that KVM lists here
    :param values: in the stream; a register that is left out has an unknown
        value, or 0
    :param version: of the QEMU here
    """
    theirs, ours = sorted(map(_place, incoming)), sorted(map(_place, own))
    refused: set[int] = set()
    if version < _TOLERATES:
        refused.update(_walk(theirs, ours))
    if version > _WALKS:
        refused.update(
            code
            for code in _only_in(theirs, ours)
            if not _tolerated(code, values)
        )
    return tuple(code for _, code in theirs if code in refused)


def _place(code: int) -> tuple[int, int]:
    """Return QEMU's sort key of a register: KVM's number."""
    return kvm_id(code), code


def _only_in(
    theirs: list[tuple[int, int]], ours: list[tuple[int, int]]
) -> list[int]:
    known = set(ours)
    return [place[1] for place in theirs if place not in known]


def _walk(
    theirs: list[tuple[int, int]], ours: list[tuple[int, int]]
) -> list[int]:
    """Walk both lists until one of them ends."""
    if len(theirs) > len(ours):
        # VMSTATE_INT32_POSITIVE_LE(cpreg_vmstate_array_len)
        return _only_in(theirs, ours)
    refused = []
    mine = its = 0
    while mine < len(ours) and its < len(theirs):
        if theirs[its] > ours[mine]:
            mine += 1
        elif theirs[its] < ours[mine]:
            refused.append(theirs[its][1])
            its += 1
        else:
            mine += 1
            its += 1
    return refused


def _tolerated(code: int, values: Mapping[int, int]) -> bool:
    return code in _TOLERATED or (
        code == _TOLERATED_AS_ZERO and not values.get(code, 0)
    )
