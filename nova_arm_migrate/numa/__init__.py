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

"""The parts of a guest's domain XML that depend on the host's NUMA layout.

Pure: values and XML in, values and XML out. This package imports neither Nova
nor libvirt, and reads nothing from the host.

``layout``      the layout: where a destination places a guest;
``domain``      reads the layout from a domain XML;
``regenerate``  rewrites a domain XML for the destination's layout;
``abi``         checks that a rewrite changes nothing that the guest can see;
``clusters``    keeps floating vCPUs in few clusters of the host's CPUs;
``hostcheck``   checks that a host can now provide what a layout needs;
``proof``       compares a migrated guest with its layout;
``procfs``      parses the kernel's files about a running QEMU;
``wire``        the text in which the destination sends a layout to the source;
``parse``       reads domain XML, which another host may have sent;
``cpuset``      sets of CPUs and nodes, in libvirt's and the kernel's format;
``errors``      the errors of these modules.
"""
