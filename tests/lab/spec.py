# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The specification of a host: ``CPU[@GENERATION][+OPTION=VALUE]``.

``neoverse-v1,sve256=off@forky+gic=3+numa=2/guest:sve=off``: the CPU is the
string for the emulator's ``-cpu``; the options are those of Spec; the CPU
features of the guests started there follow ``/guest:``.
"""

import dataclasses
import re

from tests.lab import errors
from tests.lab import generations

_CPU = re.compile(r'[a-z0-9][a-z0-9._-]*(,[a-z0-9._-]+=[a-z0-9]+)*')
# A CPU feature of a guest, or the addresses that it has for memory.
_FEATURE = re.compile(
    r'(?!maxmem=)([a-z0-9-]+)=(on|off)|maxmem=[1-9][0-9]{0,6}'
)
_MAX_MEMORY = 'maxmem'
_LIMITS = {
    'gic': (2, 4),
    'numa': (1, 4),
    'interleave': (0, 1),
    'hugepages': (0, 1024),
    'ram': (512, 16384),
    'cpus': (1, 16),
    'mte': (0, 1),
    'nics': (1, 2),
    'aarch32': (0, 1),
    'nova': (31, 34),
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """One host.

    :ivar cpu: the emulator's ``-cpu`` string
    :ivar gic: version of the host's interrupt controller
    :ivar numa: NUMA nodes; CPUs and memory are split evenly
    :ivar interleave: 1 assigns the CPUs to the nodes in turn
    :ivar hugepages: 2 MiB pages reserved at boot, over all nodes
    :ivar ram: MiB
    :ivar mte: 1 gives the machine tag memory
    :ivar nics: 2 gives it a second network card, for its guests' ports
    :ivar aarch32: 0 makes the host's kernel hide AArch32 at EL0
    :ivar nova: release of Nova there; only hosts of the cloud have it
    :ivar guest: CPU features (``sve=off``) of guests started there, and
        ``maxmem``, the GiB of memory that such a guest has addresses for
    """

    cpu: str
    generation: str = generations.DEFAULT
    gic: int = 3
    numa: int = 1
    interleave: int = 0
    hugepages: int = 0
    ram: int = 1280
    cpus: int = 2
    mte: int = 0
    nics: int = 1
    aarch32: int = 1
    nova: int = 34
    guest: tuple[str, ...] = ()

    @property
    def guest_gic(self) -> int:
        """The version of its guests' interrupt controller.

        KVM gives guests a GICv3 also on a GICv4: that has the same registers
        (``kvm_vgic_create``).
        """
        return min(self.gic, 3)

    @property
    def host(self) -> 'Spec':
        """Return the host alone, without the features of its guests."""
        return dataclasses.replace(self, guest=())

    @property
    def feature_states(self) -> dict[str, bool]:
        """Whether each guest feature is on."""
        pairs = (item.split('=') for item in self.guest)
        return {
            name: state == 'on' for name, state in pairs if name != _MAX_MEMORY
        }

    @property
    def max_memory(self) -> int:
        """GiB of memory that a guest has addresses for; 0 if not set."""
        pairs = (item.split('=') for item in self.guest)
        return next(
            (int(value) for name, value in pairs if name == _MAX_MEMORY), 0
        )

    def __str__(self) -> str:
        text = self.cpu
        if self.generation != generations.DEFAULT:
            text += f'@{self.generation}'
        for field in dataclasses.fields(self):
            if field.name in _LIMITS:
                value = getattr(self, field.name)
                if value != field.default:
                    text += f'+{field.name}={value}'
        if self.guest:
            text += '/guest:' + ','.join(self.guest)
        return text


def parse(text: str) -> Spec:
    """Return the host that *text* names; LabError if it names none."""
    host, slash, guest = text.partition('/')
    features: tuple[str, ...] = ()
    if slash:
        kind, _, listed = guest.partition(':')
        features = tuple(listed.split(','))
        if kind != 'guest' or not all(map(_FEATURE.fullmatch, features)):
            raise errors.LabError(
                f'{text!r}: after "/" comes guest:FEATURE=on|off[,...], '
                'or maxmem=GIB in place of a feature'
            )
    cpu_and_generation, *options = host.split('+')
    cpu, at, generation = cpu_and_generation.partition('@')
    if not _CPU.fullmatch(cpu):
        raise errors.LabError(f'{text!r}: {cpu!r} is not a CPU string')
    generation = generation if at else generations.DEFAULT
    if generation not in generations.GENERATIONS:
        raise errors.LabError(
            f'{text!r}: no generation {generation!r}; there are '
            + ', '.join(generations.GENERATIONS)
        )
    values: dict[str, int] = {}
    for option in options:
        name, _, value = option.partition('=')
        if name not in _LIMITS:
            raise errors.LabError(
                f'{text!r}: no option {name!r}; there are '
                + ', '.join(_LIMITS)
            )
        low, high = _LIMITS[name]
        if not value.isdecimal() or not low <= int(value) <= high:
            raise errors.LabError(
                f'{text!r}: {name} is a number from {low} to {high}'
            )
        values[name] = int(value)
    if values.get('numa', 1) > 1:
        values.setdefault('cpus', 2 * values['numa'])
    return Spec(cpu, generation, guest=features, **values)
