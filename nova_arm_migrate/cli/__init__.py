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

"""``nova-arm-migrate``: needs only the standard library; is in the zipapp.

``main``             the parser;
``probe``            the command ``probe``: this host's profile;
``compare``          the command ``compare``: may this guest move to that host?
``trial``            the command ``trial``: writes registers on this host;
``baseline``         the command ``baseline``: what a fleet has in common;
``cpu_baseline``     the same command: baselines as files;
``import_dump``      the command ``import``: a profile from a register dump;
``fleet``            the commands ``pool``, ``what-if`` and ``matrix``;
``fleets``           their rows, which osc has too;
``labels``           the command ``labels``: a record as node labels;
``records``          reads profiles from files, whose content is not trusted;
``formats``          the output formats;
``render``           profiles, reports and fleets as text;
``render_baseline``  baselines as text;
``matrix``           a fleet's matrix as text and as JSON;
``picture``          a fleet's matrix as a picture;
``files``            writes the output to a file;
``output``           the end of standard output, also on a full disk;
``errors``           the error with which a command ends.
"""
