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

"""nova-compute inside the emulated hosts."""

import io
import pathlib
import tarfile
import time

from clouds import ini
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab.cloud import debian
from tests.lab.cloud import image
from tests.lab.cloud import settings

LOG = '/var/log/nova/nova-compute.log'
_PID = '/run/nova-compute.pid'
START_PATIENCE = 1800
# Every check takes CPU time that an emulated host needs for its start.
POLL_PAUSE = 8

_START = f"""
export PATH=/usr/local/bin:$PATH
ulimit -n 4096
: > {LOG}
setsid nova-compute --config-file /etc/nova/nova.conf \
    < /dev/null >> {LOG} 2>&1 &
echo $! > {_PID}
"""

# nova-compute's helpers outlive it and would serve the next nova-compute.
_STOP = f"""
pid=$(cat {_PID} 2> /dev/null) || exit 0
kill $pid 2> /dev/null
for n in $(seq 60); do kill -0 $pid 2> /dev/null || break; sleep 0.5; done
kill -9 $pid 2> /dev/null
rm -f {_PID}
pkill -9 -f '^/usr/bin/python3 /usr/(local/)?bin/privsep-helper'
exit 0
"""


def nova(host: hosts.Host) -> str:
    """Return the version of Nova in *host* and the folder that it is in."""
    done = host.channel.sh(
        'python3 -c "import importlib.metadata as m; '
        "d = m.distribution('nova'); print(d.version, d.locate_file(''))\""
    )
    return done.out.strip()


def put_project(host: hosts.Host, project: pathlib.Path) -> None:
    """Copy the installed project with its compiled files into a host."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz', compresslevel=1) as pack:
        pack.add(project, arcname='.')
    target = image.project_inside(host.spec.nova)
    clear = f'rm -rf {target} && mkdir -p {target} && '
    if target == debian.INSIDE:
        clear = ''
    host.channel.script(
        'unpacking the project',
        f'{clear}tar -xz -C {target} -f -',
        buffer.getvalue(),
    )


def start(host: hosts.Host, sections: settings.Sections) -> None:
    """(Re)start nova-compute in *host* with this configuration."""
    stop(host)
    host.channel.script(
        'writing nova.conf',
        'cat > /etc/nova/nova.conf',
        ini.dump(sections).encode(),
    )
    host.channel.sh(_START)


def stop(host: hosts.Host) -> None:
    host.channel.sh(_STOP)


def running(host: hosts.Host) -> bool:
    return not host.channel.sh(f'kill -0 $(cat {_PID})').rc


def log(host: hosts.Host) -> str:
    return host.channel.sh(f'cat {LOG}').out


def wait_reported(host: hosts.Host, patience: int = START_PATIENCE) -> None:
    """Return when nova-compute in *host* has reported its resources.

    :raises LabError: if it ends, or is too late
    """
    deadline = time.monotonic() + patience
    while True:
        # Logged at the end of the first pass of the resource tracker.
        done = host.channel.sh(
            f'grep -q "Final resource view\\|Created resource provider" {LOG}'
        )
        if done.rc == 0:
            return
        if not running(host):
            raise errors.LabError(
                f'nova-compute in {host.name} ended: {last_words(log(host))}'
            )
        if time.monotonic() > deadline:
            raise errors.LabError(
                f'nova-compute in {host.name} has not reported after '
                f'{patience} s: {last_words(log(host))}'
            )
        time.sleep(POLL_PAUSE)


def last_words(text: str) -> str:
    """Return the last line of a log; prefer an error."""
    lines = [line for line in text.splitlines() if line.strip()] or ['nothing']
    wrong = [
        line
        for line in lines[-80:]
        if ' ERROR ' in line or ' CRITICAL ' in line or 'Error' in line
    ]
    return (wrong or lines)[-1].strip()[:240]


def save_logs(host: hosts.Host, folder: pathlib.Path) -> None:
    """Copy the logs of *host* to *folder*, if it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in (
        ('nova-compute', f'cat {LOG}'),
        ('qemu', 'tail -n 400 /var/log/libvirt/qemu/*.log'),
        ('conf', 'cat /etc/nova/nova.conf'),
    ):
        try:
            text = host.channel.sh(command, timeout=60).out
        except errors.LabError:
            continue
        (folder / f'{host.name}-{name}.log').write_text(text)
