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

"""The cloud as a whole: services, computes in hosts, images, flavors."""

import collections.abc
import dataclasses
import json
import pathlib
import shutil
import subprocess
import tempfile

from tests.lab import build
from tests.lab import errors
from tests.lab import host as hosts
from tests.lab import places
from tests.lab import spec
from tests.lab.cloud import client as clients
from tests.lab.cloud import computes
from tests.lab.cloud import debian
from tests.lab.cloud import image
from tests.lab.cloud import install
from tests.lab.cloud import ports
from tests.lab.cloud import project
from tests.lab.cloud import services as service
from tests.lab.cloud import settings

NAME = 'cloud'
HOST_RAM = 2048
# A running cloud keeps using the version from which it was started.
_MADE_OF = 'cloud.json'
GUEST_COMMAND_LINE = 'console=ttyAMA0 loglevel=5 panic=-1'
# Name of an image -> additional kernel arguments of its guests.
IMAGES = {'witness': '', 'busy': 'dirty=24', 'calm': 'calm=500'}


def check_machine(release: int) -> None:
    places.check_machine('run OpenStack and emulated hosts in a namespace')
    service.check_machine()
    if release == debian.RELEASE:
        debian.check_machine()


def prepare(release: int) -> tuple[pathlib.Path, build.Image]:
    """Install and build the software of the cloud.

    :param release: of the services' Nova
    :return: the native environment and the hosts' image
    """
    build.emulator()
    environment = install.native(release)
    return environment, image.host_image(release=release)


def host_spec(text: str, release: int = install.RELEASE) -> spec.Spec:
    """Return the cloud's host for *text*, with memory and two network cards.

    :param release: of the services' Nova, and of a host that names none
    :raises LabError: if it names no host of such a cloud
    """
    one = spec.parse(text)
    if '+nova=' not in text:
        one = dataclasses.replace(one, nova=release)
    if one.generation not in image.GENERATIONS:
        raise errors.LabError(
            f'{text}: hosts of the cloud are ' + ' or '.join(image.GENERATIONS)
        )
    possible = install.CLOUDS[release]
    if one.nova not in possible:
        raise errors.LabError(
            f'{text}: hosts of the cloud have Nova '
            + ' or '.join(map(str, possible))
        )
    return dataclasses.replace(one, ram=max(one.ram, HOST_RAM), nics=2)


