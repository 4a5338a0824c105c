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

"""What makes a QEMU show its guest a baseline.

`plan` tries the back ends in the order of preference. The first one that can
give a guest all of its baseline on this host is used:

1. `CpuFeatures`: libvirt's CPU features alone, for a host whose new vCPUs have
   the baseline's registers when the other features are off;
2. `QemuProperties`: properties of QEMU's own, ``SYSREG_<register>_<field>``,
   which are proposed for QEMU. No released QEMU has them;
3. `Shim`: the library that is preloaded into QEMU. Only if the operator has
   allowed it.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import struct
import typing

from nova_arm_migrate.core import shim
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.nova.baseline.catalogue import joined

PRELOAD = 'LD_PRELOAD'

#: ``e_machine`` of an ELF file for 64-bit Arm (EM_AARCH64 in elf.h).
_EM_AARCH64 = 183
_ELF_64_LITTLE = b'\x7fELF\x02\x01'
_ELF_HEADER = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How QEMU gets to show a baseline.

    :ivar baseline: which one
    :ivar backend: the name of the back end, for the log
    :ivar features_off: CPU features that the domain switches off
    :ivar registers: what is written to a new vCPU, by code
    :ivar environment: variables of QEMU's process
    :ivar arguments: of QEMU's command line
    """

    baseline: CpuBaseline
    backend: str
    features_off: frozenset[str]
    registers: Mapping[int, int] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    @property
    def library(self) -> str:
        """The library that QEMU must have loaded; empty if none."""
        return self.environment.get(PRELOAD, '')


class Backend(typing.Protocol):
    """One way to make QEMU show a baseline."""

    def plan(
        self, baseline: CpuBaseline, host: Host, registers: Mapping[int, int]
    ) -> Plan | str:
        """Return the plan for guests on this host, or why there is none.

        :param registers: those of a new vCPU that must have another value
        """
        ...


class CpuFeatures:
    """libvirt's CPU features: ``sve``, its lengths, ``pauth`` and ``pmu``."""

    NAME = "libvirt's CPU features"

    def plan(
        self, baseline: CpuBaseline, host: Host, registers: Mapping[int, int]
    ) -> Plan | str:
        """Return the plan if no register must be written."""
        if registers:
            names = [register_of(code).name for code in sorted(registers)]
            return f'{self.NAME}: they do not change {joined(names)}'
        return Plan(baseline, self.NAME, baseline.switched_off(host))


class QemuProperties:
    """QEMU's own properties, ``SYSREG_<register>_<field>``.

    :param expansion: returns the properties that QEMU's answer to
        ``query-cpu-model-expansion`` has for ``host``, by name; none if it is
        not known
    """

    NAME = "QEMU's properties"
    _PREFIX = 'SYSREG_'

    def __init__(self, expansion: Callable[[], Mapping[str, object]]) -> None:
        self._expansion = expansion

    def plan(
        self, baseline: CpuBaseline, host: Host, registers: Mapping[int, int]
    ) -> Plan | str:
        """Return the plan if QEMU has a property for each field."""
        known = self._expansion()
        if not any(name.startswith(self._PREFIX) for name in known):
            return f'{self.NAME}: QEMU has none'
        arguments: list[str] = []
        lacking = []
        for code, value in sorted(registers.items()):
            register = register_of(code)
            differs = value ^ host.values.read(code)
            for field in register.fields:
                if not differs & field.mask:
                    continue
                differs &= ~field.mask
                name = f'{self._PREFIX}{register.name}_{field.name}'
                if name in known:
                    # `Field.of` is negative for some signed fields.
                    number = field.of(value) & field.mask >> field.shift
                    arguments += ['-global', f'host-arm-cpu.{name}={number}']
                else:
                    lacking.append(name)
            if differs:
                lacking.append(f'{self._PREFIX}{register.name}')
        if lacking:
            return f'{self.NAME}: QEMU lacks {joined(lacking)}'
        return Plan(
            baseline,
            self.NAME,
            baseline.switched_off(host),
            dict(registers),
            arguments=tuple(arguments),
        )


class Shim:
    """The library that is preloaded into QEMU; experimental.

    :param path: of the library; empty if the operator has not allowed it
    """

    NAME = 'the shim'

    def __init__(self, path: str) -> None:
        self._path = path

    def plan(
        self, baseline: CpuBaseline, host: Host, registers: Mapping[int, int]
    ) -> Plan | str:
        """Return the plan if the library is allowed, there, and ours."""
        if not self._path:
            return f'{self.NAME}: [arm_migrate] baseline_shim is not set'
        fault = self._fault()
        if fault:
            return f'{self.NAME}: {self._path}: {fault}'
        environment = {PRELOAD: self._path}
        environment |= shim.environment(baseline, host)
        return Plan(
            baseline,
            self.NAME,
            baseline.switched_off(host),
            dict(registers),
            environment,
        )

    def _fault(self) -> str:
        """Return what is wrong with the library; empty if nothing is."""
        try:
            with open(self._path, 'rb') as file:
                data = file.read()
        except OSError as error:
            return str(error.strerror)
        if not data.startswith(_ELF_64_LITTLE) or len(data) < _ELF_HEADER:
            return 'not a 64-bit ELF file'
        if struct.unpack_from('<H', data, 18) != (_EM_AARCH64,):
            return 'not for 64-bit Arm'
        if shim.VARIABLE.encode() not in data:
            return 'not the library of nova-arm-migrate'
        return ''


def plan(
    backends: Sequence[Backend], baseline: CpuBaseline, host: Host
) -> Plan | str:
    """Return the first plan, or the reasons of all back ends in one line.

    The reason of the last one comes first, because events keep 255 bytes: it
    is the one that an operator can change.
    """
    registers = shim.written(baseline, host)
    reasons = []
    for backend in backends:
        found = backend.plan(baseline, host, registers)
        if isinstance(found, Plan):
            return found
        reasons.append(found)
    return '; '.join(reversed(reasons))
