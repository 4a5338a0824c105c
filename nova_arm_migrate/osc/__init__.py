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

"""``openstack arm64``: a plugin of python-openstackclient.

It needs osc-lib, openstacksdk and cliff (``nova-arm-migrate[osc]``), and no
Nova. One module has the commands of one noun.

``plugin``        what the client needs to load the commands;
``host``          the commands ``host list`` and ``host show``;
``drain``         the command ``host drain``;
``pool``          the commands ``pool list`` and ``pool show``;
``pool_sync``     the command ``pool sync``;
``server``        the command ``server destinations``;
``compare``       the command ``compare``;
``what_if``       the command ``what-if``;
``matrix``        the command ``matrix``;
``base``          what all commands share: errors, options of the comparison;
``subjects``      what the user compares: a host, a server or a file;
``cloud``         reads hosts, services and servers from Nova's API;
``records``       a host as the cloud has it, with its record;
``fleet``         the hosts' pools, and where each host is in them;
``placement``     asks Placement which hosts have room for a server;
``destinations``  where the servers of a host can go;
``moving``        live-migrates a server and waits until it has arrived;
``aggregates``    host aggregates that follow the pools;
``columns``       cells with one form for people and one for programs.
"""
