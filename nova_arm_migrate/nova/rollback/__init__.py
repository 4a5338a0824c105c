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

"""One live migration, and what follows when it ends in whatever way.

``preparation``    failures before Nova's manager calls the driver;
``source_job``     feeds `nova_arm_migrate.core.job` and does what it decides;
``job_registry``   the jobs of one driver, told apart;
``watched_guest``  the guest, as Nova's monitor has to see it;
``presence``       how a guest is on this host, by libvirt;
``destination``    how it is on the other, by its compute;
``settlement``     everything else made to agree with where the guest is;
``problem``        what could not be made to agree;
``qemu_log``       why QEMU has ended at the destination.
"""
