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

"""What released versions of QEMU do with registers, in addition to KVM.

Source: ``target/arm/kvm.c`` and ``target/arm/machine.c`` of QEMU.
"""

import enum

from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.tables.special import VENDOR_HYP_BMAP_2

#: The first QEMU that enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS: none does,
#: so MIDR_EL1, REVIDR_EL1 and AIDR_EL1 must be equal.
WRITES_IMPLEMENTATION_IDS_SINCE: tuple[int, int] | None = None


class Tolerance(enum.Enum):
    """When QEMU drops an incoming register that the destination lacks."""

    ALWAYS = 'always'
    IF_ZERO = 'if zero'


#: kvm_arm_set_cpreg_mig_tolerances(): registers that kernels before 6.13
#: listed although nothing needs them, and one that 6.15 added.
TOLERATED = {
    sysreg(3, 0, 2, 0, 3): Tolerance.ALWAYS,
    sysreg(3, 0, 10, 2, 2): Tolerance.ALWAYS,
    sysreg(3, 0, 10, 2, 3): Tolerance.ALWAYS,
    VENDOR_HYP_BMAP_2: Tolerance.IF_ZERO,
}
#: (major, minor): the first QEMU in which these exceptions were seen.
TOLERANT_SINCE = (11, 1)
#: The last QEMU without them. The versions in between were not available.
IN_ORDER_UNTIL = (10, 2)

#: The vCPU features whose property newer QEMUs have only where KVM has the
#: feature: ``arm_cpu_post_init`` adds ``pmu`` if the CPU has a PMU, and
#: ``kvm_arm_get_host_cpu_features`` once gave every CPU one. It has ``pauth``
#: and ``sve`` on every host, and ``sme`` on none.
SWITCHES_WITH_FEATURE = frozenset({'pmu'})
#: The last QEMU that was seen to switch a PMU off that the host lacks (a
#: guest moved there), and the first that was seen to refuse it. The versions
#: in between were not available.
SWITCHES_ALL_UNTIL = (7, 2)
SWITCHES_OWN_SINCE = (10, 0)
