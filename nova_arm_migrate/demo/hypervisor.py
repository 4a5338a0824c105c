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

"""libvirt and QEMU on an Arm64 host, simulated on top of Nova's own fake.

``nova.tests.fixtures.libvirt`` plays an x86 host that never migrates.
What is added here is what live migration between Arm64 hosts depends on:

* a domain holds the register values of the QEMU process that runs it, and
  takes them along from host to host;
* an incoming migration is loaded as QEMU loads it: every register is
  written to the destination's vCPU, and one refusal fails the job *after*
  the memory was copied;
* libvirt's QEMU driver on Arm has no hypervisor CPU comparison.
"""

from __future__ import annotations

import threading
import typing as ty
import urllib.parse

from lxml import etree
from nova.tests.fixtures import libvirt as fakelibvirt

from nova_arm_migrate.demo import machine as machines


class Network:
    """The hosts that can reach each other; a job's source finds its peer."""

    def __init__(self) -> None:
        self._connections: dict[str, ArmConnection] = {}

    def add(self, connection: ArmConnection) -> None:
        self._connections[connection.hostname] = connection

    def find(self, uri: str) -> ArmConnection:
        """Resolve a libvirt URI.

        :raises libvirtError: no host of that name.
        """
        name = urllib.parse.urlsplit(uri).hostname or ''
        for hostname, connection in self._connections.items():
            if hostname.lower() == name.lower():
                return connection
        raise fakelibvirt.make_libvirtError(
            fakelibvirt.libvirtError,
            f"unable to connect to server at '{name}:16509'",
            error_code=fakelibvirt.VIR_ERR_INTERNAL_ERROR,
            error_domain=fakelibvirt.VIR_FROM_QEMU)


class ArmDomain(fakelibvirt.Domain):
    """A domain whose QEMU process has vCPU state.

    :ivar vcpu: what the running QEMU process's vCPUs show the guest; None
        while there is no process.
    """

    _connection: ArmConnection

    def __init__(self, connection: ArmConnection, xml: str,
                 running: bool = False, transient: bool = False,
                 vcpu: machines.VcpuState = None) -> None:
        super().__init__(connection, xml, running=running,
                         transient=transient)
        self._xml = _with_addresses(xml)
        self._edited = False
        self._migrated_away = False
        self.vcpu = vcpu

    def createWithFlags(self, flags: int) -> None:
        restored = self._has_saved_state and self.vcpu is not None
        if not restored:
            # A new QEMU process: its vCPUs show what this host offers.
            self.vcpu = self._connection.machine.reset(self._xml)
        super().createWithFlags(flags)

    def destroy(self) -> None:
        super().destroy()
        self.vcpu = None

    def attachDevice(self, xml: str) -> ty.Any:
        self._edited = True
        return super().attachDevice(xml)

    def detachDevice(self, xml: str) -> ty.Any:
        self._edited = True
        return super().detachDevice(xml)

    def XMLDesc(self, flags: int) -> str:
        # The parent writes a fixed selection of elements, without the CPU
        # and its features. What Nova defined is nearer to libvirt's answer.
        if self._edited:
            return str(super().XMLDesc(flags))
        tree = etree.fromstring(self._xml)
        if self._state == fakelibvirt.VIR_DOMAIN_RUNNING:
            tree.set('id', str(self._id))
        return str(etree.tostring(tree, encoding='unicode'))

    def jobStats(self, flags: int = 0) -> dict[str, ty.Any]:
        if self._migrated_away:
            raise fakelibvirt.make_libvirtError(
                fakelibvirt.libvirtError,
                f"Domain not found: no domain with matching uuid "
                f"'{self.UUIDString()}' ({self.name()})",
                error_code=fakelibvirt.VIR_ERR_NO_DOMAIN,
                error_domain=fakelibvirt.VIR_FROM_QEMU)
        return dict(super().jobStats(flags))

    def isActive(self) -> int:
        return int(not self._migrated_away and self._state in (
            fakelibvirt.VIR_DOMAIN_RUNNING, fakelibvirt.VIR_DOMAIN_PAUSED))

    def migrateToURI3(self, dconnuri: str, params: dict[str, ty.Any],
                      flags: int) -> None:
        """Move the domain, or fail as QEMU does and go on here.

        :raises libvirtError: the destination's QEMU refused the state. The
            text is one of those that libvirt gives for it; it never names
            the register.
        """
        destination = self._connection.network.find(dconnuri)
        self._job_type = fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED
        self._connection.copied.wait(self._connection.copy_seconds)
        loaded = destination.machine.load(self.vcpu)
        if loaded.refused:
            destination.refusals.append(loaded.refused)
            self._job_type = fakelibvirt.VIR_DOMAIN_JOB_NONE
            raise fakelibvirt.make_libvirtError(
                fakelibvirt.libvirtError,
                "internal error: QEMU unexpectedly closed the monitor "
                f"(vm='{self.name()}'): qemu-system-aarch64: error while "
                "loading state for instance 0x0 of device 'cpu'; load of "
                "migration failed: Invalid argument",
                error_code=fakelibvirt.VIR_ERR_INTERNAL_ERROR,
                error_domain=fakelibvirt.VIR_FROM_QEMU)
        destination.incoming(
            params.get('destination_xml') or self.XMLDesc(0), loaded.state)
        self._migrated_away = True
        self.destroy()
        self._connection.forget(self)


