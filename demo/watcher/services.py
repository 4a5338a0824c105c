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

"""Run Watcher's API, decision engine and applier in this process.

This runs in Watcher's own environment, where nothing of this project is
installed. It does what the programs ``watcher-api``,
``watcher-decision-engine`` and ``watcher-applier`` do, without a process for
each: oslo.messaging's in-process transport takes the place of a broker.

The arguments are the number of a listening socket that was inherited, and
those of every service of Watcher. ``ready`` is printed when all run. Each line
of standard input then runs the synchronisation of Watcher's model with the
cluster, and ``ready`` is printed again; its end ends the process.
"""

import collections.abc
import contextlib
import os
import socket
import socketserver
import sys
import threading
from wsgiref import simple_server

from oslo_config import cfg
from watcher.common import oslo_service_helper

# Chooses threads instead of eventlet, as each of Watcher's programs does
# before it imports more of Watcher.
oslo_service_helper.init_oslo_service_backend()

from watcher.api import app  # noqa: E402
from watcher.applier import service as applier_service  # noqa: E402
from watcher.applier import sync as applier_sync  # noqa: E402
from watcher.common import service  # noqa: E402
from watcher.db.sqlalchemy import api  # noqa: E402
from watcher.decision_engine import service as decision_service  # noqa: E402
from watcher.decision_engine import sync as decision_sync  # noqa: E402
from watcher.decision_engine.model.collector import manager  # noqa: E402

READY = 'ready'


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    """Serves an application on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listening: socket.socket) -> None:
        address = listening.getsockname()
        super().__init__(
            address, simple_server.WSGIRequestHandler, bind_and_activate=False
        )
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = address
        self.setup_environ()


def lock_writes() -> None:
    """Let one thread write to the database at a time.

    SQLite fails otherwise. Nova's services in this cloud do the same, by the
    fixture ``DatabaseWriteLock``.
    """
    lock = threading.RLock()
    unlocked = api._session_for_write

    @contextlib.contextmanager
    def locked() -> collections.abc.Iterator[object]:
        with lock, unlocked() as session:
            yield session

    api._session_for_write = locked


def main() -> None:
    """Run the services until standard input ends."""
    program, descriptor, *arguments = sys.argv
    service.prepare_service([program, *arguments], cfg.CONF)
    lock_writes()
    decision_sync.Syncer().sync()
    decision_engine = decision_service.DecisionEngineService()
    decision_engine.start()
    applier = applier_service.ApplierService()
    applier_sync.Syncer().sync()
    applier.start()
    server = Server(socket.socket(fileno=int(descriptor)))
    server.set_app(app.VersionSelectorApplication())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(READY, flush=True)
    for _ in sys.stdin:
        # What the decision engine itself does each hour.
        for collector in manager.CollectorManager().get_collectors().values():
            collector.synchronize()
        print(READY, flush=True)


if __name__ == '__main__':
    main()
    # Its services have threads that do not end.
    os._exit(0)
