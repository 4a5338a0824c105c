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


"""Find out when a live migration has really ended.

The API may already say "failed" while the thread on the source can still set
ERROR, and before the destination has begun to clean up.
"""

import functools
import threading
import typing as ty
from unittest import mock

import fixtures
from nova import utils
from nova.compute import manager
from nova.compute import rpcapi
from nova.conductor import manager as conductor
from nova.conductor import rpcapi as conductor_rpcapi

_PATIENCE = 120
_AT_DESTINATION = 'rollback_live_migration_at_destination'


class MigrationThreads(fixtures.Fixture):
    """Counts the open work of conductor and computes for migrations."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = 0

    def _setUp(self) -> None:
        # Casts: one thread sends them, another one handles them later.
        self._wrap(
            conductor_rpcapi.ComputeTaskAPI,
            'live_migrate_instance',
            opens=True,
        )
        self._wrap(
            conductor.ComputeTaskManager, 'live_migrate_instance', closes=True
        )
        self._wrap(rpcapi.ComputeAPI, 'live_migration', opens=True)
        self._wrap(manager.ComputeManager, 'live_migration', closes=True)
        self._wrap(rpcapi.ComputeAPI, _AT_DESTINATION, opens=True)
        self._wrap(manager.ComputeManager, _AT_DESTINATION, closes=True)
        # And a thread, which may never be started.
        self._wrap_tasks()

    def wait(self, patience: float = _PATIENCE) -> None:
        """Return when all work is done.

        :raises TimeoutError: the work does not end
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, patience):
                raise TimeoutError(
                    f'{self._open} live migrations, or the'
                    ' cleaning up after them, do not end'
                )

    def _wrap(
        self, owner: type, name: str, opens: bool = False, closes: bool = False
    ) -> None:
        method = getattr(owner, name)

        # Nova checks the names of the parameters.
        @functools.wraps(method)
        def wrapper(*args: ty.Any, **kwargs: ty.Any) -> ty.Any:
            if opens:
                self._add(1)
            done = True
            try:
                result = method(*args, **kwargs)
                done = closes
                return result
            finally:
                if done:
                    self._add(-1)

        self._patch(owner, name, wrapper)

    def _wrap_tasks(self) -> None:
        if not hasattr(manager.ComputeManager, '_start_recorded_task'):
            # Before Nova 34; up to 31 it is pass_context.
            self._wrap_spawn(
                'spawn_on' if hasattr(utils, 'spawn_on') else 'pass_context'
            )
            return
        method = manager.ComputeManager._start_recorded_task

        @functools.wraps(method)
        def wrapper(
            itself: ty.Any,
            executor: ty.Any,
            name: str,
            *args: ty.Any,
            **kwargs: ty.Any,
        ) -> ty.Any:
            if name != 'live_migration':
                return method(itself, executor, name, *args, **kwargs)
            self._add(1)
            try:
                future = method(itself, executor, name, *args, **kwargs)
            except BaseException:
                self._add(-1)
                raise
            future.add_done_callback(lambda _future: self._add(-1))
            return future

        self._patch(manager.ComputeManager, '_start_recorded_task', wrapper)

    def _wrap_spawn(self, name: str) -> None:
        function = getattr(utils, name)

        @functools.wraps(function)
        def wrapper(
            where: ty.Any, what: ty.Any, *args: ty.Any, **kwargs: ty.Any
        ) -> ty.Any:
            # Nova's own method, or ours that stands around it.
            named = getattr(what, '__name__', '')
            if named not in ('_do_live_migration', 'watch'):
                return function(where, what, *args, **kwargs)
            self._add(1)
            try:
                future = function(where, what, *args, **kwargs)
            except BaseException:
                self._add(-1)
                raise
            future.add_done_callback(lambda _future: self._add(-1))
            return future

        self._patch(utils, name, wrapper)

    def _patch(self, owner: ty.Any, name: str, wrapper: ty.Any) -> None:
        patch = mock.patch.object(owner, name, wrapper)
        patch.start()
        self.addCleanup(patch.stop)

    def _add(self, count: int) -> None:
        with self._changed:
            self._open += count
            self._changed.notify_all()
