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


import datetime
import pathlib
import socket
import ssl
import tempfile
import threading

from nova_arm_migrate.nova.rollback import peer_certificate
from tests import logs
from tests.lab.cloud import certificates

NOW = datetime.datetime.now(datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)


class PeerCase(logs.TestCase):
    def serve(self, context: ssl.SSLContext | None) -> str:
        """Serve one connection; return the server's URI.

        :param context: None for a server that closes the connection at once
        """
        listener = socket.create_server(('127.0.0.1', 0))

        def play() -> None:
            with listener:
                plain, _address = listener.accept()
            with plain:
                if context:
                    context.wrap_socket(plain, server_side=True).close()

        server = threading.Thread(target=play)
        server.start()
        self.addCleanup(server.join)
        host, port = listener.getsockname()
        return f'qemu+tls://{host}:{port}/system'

    def with_certificate(
        self, until: datetime.datetime, now: datetime.datetime = NOW
    ) -> str:
        pair = certificates.issue(
            certificates.authority(now), 'h2', '127.0.0.1', until, now
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as name:
            pair.write(pathlib.Path(name), 'h2')
            context.load_cert_chain(f'{name}/h2.pem', f'{name}/h2.key')
        return peer_certificate.out_of_date(self.serve(context))


class TestOutOfDate(PeerCase):
    def test_expired(self) -> None:
        end = NOW - HOUR
        self.assertEqual(
            'The TLS certificate of libvirt at 127.0.0.1 expired at '
            f'{end:%Y-%m-%d %H:%M:%S} UTC',
            self.with_certificate(end),
        )

    def test_not_yet_valid(self) -> None:
        later = NOW + HOUR - certificates.BEGIN
        self.assertEqual(
            'The TLS certificate of libvirt at 127.0.0.1 is valid only from '
            f'{NOW + HOUR:%Y-%m-%d %H:%M:%S} UTC',
            self.with_certificate(later + HOUR, later),
        )

    def test_valid(self) -> None:
        self.assertEqual('', self.with_certificate(NOW + HOUR))

    def test_a_server_without_tls(self) -> None:
        self.assertEqual('', peer_certificate.out_of_date(self.serve(None)))

    def test_nobody_listens(self) -> None:
        with socket.create_server(('127.0.0.1', 0)) as listener:
            port = listener.getsockname()[1]
        uri = f'qemu+tls://127.0.0.1:{port}/system'
        self.assertEqual('', peer_certificate.out_of_date(uri))

    def test_other_transports(self) -> None:
        for uri in (
            '',
            'qemu+tcp://127.0.0.1/system',
            'qemu+ssh://127.0.0.1/system',
            'qemu+tls:///system',
            'qemu+tls://127.0.0.1:none/system',
            'qemu+tls://[::1/system',
        ):
            self.assertEqual('', peer_certificate.out_of_date(uri))
