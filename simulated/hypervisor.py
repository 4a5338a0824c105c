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

``nova.tests.fixtures.libvirt`` simulates an x86 host that never migrates.
This module adds what live migration between Arm64 hosts depends on:

* a domain holds the register values of the QEMU process that runs it, and
  they move with it from host to host;
* an incoming migration is loaded as QEMU loads it: every register is
  written to the destination's vCPU, and one refusal fails the job *after*
  the memory was copied;
* libvirt's QEMU driver on Arm has no hypervisor CPU comparison;
* a migration is a job that can be queried, aborted and switched to post-copy,
  and that can fail in all the ways of libvirt's jobs (see `migrations`).
"""

from __future__ import annotations

import typing as ty
import urllib.parse

from lxml import etree
from nova.tests.fixtures import libvirt as fakelibvirt

from simulated import job as jobs
from simulated import machine as machines
from simulated import migrations
from simulated.libvirt_names import number


class Network:
    """The hosts that can reach each other."""

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
            error_domain=fakelibvirt.VIR_FROM_QEMU,
        )


class ArmDomain(fakelibvirt.Domain):
    """A domain whose QEMU process has vCPU state.

    States and their reasons are those of libvirt's QEMU driver, which sets
    them in ``src/qemu/qemu_process.c``, ``qemu_driver.c`` and
    ``qemu_migration.c``.

    :ivar vcpu: what the running QEMU process's vCPUs show the guest; None
        while there is no process.
    """

    _connection: ArmConnection

    def __init__(
        self,
        connection: ArmConnection,
        xml: str,
        running: bool = False,
        transient: bool = False,
        vcpu: machines.VcpuState | None = None,
    ) -> None:
        super().__init__(connection, xml, running=running, transient=transient)
        self._xml = _with_addresses(xml)
        self._edited = False
        self._reason = number(
            'VIR_DOMAIN_RUNNING_BOOTED'
            if running
            else 'VIR_DOMAIN_SHUTOFF_UNKNOWN'
        )
        self.vcpu = vcpu
        self.outgoing: jobs.Job | None = None
        self.incoming: jobs.Job | None = None

    def createWithFlags(self, flags: int) -> None:
        restored = self._has_saved_state and self.vcpu is not None
        if not restored:
            # A new QEMU process: its vCPUs show what this host offers.
            try:
                self.vcpu = self._connection.machine.reset(self._xml)
            except machines.NotStarted as error:
                raise jobs.error(
                    f'internal error: QEMU unexpectedly closed the monitor'
                    f" (vm='{self.name()}'): {error}",
                    'VIR_ERR_INTERNAL_ERROR',
                ) from None
        super().createWithFlags(flags)
        if flags & fakelibvirt.VIR_DOMAIN_START_PAUSED:
            self.enter('PAUSED', 'USER')
        else:
            self.enter('RUNNING', 'RESTORED' if restored else 'BOOTED')

    def enter(self, state: str, reason: str) -> None:
        """Enter one of libvirt's states, for one of libvirt's reasons."""
        self._state = number(f'VIR_DOMAIN_{state}')
        self._reason = number(f'VIR_DOMAIN_{state}_{reason}')

    def state(self, flags: int = 0) -> list[int]:
        self._exists()
        return [self._state, self._reason]

    def info(self) -> list[ty.Any]:
        self._exists()
        return list(super().info())

    def isActive(self) -> int:
        self._exists()
        return int(self._active())

    def destroy(self) -> None:
        self._must_be_active()
        self._stop('DESTROYED')

    def shutdown(self) -> None:
        super().shutdown()
        self._reason = number('VIR_DOMAIN_SHUTDOWN_USER')

    def reset(self, flags: int) -> None:
        super().reset(flags)
        self.enter('RUNNING', 'BOOTED')

    def managedSave(self, flags: int) -> None:
        super().managedSave(flags)
        self.enter('SHUTOFF', 'SAVED')

    def suspend(self) -> None:
        self._must_be_active()
        # qemuDomainSuspend names the job that prevents it.
        self.enter('PAUSED', 'MIGRATION' if self.outgoing else 'USER')

    def resume(self) -> None:
        self._must_be_active()
        # qemuMigrationJobStart lets a guest be suspended during a job
        # (VIR_JOB_SUSPEND), and nothing that is VIR_JOB_MODIFY.
        self._must_be_unlocked()
        self.enter('RUNNING', 'UNPAUSED')

    def guest_powers_off(self) -> None:
        """Let the guest shut itself down; QEMU ends with it."""
        self._stop('SHUTDOWN')

    def crash(self) -> None:
        """End the QEMU process without a message."""
        self._stop('CRASHED')

    def attachDevice(self, xml: str) -> ty.Any:
        tree = etree.fromstring(self._xml)
        devices = tree.find('devices')
        if devices is None or _same_device(devices, xml) is not None:
            self._edited = True
        else:
            devices.append(etree.fromstring(xml))
            self._xml = _with_addresses(
                etree.tostring(tree, encoding='unicode')
            )
        return super().attachDevice(xml)

    def detachDevice(self, xml: str) -> ty.Any:
        tree = etree.fromstring(self._xml)
        devices = tree.find('devices')
        known = None if devices is None else _same_device(devices, xml)
        if devices is None or known is None:
            self._edited = True
        else:
            devices.remove(known)
            self._xml = etree.tostring(tree, encoding='unicode')
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

    # Migration jobs

    def jobStats(self, flags: int = 0) -> dict[str, ty.Any]:
        """Report whether a job runs: qemuDomainGetJobStatsInternal.

        libvirt maps every state of a job that has not ended, including a
        broken post-copy, to UNBOUNDED (virDomainJobStatusToType).
        """
        self._exists()
        none = {'type': fakelibvirt.VIR_DOMAIN_JOB_NONE}
        if flags & number('VIR_DOMAIN_JOB_STATS_COMPLETED'):
            return none
        self._must_be_active()
        if self.incoming is not None:
            raise jobs.error(
                'Operation not supported: migration statistics are available'
                ' only on the source host',
                'VIR_ERR_OPERATION_UNSUPPORTED',
            )
        if self.outgoing is None:
            # Nova's fake says UNBOUNDED here before Nova 34, and a monitor
            # whose migration never began waits for ever.
            return none
        return {
            'type': fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED,
            'memory_total': 1 << 30,
            'memory_processed': 1 << 29,
            'memory_remaining': 1 << 29,
        }

    def abortJob(self) -> None:
        """Abort the job if libvirt would: qemuDomainAbortJobFlags.

        :raises libvirtError: there is no job, or it can't be aborted now.
        """
        self._must_be_active()
        if self.incoming is not None:
            raise _invalid(
                'cannot abort incoming migration; use virDomainDestroy instead'
            )
        job = self.outgoing
        if job is None:
            raise _invalid('no job is active on the domain')
        migrations.abort(job)

    def migrateStartPostCopy(self, flags: int = 0) -> None:
        """Switch to post-copy: qemuDomainMigrateStartPostCopy.

        The job's thread does the switch.

        :raises libvirtError: there is no job that can be switched.
        """
        self._must_be_active()
        job = self.outgoing
        if job is None:
            raise _invalid(
                'post-copy can only be started while outgoing'
                ' migration is in progress'
            )
        if not job.flags & fakelibvirt.VIR_MIGRATE_POSTCOPY:
            raise _invalid(
                'switching to post-copy requires migration to be'
                ' started with VIR_MIGRATE_POSTCOPY flag'
            )
        job.poke(post_copy_wanted=True)

    def migrateToURI3(
        self, dconnuri: str, params: dict[str, ty.Any], flags: int
    ) -> None:
        """Migrate the domain, or fail as libvirt and QEMU do.

        :raises libvirtError: among others, the destination's QEMU refused
            the state. The text is then one of those that libvirt gives for
            it; it never names the register.
        """
        self._exists()
        migrations.Migration(self, dconnuri, params, flags).run()

    # What the connection and the jobs use

    def _active(self) -> bool:
        return self._state in (
            fakelibvirt.VIR_DOMAIN_RUNNING,
            fakelibvirt.VIR_DOMAIN_PAUSED,
        )

    def _exists(self) -> None:
        # qemuDomainObjFromDomain. libvirt looks up the domain by its UUID
        # at each call; the caller's object may belong to a domain that no
        # longer exists.
        uuid = self.UUIDString()
        if not any(
            known.UUIDString() == uuid
            for known in self._connection._vms.values()
        ):
            raise jobs.error(
                f"Domain not found: no domain with matching uuid '{uuid}'"
                f' ({self.name()})',
                'VIR_ERR_NO_DOMAIN',
            )

    def _must_be_active(self) -> None:
        # virDomainObjCheckActive
        self._exists()
        if not self._active():
            raise _invalid('domain is not running')

    def _must_be_unlocked(self) -> None:
        if self.outgoing is not None:
            raise migrations.locked()

    def _stop(self, reason: str) -> None:
        """End the QEMU process, and the job that runs in it."""
        super().destroy()
        self.vcpu = None
        self.enter('SHUTOFF', reason)
        for job in (self.outgoing, self.incoming):
            if job is not None:
                job.poke()


class ArmConnection(fakelibvirt.Connection):
    """libvirtd of one simulated Arm64 host.

    :param hostname: also the name in migration URIs.
    :param machine: the CPU and KVM of the host.
    :param network: shared by all hosts of one cloud.
    :param copy_seconds: how long a migration copies memory before the
        destination loads the vCPUs.
    :ivar refusals: for each refused incoming migration the registers that
        the simulated QEMU refused.
    :ivar broken: what each broken guest lost when it migrated here; libvirt
        does not know it.
    """

    def __init__(
        self,
        hostname: str,
        machine: machines.Machine,
        network: Network,
        copy_seconds: float = 0.0,
        **kwargs: ty.Any,
    ) -> None:
        super().__init__('qemu:///system', hostname=hostname, **kwargs)
        self.machine = machine
        self.network = network
        self.copy_seconds = copy_seconds
        self.refusals: list[tuple[str, ...]] = []
        self.broken: list[tuple[str, ...]] = []
        self._jobs: dict[str, jobs.Job] = {}
        network.add(self)

    def job(self, uuid: str) -> jobs.Job:
        """Return a domain's migration job: the running or the next one."""
        job = self._jobs.get(uuid)
        if job is None or (job.ended.is_set() and job.broken is None):
            job = self._jobs[uuid] = jobs.Job(uuid)
        return job

    def getInfo(self) -> list[ty.Any]:
        # Nova's fake gives KiB for the memory; libvirt-python gives MiB.
        info = list(super().getInfo())
        info[1] //= 1024
        return info

    def defineXML(self, xml: str) -> ArmDomain:
        known = next(
            (
                dom
                for dom in self._vms.values()
                if dom.UUIDString() == _uuid(xml)
            ),
            None,
        )
        if known is not None and known.isActive():
            # libvirt changes the definition, but not the process.
            known._xml = _with_addresses(xml)
            known._edited = False
            return ty.cast(ArmDomain, known)
        domain = ArmDomain(self, xml)
        if known is not None:
            domain._reason = known._reason
        if known is not None and known.hasManagedSaveImage(0):
            domain._has_saved_state = True
            domain.vcpu = known.vcpu
        self._vms[domain.name()] = domain
        return domain

    def createXML(self, xml: str, flags: int) -> ArmDomain:
        return self.incoming(xml, self.machine.reset(xml), transient=True)

    def incoming(
        self, xml: str, vcpu: machines.VcpuState, transient: bool = False
    ) -> ArmDomain:
        """Run a domain that arrived with its vCPU state."""
        domain = ArmDomain(
            self, xml, running=True, transient=transient, vcpu=vcpu
        )
        domain.enter('RUNNING', 'MIGRATED')
        self._vms[domain.name()] = domain
        return domain

    def prepare(self, xml: str, job: jobs.Job) -> ArmDomain:
        """Start a QEMU process that waits for an incoming guest.

        It is transient and sends no event: Nova gets one when the guest runs.
        """
        domain = ArmDomain(self, xml, transient=True)
        domain.enter('PAUSED', 'MIGRATION')
        domain.incoming = job
        self._vms[domain.name()] = domain
        return domain

    def _undefine(self, dom: ArmDomain) -> None:
        # Another domain may have the name now.
        if self._vms.get(dom.name()) is dom:
            super()._undefine(dom)

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

    Nova's rewriting of the migrated XML expects them.
    """
    tree = etree.fromstring(xml)
    devices = [
        device
        for device in tree.iterfind('devices/*')
        if device.tag in ('interface', 'controller', 'memballoon', 'rng')
        or device.find('target[@bus="virtio"]') is not None
    ]
    used = {
        address.get('bus')
        for device in devices
        for address in device.iterfind('address')
    }
    buses = (
        bus for bus in map('0x{:02x}'.format, range(1, 256)) if bus not in used
    )
    for device in devices:
        if device.find('address') is None:
            etree.SubElement(
                device,
                'address',
                type='pci',
                domain='0x0000',
                bus=next(buses),
                slot='0x00',
                function='0x0',
            )
    return str(etree.tostring(tree, encoding='unicode'))


def _invalid(text: str) -> Exception:
    return jobs.error(
        f'Requested operation is not valid: {text}',
        'VIR_ERR_OPERATION_INVALID',
    )


def _same_device(devices: ty.Any, xml: str) -> ty.Any:
    """Find the same device among others, as the guest identifies it."""
    wanted = etree.fromstring(xml)
    path, name = {
        'disk': ('target', 'dev'),
        'interface': ('mac', 'address'),
    }.get(str(wanted.tag), ('source/address', 'uuid'))
    for device in devices.iterfind(str(wanted.tag)):
        ours, theirs = device.find(path), wanted.find(path)
        if (
            ours is not None
            and theirs is not None
            and ours.get(name) == theirs.get(name)
        ):
            return device
    return None


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
        error_domain=fakelibvirt.VIR_FROM_QEMU,
    )
