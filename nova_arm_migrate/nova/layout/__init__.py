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

``numa_migration``  the steps, as Nova's calls come;
``numa_host``       what libvirt and the kernel say of this host;
``dry_run``         whether libvirt takes the XML, before anything moves;
``channel``         how the layout gets to the source.
"""
