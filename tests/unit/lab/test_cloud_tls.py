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


import dataclasses
import datetime
import io
import ipaddress
import itertools
import pathlib
import tarfile
import tempfile

from cryptography import x509
from cryptography.x509 import oid
import testtools

from tests.lab.cloud import certificates
from tests.lab.cloud import scenarios
from tests.lab.cloud import server as servers
from tests.lab.cloud import settings
from tests.lab.cloud import tls
from tests.lab.cloud import transports

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)


class CertificatesTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority = certificates.authority(NOW)
        self.host = certificates.issue(
            self.authority, 'h1', '10.77.0.1', NOW + HOUR, NOW
        ).certificate

    def test_the_authority_signs_the_host(self) -> None:
        self.host.verify_directly_issued_by(self.authority.certificate)
        constraints = self.authority.certificate.extensions
        self.assertTrue(
            constraints.get_extension_for_class(x509.BasicConstraints).value.ca
        )

    def test_a_host_is_server_and_client(self) -> None:
        usage = self.host.extensions.get_extension_for_class(
            x509.ExtendedKeyUsage
        )
        self.assertEqual(
            {
                oid.ExtendedKeyUsageOID.SERVER_AUTH,
                oid.ExtendedKeyUsageOID.CLIENT_AUTH,
            },
            set(usage.value),
        )

    def test_it_names_the_address_that_nova_uses(self) -> None:
        names = self.host.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
        self.assertEqual(['h1'], names.get_values_for_type(x509.DNSName))
        self.assertEqual(
            [ipaddress.ip_address('10.77.0.1')],
            names.get_values_for_type(x509.IPAddress),
        )

    def test_when_it_is_valid(self) -> None:
        self.assertEqual(NOW + HOUR, self.host.not_valid_after_utc)
        self.assertLess(self.host.not_valid_before_utc, NOW)

    def test_an_expired_one_was_valid_once(self) -> None:
        old = certificates.issue(
            self.authority, 'h1', '10.77.0.1', NOW - HOUR, NOW
        ).certificate
        self.assertLess(old.not_valid_before_utc, old.not_valid_after_utc)
        self.assertEqual(NOW - HOUR, old.not_valid_after_utc)


class CommandTest(testtools.TestCase):
    def test_two_hosts_have_the_same_authority(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name) / 'pki'
            for host in ('h1', 'h2'):
                argv = [str(folder), host, '10.77.0.1', '2000000000']
                self.assertEqual(0, certificates.main(argv))
            authority = certificates.read(folder, 'ca').certificate
            for host in ('h1', 'h2'):
                pair = certificates.read(folder, host)
                pair.certificate.verify_directly_issued_by(authority)
                self.assertEqual(
                    2000000000,
                    pair.certificate.not_valid_after_utc.timestamp(),
                )
                self.assertEqual(
                    pair.certificate.public_key(), pair.key.public_key()
                )
                mode = (folder / f'{host}.key').stat().st_mode
                self.assertEqual(0o600, mode & 0o777)


class FilesTest(testtools.TestCase):
    def test_archive(self) -> None:
        files = transports.pki(b'authority', b'certificate', b'key')
        self.assertEqual(10, len(files))
        pack = transports.packed(files)
        with tarfile.open(fileobj=io.BytesIO(pack)) as found:
            for path, (content, mode) in files.items():
                member = found.getmember(path.lstrip('/'))
                self.assertEqual(mode, member.mode)
                handle = found.extractfile(member)
                assert handle is not None
                self.assertEqual(content, handle.read())

    def test_only_root_reads_keys(self) -> None:
        for content, mode in transports.pki(b'a', b'c', b'key').values():
            self.assertEqual(0o600 if content == b'key' else 0o644, mode)


class CarriersTest(testtools.TestCase):
    def test_native_migration_over_libvirt_tls(self) -> None:
        self.assertEqual(
            {'libvirt over TLS', 'QEMU to QEMU'},
            transports.carriers(
                '0      0      10.77.0.1:58034      10.77.0.2:16514\n'
                '0      9      10.77.0.1:40112      10.77.0.2:49152  \n'
                '0      0      10.77.0.1:40114      10.77.0.2:49153\n'
            ),
        )

    def test_other_connections_do_not_count(self) -> None:
        self.assertEqual(
            {'ssh'},
            transports.carriers(
                '0 0 10.77.0.1:1024 10.77.0.254:5672\n'
                '0 0 10.77.0.1:16514 10.77.0.2:55555\n'
                '0 0 10.77.0.1:51000 10.77.0.2:22\n'
                'Cannot open netlink socket\n'
            ),
        )

    def test_none(self) -> None:
        self.assertEqual(frozenset(), transports.carriers(''))


class PostCopyTest(testtools.TestCase):
    def test_seen(self) -> None:
        self.assertTrue(
            transports.went_post_copy(
                "event 'lifecycle' for domain 'instance-00000001': "
                'Suspended Post-copy\n'
                "event 'lifecycle' for domain 'instance-00000001': "
                'Stopped Migrated\n'
            )
        )

    def test_not_seen(self) -> None:
        self.assertFalse(
            transports.went_post_copy(
                "event 'lifecycle' for domain 'instance-00000001': "
                'Suspended Migrated\n'
            )
        )


class ExpiredTest(testtools.TestCase):
    MOVE = servers.Move(
        'failed', 'ACTIVE', 'h1', 'The certificate has expired', '', 30.0
    )

    def test_told_and_unharmed(self) -> None:
        self.assertTrue(tls.says_expired(self.MOVE, 'h1'))

    def test_anything_else(self) -> None:
        for wrong in (
            dataclasses.replace(self.MOVE, status='completed'),
            dataclasses.replace(self.MOVE, server_status='ERROR'),
            dataclasses.replace(self.MOVE, host='h2'),
            dataclasses.replace(self.MOVE, reason=''),
        ):
            self.assertFalse(tls.says_expired(wrong, 'h1'), wrong)


class RowsTest(testtools.TestCase):
    ROWS = tuple(itertools.chain.from_iterable(tls.PAIRS))

    def options(self, row: tls.Row) -> dict[str, object]:
        made = settings.nova_compute('h1', '10.77.0.1', more=row.more)
        return made['libvirt']

    def test_nova_ignores_a_scheme_if_it_has_an_uri(self) -> None:
        for row, scheme in ((tls.LIBVIRT_TLS, 'tls'), (tls.SSH, 'ssh')):
            options = self.options(row)
            self.assertEqual(scheme, options['live_migration_scheme'])
            self.assertFalse(options['live_migration_uri'])

    def test_qemu_tls_needs_no_other_transport(self) -> None:
        options = self.options(tls.QEMU_TLS)
        self.assertTrue(options['live_migration_with_native_tls'])
        self.assertIn('qemu+tcp', str(options['live_migration_uri']))

    def test_only_one_row_goes_to_post_copy(self) -> None:
        self.assertEqual(
            [tls.POST_COPY], [row for row in self.ROWS if row.post_copy]
        )

    def test_every_row_expects_a_connection_from_qemu_to_qemu(self) -> None:
        for row in self.ROWS:
            self.assertIn(transports.QEMU, row.carriers)
            self.assertEqual(2, len(row.carriers))

    def test_it_is_one_of_the_scenarios(self) -> None:
        (found,) = scenarios.chosen(['tls'])
        self.assertIs(tls.tls, found.play)
        self.assertEqual(2, len(found.hosts))
