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


"""How a live migration ends when it fails: on the source, and ACTIVE.

Nova rolls a failed migration back and then puts the instance in ERROR all
the same, because the thread that talked to libvirt has raised; and it saves,
from the destination, the numbers that the guest would have had there. Both
are met here, through what the driver is handed and what it overrides.
"""

import re
import threading
from typing import Any

import nova.conf
from nova import exception
import nova.privsep.path
from nova.virt.libvirt import migration as libvirt_migrate
from oslo_log import log as logging

from nova_arm_migrate.adapters import events
from nova_arm_migrate.adapters import numa_host

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Where libvirt has QEMU's messages; not to be set in its configuration.
_QEMU_LOG = '/var/log/libvirt/qemu/{name}.log'
_QEMU_LOG_BYTES = 4096

#: ``qemu-system-aarch64: ...``; ``qemu-kvm: ...`` where it is called that.
_QEMU_SAYS = re.compile(r'\bqemu-(?:system-\w+|kvm): (.+)$')

#: Why a guest is not taken is in neither: the second is QEMU's word for
#: libvirt ending it (``qemu_kill_report``), after the reason.
_NO_REASON = re.compile(r'warning: |terminating on signal \d+')

#: libvirt's line at the start of each QEMU: what is before it was another.
_QEMU_STARTS = re.compile(r': starting up libvirt version')

#: Seconds that libvirt may take to end a job that it has been told to abort.
_ABORT_PATIENCE = 60


class Job:
    """One live migration of a guest that is on this host.

    Stands between the manager and the driver: the driver is given `post`
    and `recover` in place of the manager's.

    :param post_method: the manager's, for a guest that has left
    :param recover_method: the manager's, for one that has not
    """

    def __init__(self, instance: Any, post_method: Any,
                 recover_method: Any) -> None:
        self._instance = instance
        self._post_method = post_method
        self._recover_method = recover_method
        self.ended = threading.Event()
        #: The manager has been told how the migration ended.
        self.over = False
        #: And has done all that it does then.
        self.settled = False

    def post(self, *args: Any, **kwargs: Any) -> None:
        """The guest has left."""
        self.over = True
        self._post_method(*args, **kwargs)
        self.settled = True

    def recover(self, context: Any, instance: Any, dest: str,
                migrate_data: Any, migration_status: str = 'failed') -> None:
        """The guest has stayed: roll back, and to the end.

        The manager's rollback asks the destination to release its claim
        before it clears the instance. If the destination is away, and that
        is why the migration failed, the manager gives up there.
        """
        self.over = True
        try:
            self._recover_method(context, instance, dest, migrate_data,
                                 migration_status=migration_status)
        except Exception as error:
            LOG.exception('The rollback of a live migration failed; the'
                          ' guest is on this host, its record is put right'
                          ' here', instance=instance)
            events.failed(context, instance, 'rollback',
                          f'{type(error).__name__}: {error}')
            _clear(instance, migrate_data.migration, migration_status)
        self.settled = True

    def settle(self, context: Any, host: Any, dest: str,
               block_migration: Any, migrate_data: Any,
               started: bool) -> None:
        """Do what the driver did not get to, when it has raised before.

        :param host: ``nova.virt.libvirt.host.Host``
        :param started: whether there is a thread that talks to libvirt
        :raises Exception: what the manager's own methods raise
        """
        if started and not self.ended.wait(_ABORT_PATIENCE):
            LOG.error('libvirt has not ended the migration job',
                      instance=self._instance)
            return
        if self._has_left(host):
            self.post(context, self._instance, dest, block_migration,
                      migrate_data)
        else:
            self.recover(context, self._instance, dest, migrate_data)

    def _has_left(self, host: Any) -> bool:
        """Whether the guest is gone from here, by the parent's own rule."""
        try:
            guest = host.get_guest(self._instance)
        except exception.InstanceNotFound:
            return True
        kind = libvirt_migrate.find_job_type(guest, self._instance)
        return bool(
            kind == numa_host.libvirt_module().VIR_DOMAIN_JOB_COMPLETED)


def _clear(instance: Any, migration: Any, status: str) -> None:
    """Take back what the manager put down for the time of a migration."""
    instance.task_state = None
    instance.progress = 0
    instance.drop_migration_context()
    instance.save()
    # The destination's tracker counts migrations under way only: this
    # releases the claim there when it looks next.
    migration.status = status
    migration.save()


def keep_to_itself(instance: Any) -> None:
    """Keep what the destination was sent out of the instance's record.

    Nova shows the destination's driver the instance as it would have been
    there, and the parent's clean-up saves it: with the pins of a host that
    it is not on, and with the migration context that the source has dropped
    meanwhile. What is not marked as changed is not saved.
    """
    instance.obj_reset_changes(recursive=True)


def qemu_last_line(instance: Any) -> str | None:
    """Return why the guest's QEMU ended on this host, in its own words.

    :returns: None if its log can't be read, or has none
    """
    path = _QEMU_LOG.format(name=instance.name)
    try:
        data, _ = nova.privsep.path.last_bytes(path, _QEMU_LOG_BYTES)
    except Exception as error:
        LOG.debug('%(path)s can not be read: %(error)s',
                  {'path': path, 'error': error}, instance=instance)
        return None
    return last_message(data.decode(errors='replace'))


def last_message(text: str) -> str | None:
    """Return why QEMU ended, as far as it has said, from a domain's log.

    That is the last line that the last QEMU wrote, warnings and the news of
    the signal that ended it aside. libvirt writes its own lines there too,
    among them the command line.
    """
    for line in reversed(text.splitlines()):
        if _QEMU_STARTS.search(line):
            return None
        match = _QEMU_SAYS.search(line)
        words = match[1].strip() if match else ''
        if words and not _NO_REASON.match(words):
            return words
    return None
