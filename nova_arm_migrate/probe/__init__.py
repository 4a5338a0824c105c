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

"""Read what this host offers a guest. The standard library alone.

``host``            the probe of the local host: KVM, /proc and /sys;
``types``           the interface of a probe, real or recorded;
``recorded``        a probe that answers from a profile;
``kvm``             the part of KVM's interface that a scratch vCPU needs;
``descriptor``      KVM's file descriptors, and the calls on them;
``scratch``         creates a scratch machine as QEMU does, reads its vCPU;
``vgic``            KVM's interrupt controller, set up as QEMU does;
``incoming``        what QEMU does with the registers of an incoming guest;
``trial``           writes a guest's registers to a scratch vCPU;
``tries``           writes values, to find where KVM differs from the tables;
``system``          what the kernel reports in /proc and /sys;
``programs``        the versions of QEMU and libvirt;
``user_registers``  CNTFRQ_EL0 and DCZID_EL0, which a program may read;
``errors``          why a host could not be probed.
"""
