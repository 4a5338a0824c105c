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

"""Commands that need Nova.

``status``           ``nova-arm-migrate-status``: the checks before an upgrade;
``baseline_guests``  the guests that a hard reboot gives another CPU baseline,
                     for ``status``;
``moved_guests``     the guests that cannot go back, for ``status``;
``fleet_checks``     what the records of a fleet say together, for ``status``;
``compute``          ``nova-compute-arm64``.
"""
