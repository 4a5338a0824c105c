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

``values``        the values of registers, and cores;
``profile``       what a host offers and what a guest has;
``attributes``    one declaration for each attribute of a profile;
``record``        the JSON form of a profile; checks records of other hosts;
``record_forms``  the forms of the attributes in it, and as text;
``record_tried``  the part of it that says what a probe tried;
``record_baselines``  the part of it that names guest CPU baselines;
``codes``         sets of register codes as text: ascending runs;
``forms``         checks that each value in a record has one form only;
``frozen``        a map from register codes that can be compared and hashed;
``cpu_info``      a host's record in the ``cpu_info`` of a compute node;
``dump``          a host's profile from a dump of one vCPU's registers;
``registers``     the types that the tables are made of;
``tables``        every register and field, as data, with KVM's rule for it;
``vcpu``          what a host offers a vCPU with features switched off;
``guest_view``    what KVM shows one guest, and its record;
``rules``         one register's value against one host's limit;
``field_rules``   the same for the fields of an ID register;
``incoming``      what QEMU does with registers that the destination lacks;
``memmap``        the memory map that QEMU gives a guest;
``gic``           a guest's interrupt controller against the destination's;
``checks``        what KVM does not check: hazards, and what QEMU refuses;
``tried``         KVM's answers to the values that a host's probe wrote;
``compare``       a whole guest against a whole host: the verdict;
``trial``         what KVM answered in a trial, and where the rule differs;
``errors``        the errors of the core.

What is found, and how it is said:

``causes``    why there is a finding, and what follows from the cause alone;
``finding``   one thing that was found;
``verdict``   the verdict and its findings;
``words``     the sentences that say what was found, by cause;
``remedy``    what an operator can do about it, in words;
``remedies``  which of these help, from both records;
``messages``  both together: what an operator reads;
``cores``     a core's name from MIDR_EL1;
``traits``    a host's Placement traits from its profile;
``labels``    the same as labels of a Kubernetes node.

Baselines and fleets:

``baseline``          the most that a guest may have to run on several hosts;
``cpu_baseline``      the CPU that guests of a pool see on any of its cores;
``implementation``    the core that guests see on different cores;
``baseline_file``     a baseline's file;
``baseline_forms``    the forms of its attributes in the file;
``baseline_changes``  the difference of two, and what a host gives up;
``shim``              a baseline for the library that writes the registers;
``crossing``          baselines of hosts with different cores or kernels;
``crossing_pools``    the possible pools if hosts have no baseline in common;
``crossing_words``    the sentences about hosts that refuse a baseline;
``pools``             a fleet's partition into migration pools;
``moves``             which profiles' guests can move to which hosts;
``matrix``            the verdicts between all kinds of hosts of a fleet;
``page``              the same as one HTML page;
``page_frame``        the style, the program and the frame of the page;
``apart``             the fewest fields that keep two pools apart;
``drain``             a plan that empties a host.

Live migrations:

``job``  the course of one: what is seen of it, what to do next.
"""
