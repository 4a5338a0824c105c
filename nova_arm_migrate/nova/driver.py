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

"""Nova's libvirt driver, for computes that run Arm64 KVM guests.

``compute_driver = arm_migrate.ArmLibvirtDriver``. This module has only the
overrides; the modules beside it do the work. On a host that is not aarch64
with ``[libvirt] virt_type = kvm`` each override only calls its parent.
"""

from typing import Any

from nova import exception
import nova.conf
from nova.virt.libvirt import config as vconfig
from oslo_log import log as logging
from oslo_utils import versionutils

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.traits import host_traits
from nova_arm_migrate.core.traits import is_generated
from nova_arm_migrate.core.vcpu import longer_vectors
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import precheck_driver
from nova_arm_migrate.nova import release
from nova_arm_migrate.nova.baseline import starts
from nova_arm_migrate.nova.baseline.backends import Plan
from nova_arm_migrate.nova.options import register_opts
from nova_arm_migrate.nova.precheck import host_state
from nova_arm_migrate.nova.records import cpu_info
from nova_arm_migrate.nova.records import guest_record
from nova_arm_migrate.nova.records import instance_state
from nova_arm_migrate.nova.records.domain import merged
from nova_arm_migrate.nova.records.domain import read_domain
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.host import LocalHost
from nova_arm_migrate.probe.types import HostProbe

CONF = nova.conf.CONF
register_opts(CONF)
LOG = logging.getLogger(__name__)


