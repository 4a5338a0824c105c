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

"""A complete OpenStack on the lab: ``python3 -m tests.lab cloud``.

``cli``        the commands;
``cloud``      the cloud as a whole;
``services``   its services on this machine;
``identity``   their users and endpoints in keystone;
``backing``    their database, tables and message queue;
``programs``   programs of this machine, started, watched and ended;
``settings``   their configuration, as text;
``install``    what they run: one environment here, and Nova for the hosts;
``project``    this project, of the work tree or of a commit;
``image``      the disk that the hosts boot from;
``debian``     hosts with Debian's packages of Nova and of this project;
``computes``   nova-compute in the hosts;
``storage``    storage that all hosts share;
``ports``      ports that carry packets;
``client``     runs the ``openstack`` client;
``stage``      what a scenario says and expects;
``server``     its servers: boot, reports, moves;
``scene``      both, and the drivers of its hosts;
``scenarios``  the scenarios, and how they are run;
``steps``      the steps of those that have no module below;
``failures``   live migrations that fail halfway;
``crossing``   guests that move between two CPU models;
``tls``        TLS, ssh, post-copy, and a certificate that has expired;
``transports`` TLS and ssh between hosts;
``certificates``  the lab's certificate authority;
``upgrade``    a cloud in the middle of an upgrade;
``audits``     audits of Watcher, with two kinds of cores;
``watcher``    Watcher's services, and the load that they see;
``trial``      one live migration that is disturbed;
``numa``       guests with a NUMA layout;
``numa_look``  a guest's placement: database, Placement and kernel.
"""
