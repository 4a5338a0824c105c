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

"""The lab's certificate authority, and certificates of hosts.

It runs in the cloud's native environment, which has ``cryptography``, as
``python -m tests.lab.cloud.certificates FOLDER NAME ADDRESS UNTIL``. That
writes ``NAME.pem`` and ``NAME.key`` to FOLDER, and ``ca.pem`` and ``ca.key``
if they are not there.
"""

import argparse
import collections.abc
import dataclasses
import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

AUTHORITY = 'ca'
# The clocks of the hosts are some seconds behind that of this machine.
BEGIN = datetime.timedelta(days=-30)
LIFE = datetime.timedelta(days=3650)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, folder: pathlib.Path, name: str) -> None:
        """Write ``NAME.pem`` and ``NAME.key`` to *folder*."""
        (folder / f'{name}.pem').write_bytes(
            self.certificate.public_bytes(serialization.Encoding.PEM)
        )
        key = folder / f'{name}.key'
        key.touch(0o600)
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def read(folder: pathlib.Path, name: str) -> Pair:
    """Read what ``Pair.write`` has written."""
    key = serialization.load_pem_private_key(
        (folder / f'{name}.key').read_bytes(), None
    )
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = (folder / f'{name}.pem').read_bytes()
    return Pair(x509.load_pem_x509_certificate(certificate), key)


def _usage(**used: bool) -> x509.KeyUsage:
    names = (
        'digital_signature',
        'content_commitment',
        'key_encipherment',
        'data_encipherment',
        'key_agreement',
        'key_cert_sign',
        'crl_sign',
        'encipher_only',
        'decipher_only',
    )
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def _signed(
    name: str,
    until: datetime.datetime,
    begin: datetime.datetime,
    extensions: collections.abc.Iterable[tuple[x509.ExtensionType, bool]],
    issuer: Pair | None = None,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(until)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                signer.public_key()
            ),
            False,
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Pair(builder.sign(signer, hashes.SHA256()), key)


def authority(now: datetime.datetime) -> Pair:
    """Make the certificate authority."""
    return _signed(
        'lab',
        now + LIFE,
        now + BEGIN,
        (
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage(key_cert_sign=True, crl_sign=True), True),
        ),
    )


def issue(
    issuer: Pair,
    name: str,
    address: str,
    until: datetime.datetime,
    now: datetime.datetime,
) -> Pair:
    """Make a host's certificate, for servers and for clients.

    :param address: its IP address; Nova connects to this and not to the name
    :param until: when it expires
    """
    return _signed(
        name,
        until,
        now + BEGIN,
        (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(digital_signature=True, key_encipherment=True), True),
            (
                x509.ExtendedKeyUsage(
                    [
                        oid.ExtendedKeyUsageOID.SERVER_AUTH,
                        oid.ExtendedKeyUsageOID.CLIENT_AUTH,
                    ]
                ),
                False,
            ),
            (
                x509.SubjectAlternativeName(
                    [
                        x509.DNSName(name),
                        x509.IPAddress(ipaddress.ip_address(address)),
                    ]
                ),
                False,
            ),
        ),
        issuer,
    )


def main(argv: collections.abc.Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog='certificates')
    parser.add_argument('folder', type=pathlib.Path)
    parser.add_argument('name')
    parser.add_argument('address')
    parser.add_argument('until', type=float, help='seconds since 1970')
    args = parser.parse_args(argv)
    utc = datetime.timezone.utc
    now = datetime.datetime.now(utc)
    until = datetime.datetime.fromtimestamp(args.until, utc)
    args.folder.mkdir(parents=True, exist_ok=True)
    if not (args.folder / f'{AUTHORITY}.pem').exists():
        authority(now).write(args.folder, AUTHORITY)
    issuer = read(args.folder, AUTHORITY)
    issue(issuer, args.name, args.address, until, now).write(
        args.folder, args.name
    )
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
