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

"""What differs between the releases of Nova that are supported.

Nothing else asks for the release. What can be looked for is looked for: a
distribution may have ported it to another release.
"""

from collections.abc import Iterable
import dataclasses
from typing import Any
from typing import TypeVar

from nova import exception
from nova import utils
from nova import version
from oslo_log import log as logging

from nova_arm_migrate.nova import signatures

LOG = logging.getLogger(__name__)

_T = TypeVar('_T')


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """One release of Nova.

    :ivar number: Nova's own, 34 for 34.0.0
    :ivar name: OpenStack's
    """

    number: int
    name: str


SUPPORTED = (
    Release(31, '2025.1'),
    Release(32, '2025.2'),
    Release(33, '2026.1'),
    Release(34, '2026.2'),
)


def installed() -> int | None:
    """Return the number of the Nova that runs; None if it has none."""
    number = version.version_string().partition('.')[0]
    return int(number) if number.isdecimal() else None


def complaint() -> str:
    """Return a warning if this release was not tested; empty if it was.

    An older release may lack methods that the driver calls. A newer one may
    have changed them. `signatures` finds both.
    """
    number = installed()
    if number in [release.number for release in SUPPORTED]:
        return ''
    found = version.version_string() if number is None else number
    return (
        f'nova-arm-migrate was not tested with Nova {found}, but with'
        f' {SUPPORTED[0].number} to {SUPPORTED[-1].number}'
    )


def check() -> None:
    """Warn about an untested release; refuse one with changed methods.

    :raises nova.exception.NovaException: if a method of Nova's is gone, or
        takes other arguments than it is called with
    """
    text = complaint()
    if text:
        LOG.warning('%s', text)
    moved = list(signatures.moved())
    if moved:
        raise exception.NovaException(
            f'nova-arm-migrate cannot run with this Nova: {"; ".join(moved)}'
        )


def off_thread(target: _T) -> _T:
    """Return an object whose calls do not stop other green threads.

    Nova has ``utils.tpool_wrap`` since 33. Before, a compute always runs on
    eventlet, and Nova's driver wraps its own objects like this.
    """
    wrap = getattr(utils, 'tpool_wrap', None)
    if wrap is not None:
        wrapped: _T = wrap(target)
        return wrapped
    # Not imported above: on native threads it must not be.
    from eventlet import patcher
    from eventlet import tpool

    if not patcher.is_monkey_patched('thread'):
        return target
    proxy: _T = tpool.Proxy(target)
    return proxy


def iothread_pins(tune: Any) -> Iterable[Any]:
    """Return the pins of I/O threads, which Nova sets since 33.

    :param tune: LibvirtConfigGuestCPUTune
    """
    pins: Iterable[Any] = getattr(tune, 'iothreadpin', ())
    return pins
