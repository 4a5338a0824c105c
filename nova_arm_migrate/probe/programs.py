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


"""Versions of QEMU and libvirt, as the programs print them."""

import re
import subprocess

from nova_arm_migrate.probe.errors import ProbeError

#: Seconds that a program may need to print its version: it loads libraries,
#: which is slow in an emulated machine.
TIMEOUT = 20.0

_VERSION = re.compile(r'\d+(?:\.\d+)+')

QEMU = (
    ('qemu-system-aarch64', '--version'),
    # The Red Hat family installs it here, outside of PATH.
    ('/usr/libexec/qemu-kvm', '--version'),
)
LIBVIRT = (
    ('libvirtd', '--version'),
    ('virtqemud', '--version'),
    ('virsh', '--version'),
)


def version(
    commands: tuple[tuple[str, ...], ...], timeout: float = TIMEOUT
) -> str:
    """Return the version that the first program found prints: ``10.0.2``.

    :param timeout: seconds
    :raises ProbeError: if none is found, or none prints a version
    """
    reason = f'no {commands[0][0]} found'
    for command in commands:
        try:
            run = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError:
            continue
        except subprocess.TimeoutExpired:
            reason = f'{command[0]}: no answer in {timeout:g} s'
            continue
        except OSError as error:
            reason = f'{command[0]}: {error.strerror}'
            continue
        match = _VERSION.search(run.stdout.decode('ascii', 'replace'))
        if match:
            return match[0]
        reason = f'{command[0]}: prints no version'
    raise ProbeError(reason)
