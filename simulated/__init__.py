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

"""A simulated libvirt and QEMU, with hosts that are replayed from records.

The functional tests and the demo use it. It has its own implementation of
KVM's rule, and must not call the product's.

``hosts``          fixtures that make Nova's fake libvirt play Arm64 hosts;
``hypervisor``     libvirt and QEMU on a host, on top of Nova's own fake;
``libvirt_names``  names of libvirt that Nova's fake lacks;
``migrations``     how a migration job runs and ends;
``job``            one outgoing migration job, driven by a test;
``qemu``           what QEMU does with an incoming vCPU's registers;
``machine``        the CPU and KVM of a host, replayed from its profile;
``kvm_rule``       KVM's rule for a value written to a vCPU;
``board``          the machine that QEMU builds around the vCPUs.
"""
