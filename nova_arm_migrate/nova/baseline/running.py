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

"""What a running QEMU says of its guest's CPU."""

from collections.abc import Mapping
import contextlib
import importlib
import json
import pathlib
import typing

from oslo_concurrency import processutils

from nova_arm_migrate.nova.baseline import root
from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.probe.errors import ProbeError


class RunningQemu(typing.Protocol):
    """The QEMU process of one guest. Each method may raise `ProbeError`."""

    def property(self, name: str) -> bool:
        """Return a property of the first vCPU; False if there is none."""
        ...

    def has_loaded(self, library: str) -> bool:
        """Whether the process has mapped a library."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Return the variables with which the process was started."""
        ...


class LibvirtQemu:
    """A `RunningQemu` that is asked through libvirt and /proc.

    :param guest: ``nova.virt.libvirt.guest.Guest``, running
    """

    def __init__(self, guest: typing.Any) -> None:
        self._domain = guest._domain
        self._uuid = str(guest.uuid)
        self._vcpu = ''

    def property(self, name: str) -> bool:
        """Return a property of the first vCPU; False if there is none.

        The taint ``custom-monitor`` that libvirt gives the domain has no
        effect.
        """
        if not self._vcpu:
            vcpus = self._ask('query-cpus-fast')['return']
            self._vcpu = str(vcpus[0]['qom-path'])
        answer = self._ask('qom-get', path=self._vcpu, property=name)
        return answer.get('return') is True

    def _ask(self, command: str, **arguments: str) -> dict[str, typing.Any]:
        # Part of libvirt's Python binding, which is not there in tests.
        try:
            monitor = importlib.import_module('libvirt_qemu')
        except ImportError:
            raise ProbeError('Python has no module libvirt_qemu') from None
        question = {'execute': command, 'arguments': arguments}
        try:
            answer = monitor.qemuMonitorCommand(
                self._domain, json.dumps(question), 0
            )
            found: dict[str, typing.Any] = json.loads(answer)
        except (numa_host.libvirt_error(), ValueError) as error:
            raise ProbeError(f'QMP {command}: {error}') from None
        return found

    def has_loaded(self, library: str) -> bool:
        """Whether the process has mapped a library."""
        lines = self._read(root.maps).splitlines()
        return any(line.endswith(f' {library}') for line in lines)

    def environment(self) -> Mapping[str, str]:
        """Return the variables with which the process was started."""
        pairs = self._read(root.environ).split('\0')
        return {
            name: value
            for name, _, value in (pair.partition('=') for pair in pairs)
        }

    def _read(self, reader: typing.Callable[[int], str]) -> str:
        try:
            return reader(self._pid())
        except (OSError, processutils.ProcessExecutionError) as error:
            raise ProbeError(f"QEMU's process: {error}") from None

    def _pid(self) -> int:
        """Find the process by its command line, which everybody may read."""
        wanted = f'\0-uuid\0{self._uuid}\0'.encode()
        for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
            with contextlib.suppress(OSError):
                if wanted in path.read_bytes():
                    return int(path.parent.name)
        raise ProbeError(f'no process has the option -uuid {self._uuid}')
