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


"""What QEMU does with the registers of an incoming guest.

Source: ``write_list_to_kvmstate`` in ``target/arm/kvm.c``; for registers
that the destination does not have see `core.incoming`.
"""

from nova_arm_migrate.core.incoming import LoadResult
from nova_arm_migrate.core.incoming import missing_register_result
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.vcpu import with_own_gic

#: Why no trial is possible for a guest without a register list.
NO_LIST = "the guest's record has no list of its registers"


def writes(guest: Guest, reg_list: frozenset[int]) -> list[tuple[int, int]]:
    """Return the (code, value) pairs to write, in QEMU's order.

    Contains only registers whose values a profile stores. The others hold
    the state of a running guest, which KVM does not check.

    :param reg_list: the registers that the destination has
    """
    both = (guest.reg_list or frozenset()) & reg_list
    values = with_own_gic(guest).values
    return [
        (code, values.read(code))
        for code in sorted(both, key=kvm_id)
        if keeps_value(code)
    ]


def missing(
    guest: Guest, reg_list: frozenset[int], qemu: str | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the missing registers that fail the load, or may fail it.

    :param reg_list: the registers that the destination has
    :param qemu: the version of the destination's QEMU
    :returns: codes of the guest's registers that the destination does not
        have and its QEMU does not drop; codes of those that QEMU may drop
    """
    fails, may_fail = [], []
    lacks = (guest.reg_list or frozenset()) - reg_list
    for code in sorted(lacks, key=kvm_id):
        result = missing_register_result(code, guest, reg_list, qemu)
        if result is LoadResult.FAILS:
            fails.append(code)
        elif result is LoadResult.UNKNOWN:
            may_fail.append(code)
    return tuple(fails), tuple(may_fail)
