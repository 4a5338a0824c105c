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

"""Storage that all hosts share: NFS, served on this machine.

NFS-Ganesha runs in user space, so it runs in the lab's network namespace like
any other service, and ends with the lab.
"""

import pathlib

from tests.lab import host as hosts
from tests.lab.cloud import services
from tests.lab.cloud import settings

INSTANCES = settings.INSTANCES
PORT = 2049
_NAME = 'ganesha'

_CONFIGURATION = """\
NFS_CORE_PARAM {{
    Protocols = 4;
    Bind_addr = {address};
    Enable_NLM = false;
    Enable_RQUOTA = false;
}}
NFSv4 {{
    Graceless = true;
    Only_Numeric_Owners = true;
    Minor_Versions = 1, 2;
    RecoveryRoot = {state}/recovery;
}}
EXPORT {{
    Export_Id = 77;
    Path = {path};
    Pseudo = /instances;
    Protocols = 4;
    Access_Type = RW;
    Squash = No_Root_Squash;
    SecType = sys;
    FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = EVENT; }}
"""

_MOUNT = f"""
grep -q ' {INSTANCES} nfs4 ' /proc/mounts && exit 0
modprobe nfsv4
mount -t nfs4 -o vers=4.1,hard,noatime {settings.ADDRESS}:/instances \
    {INSTANCES}
"""


def start(on: services.Services) -> None:
    """Serve a folder of the lab; a second call does nothing."""
    if on.running(_NAME):
        return
    state = on.state / 'nfs'
    path = state / 'instances'
    for folder in (path, state / 'recovery'):
        folder.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    configuration = state / 'ganesha.conf'
    configuration.write_text(configuration_text(state, path))
    on.start(
        _NAME,
        [
            'ganesha.nfsd',
            '-F',
            '-f',
            configuration,
            '-L',
            'STDERR',
            '-p',
            state / 'pid',
        ],
    )
    on.wait(_NAME, lambda: on.answers(PORT))


def configuration_text(state: pathlib.Path, path: pathlib.Path) -> str:
    return _CONFIGURATION.format(
        address=settings.ADDRESS, state=state, path=path
    )


def mount(host: hosts.Host) -> None:
    """Mount the shared folder as the instances folder of *host*."""
    host.channel.script('mounting NFS', _MOUNT)


def unmount(host: hosts.Host) -> None:
    host.channel.script(
        'unmounting NFS',
        f'while mountpoint -q {INSTANCES}; do umount {INSTANCES} || exit 1; '
        'done',
    )
