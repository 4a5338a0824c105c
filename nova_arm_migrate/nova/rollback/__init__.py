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

"""One live migration, and the work after its end.

``preparation``    failures before Nova's manager calls the driver;
``source_job``     feeds `nova_arm_migrate.core.job` and does what it decides;
``post_copy``      continues a post-copy migration that has broken;
``job_registry``   the jobs of one driver;
``watched_guest``  the guest object that Nova's monitor gets;
``presence``       the guest's state on this host, from libvirt;
``staying_guest``  the guest that stays on this host after a failure;
``destination``    the guest's state on the other host, from its compute;
``settlement``     makes all parts agree with the guest's place;
``volumes``        a settlement's part: the guest's volumes;
``ports``          a settlement's part: the guest's ports;
``problem``        what the settlement could not correct;
``qemu_log``       why QEMU ended at the destination;
``peer_certificate``  whether the destination's TLS certificate has expired.
"""
