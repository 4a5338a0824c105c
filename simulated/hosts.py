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

"""Test fixtures that make Nova's fake libvirt play Arm64 hosts.

The base is Nova's own: ``nova.tests.functional.libvirt.base`` in functional
tests, `FakeHypervisorFixture` here where there is no test case (the
demonstration).  On top of either, `ArmHostsFixture` turns the simulated
machines into Arm64 hosts that are replayed from recorded profiles.
"""

from __future__ import annotations

import io
import os
import typing as ty
from unittest import mock

import fixtures
from nova.objects import fields as obj_fields
from nova.tests import fixtures as nova_fixtures
from nova.tests.fixtures import libvirt as fakelibvirt

from nova_arm_migrate.core.profile import Host
from simulated import hypervisor
from simulated import libvirt_names
from simulated import machine


class FakeHypervisorFixture(fixtures.Fixture):
    """The patches of ``ServersTestBase.setUp``, without a test case.

    Disks are not written, libvirt is Nova's fake, sysfs is not read.
    """

    def _setUp(self) -> None:
        self.useFixture(nova_fixtures.LibvirtImageBackendFixture())
        self.useFixture(nova_fixtures.CGroupsFixture(version=2))
        self.useFixture(nova_fixtures.LibvirtFixture())
        self.useFixture(nova_fixtures.OSBrickFixture())
        self.useFixture(nova_fixtures.PrivsepNoHelperFixture())
        driver = 'nova.virt.libvirt.LibvirtDriver.'
        for target, value in (
            (driver + '_create_image', (False, False)),
            (
                driver + '_get_local_gb_info',
                {'total': 128, 'used': 44, 'free': 84},
            ),
            ('nova.virt.libvirt.driver.libvirt_utils.is_valid_hostname', True),
            ('nova.privsep.utils.supports_direct_io', True),
            ('nova.virt.libvirt.host.Host.get_online_cpus', set(range(16))),
        ):
            self.useFixture(fixtures.MockPatch(target, return_value=value))
        self.useFixture(
            fixtures.MockPatch(
                'nova.virt.libvirt.driver.libvirt_utils.file_open',
                side_effect=lambda *args, **kwargs: io.BytesIO(b''),
            )
        )


class ArmHost(ty.NamedTuple):
    """One simulated Arm64 host.

    :ivar machine: its CPU and KVM; ``machine.probe`` is the twin of the
        driver's probe.
    :ivar connection: its libvirtd.
    """

    name: str
    machine: machine.RecordedMachine
    connection: hypervisor.ArmConnection


class SimulatedQemu:
    """What a simulated QEMU says of itself: a `RunningQemu`."""

    def __init__(self, host: ArmHost, uuid: str) -> None:
        self._host = host
        self._domain = host.connection.domain(uuid)

    def property(self, name: str) -> bool:
        vcpu = self._domain.vcpu
        assert vcpu is not None
        if name.startswith('sve') and name != 'sve':
            return int(name[3:]) in (vcpu.board.vectors or ())
        return (
            name in self._host.machine.host.features
            and name not in vcpu.disabled
        )

    def has_loaded(self, library: str) -> bool:
        loaded = self.environment().get('LD_PRELOAD')
        return loaded == library and library in self._host.machine.libraries

    def environment(self) -> ty.Mapping[str, str]:
        return machine.environment(self._domain.XMLDesc(0))


class ArmHostsFixture(fixtures.Fixture):
    """Arm64 hosts for computes that run in this process.

    Set it up after Nova's libvirt fixture, which makes every machine an
    x86 one.  Computes with `ArmLibvirtDriver` get the recorded twin of
    their host in place of the probe of ``/dev/kvm``.

    :param copy_seconds: how long a live migration copies memory.
    :ivar hosts: the hosts by name, in the order they were added.
    """

    def __init__(self, copy_seconds: float = 0.0) -> None:
        super().__init__()
        self.hosts: dict[str, ArmHost] = {}
        self._copy_seconds = copy_seconds
        self._network = hypervisor.Network()

    def _setUp(self) -> None:
        uname = os.uname_result(
            (
                'Linux',
                'simulated',
                '6.12.0',
                '#1 SMP',
                obj_fields.Architecture.AARCH64,
            )
        )
        self.useFixture(fixtures.MonkeyPatch('os.uname', lambda: uname))
        for name, value in libvirt_names.MISSING.items():
            if not hasattr(fakelibvirt, name):
                self.useFixture(
                    fixtures.MonkeyPatch(
                        f'{fakelibvirt.__name__}.{name}', value
                    )
                )
        # Imported late: Nova's thread model must be chosen before.
        from nova_arm_migrate.nova.driver import ArmLibvirtDriver

        patch = mock.patch.object(
            ArmLibvirtDriver,
            'probe_factory',
            lambda _driver, name: self.hosts[name].machine.probe,
        )
        self.addCleanup(patch.stop)
        patch.start()
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_arm_migrate.nova.driver.ArmLibvirtDriver'
                '.running_factory',
                lambda driver, guest: SimulatedQemu(
                    self.hosts[driver._name], guest.uuid
                ),
            )
        )

    def add(self, name: str, profile: Host, **kwargs: ty.Any) -> ArmHost:
        """Create one host, which does not run a nova-compute yet.

        :param name: the host's name, and what Nova's ``CONF.host`` will be.
        :param profile: what was recorded on the host that it plays.
        :param kwargs: passed to Nova's fake connection (``host_info``,
            ``pci_info``, ``version``, ``hv_version`` ...).
        """
        kwargs.setdefault(
            'host_info',
            fakelibvirt.HostInfo(
                cpu_nodes=1, cpu_sockets=1, cpu_cores=8, cpu_threads=1
            ),
        )
        played = machine.RecordedMachine(profile)
        connection = hypervisor.ArmConnection(
            name, played, self._network, self._copy_seconds, **kwargs
        )
        host = self.hosts[name] = ArmHost(name, played, connection)
        return host
