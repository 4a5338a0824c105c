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

"""Live migration of Arm64 KVM guests under stock OpenStack Nova.

``core``     the judgement: values and pure functions;
``probe``    reads what this host offers a guest;
``numa``     the parts of a domain's XML that depend on a NUMA layout: pure;
``nova``     the code that runs in nova-compute and nova-scheduler;
``cli``      the command ``nova-arm-migrate``;
``osc``      the commands of ``openstack arm64``;
``api``      what other programs may import;
``filters``  the name that operators write for the scheduler's filter;
``weighers`` the same for the scheduler's weigher;
``finder``   makes the driver importable under the name that Nova looks for.

This package imports nothing here: a Python interpreter that starts beside it
reads ``finder`` and no more.
"""
