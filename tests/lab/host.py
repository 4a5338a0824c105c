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

"""A lab and its hosts: emulated Arm64 machines that run real KVM guests."""

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import time
import types
import uuid

from tests.lab import build
from tests.lab import channel as channels
from tests.lab import errors
from tests.lab import network
from tests.lab import places
from tests.lab import processes
from tests.lab import qmp
from tests.lab import spec

BOOT_PATIENCE = 300.0
MAX_HOSTS = 90


@dataclasses.dataclass(frozen=True)
class Host:
    """One running host; it also has the methods of its channel."""

    name: str
    spec: spec.Spec
    folder: pathlib.Path
    number: int
    net: network.Network
    process: processes.Process

    @property
    def address(self) -> str:
        return f'{network.NETWORK}.{self.number}'

    @property
    def console(self) -> pathlib.Path:
        return self.folder / 'console.log'

    @property
    def uri(self) -> str:
        return f'qemu+tcp://{self.address}/system'

    @property
    def channel(self) -> channels.Channel:
        return channels.Channel(self.net, self.address, self.name)

    @property
    def taps(self) -> list[str]:
        return taps(self.spec, self.number)

    def virsh(self, *argv: str, timeout: float = 900) -> channels.Result:
        """Run virsh in the host, on its own libvirtd."""
        return self.channel.run(['virsh', *argv], timeout=timeout)

    def pause(self) -> None:
        """Pause the host: it uses no CPU and does not notice the pause."""
        qmp.execute(self.folder / 'qmp', 'stop')

    def resume(self) -> None:
        qmp.execute(self.folder / 'qmp', 'cont')

    def last_words(self) -> str:
        """Return the last line on the console, for an error's text."""
        try:
            text = self.console.read_text(errors='replace')
        except OSError:
            return 'no console output'
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1][:200] if lines else 'no console output'

    def wait_ready(self) -> None:
        """Return when the host accepts commands."""
        deadline = time.monotonic() + BOOT_PATIENCE
        while time.monotonic() < deadline:
            if not self.process.alive():
                raise errors.LabError(
                    f'host {self.name} ended: {self._emulator_words()} '
                    f'(see {self._keep_logs()})'
                )
            try:
                with self.channel.connect(channels.AGENT_PORT, 2):
                    return
            except OSError:
                time.sleep(0.1)
        raise errors.LabError(
            f'host {self.name} did not boot in {BOOT_PATIENCE:.0f} s: '
            f'{self.last_words()} (see {self._keep_logs()})'
        )

    def _keep_logs(self) -> pathlib.Path:
        """Copy the logs to a folder that outlives the host; return it."""
        kept = places.cache_dir() / 'failed' / self.name
        kept.mkdir(parents=True, exist_ok=True)
        for name in ('console.log', 'emulator.log'):
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, kept / name)
        return kept

    def _emulator_words(self) -> str:
        text = (self.folder / 'emulator.log').read_text(errors='replace')
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else self.last_words()

    def record(self) -> dict[str, object]:
        return {
            'name': self.name,
            'spec': str(self.spec),
            'number': self.number,
            'process': dataclasses.astuple(self.process),
        }


@contextlib.contextmanager
def awake(*wanted: Host) -> collections.abc.Iterator[None]:
    """Resume paused hosts for the duration of a block."""
    for host in wanted:
        host.resume()
    try:
        yield
    finally:
        for host in wanted:
            if host.process.alive():
                host.pause()


def taps(host_spec: spec.Spec, number: int) -> list[str]:
    """Return the names of the tap devices of a host's network cards."""
    return [
        f'tap{number}' + f'x{card}' * bool(card)
        for card in range(host_spec.nics)
    ]


