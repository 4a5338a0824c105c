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

"""The records that Nova stores for this package.

``cpu_info``        the record of a host, in its compute node's ``cpu_info``;
``guest_record``    the record of a guest, in its instance's ``vcpu_model``;
``domain``          what a libvirt domain's XML says about a guest;
``instance_state``  what an instance says about its guest; its task state.
"""
