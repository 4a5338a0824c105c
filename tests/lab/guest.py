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

"""KVM guests in lab hosts: start, move and check them."""

import collections.abc
import contextlib
import dataclasses
import re
import subprocess
import tempfile
import xml.etree.ElementTree
import xml.sax.saxutils

from tests.lab import build
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab import spec
from tests.lab import witness

MEMORY_MIB = 128
# Every generation's QEMU has this one. A destination without the machine type
# would refuse a guest before it checks the registers.
MACHINE = 'virt-7.2'
FIRST_REPORTS = 3
LATER_REPORTS = 6
# The ports of libvirt's migrations from QEMU to QEMU.
TO_QEMU = "ss -Htn 'dport >= :49152 and dport <= :49215'"
# libvirt has an element of its own for this feature.
PMU = 'pmu'
QEMU_NAMESPACE = 'http://libvirt.org/schemas/domain/qemu/1.0'
_THROTTLE = re.compile(r'^Auto converge throttle: +(\d+)', re.M)
_TIME = re.compile(r'^\d{4}-\d\d-\d\dT[0-9:.]+Z ')
START_PATIENCE = 180
REPORT_PATIENCE = 60
MIGRATE_PATIENCE = 300


def log_path(name: str) -> str:
    """Return the path of a guest's console, which is the same on all hosts."""
    return f'/tmp/guest-{name}.log'


def domain_xml(
    name: str,
    features: collections.abc.Mapping[str, bool],
    gic: int = 3,
    vcpus: int = 1,
    dirty: int = 0,
    reboots: bool = False,
    environment: collections.abc.Mapping[str, str] | None = None,
    max_memory: int = 0,
) -> str:
    """Return the libvirt domain of a lab guest.

    :param features: CPU features to switch on or off, by their names in QEMU
    :param environment: of its QEMU
    :param dirty: MiB that the guest rewrites all the time
    :param reboots: whether a reset boots it again; otherwise it ends, as a
        guest that a move has broken should
    :param max_memory: GiB that the guest has addresses for; no memory is
        used for them. QEMU puts its device windows above them
    """
    quoted = xml.sax.saxutils.quoteattr
    dirties = f' dirty={dirty}' if dirty else ''
    switched = ''.join(
        f"<feature policy='{'require' if on else 'disable'}' "
        f'name={quoted(feature)}/>'
        for feature, on in features.items()
        if feature != PMU
    )
    pmu = ''
    if PMU in features:
        pmu = f"<pmu state='{'on' if features[PMU] else 'off'}'/>"
    environment_xml = ''.join(
        f'<qemu:env name={quoted(name)} value={quoted(value)}/>'
        for name, value in (environment or {}).items()
    )
    maximum = cell = ''
    if max_memory:
        maximum = f"<maxMemory slots='1' unit='GiB'>{max_memory}</maxMemory>"
        cell = (
            f"<numa><cell id='0' cpus='0-{vcpus - 1}' "
            f"memory='{MEMORY_MIB}' unit='MiB'/></numa>"
        )
    return f"""\
<domain type='kvm' xmlns:qemu='{QEMU_NAMESPACE}'>
  <name>{name}</name>
  {maximum}<memory unit='MiB'>{MEMORY_MIB}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='aarch64' machine='{MACHINE}'>hvm</type>
    <kernel>/lab/kernel</kernel>
    <initrd>/lab/guest.initrd</initrd>
    <cmdline>console=ttyAMA0 loglevel=5 panic=-1{dirties}</cmdline>
  </os>
  <features><gic version='{gic}'/>{pmu}</features>
  <cpu mode='host-passthrough' check='none'>{switched}{cell}</cpu>
  <on_reboot>{'restart' if reboots else 'destroy'}</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{log_path(name)}'/></serial>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>{environment_xml}</qemu:commandline>
</domain>
"""


def for_host(text: str, environment: collections.abc.Mapping[str, str]) -> str:
    """Return the domain *text* for the QEMU of another host.

    The CPU features stay as they are: libvirt moves no guest to a domain with
    others.

    :param environment: of QEMU there
    """
    xml.etree.ElementTree.register_namespace('qemu', QEMU_NAMESPACE)
    root = xml.etree.ElementTree.fromstring(text)
    for commandline in root.findall(f'{{{QEMU_NAMESPACE}}}commandline'):
        commandline[:] = [
            xml.etree.ElementTree.Element(
                f'{{{QEMU_NAMESPACE}}}env', name=name, value=value
            )
            for name, value in environment.items()
        ]
    return xml.etree.ElementTree.tostring(root, encoding='unicode')


def prepare(host: hosts.Host) -> None:
    """Copy the guests' initrd into a host that has just booted."""
    image = build.image(host.spec.generation)
    host.channel.put(build.guest_initrd(image), '/lab/guest.initrd')


