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

"""The overrides that decide whether a guest may move to this host."""

import dataclasses
import json
from typing import Any

from nova import exception
import nova.conf
from nova.objects import fields
from oslo_log import log as logging

from nova_arm_migrate.core.messages import words
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.nova import baseline_driver
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.monitoring import notifications
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.precheck import handshake
from nova_arm_migrate.nova.precheck import judgement
from nova_arm_migrate.nova.precheck import libvirt_features
from nova_arm_migrate.nova.records import guest_record
from nova_arm_migrate.nova.records import instance_state

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Bytes that Nova keeps of an event's details (InstanceActionEvent).
_EVENT_DETAILS = 255


class PrecheckDriver(baseline_driver.BaselineDriver):
    """LibvirtDriver that judges live migrations of Arm64 KVM guests."""

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

        The parent creates a file that Nova removes only if no check on this
        host failed. A refusal before the parent's call leaves no file.
        """
        if self._judges(instance):
            self._judge(context, instance, src_compute_info['cpu_info'])
        data = super().check_can_live_migrate_destination(
            context,
            instance,
            src_compute_info,
            dst_compute_info,
            block_migration,
            disk_over_commit,
        )
        if self._is_arm_kvm():
            # Always, whatever the options are here: this host has decided,
            # and the source must not decide again.
            handshake.mark(data)
        return data

    def check_can_live_migrate_source(
        self,
        context: Any,
        instance: Any,
        dest_check_data: Any,
        block_device_info: Any = None,
    ) -> Any:
        """Judge the guest for a destination without this extension."""
        if self._judges(instance) and not handshake.is_marked(dest_check_data):
            self._act(
                context,
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
        """Skip libvirt's CPU comparison in a migration: Arm has none.

        On Arm libvirt refuses the call for any CPU; `_judge` has already
        compared the CPUs. A call without an instance comes from the check at
        the start of the service.
        """
        if instance is None or not self._judges(instance):
            super()._compare_cpu(guest_cpu, host_cpu_str, instance)

    # Methods that the parent does not have

    def _judges(self, instance: Any) -> bool:
        """Whether this driver judges the guest: on KVM, not emulated."""
        return bool(
            self._is_arm_kvm()
            and conf.current(CONF).enforcement is not Enforcement.OFF
            and self._check_emulation_arch(instance.image_meta)
            == fields.Architecture.AARCH64
        )

    def _judge(
        self, context: Any, instance: Any, source_cpu_info: str | None
    ) -> None:
        """Accept the guest on this host, or raise the reason against it.

        :raises nova.exception.MigrationPreCheckError: the conductor then
            tries the next host, or leaves the server as it is
        """
        recorded = instance_state.recorded(instance)
        leaving = judgement.migrating_guest(
            recorded,
            instance_state.host_record(source_cpu_info),
            instance_state.defined(instance),
        )
        self._act(
            context,
            judgement.judge(
                leaving,
                self._arm.host_or_reason(),
                conf.current(CONF),
                self._trial,
                self._baselines.why_not(recorded)
                if isinstance(recorded, Guest)
                else '',
            ),
            instance,
            self._name,
        )
        if leaving.guest is not None and leaving.guest != recorded:
            # The source may have added registers to the guest's first record.
            # Save them now: the source's record is not read again.
            instance.vcpu_model = guest_record.put(
                instance.vcpu_model, leaving.guest
            )
            guest_record.save(instance)

    def _trial(self, guest: Guest) -> Trial:
        """Ask KVM and libvirt here whether they take the guest."""
        done = self._arm.trial(guest)
        if not done.ran:
            return done
        connection = self._host.get_connection()
        return dataclasses.replace(
            done, libvirt=libvirt_features.fault(connection, guest)
        )

    def _act(
        self,
        context: Any,
        outcome: judgement.Judgement,
        instance: Any,
        destination: str,
    ) -> None:
        """Log and count the outcome, and raise if it is a refusal.

        :raises nova.exception.MigrationPreCheckError: 255 bytes at most,
            Nova's own text included: the server's events keep no more
        """
        self.metrics.judged(outcome)
        accepted = outcome.action is judgement.Action.ACCEPT
        log = LOG.info if accepted else LOG.warning
        log(
            'arm64 pre-check for %(host)s: %(outcome)s',
            {'host': destination, 'outcome': json.dumps(outcome.to_dict())},
            instance=instance,
        )
        for finding in outcome.overridden:
            LOG.warning(
                '[arm_migrate] overrides permits %(name)s: %(words)s',
                {'name': finding.name, 'words': words(finding)},
                instance=instance,
            )
        if outcome.action is judgement.Action.REFUSE:
            notifications.refused(context, instance, destination, outcome)
            own = exception.MigrationPreCheckError(reason='').message
            raise exception.MigrationPreCheckError(
                reason=judgement.event_text(
                    outcome.report,
                    destination,
                    _EVENT_DETAILS - len(str(own).encode()),
                )
            )
