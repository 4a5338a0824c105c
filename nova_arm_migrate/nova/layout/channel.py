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


"""How two computes exchange a guest's NUMA layout.

The layout travels in ``LibvirtLiveMigrateData.old_vol_attachment_ids``. Nova
has declared this dict of strings since version 1.4 of the object. Since its
change Ibe9215c0 it does not read the dict on the source, and the destination
reads entries by volume id only. So Nova's objects and their versions stay
unchanged, and a compute without the extension passes our entries on unread.
The alternatives are worse: a compute that does not know a new field drops
it, ``dst_numa_info`` holds only numbers, the destination overwrites
``supported_perf_events`` (`handshake`), and an RPC call of our own would need
a second server beside Nova's.

There are three entries. The reader of an entry removes it:

* the destination asks the source for the guest's XML (``ask``);
* the source sends the XML with its answer (``domain``). The answer goes from
  compute to compute, so the conductor needs no change;
* the destination sends the layout with its answer to
  ``pre_live_migration``, also a call between computes (``layout``). Before
  that, Nova empties the field.

A fourth one goes the same way as the layout: what the QEMU of a guest with a
guest CPU baseline needs on the destination (``baseline``).
"""

import base64
import binascii
from typing import Any
import zlib

from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa.errors import DomainXmlError

_PREFIX = 'arm_migrate.numa.'
ASK = f'{_PREFIX}ask'
DOMAIN = f'{_PREFIX}domain'
LAYOUT = f'{_PREFIX}layout'
BASELINE = 'arm_migrate.baseline'


def put(migrate_data: Any, name: str, text: str) -> None:
    """Add a text for the peer."""
    entries = _entries(migrate_data)
    entries[name] = text
    # Assign a new dict: the object does not notice a change in place.
    migrate_data.old_vol_attachment_ids = entries


def take(migrate_data: Any, name: str) -> str | None:
    """Take a text out; None if the peer has sent none."""
    entries = _entries(migrate_data)
    text = entries.pop(name, None)
    if text is not None:
        migrate_data.old_vol_attachment_ids = entries
    return text


def _entries(migrate_data: Any) -> dict[str, str]:
    if 'old_vol_attachment_ids' not in migrate_data:
        return {}
    return dict(migrate_data.old_vol_attachment_ids)


def pack(xml: str) -> str:
    """Compress a domain XML, so that log entries with it stay short."""
    return base64.b64encode(zlib.compress(xml.encode())).decode()


def unpack(text: str) -> str:
    """Return the domain XML that `pack` has compressed.

    :raises DomainXmlError: if it is damaged or longer than a domain's limit
    """
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(
            base64.b64decode(text, validate=True), parse.LIMIT
        )
        if inflate.unconsumed_tail or not inflate.eof:
            raise DomainXmlError('/', 'is cut off or too large')
        return data.decode()
    except (binascii.Error, zlib.error, ValueError) as error:
        if isinstance(error, DomainXmlError):
            raise
        raise DomainXmlError('/', 'arrived incomplete') from None
