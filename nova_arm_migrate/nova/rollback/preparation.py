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

"""Live migrations that fail before Nova's manager calls the driver.

The manager prepares a live migration in a separate thread. Nova does not
catch an exception there: the server stays in the task state ``migrating``
until an administrator resets it. Nova gives a driver no hook in that thread,
so `Preparation` wraps the manager's method.
"""

from collections.abc import Callable
import threading
from typing import Any

from nova import exception
from nova import objects
from nova.compute import task_states
from oslo_log import log as logging

from nova_arm_migrate.nova import events
from nova_arm_migrate.nova.records import instance_state
from nova_arm_migrate.nova.rollback.problem import fatal
from nova_arm_migrate.nova.rollback.problem import note
from nova_arm_migrate.nova.rollback.problem import tell
from nova_arm_migrate.nova.rollback.settlement import Settlement

LOG = logging.getLogger(__name__)


class Preparation:
    """Wraps ``_do_live_migration`` of one manager.

    :param driver: LibvirtDriver of this host
    :param manager: ``nova.compute.manager.ComputeManager``
    """

    def __init__(self, driver: Any, manager: Any) -> None:
        self._driver = driver
        self._manager = manager
        self._here = threading.local()
        self._do_live_migration: Callable[..., None] = (
            manager._do_live_migration
        )
        manager._do_live_migration = self.watch

    def over(self) -> None:
        """Note that the manager has called the driver in this thread."""
        self._here.over = True

    def watch(
        self,
        context: Any,
        dest: str,
        instance: Any,
        block_migration: Any,
        migration: Any,
        migrate_data: Any,
    ) -> None:
        """Settle the migration if it fails and the manager does not."""
        self._here.over = False
        # Read them before the destination changes them.
        bdms = self._block_devices(context, instance)
        try:
            self._do_live_migration(
                context,
                dest,
                instance,
                block_migration,
                migration,
                migrate_data,
            )
        except Exception as error:
            try:
                if self._is_left(context, instance):
                    migrate_data.migration = migration
                    self._settle(
                        context, dest, instance, migrate_data, bdms, error
                    )
            except Exception:
                # Nova's log must have the first failure, too.
                LOG.exception(
                    'The live migration cannot be settled', instance=instance
                )
            raise

    def _block_devices(self, context: Any, instance: Any) -> Any:
        try:
            return objects.BlockDeviceMappingList.get_by_instance_uuid(
                context, instance.uuid
            )
        except Exception as error:
            # The manager reads them next, and stops if that fails too.
            LOG.debug(
                'Cannot read the block devices: %s', error, instance=instance
            )
            return None

    def _is_left(self, context: Any, instance: Any) -> bool:
        """Whether the database still says that the server is migrating."""
        try:
            now = objects.Instance.get_by_uuid(context, instance.uuid)
        except exception.InstanceNotFound:
            return False
        return bool(
            now.task_state == task_states.MIGRATING
            and now.host == self._manager.host
        )

    def _settle(
        self,
        context: Any,
        dest: str,
        instance: Any,
        migrate_data: Any,
        bdms: Any,
        error: Exception,
    ) -> None:
        if self._here.over:
            # The driver has reported the failure, but the manager could not
            # save it.
            self._call_it_error(instance)
            return
        waiting = self._manager._waiting_live_migrations
        known, _future = waiting.get(instance.uuid, (None, None))
        if known is not None and known.id == migrate_data.migration.id:
            del waiting[instance.uuid]
        events.failed(
            context,
            instance,
            'preparation',
            f'{type(error).__name__}: {error}',
        )
        settlement = Settlement(
            self._driver,
            self._manager,
            context,
            instance,
            dest,
            migrate_data,
            bdms,
        )
        with instance_state.still_migrating(instance):
            problems = settlement.at_source(True, 'error', begun=False)
        if not fatal(problems):
            problems += settlement.end_at_source()
        tell(context, instance, problems)
        note(self._driver.metrics, 'stayed', problems)
        if fatal(problems):
            self._call_it_error(instance)

    def _call_it_error(self, instance: Any) -> None:
        instance.refresh()
        self._manager._set_instance_obj_error_state(
            instance, clean_task_state=True
        )