@dataclasses.dataclass
class Cloud:
    """A running cloud, in a separate lab.

    :ivar drivers: the configuration of each host's nova-compute, without the
        host's name and address
    """

    lab: hosts.Lab
    services: service.Services
    image: build.Image
    client: clients.Client
    drivers: dict[str, settings.Sections] = dataclasses.field(
        default_factory=dict
    )

    @classmethod
    def of(
        cls,
        lab: hosts.Lab,
        environment: pathlib.Path,
        disk: build.Image,
        release: int,
    ) -> 'Cloud':
        return cls(
            lab,
            service.Services(
                lab.net,
                lab.folder / 'cloud',
                install.folder() / 'logs',
                environment,
                release,
            ),
            disk,
            clients.Client(lab.net, environment),
        )

    @classmethod
    def create(
        cls, name: str = NAME, release: int = install.RELEASE
    ) -> 'Cloud':
        """Start services, images and flavors; end all if that fails."""
        check_machine(release)
        environment, disk = prepare(release)
        lab = hosts.Lab.create(name)
        cloud = cls.of(lab, environment, disk, release)
        (lab.folder / _MADE_OF).write_text(
            json.dumps(
                {
                    'environment': str(environment),
                    'image': str(disk.folder),
                    'release': release,
                }
            )
        )
        try:
            cloud.services.up()
            project.from_work_tree(release, cloud.project)
            cloud.services.start_scheduler()
            cloud._first_things()
        except BaseException:
            cloud.down()
            raise
        return cloud

    @classmethod
    def open(cls, name: str = NAME) -> 'Cloud':
        """Return the running cloud; LabError if there is none."""
        lab = hosts.Lab.open(name)
        try:
            made = json.loads((lab.folder / _MADE_OF).read_text())
        except OSError:
            raise errors.LabError(f'lab {name} is no cloud') from None
        disk = build.Image(image.GENERATION, pathlib.Path(made['image']))
        return cls.of(
            lab, pathlib.Path(made['environment']), disk, made['release']
        )

    @property
    def release(self) -> int:
        """The release of the services' Nova."""
        return self.services.release

    @property
    def project(self) -> pathlib.Path:
        """The archive of this project for the hosts."""
        return self.lab.folder / 'project'

    def _first_things(self) -> None:
        places.say('cloud: images and flavors')
        # Neutron's first request in a new process may fail, without ports.
        self.client.run('network', 'list')
        kernel = self._image('kernel', self.image.folder / 'kernel', 'aki')
        initrd = self._image('initrd', image.guest_initrd(self.image), 'ari')
        with tempfile.NamedTemporaryFile() as disk:
            subprocess.run(
                ['mke2fs', '-q', '-t', 'ext4', '-F', disk.name, '32M'],
                check=True,
            )
            for name, more in IMAGES.items():
                self.client.check(
                    'image',
                    'create',
                    '--disk-format',
                    'raw',
                    '--container-format',
                    'bare',
                    '--file',
                    disk.name,
                    '--property',
                    f'kernel_id={kernel}',
                    '--property',
                    f'ramdisk_id={initrd}',
                    '--property',
                    f'os_command_line={GUEST_COMMAND_LINE} {more}'.rstrip(),
                    '--property',
                    'hw_architecture=aarch64',
                    name,
                )
        ports.make_network(self.client)
        self.client.check(
            'flavor',
            'create',
            '--ram',
            '256',
            '--disk',
            '1',
            '--vcpus',
            '1',
            'small',
        )

    def _image(self, name: str, path: pathlib.Path, kind: str) -> str:
        return self.client.check(
            'image',
            'create',
            '--disk-format',
            kind,
            '--container-format',
            kind,
            '--file',
            str(path),
            name,
            '-f',
            'value',
            '-c',
            'id',
        ).strip()

    def add_hosts(
        self, *texts: str, driver: str = settings.OUR_DRIVER
    ) -> list[hosts.Host]:
        """Boot hosts, start nova-compute there, and map them to the cell."""
        added = self.boot_hosts(*texts)
        self.run_driver(added, driver)
        return added

    def boot_hosts(self, *texts: str) -> list[hosts.Host]:
        """Boot hosts with this project on them, without nova-compute."""
        added = []
        for one in [host_spec(text, self.release) for text in texts]:
            places.say(f'cloud: host {one}')
            added.append(self.lab.start(one, image=self._image_of(one)))
        for host in added:
            host.wait_ready()
            ports.start_switch(host)
            computes.put_project(host, self.project)
        return added

    def _image_of(self, one: spec.Spec) -> build.Image:
        if (one.generation, one.nova) == (image.GENERATION, self.release):
            # A running cloud keeps using the image from which it was started.
            return self.image
        return image.host_image(generation=one.generation, release=one.nova)

    def run_driver(
        self,
        on: collections.abc.Iterable[hosts.Host],
        driver: str,
        skip_cpu_compare: bool = False,
        more: collections.abc.Mapping[str, settings.Options] | None = None,
    ) -> None:
        """(Re)start nova-compute on hosts; return when Nova knows all."""
        on = list(on)
        if not on:
            return
        for host in on:
            computes.start(
                host,
                settings.nova_compute(
                    host.name, host.address, driver, skip_cpu_compare, more
                ),
            )
        self.drivers |= dict.fromkeys(
            (host.name for host in on),
            settings.nova_compute('', '', driver, skip_cpu_compare, more),
        )
        names = ' '.join(host.name for host in on)
        places.say(f'cloud: {driver} starts on {names}')
        self.wait_up(on)

    def wait_up(self, on: collections.abc.Sequence[hosts.Host]) -> None:
        """Return when Nova knows the started computes of these hosts."""
        names = ' '.join(host.name for host in on)
        for host in on:
            computes.wait_reported(host)
        self.services.discover()
        clients.wait(
            f'nova-compute up on {names}',
            lambda: {host.name for host in on} <= set(self.computes_up()),
            computes.START_PATIENCE,
            computes.POLL_PAUSE,
        )
        places.say(f'cloud: {names} up')

    def computes_up(self) -> list[str]:
        return [
            one['Host']
            for one in self.client.data(
                'compute', 'service', 'list', '--service', 'nova-compute'
            )
            if one['State'] == 'up'
        ]

    def remove_host(self, host: hosts.Host) -> None:
        """Remove a host from Nova and end it."""
        computes.save_logs(host, self.services.logs)
        computes.stop(host)
        for one in self.client.data(
            'compute', 'service', 'list', '--service', 'nova-compute'
        ):
            if one['Host'] == host.name:
                self.client.run('compute', 'service', 'delete', one['ID'])
        self.lab.stop(host)

    def save_logs(self) -> pathlib.Path:
        """Copy the hosts' logs to those of the services; return the folder."""
        for host in self.lab.hosts.values():
            if host.process.alive():
                computes.save_logs(host, self.services.logs)
            if host.console.exists():
                shutil.copy(
                    host.console, self.services.logs / f'{host.name}.console'
                )
        return self.services.logs

    def down(self) -> None:
        """End everything; only the logs and the installed software stay."""
        self.lab.down()
