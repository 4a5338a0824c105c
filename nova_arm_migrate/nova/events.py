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


"""Entries of our own in a server's list of events.

Nova writes an event for each of its manager's methods, and what happens in
a thread of the driver's has none: it ends with "Success" as soon as the
thread is on its way.
"""

from typing import Any

from nova import objects
import nova.conf
from oslo_log import log as logging

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

_PREFIX = 'arm_migrate_'


def failed(context: Any, instance: Any, name: str, details: str) -> None:
    """Add an event with the result "Error"; log it if that fails.

    :param name: what it is of; the event's name has our prefix as well. Nova
        finishes an event by its name: use one once in a request
    :param details: of which Nova keeps 255 bytes
    """
    event = objects.InstanceActionEvent
    try:
        event.event_start(
            context,
            instance.uuid,
            _PREFIX + name,
            want_result=False,
            host=CONF.host,
        )
        # Nova takes an event that has a traceback for a failed one.
        event.event_finish_with_failure(
            context,
            instance.uuid,
            _PREFIX + name,
            exc_val=details,
            exc_tb='',
            want_result=False,
        )
    except Exception:
        # An action of another request, or a database that is away: not
        # worth a migration, nor a rollback.
        LOG.warning(
            'No event for "%(details)s"',
            {'details': details},
            exc_info=True,
            instance=instance,
        )
