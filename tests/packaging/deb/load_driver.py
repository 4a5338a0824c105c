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

"""Print the driver that nova-compute loads, configured as Debian's service.

Arguments: ``--config-file=FILE`` in place of Debian's nova-compute.conf, or a
``compute_driver`` to load in place of the configured one.
"""

import logging
import sys

# oslo.config finds /etc/nova/nova-compute.conf.d by the program's name.
sys.argv[0] = '/usr/bin/nova-compute'

# As the service does: it chooses eventlet or threads, as its release says.
import nova.cmd.compute  # noqa: F401

from nova import config
from nova.virt import driver

files = [name for name in sys.argv[1:] if name.startswith('--config-file=')]
drivers = [name for name in sys.argv[1:] if name not in files]
config.parse_args(
    [
        'nova-compute',
        '--config-file=/etc/nova/nova.conf',
        *(files or ['--config-file=/etc/nova/nova-compute.conf']),
    ],
    init_rpc=False,
)


class ImportErrors(logging.Handler):
    """Nova logs why a driver cannot be loaded, and exits."""

    def emit(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, ImportError):
            print(error)


logging.getLogger('nova.virt.driver').addHandler(ImportErrors())
loaded = type(driver.load_compute_driver(None, *drivers))
print(f'{loaded.__module__}.{loaded.__qualname__}')
