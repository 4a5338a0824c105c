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

``compute_driver = arm_migrate.ArmLibvirtDriver``. Only overrides are here;
what they do is in the modules beside this one. On a host that is not aarch64
with ``[libvirt] virt_type = kvm`` each of them is the parent's at once.
"""

import json
from typing import Any

from nova import exception
import nova.conf
from nova.objects import fields
from nova.virt.libvirt import config as vconfig
from oslo_log import log as logging
from oslo_utils import versionutils

from nova_arm_migrate.core.messages import words
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.traits import host_traits
from nova_arm_migrate.core.traits import is_generated
from nova_arm_migrate.core.vcpu import longer_vectors
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import layout_driver
from nova_arm_migrate.nova import release
from nova_arm_migrate.nova.precheck import handshake
from nova_arm_migrate.nova.precheck import host_state
from nova_arm_migrate.nova.precheck import judgement
from nova_arm_migrate.nova.records import cpu_info
from nova_arm_migrate.nova.records import guest_record
from nova_arm_migrate.nova.records import instance_state
from nova_arm_migrate.nova.records.domain import merged
from nova_arm_migrate.nova.records.domain import read_domain
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.host import LocalHost
from nova_arm_migrate.probe.types import HostProbe

CONF = nova.conf.CONF
conf.register_opts(CONF)
LOG = logging.getLogger(__name__)

#: Bytes that Nova keeps of an event's details (InstanceActionEvent).
_EVENT_DETAILS = 255


class ArmLibvirtDriver(layout_driver.LayoutDriver):
    """LibvirtDriver that judges live migrations of Arm64 KVM guests."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        """Add what is known of this host, which nobody has asked yet."""
        super().__init__(virtapi, read_only)
        self._arm = host_state.HostProbeCache(
            lambda: self.probe_factory(self._name), self._versions
        )
        self._name = CONF.host

    def init_host(self, host: str) -> None:
        """Have a misspelt option stop the service here, not a migration.

        A Nova with other methods than the driver calls stops it as well.
        """
        conf.start(CONF)
        self._name = host
        super().init_host(host)
        if self._is_arm_kvm():
            release.check()

    def probe_factory(self, host: str) -> HostProbe:
        """Return what asks KVM on this host; tests put a recorded one here.

        :param host: the name of this compute
        """
        qemu, libvirt = self._versions()
        # Under eventlet an ioctl would stop every other green thread.
        return release.off_thread(LocalHost(qemu=qemu, libvirt=libvirt))

    # What the host reports

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Report the host's record to the other computes and the scheduler."""
        resources = super().get_available_resource(nodename)
        if self._is_arm_kvm():
            host = self._arm.host_or_reason()
            if isinstance(host, Host):
                resources['cpu_info'] = cpu_info.put_host(
                    resources['cpu_info'], host
                )
        return resources

    def _get_cpu_feature_traits(self) -> dict[str, bool]:
        """Take back traits that x86 has under the same feature names."""
        traits = super()._get_cpu_feature_traits()
        return dict.fromkeys(traits, False) if self._is_arm_kvm() else traits

    def update_provider_tree(
        self, provider_tree: Any, nodename: str, allocations: Any = None
    ) -> None:
        """Set the traits of what a guest gets here, and remove old ones."""
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
        """Switch off vector lengths that only a later host would have.

        What the operator says of a length in cpu_model_extra_flags stays.
        """
        cpu = super()._get_guest_cpu_config(
            flavor, image_meta, guest_cpu_numa_config, instance_numa_topology
        )
        # The parent gives no CPU to a guest of another architecture.
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
        """Record what a guest gets when its QEMU starts from scratch.

        Every QEMU process that Nova starts is started here, but for a soft
        reboot's and the restart after a snapshot; the latter restores.
        """
        starts = (
            (power_on or pause)
            and self._is_arm_kvm()
            and not self._has_saved_state(instance)
        )
        guest = super()._create_guest(
            context, xml, instance, power_on, pause, post_xml_callback
        )
        if starts:
            self._record_guest(instance, guest, xml)
        return guest

    def _soft_reboot(self, instance: Any) -> bool:
        """Record the guest again: a soft reboot is a new QEMU process."""
        done = super()._soft_reboot(instance)
        if done and self._is_arm_kvm():
            guest = self._host.get_guest(instance)
            self._record_guest(instance, guest, guest.get_xml_desc())
        return done

    def _vcpu_model_to_cpu_config(self, vcpu_model: Any) -> Any:
        """Keep the record out of what libvirt is given as CPU features."""
        features = guest_record.cpu_features(vcpu_model)
        if len(features) != len(vcpu_model.features or ()):
            vcpu_model = vcpu_model.obj_clone()
            vcpu_model.features = features
        return super()._vcpu_model_to_cpu_config(vcpu_model)

    # Whether a guest may move

    def check_can_live_migrate_destination(
        self,
        context: Any,
        instance: Any,
        src_compute_info: Any,
        dst_compute_info: Any,
        block_migration: Any = False,
        disk_over_commit: Any = False,
    ) -> Any:
        """Judge the guest against this host, before the parent's checks.

        Before, because the parent leaves a file behind that is cleaned up
        only if no check failed here.
        """
        if self._judges(instance):
            self._judge(instance, src_compute_info['cpu_info'])
        data = super().check_can_live_migrate_destination(
            context,
            instance,
            src_compute_info,
            dst_compute_info,
            block_migration,
            disk_over_commit,
        )
        if self._is_arm_kvm():
            # Whatever the options here say: the source's say no more on it.
            handshake.mark(data)
        return data

    def check_can_live_migrate_source(
        self,
        context: Any,
        instance: Any,
        dest_check_data: Any,
        block_device_info: Any = None,
    ) -> Any:
        """Stand in for a destination that can't judge the guest itself."""
        if self._judges(instance) and not handshake.is_marked(dest_check_data):
            self._act(
                judgement.unjudged_destination(conf.current(CONF)),
                instance,
                'the destination',
            )
        return super().check_can_live_migrate_source(
            context, instance, dest_check_data, block_device_info
        )

    def _compare_cpu(
        self, guest_cpu: Any, host_cpu_str: Any, instance: Any
    ) -> None:
        """Leave out, for a migration, a comparison that Arm doesn't have.

        libvirt refuses it on Arm whatever the CPUs are; `_judge` has done
        it. Without an instance it is the check at the start of the service.
        """
        if instance is None or not self._judges(instance):
            super()._compare_cpu(guest_cpu, host_cpu_str, instance)

    # The rest is ours alone

    def _judges(self, instance: Any) -> bool:
        """Whether it is for us to judge the guest: on KVM, not emulated."""
        return bool(
            self._is_arm_kvm()
            and conf.current(CONF).enforcement is not conf.Enforcement.OFF
            and self._check_emulation_arch(instance.image_meta)
            == fields.Architecture.AARCH64
        )

    def _versions(self) -> tuple[str, str]:
        """Versions of QEMU and libvirt, as libvirt reports them now."""
        return (
            versionutils.convert_version_to_str(self._host.get_version()),
            versionutils.convert_version_to_str(
                self._host.get_connection().getLibVersion()
            ),
        )

    def _has_saved_state(self, instance: Any) -> bool:
        """Whether its QEMU will go on with what a suspended one left."""
        try:
            guest = self._host.get_guest(instance)
        except exception.InstanceNotFound:
            return False
        return bool(guest._domain.hasManagedSaveImage(0))

    def _record_guest(self, instance: Any, guest: Any, xml: str) -> None:
        """Keep with the instance what its new QEMU process shows it.

        :param guest: ``nova.virt.libvirt.guest.Guest``, running
        :param xml: what Nova defined it with
        """
        record: Guest | None = None
        try:
            domain = merged(
                read_domain(xml), read_domain(guest.get_xml_desc())
            )
            if domain.kvm:
                record = self._arm.started(domain)
        except ProbeError as error:
            # Said once, and for all guests, where the host is reported.
            LOG.debug(
                'No arm64 record for the guest: %s', error, instance=instance
            )
        except Exception:
            # A guest that runs is worth more than its record: without one
            # it is judged by its host's.
            LOG.exception('No arm64 record for the guest', instance=instance)
        instance.vcpu_model = guest_record.put(instance.vcpu_model, record)
        try:
            guest_record.save(instance)
        except Exception as error:
            # It is still marked as changed: the manager saves the instance
            # when the guest has started, and the record with it.
            LOG.warning(
                'The arm64 record of the guest is not saved yet: %s',
                error,
                instance=instance,
            )

    def _judge(self, instance: Any, source_cpu_info: str | None) -> None:
        """Let the guest come here, or raise what stops it.

        :raises nova.exception.MigrationPreCheckError: on which the
            conductor tries the next host, or leaves the server as it is
        """
        recorded = instance_state.recorded(instance)
        leaving = judgement.migrating_guest(
            recorded,
            instance_state.host_record(source_cpu_info),
            instance_state.defined(instance),
        )
        self._act(
            judgement.judge(
                leaving,
                self._arm.host_or_reason(),
                conf.current(CONF),
                self._arm.trial,
            ),
            instance,
            self._name,
        )
        if leaving.guest is not None and leaving.guest != recorded:
            # Its host may have added registers to what it started with, and
            # is out of reach once it has left.
            instance.vcpu_model = guest_record.put(
                instance.vcpu_model, leaving.guest
            )
            guest_record.save(instance)

    def _act(
        self, outcome: judgement.Judgement, instance: Any, destination: str
    ) -> None:
        """Log the outcome, once and whole, and raise if it is a refusal.

        :raises nova.exception.MigrationPreCheckError: in 255 bytes with
            Nova's own words, which is what the server's events keep
        """
        accepted = outcome.action is judgement.Action.ACCEPT
        log = LOG.info if accepted else LOG.warning
        log(
            'arm64 pre-check for %(host)s: %(outcome)s',
            {'host': destination, 'outcome': json.dumps(outcome.to_dict())},
            instance=instance,
        )
        for finding in outcome.overridden:
            LOG.warning(
                '[arm_migrate] overrides: %(name)s does not count: %(words)s',
                {'name': finding.name, 'words': words(finding)},
                instance=instance,
            )
        if outcome.action is judgement.Action.REFUSE:
            own = exception.MigrationPreCheckError(reason='').message
            raise exception.MigrationPreCheckError(
                reason=judgement.event_text(
                    outcome.report,
                    destination,
                    _EVENT_DETAILS - len(str(own).encode()),
                )
            )
