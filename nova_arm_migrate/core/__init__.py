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

"""The judgement: frozen values and pure functions, standard library only.

From one register's value to the verdict:

``profile``   what a host offers and what a guest has, each attribute
              declared once (``attributes``, ``record_forms``);
``record``    their JSON form, and the checks on records of other hosts;
``cpu_info``  a host's record in the ``cpu_info`` of a compute node;
``tables``    every register and field, as data, with KVM's rule for it;
``vcpu``      what a host offers a vCPU with features switched off;
``guest_view`` what KVM shows one guest, and its record;
``rules``     one register's value against one host's limit;
``incoming``  what QEMU does with registers that the destination lacks;
``memmap``    the memory map that QEMU gives a guest;
``checks``    what KVM does not check: hazards, and what QEMU refuses;
``compare``   a whole guest against a whole host: the verdict;
``trial``     what KVM answered in a trial, and where the rule differs;
``causes``    why there is a finding, and what follows from the cause alone;
``finding``   one thing that was found;
``verdict``   the verdict and its findings;
``words``     the sentences that say what was found, by cause;
``remedies``  what an operator can do about it, from both records;
``messages``  both together: what an operator reads;
``baseline``  the most that a guest may have to run on several hosts;
``implementation`` which core may stand for several ones in a guest's eyes;
``cpu_baseline`` the CPU that guests of a pool see, whatever core they run on;
``baseline_file`` its file (``baseline_forms``);
``baseline_changes`` what differs between two, and what a host gives up;
``crossing``  baselines of hosts with different cores or kernels;
``crossing_pools`` the pools that are possible if hosts have none in common;
``crossing_words`` the sentences about hosts that refuse a baseline;
``shim``      a baseline as the library reads it that writes the registers;
``pools``     a fleet's partition into migration pools;
``matrix``    the verdicts between all kinds of hosts of a fleet;
``apart``     the fewest fields that keep two pools apart;
``cores``     a core's name from MIDR_EL1;
``traits``    a host's Placement traits from its profile.
"""
