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

"""The scheduler's filter and weigher.

``arm_filter``     drops the hosts that cannot take a guest;
``arm_weigher``    prefers the hosts that a new guest can leave again;
``reach``          to how many hosts guests of each host can move;
``offers``         which hosts start a guest on its baseline;
``host_cache``     the hosts' records; it parses each distinct text once;
``filter_events``  names the dropped hosts in the server's events.
"""
