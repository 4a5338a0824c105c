# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Emulated Arm64 hosts with real KVM and libvirt, and tests on them.

``cli``           the commands of ``python3 -m tests.lab``;
``spec``          the specification of a host;
``generations``   which Debian release gives which kernel and QEMU;
``build``         builds and caches the images of the hosts;
``rootfs``        makes Debian packages a root file system that boots;
``network``       the lab's network, in a namespace of its own;
``host``          the hosts;
``channel``       runs commands in a host and moves files, over its agent;
``qmp``           sends a command to an emulator's monitor;
``processes``     the lab's processes, known by pid and start time;
``places``        its files, locks and progress lines;
``guest``         guests in the hosts: start, move and check them;
``witness``       the reports of the program in a guest;
``oracle``        the predictions for a migration;
``groups``        the groups of hosts that are compared;
``table``         the rows of a truth table;
``truth``         the command ``truth``: verdicts and real migrations;
``differential``  the command ``differential``: the rule and the kernel;
``scenarios``     the command ``scenarios``: ways to move a guest;
``crossing``      guests on a baseline, on hosts with different CPU models;
``hops``          one guest that goes round a whole pool;
``pace``          how long baseline guests take, beside plain ones;
``cloud``         a complete OpenStack on the lab;
``errors``        the lab's errors.
"""
