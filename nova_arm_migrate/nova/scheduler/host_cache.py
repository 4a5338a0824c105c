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


"""The hosts' records in the scheduler; each distinct text is parsed once.

Nova reads every ComputeNode row again for every request. So each host comes
with a new ``cpu_info`` string of some kilobytes, although a fleet of
thousands of hosts has only some tens of different texts.
"""

from collections.abc import Iterable
import dataclasses
import functools
import json

from nova.objects import fields

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.records import instance_state

AARCH64 = fields.Architecture.AARCH64

#: Characters. A longer text is not cached: no honest host writes one.
_LONGEST_KEPT = 1 << 15

#: Every 61st character, and the end with the versions, distinguish most texts.
#: That costs a fraction of a hash over the whole text. Equality is always
#: checked by a full comparison.
_STRIDE = 61
_END = 96


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class CpuInfo:
    """What one ``cpu_info`` text says. An object is equal only to itself.

    :ivar host: the host's record, or why there is none
    :ivar arch: Nova's name of the architecture; None if the text does not say
    """

    host: Host | str
    arch: str | None

    @property
    def foreign(self) -> bool:
        """Whether the host can't run Arm64 guests on KVM."""
        return self.arch is not None and self.arch != AARCH64


def read(text: str) -> CpuInfo:
    """Return what a ``cpu_info`` text says; never raises."""
    host = instance_state.host_record(text)
    return CpuInfo(host, _arch(text) if isinstance(host, str) else AARCH64)


def _arch(text: str) -> str | None:
    if len(text) > _LONGEST_KEPT:
        return None
    try:
        info = json.loads(text)
    except (ValueError, RecursionError):
        return None
    arch = info.get('arch') if isinstance(info, dict) else None
    return arch if arch in fields.Architecture.ALL else None


class HostCache:
    """A cache of the texts that were read most recently.

    Thread-safe. Two threads that find the same new text at once both parse
    it, and one result is kept.

    :param size: the number of texts kept
    """

    def __init__(self, size: int = 1024) -> None:
        self._kept = functools.lru_cache(size)(lambda text: read(text))

    def __len__(self) -> int:
        return self._kept.cache_info().currsize

    def read(self, text: str) -> CpuInfo:
        """Return what a ``cpu_info`` text says."""
        if len(text) > _LONGEST_KEPT:
            return read(text)
        return self._kept(text)

    def read_all(self, texts: Iterable[str | None]) -> list[CpuInfo]:
        """Return what each text says, in the order of the texts.

        Equal texts give the same object. None counts as an empty text.
        """
        found: list[CpuInfo] = []
        seen: dict[str, tuple[str, CpuInfo]] = {}
        for text in texts:
            if not text:
                text = ''
            sample = text[::_STRIDE] + text[-_END:]
            known = seen.get(sample)
            if known is None or known[0] != text:
                known = seen[sample] = text, self.read(text)
            found.append(known[1])
        return found
