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

"""What other programs may import. The rest of the package may change.

.. code-block:: python

    from nova_arm_migrate import api

    host = api.load_host(text)              # a host's record, from JSON
    guest = api.guest_started_on(host)      # what a guest gets there
    report = api.compare(guest, other)      # the verdict, and why

These are frozen values and pure functions. They need only the standard
library.
"""

from nova_arm_migrate.core.baseline import Baseline
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.baseline import Conflict
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.pools import EqualHosts
from nova_arm_migrate.core.pools import Fleet
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.pools import Pool
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_guest
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Verdict

__all__ = [
    'Baseline',
    'Conflict',
    'Core',
    'EqualHosts',
    'Finding',
    'Fleet',
    'Guest',
    'Host',
    'Options',
    'Pool',
    'ProfileError',
    'Report',
    'Severity',
    'Values',
    'Verdict',
    'after_migration',
    'baseline',
    'compare',
    'dump_guest',
    'dump_host',
    'fleet',
    'guest_started_on',
    'load_guest',
    'load_host',
    'sentence',
]
