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

"""A small HTTP server for WSGI applications: a thread for each request."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
import typing as ty
from wsgiref import simple_server

LOG = logging.getLogger(__name__)


class _Handler(simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: ty.Any) -> None:
        LOG.debug('%s %s', self.address_string(), format % args)

    def address_string(self) -> str:
        return str(self.client_address[0])


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    """Listens when it is made, and answers when it is started.

    :param address: host and port; port 0 takes a free one
    :param listener: a socket of another network namespace, if the server is
        to listen there
    :raises OSError: if it cannot listen there
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        application: ty.Any,
        listener: socket.socket | None = None,
    ) -> None:
        super().__init__(address, _Handler, bind_and_activate=False)
        if listener is not None:
            self.socket.close()
            self.socket = listener
        try:
            self.server_bind()
            self.server_activate()
        except BaseException:
            self.server_close()
            raise
        self.set_app(application)
        self._thread = threading.Thread(
            target=self.serve_forever,
            name='http',
            daemon=True,
            kwargs={'poll_interval': 0.1},
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        # WSGIServer asks the resolver for the machine's name, which takes
        # seconds where DNS doesn't answer.
        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()

    def handle_error(self, request: ty.Any, client_address: ty.Any) -> None:
        # Called in the except clause of socketserver.
        LOG.exception('request from %s', client_address)  # noqa: LOG004