def client(
    host: hosts.Host, *argv: str, timeout: float = MIGRATE_PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run this machine's own virsh, connected to a host's libvirtd."""
    return subprocess.run(
        host.net.command(['virsh', '-q', '-c', host.uri, *argv]),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def last_line(text: str) -> str:
    """Return the last line of an error's text, without prefix and time."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return 'no text'
    return _TIME.sub('', lines[-1].removeprefix('error: '))


def seen_of_move(text: str) -> tuple[bool, int]:
    """Read the output of TO_QEMU and ``domjobinfo`` on a move's source.

    :return: whether QEMU sent to QEMU, and the percentage of its time by
        which auto-converge throttled the guest
    """
    throttles = map(int, _THROTTLE.findall(text))
    return 'ESTAB' in text, max(throttles, default=0)


def same_kernel(on: collections.abc.Sequence[hosts.Host]) -> None:
    """Give all hosts the files that guests of the first one boot.

    A reset boots a guest with the kernel's file of the host that it is then
    on. Each generation of hosts has another one, and on A64FX the mixture of
    Linux 6.12 and 7.3 crashed. In a cloud, both files are of one image.
    """
    first, *others = on
    others = [
        host
        for host in others
        if host.spec.generation != first.spec.generation
    ]
    if not others:
        return
    for path in ('/lab/kernel', '/lab/guest.initrd'):
        with hosts.awake(first):
            data = first.channel.get(path)
        for host in others:
            with hosts.awake(host):
                host.channel.script(f'copying {path}', f'cat > {path}', data)


@dataclasses.dataclass
class Guest:
    """One running guest; as a context manager, it ends with the block.

    :ivar host: where it runs now
    :ivar before: its console output before its last move
    :ivar skipped: bytes of its present console from before a reset
    """

    name: str
    host: hosts.Host
    before: str = ''
    skipped: int = 0

    @classmethod
    def start(
        cls,
        host: hosts.Host,
        name: str,
        guest_spec: spec.Spec,
        dirty: int = 0,
        reboots: bool = False,
        features: collections.abc.Mapping[str, bool] | None = None,
        environment: collections.abc.Mapping[str, str] | None = None,
    ) -> 'Guest':
        """Start the guest and return when its program has reported.

        :param features: CPU features, in place of those of *guest_spec*
        :param environment: of its QEMU
        :raises LabError: if it doesn't start or report
        """
        text = domain_xml(
            name,
            guest_spec.feature_states if features is None else features,
            host.spec.guest_gic,
            dirty=dirty,
            reboots=reboots,
            environment=environment,
            max_memory=guest_spec.max_memory,
        )
        with tempfile.NamedTemporaryFile('w', suffix='.xml') as file:
            file.write(text)
            file.flush()
            done = client(host, 'create', file.name)
        if done.returncode:
            raise errors.LabError(
                f'no guest on {host.name}: {last_line(done.stderr)}'
            )
        guest = cls(name, host)
        if not guest.wait_reports(FIRST_REPORTS, START_PATIENCE):
            words = last_line(guest.console())
            guest.destroy()
            raise errors.LabError(
                f'guest {name} on {host.name} does not report: {words}'
            )
        return guest

    def __enter__(self) -> 'Guest':
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # An earlier error says more than the failure to end the guest.
        with contextlib.suppress(*([errors.LabError] if kind else [])):
            self.destroy()

    def wait_reports(self, count: int, patience: int) -> bool:
        """Wait for *count* more reports; return False if they are late."""
        path = log_path(self.name)
        done = self.host.channel.sh(
            f'c() {{ grep -c "^witness [0-9]" {path}; }}; n=$(c); '
            f'end=$((SECONDS + {patience})); '
            f'while [ $SECONDS -lt $end ]; do '
            f'[ $(c) -ge $((n + {count})) ] && exit 0; '
            f'grep -q "Kernel panic" {path} && exit 1; sleep 0.3; done; '
            'exit 1',
            timeout=patience * 3 + 60,
        )
        return done.rc == 0

    def console(self) -> str:
        """Return its console output on its present host."""
        path = log_path(self.name)
        return self.host.channel.sh(f'tail -c +{self.skipped + 1} {path}').out

    def xml(self) -> str:
        """Return its domain as libvirt sends it to another host.

        :raises LabError: if libvirt does not know it
        """
        done = client(self.host, 'dumpxml', '--migratable', self.name)
        if done.returncode:
            raise errors.LabError(f'no XML: {last_line(done.stderr)}')
        return done.stdout

    def reset(self) -> None:
        """Reset the guest; return when its program has reported.

        :raises LabError: if it doesn't
        """
        done = client(self.host, 'reset', self.name)
        if done.returncode:
            raise errors.LabError(f'no reset: {last_line(done.stderr)}')
        self.before = ''
        size = self.host.channel.sh(f'stat -c %s {log_path(self.name)}').out
        self.skipped = int(size)
        if not self.wait_reports(FIRST_REPORTS, START_PATIENCE):
            raise errors.LabError(
                f'guest {self.name} does not report after a reset'
            )

    def migrate(self, target: hosts.Host, *options: str) -> str:
        """Move the guest; return the error's text, empty if it moved.

        :param options: additional ones for virsh; default: QEMU sends to QEMU
        """
        if '--tunnelled' not in options:
            options += ('--migrateuri', f'tcp://{target.address}')
        try:
            done = client(
                self.host,
                'migrate',
                '--live',
                '--p2p',
                self.name,
                target.uri,
                *options,
            )
        except subprocess.TimeoutExpired:
            client(self.host, 'domjobabort', self.name)
            return f'not finished in {MIGRATE_PATIENCE} s'
        if done.returncode:
            return last_line(done.stderr)
        self.before += self.console()
        self.host.channel.sh(f'rm -f {log_path(self.name)}')
        self.host = target
        self.skipped = 0
        return ''

    def health(self) -> witness.Health:
        """Let the guest work for a while, then check all its reports."""
        self.wait_reports(LATER_REPORTS, REPORT_PATIENCE)
        if self.before:
            return witness.judge(self.before, self.console())
        return witness.judge(self.console())

    def destroy(self) -> None:
        client(self.host, 'destroy', self.name)
        self.host.channel.sh(f'rm -f {log_path(self.name)}')
