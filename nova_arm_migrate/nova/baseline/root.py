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

"""What only root may read of a QEMU's process.

Nova's privilege-separation daemon runs these functions. It has no
CAP_SYS_PTRACE itself, which the kernel asks for (``ptrace_may_access``). A
program that it runs as root has it.
"""

import nova.privsep
from oslo_concurrency import processutils


@nova.privsep.sys_admin_pctxt.entrypoint
def maps(pid: int) -> str:
    """Return /proc/PID/maps.

    :raises oslo_concurrency.processutils.ProcessExecutionError: if it can't be
        read
    """
    return _read(pid, 'maps')


@nova.privsep.sys_admin_pctxt.entrypoint
def environ(pid: int) -> str:
    """Return /proc/PID/environ; raises as `maps`."""
    return _read(pid, 'environ')


def _read(pid: int, name: str) -> str:
    text, _ = processutils.execute('cat', f'/proc/{int(pid)}/{name}')
    return str(text)
