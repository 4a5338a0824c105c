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

"""Why a guest's QEMU ended on this host, from libvirt's log of QEMU."""

import datetime
import re
from typing import Any

import nova.privsep.path
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: libvirt's log of QEMU's messages; libvirt has no option for the path.
_QEMU_LOG = '/var/log/libvirt/qemu/{name}.log'
_QEMU_LOG_BYTES = 4096

#: ``qemu-system-aarch64: ...``; some distributions call it ``qemu-kvm``.
_QEMU_SAYS = re.compile(r'\bqemu-(?:system-\w+|kvm): (.+)$')

#: These are not reasons: warnings, and QEMU's message that libvirt ended it
#: (``qemu_kill_report``), which follows the reason.
_NO_REASON = re.compile(r'warning: |terminating on signal \d+')

#: libvirt's line at the start of each QEMU. Earlier lines belong to the QEMU
#: before.
_QEMU_STARTS = re.compile(r': starting up libvirt version')

#: libvirt writes ``2026-11-25 02:40:10.100+0000: ...``, and
#: QEMU writes ``2026-11-25T02:40:13.601234Z ...`` (``-msg timestamp=on``).
_TIME = re.compile(r'(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)')


def last_line(instance: Any, since: datetime.datetime) -> str | None:
    """Return QEMU's own message about its end on this host.

    :param since: only a QEMU that started later counts; UTC
    :returns: None if the log can't be read, or has no such line
    """
    path = _QEMU_LOG.format(name=instance.name)
    try:
        data, _ = nova.privsep.path.last_bytes(path, _QEMU_LOG_BYTES)
    except Exception as error:
        LOG.debug(
            'Cannot read %(path)s: %(error)s',
            {'path': path, 'error': error},
            instance=instance,
        )
        return None
    return last_message(data.decode(errors='replace'), since)


def last_message(text: str, since: datetime.datetime) -> str | None:
    """Return QEMU's message why it ended, from the text of a domain's log.

    That is the last line of the last QEMU process, apart from warnings and
    the message about the signal that ended it. libvirt also writes lines of
    its own to the log, for example the command line.

    :param since: older lines do not count; compared in whole seconds. A line
        without a time counts if it follows a later start of QEMU
    """
    found = None
    started = False
    for line in text.splitlines():
        time = _time_of(line)
        old = time is not None and time < since.replace(microsecond=0)
        if _QEMU_STARTS.search(line):
            found, started = None, not old
            continue
        match = _QEMU_SAYS.search(line)
        words = match[1].strip() if match else ''
        if not words or _NO_REASON.match(words) or old:
            continue
        if started or time is not None:
            found = words
    return found


def _time_of(line: str) -> datetime.datetime | None:
    match = _TIME.match(line)
    try:
        return (
            datetime.datetime.fromisoformat(f'{match[1]}T{match[2]}')
            if match
            else None
        )
    except ValueError:
        return None
