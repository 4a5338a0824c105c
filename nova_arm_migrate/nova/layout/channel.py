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


"""What two computes tell each other of a guest's NUMA layout.

It travels in ``LibvirtLiveMigrateData.old_vol_attachment_ids``, a dict of
strings that Nova has declared since version 1.4 of the object and has not
read on the source since its change Ibe9215c0; the destination reads it by
volume ids only. So nothing changes in Nova's objects, no version of them is
needed, and a compute without the extension carries our entries along and
never looks at them. The alternatives are worse: a field of our own is
dropped by whoever does not know it, ``dst_numa_info`` holds numbers only,
``supported_perf_events`` (`peers`) is overwritten by the destination, and a
call of our own would need a server beside Nova's.

Three entries, each taken out where it is read:

* the destination asks the source for the guest's XML (``ask``);
* the source sends it with its answer (``domain``): a call from compute to
  compute, so it needs no conductor that knows of it;
* the destination sends the layout with its answer to
  ``pre_live_migration``, such a call as well (``layout``). Before that Nova
  empties the field.
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


def put(migrate_data: Any, name: str, text: str) -> None:
    """Send a text along."""
    entries = _entries(migrate_data)
    entries[name] = text
    # Set, not changed in place, so that the object notices.
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
    """Make a domain XML small, and no burden to a log that has it."""
    return base64.b64encode(zlib.compress(xml.encode())).decode()


def unpack(text: str) -> str:
    """The inverse of `pack`.

    :raises DomainXmlError: if it is damaged, or more than a domain can be
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
        raise DomainXmlError('/', 'did not arrive whole') from None