class ArmConnection(fakelibvirt.Connection):
    """libvirtd of one simulated Arm64 host.

    :param hostname: also the name in migration URIs.
    :param machine: the CPU and KVM of the host.
    :param network: shared by all hosts of one cloud.
    :param copy_seconds: how long a migration copies memory before the
        destination loads the vCPUs.
    :ivar refusals: for each refused incoming migration the registers that
        the simulated QEMU refused.
    """

    def __init__(self, hostname: str, machine: machines.Machine,
                 network: Network, copy_seconds: float = 0.0,
                 **kwargs: ty.Any) -> None:
        super().__init__('qemu:///system', hostname=hostname, **kwargs)
        self.machine = machine
        self.network = network
        self.copy_seconds = copy_seconds
        self.copied = threading.Event()
        self.refusals: list[tuple[str, ...]] = []
        network.add(self)

    def getInfo(self) -> list[ty.Any]:
        # Nova's fake gives KiB for the memory; libvirt-python gives MiB.
        info = list(super().getInfo())
        info[1] //= 1024
        return info

    def defineXML(self, xml: str) -> ArmDomain:
        known = next((dom for dom in self._vms.values()
                      if dom.UUIDString() == _uuid(xml)), None)
        if known is not None and known.isActive():
            # libvirt changes the definition and leaves the process alone.
            known._xml = _with_addresses(xml)
            known._edited = False
            return ty.cast(ArmDomain, known)
        domain = ArmDomain(self, xml)
        if known is not None and known.hasManagedSaveImage(0):
            domain._has_saved_state = True
            domain.vcpu = known.vcpu
        self._vms[domain.name()] = domain
        return domain

    def createXML(self, xml: str, flags: int) -> ArmDomain:
        return self.incoming(xml, self.machine.reset(xml), transient=True)

    def incoming(self, xml: str, vcpu: machines.VcpuState,
                 transient: bool = False) -> ArmDomain:
        """Run a domain that came with its vCPU state."""
        domain = ArmDomain(self, xml, running=True, transient=transient,
                           vcpu=vcpu)
        self._vms[domain.name()] = domain
        return domain

    def forget(self, domain: ArmDomain) -> None:
        """Undefine a domain that was migrated away."""
        self._vms.pop(domain.name(), None)

    def domain(self, uuid: str) -> ArmDomain:
        """Look up a domain.

        :raises libvirtError: there is none.
        """
        return ty.cast(ArmDomain, self.lookupByUUIDString(uuid))

    def compareHypervisorCPU(self, *args: ty.Any) -> ty.NoReturn:
        _unsupported()

    def baselineHypervisorCPU(self, *args: ty.Any) -> ty.NoReturn:
        _unsupported()


def _with_addresses(xml: str) -> str:
    """Give every PCI device an address, as libvirt does on definition.

    Nova's rewriting of the migrated XML takes them for granted.
    """
    tree = etree.fromstring(xml)
    devices = [
        device for device in tree.iterfind('devices/*')
        if device.tag in ('interface', 'controller', 'memballoon', 'rng')
        or device.find('target[@bus="virtio"]') is not None]
    used = {address.get('bus') for device in devices
            for address in device.iterfind('address')}
    buses = (bus for bus in map('0x{:02x}'.format, range(1, 256))
             if bus not in used)
    for device in devices:
        if device.find('address') is None:
            etree.SubElement(
                device, 'address', type='pci', domain='0x0000',
                bus=next(buses), slot='0x00', function='0x0')
    return str(etree.tostring(tree, encoding='unicode'))


def _uuid(xml: str) -> str | None:
    text: str | None = etree.fromstring(xml).findtext('uuid')
    return text


def _unsupported() -> ty.NoReturn:
    # Measured with libvirt 9.0, 11.3 and 12.8 on Arm64 KVM hosts.
    raise fakelibvirt.make_libvirtError(
        fakelibvirt.libvirtError,
        "Operation not supported: QEMU '/usr/bin/qemu-system-aarch64' does "
        "not support reporting CPU model for virttype 'kvm'",
        error_code=fakelibvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        error_domain=fakelibvirt.VIR_FROM_QEMU)
