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

"""Guests that start on a guest CPU baseline.

``catalogue``    the baselines of this host's files, and which it offers;
``choice``       which baseline a guest gets;
``extra_specs``  Nova's check of the flavor extra spec;
``backends``     what makes QEMU show a baseline, in order of preference;
``domain_xml``   a back end's changes of the domain's XML;
``running``      what a running QEMU says of its guest's CPU;
``root``         what only root may read of it;
``readback``     whether a guest has its baseline;
``arrival``      whether the destination of a cold migration offers it;
``drift``        guests that would not get their baseline again here;
``versions``     which guests get another one when they start again;
``starts``       all of these, for the driver.
"""
