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

"""KVM's rule for ID registers, a second time and from its source alone.

What the tests of `core.rules` and `core.baseline` are held against. It
shares the tables with them, not the code. Source, Linux 7.2:
``arm64_check_features`` in ``arch/arm64/kvm/sys_regs.c`` and
``arm64_ftr_safe_value`` in ``arch/arm64/kernel/cpufeature.c``.
"""

from nova_arm_migrate.core.registers import Field
from nova_arm_migrate.core.registers import Rule


def safe_value(field: Field, new: int, cur: int) -> int:
    """What is safe where one CPU has ``new`` and another one ``cur``."""
    if field.rule is Rule.EXACT:
        return field.safe
    if field.rule is Rule.LOWER_SAFE:
        return min(new, cur)
    if field.rule is Rule.HIGHER_OR_ZERO_SAFE and not (cur and new):
        return 0
    if field.rule in (Rule.HIGHER_SAFE, Rule.HIGHER_OR_ZERO_SAFE):
        return max(new, cur)
    return cur  # no entry in the kernel's table: it must not differ


def takes(
    field: Field, value: int, limit: int, mask: int = (1 << 64) - 1
) -> bool:
    """Whether a write of the field succeeds.

    The least values are those of ``set_id_aa64pfr0_el1``,
    ``set_id_aa64dfr0_el1`` and ``set_id_dfr0_el1``.

    :param mask: what is writable of the register
    """
    if value == limit:
        return True
    if field.mask & ~mask or safe_value(field, value, limit) != value:
        return False
    if not field.least or (field.or_zero and not value):
        return True
    return value >= field.least


def every_value(field: Field) -> list[int]:
    """All values that a field can have, sign extended."""
    return sorted(
        {field.of(raw << field.shift) for raw in range(1 << field.width)}
    )
