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

"""The guest object that the parent's code gets for a migration job."""

from typing import Any

from nova.virt.libvirt import guest as libvirt_guest
from oslo_log import log as logging

from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.nova.rollback.source_job import Job

LOG = logging.getLogger(__name__)


class WatchedGuest:
    """The guest that the parent's code migrates and monitors.

    :param guest: ``nova.virt.libvirt.guest.Guest``
    """

    def __init__(self, guest: Any, job: Job) -> None:
        self._guest = guest
        self._job = job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guest, name)

    def get_job_info(self) -> Any:
        """Return the job; report its end only when the outcome is known."""
        try:
            info = self._guest.get_job_info()
        except numa_host.libvirt_error() as error:
            # libvirt may be restarting. The thread knows how the job ends.
            LOG.warning(
                'libvirt does not report the migration job: %s',
                error,
                instance=self._job.instance,
            )
            info = libvirt_guest.JobInfo()
        return self._job.seen(info)

    def is_active(self) -> int:
        """Whether the guest has stayed, for the parent's find_job_type."""
        return int(not self._job.has_left())

    def pause(self) -> None:
        """Pause the guest, and note that Nova did it."""
        self._guest.pause()
        self._job.paused_guest = True

    def resume(self) -> None:
        """Resume the guest that Nova has paused."""
        self._guest.resume()
        self._job.paused_guest = False

    def migrate_start_postcopy(self) -> None:
        """Switch to post-copy, and note that there is no way back."""
        self._guest.migrate_start_postcopy()
        self._job.post_copy = True

    def migrate(self, destination: str, **kwargs: Any) -> None:
        """Make libvirt migrate the guest."""
        self._job.migrate(self._guest, destination, kwargs)