def emulator_arguments(
    host_spec: spec.Spec,
    image: build.Image,
    folder: pathlib.Path,
    name: str,
    number: int,
) -> list[str]:
    """Return the emulator's command line for one host."""
    append = (
        'console=ttyAMA0 panic=-1 quiet mitigations=auto '
        f'hugepagesz=2M hugepages={host_spec.hugepages} '
        f'lab.name={name} lab.address={network.NETWORK}.{number} '
        f'lab.uuid={uuid.uuid4()} lab.time={int(time.time())}'
    )
    if not host_spec.aarch32:
        append += ' arm64.no32bit_el0'
    machine = f'virt,virtualization=on,gic-version={host_spec.gic}'
    if host_spec.mte:
        machine += ',mte=on'
    argv = [
        '-name',
        name,
        '-machine',
        machine,
        '-accel',
        'tcg,thread=multi',
        '-cpu',
        host_spec.cpu,
        '-smp',
        str(host_spec.cpus),
        '-m',
        str(host_spec.ram),
        '-nodefaults',
        '-no-user-config',
        '-display',
        'none',
        '-monitor',
        'none',
        '-no-reboot',
        '-qmp',
        f'unix:{folder}/qmp,server=on,wait=off',
        '-kernel',
        str(image.kernel),
        '-initrd',
        str(image.initrd),
        '-append',
        append,
        '-drive',
        f'if=none,id=root,file={folder}/disk.qcow2,'
        'format=qcow2,cache=unsafe,discard=unmap',
        '-device',
        'virtio-blk-pci,drive=root,romfile=',
        '-device',
        'virtio-rng-pci',
        '-serial',
        f'file:{folder}/console.log',
    ]
    for card, tap in enumerate(taps(host_spec, number)):
        argv += [
            '-netdev',
            f'tap,id=net{card},ifname={tap},script=no,downscript=no',
            '-device',
            f'virtio-net-pci,netdev=net{card},romfile=,'
            f'mac=52:54:00:77:{card:02x}:{number:02x}',
        ]
    if host_spec.numa > 1:
        share = host_spec.ram // host_spec.numa
        width = host_spec.cpus // host_spec.numa
        argv[argv.index('-m') + 1] = str(share * host_spec.numa)
        for node in range(host_spec.numa):
            cpus = range(node * width, (node + 1) * width)
            if host_spec.interleave:
                cpus = range(node, width * host_spec.numa, host_spec.numa)
            argv += [
                '-object',
                f'memory-backend-ram,id=m{node},size={share}M',
                '-numa',
                f'node,nodeid={node},memdev=m{node},'
                + ','.join(f'cpus={cpu}' for cpu in cpus),
            ]
    return argv


