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

"""The simulated cloud: real Nova and Placement, replayed Arm64 hosts.

``python -m demo`` shows live migrations between Arm64 hosts on a machine that
has neither Arm nor KVM. Importing this package imports nothing.

``cloud``     the services, and how they are connected;
``settings``  their configuration files;
``frontend``  one HTTP server in front of every API;
``wsgi``      that server's socket and threads;
``scenes``    what is shown, with a check of each result;
``guests``    the requests, and their results;
``api``       what is read from nova-api;
``terminal``  what is printed, and the commands that are run;
``program``   what such a program does first and last;
``watcher``   Watcher's audits in the simulated cloud.
"""
