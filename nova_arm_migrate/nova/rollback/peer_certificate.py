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

"""Whether the certificate of the destination's libvirt has expired.

libvirt 11.3 reports an expired certificate of its peer as "Failed to verify
peer's certificate", and logs "The certificate is not trusted"
(``virNetTLSContextCheckCertificate``). Neither names the date.
"""

import contextlib
import datetime
import socket
import ssl
import urllib.parse

from cryptography import x509
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: libvirt's LIBVIRTD_TLS_PORT.
_PORT = 16514
_PATIENCE = 10
_SCHEME = 'qemu+tls'


def out_of_date(uri: str) -> str:
    """Return a sentence if the peer's certificate is not valid at this time.

    The certificate is read in a TLS handshake of our own. Nothing else of it
    is checked: libvirt has done that.

    :param uri: the libvirt URI of the migration
    :returns: '' if the certificate is valid now, if it cannot be read, and
        for another transport than TLS
    """
    try:
        parts = urllib.parse.urlsplit(uri)
        if parts.scheme != _SCHEME or not parts.hostname:
            return ''
        found = x509.load_der_x509_certificate(
            _certificate(parts.hostname, parts.port or _PORT)
        )
    except (OSError, ValueError) as error:
        LOG.debug('Cannot read the certificate of %s: %s', uri, error)
        return ''
    begin, end = found.not_valid_before_utc, found.not_valid_after_utc
    now = datetime.datetime.now(datetime.timezone.utc)
    name = f'The TLS certificate of libvirt at {parts.hostname}'
    if now > end:
        return f'{name} expired at {end:%Y-%m-%d %H:%M:%S} UTC'
    if now < begin:
        return f'{name} is valid only from {begin:%Y-%m-%d %H:%M:%S} UTC'
    return ''


def _certificate(host: str, port: int) -> bytes:
    """Return the certificate of a TLS server, in DER.

    :raises OSError: if there is no TLS server
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        contextlib.closing(
            socket.create_connection((host, port), _PATIENCE)
        ) as plain,
        context.wrap_socket(plain) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b''