class Lab:
    """A network namespace and the hosts in it.

    As a context manager it ends with the block. A lab from ``lab up`` stays,
    and can be opened again by its name.
    """

    def __init__(
        self, name: str, net: network.Network, owner: processes.Process | None
    ) -> None:
        self.name = name
        self.net = net
        self.owner = owner
        self.hosts: dict[str, Host] = {}

    @property
    def folder(self) -> pathlib.Path:
        return places.run_dir() / self.name

    @classmethod
    def create(cls, name: str | None = None) -> 'Lab':
        """Create a lab; with *name* it stays when this process ends."""
        places.check_machine('start emulated hosts in a namespace')
        sweep()
        owner = None if name else processes.Process.of(os.getpid())
        name = name or f'of-{os.getpid()}-{uuid.uuid4().hex[:6]}'
        folder = places.run_dir() / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise errors.LabError(f'lab {name} is up already') from None
        lab = cls(name, network.Network.create(), owner)
        lab._save()
        return lab

    @classmethod
    def open(cls, name: str) -> 'Lab':
        """Return the running lab *name*; LabError if there is none."""
        return _load(places.run_dir() / name)

    def __enter__(self) -> 'Lab':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.down()

    def _save(self) -> None:
        state = {
            'owner': self.owner and dataclasses.astuple(self.owner),
            'holder': dataclasses.astuple(self.net.holder),
            'hosts': [host.record() for host in self.hosts.values()],
        }
        temporary = self.folder / 'state.tmp'
        temporary.write_text(json.dumps(state, indent=1))
        os.replace(temporary, self.folder / 'state.json')

    def start(
        self,
        host_spec: spec.Spec,
        name: str | None = None,
        image: build.Image | None = None,
    ) -> Host:
        """Start a host, without waiting for it to boot.

        :param image: to boot from; default: its generation's image
        """
        taken = {host.number for host in self.hosts.values()}
        number = next(n for n in range(1, MAX_HOSTS + 1) if n not in taken)
        name = name or f'h{number}'
        if name in self.hosts:
            raise errors.LabError(f'host {name} is up already')
        image = image or build.image(host_spec.generation)
        prefix = build.emulator()
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        subprocess.run(
            [
                'qemu-img',
                'create',
                '-q',
                '-f',
                'qcow2',
                '-F',
                'raw',
                '-b',
                str(image.disk),
                str(folder / 'disk.qcow2'),
            ],
            check=True,
        )
        for tap in taps(host_spec, number):
            self.net.add_tap(tap)
        arguments = emulator_arguments(
            host_spec.host, image, folder, name, number
        )
        with open(folder / 'emulator.log', 'wb') as log:
            child = subprocess.Popen(
                self.net.command([*prefix, *arguments]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        host = Host(
            name,
            host_spec.host,
            folder,
            number,
            self.net,
            processes.Process.of(child.pid),
        )
        self.hosts[name] = host
        self._save()
        return host

    def up(self, *specs: spec.Spec) -> list[Host]:
        """Start hosts together; return them when all accept commands."""
        hosts = [self.start(one) for one in specs]
        for host in hosts:
            host.wait_ready()
        return hosts

    @contextlib.contextmanager
    def host(self, host_spec: spec.Spec) -> collections.abc.Iterator[Host]:
        """Start a host for the duration of a block."""
        host = self.start(host_spec)
        try:
            host.wait_ready()
            yield host
        finally:
            self.stop(host)

    def stop(self, host: Host) -> None:
        """End one host and forget it."""
        host.process.end()
        self.hosts.pop(host.name, None)
        if self.net.holder.alive():
            for tap in host.taps:
                self.net.delete_tap(tap)
        shutil.rmtree(host.folder, ignore_errors=True)
        self._save()

    def down(self) -> None:
        """End everything, and leave nothing of the lab."""
        for host in self.hosts.values():
            host.process.end()
        self.net.end_processes()
        self.net.holder.end()
        self.hosts.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def _spec(text: str) -> spec.Spec:
    try:
        return spec.parse(text)
    except errors.LabError:
        # From another version of the lab: this is enough to end the host.
        return spec.Spec(text)


def _load(folder: pathlib.Path) -> Lab:
    try:
        state = json.loads((folder / 'state.json').read_text())
    except OSError:
        raise errors.LabError(f'no lab {folder.name} is up') from None
    owner = state['owner'] and processes.Process(*state['owner'])
    net = network.Network(processes.Process(*state['holder']))
    lab = Lab(folder.name, net, owner)
    for one in state['hosts']:
        lab.hosts[one['name']] = Host(
            one['name'],
            _spec(one['spec']),
            folder / one['name'],
            one['number'],
            net,
            processes.Process(*one['process']),
        )
    return lab


def labs() -> list[Lab]:
    """Return all labs that have a state here, sorted by name."""
    folders = sorted(places.run_dir().glob('*/state.json'))
    return [_load(path.parent) for path in folders]


def sweep() -> list[str]:
    """Take down labs whose owner is gone; return their names."""
    swept = []
    for lab in labs():
        if lab.owner is not None and not lab.owner.alive():
            lab.down()
            swept.append(lab.name)
    return swept


def interactive(host: Host) -> int:
    """Connect this terminal to a shell in the host; return its status."""
    source = f'TCP:{host.address}:{channels.SHELL_PORT}'
    terminal = 'STDIO'
    if os.isatty(0):
        terminal = 'STDIO,raw,echo=0,escape=0x1d'
    return subprocess.run(
        host.net.command(['socat', '-t', '86400', terminal, source])
    ).returncode
