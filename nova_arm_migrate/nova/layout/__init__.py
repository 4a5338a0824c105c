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

"""A guest's NUMA-dependent XML at the destination.

``numa_migration``     the steps, one for each of Nova's calls;
``claim_layout``       the layout, from Nova's claim;
``guest_with_layout``  the guest on the source, with its XML for the layout;
``numa_host``          what libvirt and the kernel report about this host;
``dry_run``            libvirt's check of the XML, before the migration;
``channel``            sends the layout to the source.
"""
