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

"""The Nova side: the code that runs in nova-compute and nova-scheduler.

The modules here call the core for each decision.

``driver``           the driver, with all overrides but the next four's;
``precheck_driver``  the overrides that judge a live migration;
``baseline_driver``  the overrides for guests on a CPU baseline;
``layout_driver``    the overrides for NUMA layouts and failed migrations;
``monitored_driver`` the overrides for metrics;
``options``          the options of ``[arm_migrate]``, declared;
``conf``             their values, checked, and the last good ones;
``release``          what differs between the supported releases of Nova;
``signatures``       what the driver expects of Nova, as data;
``events``           a server's events, which tell the user the reason;
``records``          what Nova stores of a host, a guest and its domain;
``baseline``         which baseline a guest gets, and whether it has it;
``precheck``         decides whether this host accepts the guest;
``scheduler``        the filter and the weigher;
``layout``           the NUMA-dependent XML, from the destination's claim;
``monitoring``       metrics and notifications;
``rollback``         one migration job, and the work after its end;
``cmd``              commands that need Nova.
"""
