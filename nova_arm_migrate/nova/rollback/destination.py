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

"""The source asks the destination for the guest's state there.

The question is sent as the data of Nova's ``check_instance_shared_storage``.
That call goes from compute to compute and writes nothing, and Nova passes its
data from driver to driver unread. An RPC call of our own would need a second
server beside Nova's. The data names a file that does not exist, so a
destination with the stock driver answers False, which means "no answer".
"""

import collections
import dataclasses
import datetime
import threading
from typing import Any

from oslo_log import log as logging
from oslo_utils import timeutils

from nova_arm_migrate.core.job import Presence

LOG = logging.getLogger(__name__)

_KEY = 'arm_migrate'
_NO_FILE = '/nonexistent/nova-arm-migrate'


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a host says about a guest.

    :ivar domain: UNKNOWN if the host does not answer
    :ivar arriving: the host has prepared for the guest, and has neither
        taken it over nor cleaned up; None if the host does not say
    :ivar libvirt: identifies the host's connection to libvirt. A new value
        means that libvirt there has restarted. None if the host does not say
    :ivar reached: nova-compute there has given any answer
    """

    domain: Presence = Presence.UNKNOWN
    arriving: bool | None = None
    libvirt: str | None = None
    reached: bool = False


def ask(manager: Any, context: Any, instance: Any, host: str) -> Answer:
    """Ask another compute for the guest; waits one RPC time-out at most.

    :param manager: ``nova.compute.manager.ComputeManager`` of this host
    """
    data = {'filename': _NO_FILE, _KEY: {'uuid': instance.uuid}}
    try:
        said = manager.compute_rpcapi.check_instance_shared_storage(
            context, data, instance=instance, host=host
        )
    except Exception as error:
        LOG.warning(
            '%(host)s does not report the state of the guest: %(error)s',
            {'host': host, 'error': error},
            instance=instance,
        )
        return Answer()
    if not isinstance(said, dict):
        return Answer(reached=True)
    try:
        domain = Presence(said.get('domain'))
    except ValueError:
        domain = Presence.UNKNOWN
    arriving, libvirt = said.get('arriving'), said.get('libvirt')
    return Answer(
        domain,
        arriving if isinstance(arriving, bool) else None,
        libvirt if isinstance(libvirt, str) else None,
        reached=True,
    )


def asked(data: Any) -> str | None:
    """Return the UUID of the guest that another compute asks for.

    :param data: of ``check_instance_shared_storage_remote``
    :returns: None if it is Nova's own question
    """
    question = data.get(_KEY) if isinstance(data, dict) else None
    uuid = question.get('uuid') if isinstance(question, dict) else None
    return uuid if isinstance(uuid, str) else None


def answer(
    host: Any, domain: Presence, arriving: bool | None
) -> dict[str, Any]:
    """Return the answer for `ask`.

    :param host: ``nova.virt.libvirt.host.Host``
    """
    return {
        'domain': domain.value,
        'arriving': arriving,
        'libvirt': None
        if domain is Presence.UNKNOWN
        else f'{id(host.get_connection()):x}',
    }


class Arrivals:
    """The guests for which this host has prepared a migration."""

    #: How many settled guests are remembered; the oldest are dropped.
    _REMEMBERED = 256

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[str, datetime.datetime] = {}
        self._settled: collections.deque[str] = collections.deque(
            maxlen=self._REMEMBERED
        )

    def begin(self, uuid: str) -> None:
        """Note that this host prepares for a guest."""
        with self._lock:
            self._since[uuid] = timeutils.utcnow()
            if uuid in self._settled:
                self._settled.remove(uuid)

    def end(self, uuid: str) -> datetime.datetime | None:
        """Note that a guest has been taken over or cleaned up.

        :returns: when this host began to prepare for it, in UTC; None if
            that is not known, for example after a restart of the service
        """
        with self._lock:
            if uuid not in self._settled:
                self._settled.append(uuid)
            return self._since.pop(uuid, None)

    def arriving(self, uuid: str) -> bool | None:
        """Whether this host is prepared for a guest; None if not known."""
        with self._lock:
            if uuid in self._since:
                return True
            return False if uuid in self._settled else None
