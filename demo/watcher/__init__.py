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

"""Watcher in the simulated cloud: audits of a mixed fleet.

``python -m demo.watcher`` counts the actions that fail, and the guests that
end in ERROR, under the stock driver and under ours. It installs python-watcher
in an environment of its own. Importing this package imports nothing.

``trials``     the strategies and configurations that are tried;
``fleet``      the hosts, the guests, and their load;
``audits``     an audit from its creation to the end of its action plan;
``plan``       what such audits and plans consist of;
``process``    installs Watcher, configures it, starts and stops it;
``services``   Watcher's services, in the process that runs them;
``metrics``    answers Watcher's questions about load;
``table``      what is printed at the end.
"""