class ArmLibvirtDriver(precheck_driver.PrecheckDriver):
    """LibvirtDriver that reports, starts and moves Arm64 KVM guests."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        """Set up the host probe, without running it."""
        super().__init__(virtapi, read_only)
        self._arm = host_state.HostProbeCache(
            lambda: self.probe_factory(self._name),
            self._versions,
            lambda host: self._baselines.completed(host),
            self.metrics,
        )
        self._name = CONF.host

    def init_host(self, host: str) -> None:
        """Stop the service at its start if an option has a bad value.

        It also stops if this Nova's methods are not those that we call.
        """
        conf.start(CONF)
        self._name = host
        super().init_host(host)
        if self._is_arm_kvm():
            release.check()
            self._load_baselines(conf.current(CONF))

    def probe_factory(self, host: str) -> HostProbe:
        """Return the host probe; tests replace it with a recorded one.

        :param host: the name of this compute
        """
        qemu, libvirt = self._versions()
        # Under eventlet an ioctl would block all other green threads.
        return release.off_thread(LocalHost(qemu=qemu, libvirt=libvirt))

    # What the host reports

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Report the host's record to the other computes and the scheduler."""
        resources = super().get_available_resource(nodename)
        if self._is_arm_kvm():
            host = self._arm.host_or_reason()
            self.metrics.host(host)
            if isinstance(host, Host):
                resources['cpu_info'] = cpu_info.put_host(
                    resources['cpu_info'], self._baselines.with_default(host)
                )
        return resources

    def _get_cpu_feature_traits(self) -> dict[str, bool]:
        """Clear the x86 traits that share feature names with Arm."""
        traits = super()._get_cpu_feature_traits()
        return dict.fromkeys(traits, False) if self._is_arm_kvm() else traits

    def update_provider_tree(
        self, provider_tree: Any, nodename: str, allocations: Any = None
    ) -> None:
        """Set the traits of this host's guest CPU, and remove old ones."""
        super().update_provider_tree(provider_tree, nodename, allocations)
        if not self._is_arm_kvm():
            return
        host = self._arm.host_or_reason()
        ours = host_traits(host) if isinstance(host, Host) else frozenset()
        stale = {
            trait
            for trait in provider_tree.data(nodename).traits
            if is_generated(trait)
        }
        provider_tree.remove_traits(nodename, *(stale - ours))
        provider_tree.add_traits(nodename, *ours)

    # What guests start with

    def _get_guest_cpu_config(
        self,
        flavor: Any,
        image_meta: Any,
        guest_cpu_numa_config: Any,
        instance_numa_topology: Any,
    ) -> Any:
        """Switch off the vector lengths that are longer than this host's.

        The operator's settings in cpu_model_extra_flags stay as they are.
        """
        cpu = super()._get_guest_cpu_config(
            flavor, image_meta, guest_cpu_numa_config, instance_numa_topology
        )
        # For a guest of another architecture the parent returns no CPU.
        if (
            self._is_arm_kvm()
            and cpu is not None
            and cpu.mode == 'host-passthrough'
            and conf.current(CONF).pin_sve_lengths
        ):
            host = self._arm.host_or_reason()
            disabled = frozenset(
                feature.name
                for feature in cpu.features
                if feature.policy == 'disable'
            )
            longer = (
                longer_vectors(with_features_off(host, disabled))
                if isinstance(host, Host)
                else ()
            )
            for name in longer:
                cpu.add_feature(
                    vconfig.LibvirtConfigGuestCPUFeature(
                        name, policy='disable'
                    )
                )
        return cpu

    def _create_guest(
        self,
        context: Any,
        xml: str,
        instance: Any,
        power_on: bool = True,
        pause: bool = False,
        post_xml_callback: Any = None,
    ) -> Any:
        """Start the guest on its baseline, and record its CPU.

        Nova starts every QEMU process here, with two exceptions: a soft
        reboot, and the restart after a snapshot, which restores a saved state.
        A guest with a baseline is paused until its CPU is read back.
        """
        new = self._is_arm_kvm() and not self._has_saved_state(instance)
        plan = self._plan(instance) if new else None
        if plan is not None:
            xml = self._baselines.define(instance, xml, plan)
        runs = power_on or pause
        with self._baselines.starting(plan):
            guest = super()._create_guest(
                context,
                xml,
                instance,
                power_on,
                pause or (runs and plan is not None),
                post_xml_callback,
            )
        if new and runs:
            try:
                self._record_guest(instance, guest, xml, plan)
            except starts.BaselineFailed:
                guest.poweroff()
                raise
            if plan is not None and not pause:
                guest.resume()
        return guest

    def _soft_reboot(self, instance: Any) -> bool:
        """Record the guest again: a soft reboot starts a new QEMU process.

        It starts from the same definition. If the guest is to have another
        baseline than before, Nova is told that the reboot has failed; it then
        does a hard reboot, which refuses what this host does not offer.
        """
        if not self._is_arm_kvm():
            return super()._soft_reboot(instance)
        try:
            plan = self._plan(instance)
        except starts.BaselineFailed:
            return False
        if self._baselines.changes(instance_state.recorded(instance), plan):
            return False
        done = super()._soft_reboot(instance)
        if done:
            guest = self._host.get_guest(instance)
            try:
                self._record_guest(instance, guest, guest.get_xml_desc(), plan)
            except starts.BaselineFailed as error:
                LOG.error('%s', error, instance=instance)
                guest.poweroff()
                return False
        return done

    def _vcpu_model_to_cpu_config(self, vcpu_model: Any) -> Any:
        """Remove the record from the CPU features that libvirt gets."""
        features = guest_record.cpu_features(vcpu_model)
        if len(features) != len(vcpu_model.features or ()):
            vcpu_model = vcpu_model.obj_clone()
            vcpu_model.features = features
        return super()._vcpu_model_to_cpu_config(vcpu_model)

    # Methods that the parent does not have

    def _versions(self) -> tuple[str, str]:
        """Return the versions of QEMU and libvirt that libvirt reports now."""
        return (
            versionutils.convert_version_to_str(self._host.get_version()),
            versionutils.convert_version_to_str(
                self._host.get_connection().getLibVersion()
            ),
        )

    def _has_saved_state(self, instance: Any) -> bool:
        """Whether the guest's next QEMU restores a suspended state."""
        try:
            guest = self._host.get_guest(instance)
        except exception.InstanceNotFound:
            return False
        return bool(guest._domain.hasManagedSaveImage(0))

    def _record_guest(
        self, instance: Any, guest: Any, xml: str, plan: Plan | None = None
    ) -> None:
        """Store the record of a guest's new QEMU process in its instance.

        :param guest: ``nova.virt.libvirt.guest.Guest``, running
        :param xml: the XML with which Nova defined the guest
        :raises BaselineFailed: if the guest does not have its baseline
        """
        record: Guest | None = None
        try:
            domain = merged(
                read_domain(xml), read_domain(guest.get_xml_desc())
            )
            if plan is not None:
                record = self._baselines.check(
                    plan, domain, self.running_factory(guest)
                )
            elif domain.kvm:
                record = self._arm.started(domain)
        except starts.BaselineFailed:
            raise
        except ProbeError as error:
            # `host_or_reason` logs a warning once, for all guests.
            LOG.debug(
                'No arm64 record for the guest: %s', error, instance=instance
            )
        except Exception as error:
            if plan is not None:
                raise starts.BaselineFailed(
                    name=plan.baseline.identity,
                    reason=f'{type(error).__name__}: {error}',
                ) from error
            # The guest runs, and must not fail because of its record: a guest
            # without a record is judged by the record of its host.
            LOG.exception('No arm64 record for the guest', instance=instance)
        instance.vcpu_model = guest_record.put(instance.vcpu_model, record)
        try:
            guest_record.save(instance)
        except Exception as error:
            # vcpu_model is still marked as changed. The manager saves the
            # instance, and so the record, when the guest has started.
            LOG.warning(
                'The arm64 record of the guest is not saved yet: %s',
                error,
                instance=instance,
            )
