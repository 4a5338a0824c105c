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


"""This package's entries in a server's list of events.

Nova writes an event for each method of its manager. It ends that event with
"Success" as soon as the driver's thread has started, so a failure in the
thread needs a separate event.
"""

from typing import Any

from nova import objects
from nova import utils
import nova.conf
from oslo_log import log as logging
from oslo_utils import timeutils

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

_PREFIX = 'arm_migrate_'
#: Bytes that Nova keeps.
_DETAILS = 255


def failed(context: Any, instance: Any, name: str, details: str) -> None:
    """Add an event with the result "Error"; log it if that fails.

    :param name: the event's name without our prefix. Nova finds the event to
        finish by its name: use each name only once in a request
    :param details: the reason; Nova keeps 255 bytes of it
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
        # Nova marks an event as failed if it has a traceback.
        event.event_finish_with_failure(
            context,
            instance.uuid,
            _PREFIX + name,
            exc_val=details,
            exc_tb='',
            want_result=False,
        )
    except Exception:
        # The action belongs to another request, or the database does not
        # answer. Neither may stop a migration or a rollback.
        LOG.warning(
            'Cannot add the event "%(details)s"',
            {'details': details},
            exc_info=True,
            instance=instance,
        )


def refused(context: Any, instance: Any, name: str, details: str) -> None:
    """Add an event with the result "Error" to an action that goes on.

    Another host may succeed, so the action is not marked as failed, and there
    may be one event for each host. Logs it if the event cannot be added.

    :param name: the event's name without our prefix
    :param details: the reason; Nova keeps 255 bytes of it
    """
    now = timeutils.utcnow(with_timezone=True)
    event = objects.InstanceActionEvent(
        context,
        event=_PREFIX + name,
        host=CONF.host,
        start_time=now,
        finish_time=now,
        details=utils.safe_truncate(details, _DETAILS),
        result='Error',
    )
    try:
        event.create(instance.uuid, context.request_id)
    except Exception as error:
        LOG.debug('Cannot add an event: %s', error, instance=instance)
