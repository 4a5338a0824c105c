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

"""The migration jobs of a driver."""

from collections.abc import Iterator
import contextlib
import threading
from typing import Any

from nova_arm_migrate.nova.rollback.source_job import Job


class Jobs:
    """The jobs of one driver, one for each migration."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._here = threading.local()

    @contextlib.contextmanager
    def current(self, job: Job, migrate_data: Any) -> Iterator[None]:
        """Register a job while this thread works on it.

        :param migrate_data: the object that the parent passes to all methods
            that work on the job
        """
        with self._lock:
            self._jobs[id(migrate_data)] = job
        self._here.job = job
        try:
            yield
        finally:
            self._here.job = None
            with self._lock:
                del self._jobs[id(migrate_data)]

    def of(self, migrate_data: Any) -> Job | None:
        """Return the job that is registered with this object."""
        with self._lock:
            return self._jobs.get(id(migrate_data))

    def in_this_thread(self) -> Job | None:
        """Return the job on which this thread works."""
        return getattr(self._here, 'job', None)

    def owns_tasks(self, active: dict[str, Any], instance: Any) -> bool:
        """Whether the parent's entry belongs to this thread's job."""
        job = self.in_this_thread()
        return job is None or active.get(instance.uuid) is job.tasks

    def aborted(self, instance: Any) -> None:
        """Note that libvirt has accepted a user's abort of the job."""
        with self._lock:
            for job in self._jobs.values():
                if job.instance.uuid == instance.uuid and job.running:
                    job.aborted = True
